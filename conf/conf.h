/* conf: the configuration as plain, checked structs. It reads one YAML file, reports everything
 * that is wrong with it, and hands out values that need no further check but those of the outside
 * world (do the certificates exist, is the port free), which the caller reports through conf_report
 * with the mark of the value. Knows no thread, no socket, no OpenSSL; addresses are bytes.
 * Everything is owned by `struct conf` and lives until conf_free. Any thread, one at a time per
 * object. */
#ifndef MERIDIAN_CONF_CONF_H
#define MERIDIAN_CONF_CONF_H

#include "base/limits.h"
#include "base/log.h"
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

enum conf_forwarded { CONF_X_FORWARDED_FOR, CONF_FORWARDED, CONF_FORWARDED_NONE };

struct conf_trusted {
    struct conf_cidr *from;
    size_t from_count;
    enum conf_forwarded header;
};

struct conf_certificate {
    struct conf_mark mark;
    struct conf_text chain, key; /* paths */
};

enum conf_tls_version { CONF_TLS_1_2, CONF_TLS_1_3 };

struct conf_front_tls {
    bool set;
    struct conf_mark mark;
    struct conf_certificate *certificates; /* at least one where set */
    size_t certificate_count;
    enum conf_tls_version minimum;
    struct conf_text client_ca; /* path; where written, clients must show a certificate */
};

#define CONF_PROTOCOL_H1 1u /* bits of `protocols` */
#define CONF_PROTOCOL_H2 2u

/* Who begins each connection with a PROXY header. */
struct conf_proxy_protocol {
    bool set;
    struct conf_mark mark;
    struct conf_cidr *from; /* at least one where set */
    size_t from_count;
};

struct conf_listener {
    struct conf_text name;
    struct conf_address *binds; /* at least one */
    size_t bind_count;
    struct conf_front_tls tls;
    uint32_t protocols; /* CONF_PROTOCOL_* */
    struct conf_proxy_protocol proxy_protocol;
    bool redirect_to_https;
    struct conf_text acme_challenges; /* a folder; s.p NULL: none */
};

struct conf_backend {
    struct conf_text name;
    struct conf_address address; /* CONF_IPV4, CONF_IPV6, CONF_UNIX or CONF_NAME */
    struct conf_text site_name;
    const struct conf_site *site; /* NULL: none (then no backend of the pool has one) */
    int64_t weight;               /* 1..1000 */
    int64_t max_inflight;         /* 0: no limit of its own */
    bool backup;                  /* serves only where no other one can */
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
};

struct conf_health {
    enum conf_probe probe;
    struct conf_text path; /* HTTP */
    struct conf_text host; /* HTTP; absent: the backend's address */
    struct conf_statuses status;
    struct conf_text service;           /* gRPC; absent: the server as a whole */
    struct conf_probe_page live, ready; /* CONF_PROBE_READY; live only together with ready */
    int64_t interval_ms, timeout_ms;
    int64_t fall, rise;
};

/* What tells requests apart. NONE: nothing was written. */
enum conf_key_kind {
    CONF_KEY_NONE,
    CONF_KEY_CLIENT,
    CONF_KEY_ROUTE,
    CONF_KEY_HEADER,
    CONF_KEY_COOKIE,
    CONF_KEY_PATH,
    CONF_KEY_QUERY
};

struct conf_key {
    enum conf_key_kind kind;
    struct conf_text name; /* of the header, lower case, of the cookie, or of the parameter of the
                              query, absent: all of it */
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

struct conf_balance {
    enum conf_algorithm algorithm;
    struct conf_hash hash;
    enum conf_distance distance_from;
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

struct conf_header {
    struct conf_text name; /* lower case */
    struct conf_text value;
};

struct conf_match {
    struct conf_text host; /* lower case; absent: any; "*.example.com": every name below it */
    struct conf_text path; /* never absent; "/" where not written */
    bool exact;            /* the whole path, else a prefix that ends at a segment border */
    struct conf_text *methods;
    size_t method_count; /* 0: all */
    struct conf_header *headers;
    size_t header_count;
    struct conf_text *countries;
    size_t country_count; /* 0: everywhere */
};

struct conf_timeouts {
    int64_t handshake_ms, request_head_ms, idle_ms, request_body_ms, send_ms;
    int64_t connect_ms, first_byte_ms, response_body_ms, backend_send_ms;
    int64_t tunnel_idle_ms, connection_age_ms;
    int64_t total_ms; /* 0: none */
};

struct conf_respond {
    bool set;
    struct conf_mark mark;
    int64_t status;
    struct conf_text body; /* may be empty, never absent */
    struct conf_text type; /* Content-Type */
};

struct conf_redirect {
    bool set;
    struct conf_mark mark;
    struct conf_text to; /* a template: an absolute http(s) URL or a path from "/" */
    int64_t status;      /* 301, 302, 303, 307 or 308 */
};

/* One part of a split. */
struct conf_share {
    struct conf_text name;
    int64_t weight;
    const struct conf_pool *pool;
};

struct conf_rate_limit {
    bool set;
    struct conf_mark mark;
    struct conf_key per;
    int64_t rate_per_hour;
    int64_t burst; /* requests at once, at least 1 */
};

struct conf_access {
    bool set;
    struct conf_mark mark;
    struct conf_cidr *allow, *deny;
    size_t allow_count, deny_count;
    struct conf_text *allow_countries, *deny_countries;
    size_t allow_country_count, deny_country_count;
};

/* Changes of header fields; names are lower case, values are templates. */
struct conf_field_rules {
    bool written;
    struct conf_mark mark;
    struct conf_header *set, *add;
    size_t set_count, add_count;
    struct conf_text *remove;
    size_t remove_count;
};

struct conf_rewrite {
    bool set;
    struct conf_mark mark;
    struct conf_text strip_prefix, add_prefix; /* may be absent, one of them is there */
};

struct conf_compress {
    bool set;
    struct conf_mark mark;
    struct conf_text *types; /* at least one where set */
    size_t type_count;
    int64_t minimum_bytes;
};

/* A page in place of Meridian's own for one status. */
struct conf_page {
    int64_t status; /* 400..599 */
    struct conf_text path;
    size_t index; /* in the order of all pages of the configuration */
};

struct conf_pages {
    struct conf_page *v;
    size_t count;
};

/* Copies of requests to another pool, whose answers nobody sees. */
struct conf_mirror {
    bool set;
    struct conf_mark mark;
    struct conf_text pool_name;
    const struct conf_pool *pool;
    int64_t share_percent, inflight, content_bytes;
};

enum conf_priority { CONF_PRIORITY_HIGH, CONF_PRIORITY_NORMAL, CONF_PRIORITY_LOW };

enum conf_action { CONF_NO_ACTION, CONF_TO_POOL, CONF_SPLIT, CONF_RESPOND, CONF_REDIRECT };

struct conf_route {
    struct conf_mark mark;
    struct conf_text
        name; /* unique label for logs and metrics; made from the match if not written */
    struct conf_match match;
    enum conf_action action;
    struct conf_text pool_name;
    const struct conf_pool *pool; /* CONF_TO_POOL */
    struct conf_share *shares;    /* CONF_SPLIT: at least one weighs something */
    size_t share_count;
    struct conf_key split_by; /* NONE: by chance */
    struct conf_respond respond;
    struct conf_redirect redirect;
    struct conf_access access;
    struct conf_rate_limit rate_limit;
    struct conf_field_rules request_headers, response_headers;
    struct conf_rewrite rewrite;
    struct conf_compress compress;
    struct conf_mirror mirror;
    struct conf_pages pages;
    struct conf_timeouts timeouts; /* the global ones with the route's own put over them */
    int64_t body_bytes;            /* largest request content; 0: no limit */
    enum conf_priority priority;   /* among requests that wait for a server */
    bool websocket;
};

struct conf_limits {
    int64_t connections; /* 0: auto */
    int64_t connections_per_source, handshakes;
    int64_t request_rate, response_rate; /* bytes per second */
    int64_t requests_per_connection;
    int64_t request_line, head, fields, field; /* bytes, but fields: a count */
    int64_t body;                              /* bytes; 0: no limit */
    int64_t streams;
    int64_t backend_connections, backend_idle;
    int64_t memory; /* bytes; 0: auto */
};

struct conf_drain {
    int64_t requests_ms, tunnels_ms;
};

enum conf_log_format { CONF_LOG_JSON, CONF_LOG_COMBINED, CONF_LOG_TEMPLATE };

struct conf_log_line {
    enum conf_log_format format;
    struct conf_text template; /* CONF_LOG_TEMPLATE */
};

struct conf_log {
    struct conf_text access_path; /* "stdout", "stderr", "off" or an absolute path */
    struct conf_log_line access_line;
    bool access_decision;
    enum log_level level;
};

struct conf_tracing {
    bool set;
    struct conf_mark mark;
    struct conf_address collector;
    struct conf_text path, service;
    int64_t sample_percent; /* of the traces that begin here */
};

struct conf_admin {
    struct conf_text socket;  /* path; mark.line 0: the default, another one may stand in for it */
    bool http_on;             /* false: `http: off` */
    struct conf_address http; /* loopback unless allow_remote; text.mark.line 0: the default */
    bool allow_remote;
    struct conf_text *hosts; /* names that Host may have besides */
    size_t host_count;
    struct conf_text token; /* "file:/path"; s.p NULL: none */
};

struct conf_source;

struct conf {
    struct conf_text *includes; /* none: files are read before keys are (include.h) */
    size_t include_count;
    int64_t workers; /* 0: auto */
    bool sandbox;
    struct conf_location here;
    struct conf_text *databases; /* paths of geolocation databases, in order of search */
    size_t database_count;
    struct conf_trusted trusted;
    struct conf_address *name_servers; /* whom host names are asked of; none: the system's */
    size_t name_server_count;
    struct conf_site *sites;
    size_t site_count;
    struct conf_data_source *sources; /* at most one */
    size_t source_count;
    struct conf_dependency *dependencies;
    size_t dependency_count;
    struct conf_listener *listeners;
    size_t listener_count;
    struct conf_pool *pools;
    size_t pool_count;
    struct conf_route *routes; /* in the order of the file */
    size_t route_count;
    struct conf_pages pages;
    size_t page_count; /* of all, those of routes too */
    struct conf_timeouts timeouts;
    struct conf_limits limits;
    struct conf_drain drain;
    struct conf_log log;
    struct conf_tracing tracing;
    struct conf_admin admin;
    struct conf_text
        state; /* a folder; mark.line 0: the default, another one may stand in for it */

    struct conf_source *source; /* owns all of the above; conf's own */
};

/* Reads and checks the file. Messages (`file:line:column: error: …`, the line, a caret) are
 * appended to *messages, also where loading fails. *out is NULL on failure. ERR_SYNTAX: the
 * messages say what; ERR_NO_MEMORY; a file that cannot be read is a message too and ERR_NOT_FOUND,
 * ERR_PERMISSION or ERR_SYSTEM. The caller frees *out with conf_free. */
MUST_CHECK
enum err conf_load(const char *path, struct conf **out, struct buf *messages);
/* The same for text in memory; name stands for the file in messages. */
MUST_CHECK
enum err conf_load_text(const char *name, struct span text, struct conf **out,
                        struct buf *messages);
void conf_free(struct conf **conf);

/* Appends the effective configuration as YAML: defaults filled in, secrets hidden. It loads again
 * to the same configuration. */
void conf_print(const struct conf *conf, struct buf *out);

/* A place to report to. After loading, callers make one of their own for what only they can check.
 */
struct conf_messages {
    const struct conf_source *source; /* borrowed */
    struct buf *out;                  /* borrowed */
    size_t errors, warnings;          /* reported, those beyond the cap of 50 included */
};
void conf_messages_init(struct conf_messages *m, const struct conf *conf, struct buf *out);
/* Appends `file:line:column: error: <text>`, the line and a caret; without a line (mark.line 0)
 * only `file: error: <text>`. The text is "what is wrong; what is allowed". */
void conf_report(struct conf_messages *m, struct conf_mark mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for what is allowed and probably not meant: `file:line:column: warning: <text>`. */
void conf_warn(struct conf_messages *m, struct conf_mark mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Appends a warning for each setting that is risky or has no effect: plain HTTP on a public
 * address, servers without checks, routes that are never chosen, pools that nobody uses.
 */
void conf_warnings(const struct conf *conf, struct buf *out);
/* Appends what differs between the two, one line each ("  ~ pools.api.queue.limit: 10 -> 20"), at
 * most 40; secrets hidden. */
void conf_changes(const struct conf *old, const struct conf *new, struct buf *out);

/* Appends the reference of all keys as Markdown (docs/configuration.md). */
void conf_reference(struct buf *out);
/* Appends the JSON Schema (draft-07) of the file, for editors (deploy/meridian.schema.json). */
void conf_json_schema(struct buf *out);

#endif
