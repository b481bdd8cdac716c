/* policy: one generation of the configuration as the request path reads it: routes, pools,
 * listeners' settings, the geo database. Immutable; built by lb/run from conf's plain structs,
 * published to the workers between loop turns, freed when the last worker has let go
 * (docs/architecture.md, "Snapshots"). It knows no file and no thread. Runtime state (endpoints,
 * statistics) is referenced from here and outlives it. */
#ifndef MERIDIAN_PROXY_POLICY_H
#define MERIDIAN_PROXY_POLICY_H

#include "geo/geo.h"
#include "net/addr.h"
#include "net/tls_ctx.h"
#include "pick/pool.h"
#include "pick/route.h"
#include "proxy/access.h"
#include "proxy/compress.h"
#include "proxy/connpool.h"
#include "proxy/field_rules.h"
#include "proxy/hedge.h"
#include "proxy/line.h"
#include "proxy/rate.h"
#include "proxy/readings.h"
#include "proxy/request_key.h"
#include "proxy/residency.h"
#include "proxy/retry.h"
#include "proxy/rewrite.h"
#include "proxy/split.h"
#include "proxy/stats.h"
#include "proxy/sticky.h"

struct policy_timeouts {
    int64_t request_body_ms, send_ms;
    int64_t connect_ms, first_byte_ms, response_body_ms, backend_send_ms;
    int64_t tunnel_idle_ms;
    int64_t total_ms; /* head to the end of the answer; 0: any */
};

struct policy_endpoint {
    struct endpoint *endpoint; /* referenced by the pick_pool */
    uint32_t member;           /* index of the same in pick->members, which go by site */
    struct addr address;
    struct span name;        /* "backend" as configured */
    struct span server_name; /* SNI and the name verified, where the pool has TLS */
    struct span authority;   /* for `host: backend` */
    uint32_t site;           /* of pick->sites */
};

enum policy_host { POLICY_HOST_PRESERVE, POLICY_HOST_BACKEND, POLICY_HOST_NAME };

struct policy_location {
    double latitude, longitude;
};

/* Where clients of a pool that redirects are sent, by site. */
struct policy_target {
    struct span url;  /* to be followed by a path */
    struct span host; /* of it, lower case */
    uint16_t port;
};

struct policy_pool {
    struct span name;
    uint32_t index;
    struct pick_pool *pick;
    struct policy_endpoint *endpoints; /* in configuration order */
    uint32_t endpoint_count;
    struct tls_client **tls; /* one per worker, or NULL: plain */
    enum connpool_protocol protocol;
    enum connpool_header header;
    uint64_t settings; /* connections opened under other settings are not used again */
    enum policy_host host;
    struct span host_name;
    struct retry_rules retries;
    struct hedge_rules hedge;
    uint32_t queue_limit;
    int64_t queue_ms;
    uint32_t connections, idle;  /* per endpoint and worker (L34) */
    struct residency *residency; /* NULL: every site may serve everybody */
    struct key_rule hash;        /* KEY_NONE but for PICK_CONSISTENT_HASH and `keyed` */
    struct sticky *sticky;       /* NULL: no cookie */
    bool fail_fast;   /* no request while the servers fail for something that they share */
    bool from_client; /* distance from the client's place, else each site's here_ms */
    struct policy_location *sites; /* as pick->sites; NULL: the pool has no sites */
    struct policy_target *targets; /* as pick->sites; NULL: requests are passed on */
    uint16_t redirect_status;
};

enum policy_action { POLICY_POOL, POLICY_SPLIT, POLICY_RESPOND, POLICY_REDIRECT };

struct policy_split {
    struct policy_pool **pools;
    uint32_t *ends; /* as split_choose has them */
    uint32_t count;
    struct key_rule by; /* KEY_NONE: by chance */
};

struct policy_rate {
    struct rate_rule rule;
    struct key_rule per;
    uint64_t seed; /* of the route's name: a reload finds the same buckets */
};

/* What is shown in place of Meridian's own page for a status. */
struct policy_page {
    uint16_t status;
    struct span body; /* text/html; charset=utf-8 */
};

struct policy_pages {
    const struct policy_page *v;
    size_t count;
};

struct policy_mirror;

struct policy_route {
    struct span name;
    enum policy_action action;
    struct policy_pool *pool;           /* POLICY_POOL */
    struct policy_split split;          /* POLICY_SPLIT */
    struct access *access;              /* NULL: everybody */
    const struct policy_mirror *mirror; /* NULL: none */
    struct policy_rate *rate;           /* NULL: no limit */
    struct field_rules request_fields, response_fields;
    struct rewrite rewrite;
    struct policy_pages pages;      /* before the policy's */
    struct compress_rule *compress; /* NULL: never */
    struct policy_timeouts timeouts;
    uint64_t body_bytes;   /* L16; 0: none */
    uint64_t request_rate; /* L6, bytes per second; 0: none */
    bool websocket;
    bool streaming;             /* every answer counts as a stream */
    enum rank rank;             /* among those that wait for a server */
    enum path_rule paths;       /* H14 */
    uint16_t status;            /* POLICY_RESPOND, POLICY_REDIRECT */
    struct span body;           /* POLICY_RESPOND */
    struct span type;           /* POLICY_RESPOND: Content-Type */
    struct template to;         /* POLICY_REDIRECT: Location */
    struct route_stats **stats; /* one per worker */
};

/* Where copies go, and how many. */
struct policy_mirror {
    struct policy_route route; /* what a copy takes: its pool, no gates, counters of its own */
    uint32_t percent;          /* of the requests */
    uint32_t inflight;         /* at once, of one worker */
    uint64_t content_bytes;    /* larger ones are not copied */
};

enum policy_forwarded { POLICY_X_FORWARDED_FOR, POLICY_FORWARDED, POLICY_FORWARDED_NONE };

struct policy {
    uint64_t generation;
    struct route_table *table; /* indexes into routes */
    struct policy_route *routes;
    uint32_t route_count;
    struct policy_pool *pools;
    uint32_t pool_count;
    struct policy_pages pages;
    struct geo_db *geo; /* may be NULL */
    struct cidr *trusted;
    size_t trusted_count;
    enum policy_forwarded forwarded;
    bool tracing;
    int trace_percent; /* of the traces that begin here */
    bool has_here;
    bool log_decisions; /* the access log tells how each server was chosen */
    struct policy_location here;
    uint64_t response_rate;        /* L7, bytes per second */
    struct route_stats **unrouted; /* one per worker: requests that no route took */
};

#endif
