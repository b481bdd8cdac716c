/* admin: what operators and programs see and may do: the control socket (docs/control-protocol.md)
 * and the admin HTTP listener (status page, /metrics, /healthz, /readyz, /v1). It knows the plain
 * structs below and asks for them through admin_ops when somebody wants to see them; it must not
 * know configuration, snapshots or workers. Everything runs on the main thread's loop. All text
 * handed out by ops is borrowed for the call. */
#ifndef MERIDIAN_ADMIN_ADMIN_H
#define MERIDIAN_ADMIN_ADMIN_H

#include "admin/metrics.h"
#include "base/log.h"
#include "net/conn.h"
#include "pick/why.h"

struct admin_server {
    const char *version, *config; /* config: the file's path */
    int pid;
    int64_t uptime_ms, wall_ns;
    uint64_t generation;      /* of the configuration; 1 at start */
    uint32_t generations_old; /* before it, that requests still go by */
    uint32_t workers;
    bool draining;
    const char *not_ready;                  /* NULL: ready; else why /readyz says 503 */
    uint64_t connections, requests_running; /* now */
    uint64_t connections_total, requests_total;
    uint64_t reloads, reloads_failed;
    bool last_reload_failed;
    int64_t last_reload_ns; /* wall clock; 0: never */
    enum log_level log_level;
    const char *overload;                   /* the tier's name */
    uint64_t memory, memory_most;           /* bytes */
    uint64_t descriptors, descriptors_most; /* most 0: no bound */
};

struct admin_listener {
    struct span name, address;
    bool tls;
    uint64_t connections, accepted;
};

/* The servers of a pool fail for something that they share. */
struct admin_fault {
    const char *reason; /* "none", "probe", "blamed", "together" (health/shared.h); NULL: none */
    struct span dependency; /* may be empty */
    int64_t since_ms;       /* age of that; -1: never */
    uint64_t count;         /* how often it began */
    bool fail_fast;         /* requests are refused meanwhile */
};
static inline bool admin_has_fault(const struct admin_fault *f)
{
    return f->reason != NULL && strcmp(f->reason, "none") != 0;
}

struct admin_pool {
    struct span name;
    uint32_t endpoints, usable; /* usable: up, active, not ejected */
    uint32_t sites, routes;
    uint64_t inflight, requests, errors;
    uint32_t waiting;  /* requests that wait for a slot */
    const char *probe; /* "http", "tcp", "grpc", "ready", "off" */
    bool panic;        /* checks and ejections are ignored: too few pass */
    struct admin_fault fault;
};

/* One endpoint of a configured backend. */
struct admin_backend {
    struct span pool, name, address, site;
    uint32_t rank; /* 0: in front; more: a backup, of that group */
    uint32_t weight, weight_configured;
    bool weight_forced, admin_forced; /* set by an operator; shown as "*" */
    enum endpoint_health health;
    enum endpoint_admin admin;
    int64_t out_ms;          /* ejected for so long; 0: not */
    int64_t health_since_ms; /* age of the present health; -1: since the start */
    uint32_t inflight, max_inflight;
    uint64_t requests, responses, errors, connect_errors, ejections;
    uint64_t history;   /* newest probe in bit 0, 1 = good */
    uint32_t probes;    /* how many bits of it are filled */
    enum err probe_err; /* of the last one */
    uint32_t probe_us;
    double recent_ms, normal_ms; /* response time of its site; 0: unknown */
    uint32_t weight_now;         /* in effect: less than weight in slow start */
    enum pick_why why;           /* it gets none, or few requests */
    bool panic;                  /* it gets them all the same: pick_used_anyway */
    bool routed;                 /* some route leads to its pool */
};

struct admin_route {
    struct span name, host, path;
    const char *action; /* "pool", "split", "respond", "redirect" */
    struct span target; /* the pool or pools, or the URL */
    uint64_t requests;
};

struct admin_certificate {
    struct span listener, path, names; /* names: separated by blanks */
    int64_t expires_s;                 /* seconds since 1970 */
    int64_t left_s;                    /* negative: expired */
};

struct admin_connection {
    struct span listener, client;
    uint32_t worker;
    const char *protocol, *tls; /* "http/1.1"; "TLSv1.3" or NULL */
    const char *state;          /* of its exchange, "idle" where there is none */
    struct span pool, backend;  /* of its exchange; may be empty */
    int64_t age_ms;
    uint64_t requests, bytes_in, bytes_out;
};

struct admin_place {
    bool known;
    struct span country, continent, subdivision; /* codes; empty: unknown */
    bool located;
    double latitude, longitude;
    double radius_km;   /* accuracy; 0: not stated */
    const char *source; /* "database", "country", "here", "none": where the coordinates come from */
};

/* What one geo database says of an address. */
struct admin_geo_database {
    struct span path, type, network; /* network empty: it has no record */
    struct admin_place place;
    struct span city, asn, organization;
};
/* The sites of one pool, the nearest first, those that may not serve last. */
struct admin_geo_site {
    struct span name;
    bool allowed;
    double distance_ms;
};
struct admin_geo_pool {
    struct span pool;
    const char *distance_from; /* as in admin_explain */
    enum err outcome;          /* ERR_OK, or what residency answers */
    const struct admin_geo_site *sites;
    size_t site_count;
};
#define ADMIN_GEO_POOLS 100

struct admin_geo {
    struct admin_place place; /* what counts: all databases together */
    struct span city, asn, organization;
    const struct admin_geo_database *databases;
    const struct admin_geo_pool *pools;            /* those with sites */
    size_t database_count, pool_count, pools_left; /* left: those that were too many */
};

struct admin_header {
    struct span name, value;
};
struct admin_explain_ask {
    struct span client, url, method;
    const struct admin_header *headers;
    size_t header_count;
};
/* An endpoint that was no candidate. */
struct admin_explain_other {
    const struct endpoint *endpoint;
    uint32_t site, inflight, weight, max_inflight;
    int64_t out_ms; /* ejected for so long; 0: not */
    enum pick_why why;
};
#define ADMIN_EXPLAIN_OTHERS 500

struct admin_explain {
    struct admin_place place;
    struct admin_fault fault;    /* of the pool */
    struct span route, pool;     /* pool empty: the route answers itself */
    const char *action;          /* of the route, as in admin_route */
    struct span redirect;        /* where the client is sent; empty: requests are passed on */
    const char *distance_from;   /* "client" or "here" */
    const char *distance_source; /* "coordinates" or "measured" */
    const char *sticky;          /* "made", "kept", "broken"; NULL: the pool sets no cookie */
    enum err outcome; /* of picking: OK, ERR_NO_BACKEND, ERR_FULL; of routing: ERR_NO_ROUTE,
                         ERR_BAD_METHOD, ERR_FORBIDDEN */
    struct span site_names[LIMIT_SITES]; /* as terms.sites */
    struct pick_explain terms;           /* where there is a pool */
    const struct admin_explain_other *others;
    size_t other_count, others_left; /* left: those that were too many to be listed */
};

/* A place where backends stand, of all pools together. */
struct admin_site {
    struct span name;
    bool located;
    double latitude, longitude;
    uint32_t endpoints, usable;
    uint64_t inflight;
};

/* Clients of one country that were sent to one site: connections, or the clients behind a trusted
 * one, each once; since the site is there. */
struct admin_clients {
    struct span country, site; /* country empty: not known; site empty: pools without sites */
    bool located;              /* the country's central point */
    double latitude, longitude;
    uint64_t clients;
};

/* Something that servers need. */
struct admin_dependency {
    struct span name;
    const char *level; /* "accept", "query", "primary", "lag" */
    bool known, down;
    struct span why;  /* where it is down */
    int64_t since_ms; /* age of that */
    uint64_t good, bad;
    uint32_t took_us; /* the last probe */
};

/* The session with the central database, and the rows of its registry. */
struct admin_database {
    bool followed; /* false: no pool asks for it; the rest is zero */
    bool up;
    struct span why;        /* it is not, or was not last; empty: it always was */
    const char *origin;     /* of the rows in force: "none", "file", "database" */
    int64_t contact_ms;     /* age of the last answer; -1: never */
    uint32_t poll_us;       /* how long the last poll took */
    uint64_t rows, used;    /* in force; serving in some pool */
    uint64_t skipped;       /* of the last read, because they cannot be used or are not allowed */
    uint64_t suspects;      /* leases that are over, of servers that stay for now */
    uint64_t mass_expiries; /* reads that would have removed too many */
    uint64_t connects, failures, polls, wakeups, changes, flushes, resumes, reads;
    uint64_t saves, saves_failed; /* of the last-known-good file */
};

/* A row of the registry, and why it does not serve. */
struct admin_row {
    struct span pool, address;
    const char *why;
};

/* An answer that comes later. The asking connection may be gone by then. */
struct admin_job;
/* Exactly once per job, also from inside the op, not after admin_free. messages: text for people,
 * lines; where why is not OK it says what is wrong. Frees the job. */
void admin_job_done(struct admin_job *job, enum err why, struct span messages);
/* The same for the connections op, with its rows; total: how many there are, shown or not. */
void admin_job_connections(struct admin_job *job, const struct admin_connection *rows, size_t n,
                           uint64_t total);

/* What the balancer provides. Every function is called on the main thread with `ctx`; an op that is
 * NULL is answered with ERR_UNSUPPORTED. `each` must be called for every row before the op returns.
 */
struct admin_ops {
    void (*server)(void *ctx, struct admin_server *out);
    void (*listeners)(void *ctx, void (*each)(void *user, const struct admin_listener *l),
                      void *user);
    void (*pools)(void *ctx, void (*each)(void *user, const struct admin_pool *p), void *user);
    /* pool empty: of all pools, pool after pool. */
    void (*backends)(void *ctx, struct span pool,
                     void (*each)(void *user, const struct admin_backend *b), void *user);
    void (*routes)(void *ctx, void (*each)(void *user, const struct admin_route *r), void *user);
    void (*sites)(void *ctx, void (*each)(void *user, const struct admin_site *s), void *user);
    void (*clients)(void *ctx, void (*each)(void *user, const struct admin_clients *c), void *user);
    void (*certificates)(void *ctx, void (*each)(void *user, const struct admin_certificate *c),
                         void *user);
    void (*database)(void *ctx, struct admin_database *out);
    /* The first of the registry's rows that serve nobody. */
    void (*idle_rows)(void *ctx, void (*each)(void *user, const struct admin_row *row), void *user);
    void (*dependencies)(void *ctx, void (*each)(void *user, const struct admin_dependency *d),
                         void *user);
    /* Requests by end reason; reasons that never came may be left out. */
    void (*ends)(void *ctx, void (*each)(void *user, enum err reason, uint64_t n), void *user);
    /* Counters that only the balancer can sum, written after admin's own families (server, pools,
     * backends, certificates). */
    void (*metrics)(void *ctx, struct metrics *out);

    /* Actions on "POOL", "POOL/BACKEND", "POOL/BACKEND@ADDRESS" or "site:NAME". ERR_NOT_FOUND where
     * there is none, ERR_RANGE. *count: endpoints that it applied to. */
    enum err (*set_admin)(void *ctx, struct span target, enum endpoint_admin to, size_t *count);
    enum err (*set_weight)(void *ctx, struct span target, uint32_t weight, size_t *count);
    enum err (*reset)(void *ctx, struct span target, size_t *count); /* ends both overrides */
    void (*reload)(void *ctx, struct admin_job *job);
    void (*connections)(void *ctx, struct admin_job *job);
    void (*stop)(void *ctx, bool now);
    void (*set_log_level)(void *ctx, enum log_level level);
    /* On failure *message says why. */
    enum err (*explain)(void *ctx, const struct admin_explain_ask *ask, struct admin_explain *out,
                        struct buf *message);
    enum err (*geo)(void *ctx, struct span ip, struct admin_geo *out, struct buf *message);
};

struct admin;

/* Who may do what over HTTP. Everything is borrowed until the next call of admin_set_access. */
struct admin_access {
    struct span token; /* commands are taken by POST from whoever knows it; empty: from nobody */
    bool remote;       /* Host may be any IP address, or one of these names */
    const struct span *hosts;
    size_t host_count;
};

/* env: the main thread's transport environment, borrowed like ops and ctx. log may be NULL. */
MUST_CHECK
enum err admin_new(struct conn_env *env, const struct admin_ops *ops, void *ctx, struct log *log,
                   struct admin **out);
/* Closes sockets and connections, removes the control socket's file; jobs not done are forgotten:
 * their owner must not complete them any more. Not from inside a callback of the loop, whose tasks
 * it runs so that all memory is given back. */
void admin_free(struct admin **a);
/* At first: no commands, and only Hosts that name this machine. */
void admin_set_access(struct admin *a, const struct admin_access *access);
/* Listening sockets of another process, to be used where they are at the addresses asked for later;
 * -1: none. Takes both. */
void admin_inherit(struct admin *a, int control_fd, int http_fd);
/* Where it listens now; borrowed, -1: nowhere. */
int admin_control_fd(const struct admin *a);
int admin_http_fd(const struct admin *a);
/* Accepts nobody for now, or again: for a while another process listens at the same sockets. */
void admin_pause(struct admin *a, bool pause);
/* Listens no more, but leaves the control socket's file: another process has it. */
void admin_yield(struct admin *a);
/* Opens the control socket (0660) in place of the present one; the same path again changes nothing.
 * On failure the present one stays. */
MUST_CHECK
enum err admin_listen_control(struct admin *a, const char *path);
/* The same for the HTTP listener; NULL closes it. */
MUST_CHECK
enum err admin_listen_http(struct admin *a, const struct addr *at);

#endif
