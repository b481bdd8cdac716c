/* conf_pool: servers, where they stand, how one is chosen, checked and asked again, and the
 * database that they share. Part of conf.h, which says who owns it. */
#ifndef MERIDIAN_CONF_CONF_POOL_H
#define MERIDIAN_CONF_CONF_POOL_H

#include "conf/conf_value.h"

/* A place where backends stand. */
struct conf_site {
    struct conf_text name;
    struct conf_location location; /* always set */
    struct conf_text country;      /* ISO 3166-1, two capital letters; may be absent */
    struct conf_text continent;    /* AF AN AS EU NA OC SA; may be absent */
    int64_t distance_ms;           /* from this balancer; 0: by location */
    struct conf_text public_url;   /* http(s)://host[:port][/path], no slash at its end; absent */
    struct span public_host;       /* of it */
    uint16_t public_port;          /* of it: 80 or 443 where none was written */
};

struct conf_backend {
    struct conf_text name;
    struct conf_address address; /* none of CONF_SYSTEMD */
    struct conf_text site_name;
    const struct conf_site *site; /* NULL: none (then no backend of the pool has one) */
    int64_t weight;               /* 1..1000 */
    int64_t max_inflight;         /* 0: no limit of its own */
    int backup;                   /* 0: none; 1..: serves only where no lower one can */
};

struct conf_back_tls {
    bool set;
    struct conf_mark mark;
    struct conf_text ca;          /* path; absent: the system's certificates */
    struct conf_text server_name; /* SNI and the name to verify; absent: the Host that is sent, or
                                     the address */
    bool verify;
};

enum conf_probe {
    CONF_PROBE_TCP,
    CONF_PROBE_HTTP,
    CONF_PROBE_GRPC,
    CONF_PROBE_READY,
    CONF_PROBE_OFF
};

/* A page that a check asks for. */
struct conf_probe_page {
    bool set;
    struct conf_mark mark;
    struct conf_text path; /* never absent where set */
    struct conf_text host; /* absent: the backend's address */
    struct conf_statuses status;
    struct conf_text contains; /* absent: any content */
};

struct conf_health {
    enum conf_probe probe;
    struct conf_text path; /* HTTP */
    struct conf_text host; /* HTTP; absent: the backend's address */
    struct conf_statuses status;
    struct conf_text contains;          /* HTTP; absent: any content */
    struct conf_text service;           /* gRPC; absent: the server as a whole */
    struct conf_probe_page live, ready; /* CONF_PROBE_READY; live only together with ready */
    int64_t interval_ms, timeout_ms;
    int64_t fall, rise;
    int64_t content; /* bytes of an answer's content that are read */
};

enum conf_algorithm {
    CONF_NEAREST,
    CONF_ROUND_ROBIN,
    CONF_LEAST_CONNECTIONS,
    CONF_TWO_CHOICES,
    CONF_CONSISTENT_HASH
};

struct conf_hash {
    struct conf_key by;
    int64_t load_percent; /* 101..1000 */
};

/* NONE: neither a database nor this balancer's place is known; distance plays no part. */
enum conf_distance { CONF_DISTANCE_NONE, CONF_DISTANCE_CLIENT, CONF_DISTANCE_HERE };

enum conf_distance_source { CONF_COORDINATES, CONF_MEASURED };

struct conf_balance {
    enum conf_algorithm algorithm;
    struct conf_hash hash;
    enum conf_distance distance_from;
    enum conf_distance_source distance_source;
    struct conf_mark mark; /* of distance_from, else of all */
    struct conf_mark algorithm_mark;
    double distance_weight, spill_band, spill_gain;
    int64_t spill_cap_ms, choices, slow_start_ms, panic_percent;
};

enum conf_proxy_header { CONF_NO_HEADER, CONF_HEADER_V1, CONF_HEADER_V2 };

enum conf_mode { CONF_PROXY, CONF_REDIRECT_SITES };

enum conf_host { CONF_HOST_PRESERVE, CONF_HOST_BACKEND, CONF_HOST_NAME };

/* Bits of conf_retries.on. */
#define CONF_RETRY_CONNECT    1u
#define CONF_RETRY_RESET      2u
#define CONF_RETRY_FIRST_BYTE 4u
#define CONF_RETRY_502        8u
#define CONF_RETRY_503        16u
#define CONF_RETRY_504        32u

struct conf_retries {
    int64_t extra;
    int64_t budget_percent;
    uint32_t on; /* CONF_RETRY_* */
};

/* Exactly one of the two is not 0. */
struct conf_after {
    int64_t ms;
    int64_t percent;
};

struct conf_hedge {
    bool set;
    struct conf_mark mark;
    struct conf_after after;
    int64_t budget_percent;
};

struct conf_queue {
    int64_t limit;
    int64_t timeout_ms;
};

enum conf_protocol {
    CONF_HTTP_1_1,
    CONF_HTTP_2,
    CONF_HTTP_AUTO, /* what the TLS handshake agrees on */
};

struct conf_residency_rule {
    struct conf_mark mark;
    struct conf_text *groups, *countries, *continents, *subdivisions;
    size_t group_count, country_count, continent_count, subdivision_count;
    bool unknown;
    struct conf_text *sites;
    size_t site_count;
    const struct conf_site **places; /* of the sites */
    int deny;                        /* 451 or 403; 0: the sites serve */
};

struct conf_residency {
    bool set;
    struct conf_mark mark;
    int unknown;                       /* 1: may go anywhere */
    struct conf_residency_rule *rules; /* at least one where set */
    size_t rule_count;
};

/* A database that several servers share. */
struct conf_data_source {
    struct conf_text name;
    struct conf_text postgres; /* words of a connection, as libpq reads them */
    struct conf_text password; /* where it is: "file:…", "credential:…" or "${…}"; may be absent */
    int64_t start_wait_ms; /* for its first answer, at start */
};

enum conf_level { CONF_LEVEL_ACCEPT, CONF_LEVEL_QUERY, CONF_LEVEL_PRIMARY, CONF_LEVEL_LAG };

/* Something that the servers of several pools need. */
struct conf_dependency {
    struct conf_text name;
    struct conf_text source_name;
    const struct conf_data_source *source;
    enum conf_level level;
    int64_t interval_ms, timeout_ms, max_lag_ms;
    int64_t rise;
};

enum conf_dependency_down { CONF_DOWN_PASS, CONF_DOWN_FAIL_FAST };

enum conf_registry_mode { CONF_REGISTRY_OFF, CONF_REGISTRY_MERGE, CONF_REGISTRY_AUTHORITATIVE };

/* Servers that a table of the database names. */
struct conf_registry {
    bool set;
    struct conf_mark mark;
    struct conf_text source_name;
    const struct conf_data_source *source;
    enum conf_registry_mode mode;
    struct conf_cidr *allow; /* where they may stand; at least one where set */
    size_t allow_count;
    bool allow_empty;
};

/* What brings a client back: a cookie of Meridian's own, or what the request has. */
struct conf_sticky {
    bool set;
    struct conf_mark mark;
    struct conf_text cookie; /* name; absent: by */
    struct conf_key by;
    int64_t ttl_ms;
    struct conf_text key; /* path; absent: in the state folder */
};

struct conf_pool {
    struct conf_text name;
    struct conf_backend *backends; /* at least one */
    size_t backend_count;
    struct conf_back_tls tls;
    enum conf_protocol protocol;
    struct conf_health health;
    struct conf_balance balance;
    struct conf_residency residency;
    enum conf_host host;
    struct conf_text host_name; /* CONF_HOST_NAME */
    struct conf_retries retries;
    struct conf_hedge hedge;
    struct conf_queue queue;
    struct conf_registry registry;
    struct conf_text *depends_on;
    size_t depend_count;
    const struct conf_dependency **dependencies; /* as depends_on */
    enum conf_dependency_down on_dependency_down;
    struct conf_sticky sticky;
    enum conf_mode mode;
    struct conf_mark mode_mark;
    int64_t redirect_status;       /* 307 or 308 */
    enum conf_proxy_header header; /* of the PROXY protocol, on connections to backends */
};

#endif
