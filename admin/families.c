#include "admin/admin_impl.h"

#include <math.h>

/* One writing of all families: which of a table is being written. */
struct pass {
    struct metrics *m;
    size_t at;
};

static void one(struct metrics *m, const char *name, enum metric_type type, const char *help,
                double value)
{
    metrics_family(m, name, type, help);
    metrics_double(m, NULL, 0, value);
}

static void write_server(struct admin *a, struct metrics *m)
{
    struct admin_server s = {0};
    if (a->ops->server == NULL) {
        return;
    }
    a->ops->server(a->ctx, &s);
    struct metric_label version = {"version", span_str(s.version)};
    metrics_family(m, "build_info", METRIC_GAUGE, "Always 1; the version is a label.");
    metrics_u64(m, &version, 1, 1);
    one(m, "uptime_seconds", METRIC_GAUGE, "Time since the start.", (double)s.uptime_ms / 1000);
    one(m, "config_generation", METRIC_GAUGE, "Configurations taken since the start.",
        (double)s.generation);
    one(m, "config_last_reload_failed", METRIC_GAUGE, "Whether the last reload was refused.",
        s.last_reload_failed ? 1 : 0);
    one(m, "ready", METRIC_GAUGE, "Whether /readyz answers 200.", s.not_ready == NULL ? 1 : 0);
    one(m, "draining", METRIC_GAUGE, "Whether the process is stopping.", s.draining ? 1 : 0);
    one(m, "workers", METRIC_GAUGE, "Worker threads.", s.workers);
    one(m, "connections", METRIC_GAUGE, "Client connections that are open.", (double)s.connections);
    metrics_family(m, "connections_total", METRIC_COUNTER, "Client connections accepted.");
    metrics_u64(m, NULL, 0, s.connections_total);
    one(m, "requests_running", METRIC_GAUGE, "Requests under way.", (double)s.requests_running);
    metrics_family(m, "reloads_total", METRIC_COUNTER, "Reloads by result.");
    struct metric_label ok = {"result", SPAN("ok")}, failed = {"result", SPAN("failed")};
    metrics_u64(m, &ok, 1, s.reloads - s.reloads_failed);
    metrics_u64(m, &failed, 1, s.reloads_failed);
}

static const struct {
    const char *name;
    enum metric_type type;
    const char *help;
} listener_families[] = {
    {"listener_connections", METRIC_GAUGE, "Client connections that are open, by listener."},
    {"listener_accepted_total", METRIC_COUNTER, "Client connections accepted, by listener."},
};

static void each_listener(void *user, const struct admin_listener *l)
{
    struct pass *p = user;
    struct metric_label label = {"listener", l->name};
    metrics_u64(p->m, &label, 1, p->at == 0 ? l->connections : l->accepted);
}

static const struct {
    const char *name;
    const char *help;
} pool_families[] = {
    {"pool_endpoints", "Endpoints of a pool."},
    {"pool_endpoints_usable", "Endpoints that are up, active and not ejected."},
    {"pool_requests_waiting", "Requests that wait for a free slot."},
    {"pool_dependency_down", "Whether the pool's servers fail for something that they share."},
    {"pool_panic",
     "Whether checks and ejections are ignored, as too few servers pass, for all clients or for "
     "some."},
};

static void each_pool(void *user, const struct admin_pool *p)
{
    struct pass *pass = user;
    struct metric_label label = {"pool", p->name};
    uint32_t values[] = {p->endpoints, p->usable, p->waiting, admin_has_fault(&p->fault), p->panic};
    metrics_u64(pass->m, &label, 1, values[pass->at]);
}

static double backend_up(const struct admin_backend *b)
{
    return b->health == ENDPOINT_UP;
}
static double backend_active(const struct admin_backend *b)
{
    return b->admin == ENDPOINT_ACTIVE;
}
static double backend_ejected(const struct admin_backend *b)
{
    return b->out_ms > 0;
}
static double backend_weight(const struct admin_backend *b)
{
    return b->weight;
}
static double backend_running(const struct admin_backend *b)
{
    return b->inflight;
}
static double backend_requests(const struct admin_backend *b)
{
    return (double)b->requests;
}
static double backend_responses(const struct admin_backend *b)
{
    return (double)b->responses;
}
static double backend_errors(const struct admin_backend *b)
{
    return (double)b->errors;
}
static double backend_connect_errors(const struct admin_backend *b)
{
    return (double)b->connect_errors;
}
static double backend_ejections(const struct admin_backend *b)
{
    return (double)b->ejections;
}
static double backend_probe_seconds(const struct admin_backend *b)
{
    return (double)b->probe_us / 1e6;
}

static const struct {
    const char *name;
    enum metric_type type;
    double (*value)(const struct admin_backend *b);
    const char *help;
} backend_families[] = {
    {"backend_up", METRIC_GAUGE, backend_up, "Whether checks say that it is up."},
    {"backend_active", METRIC_GAUGE, backend_active, "Neither draining nor in maintenance."},
    {"backend_ejected", METRIC_GAUGE, backend_ejected, "Out for failures of live traffic."},
    {"backend_weight", METRIC_GAUGE, backend_weight, "Weight inside its site."},
    {"backend_requests_running", METRIC_GAUGE, backend_running, "Requests in flight."},
    {"backend_requests_total", METRIC_COUNTER, backend_requests, "Requests sent."},
    {"backend_responses_total", METRIC_COUNTER, backend_responses, "Responses received."},
    {"backend_errors_total", METRIC_COUNTER, backend_errors, "Requests that failed."},
    {"backend_connect_errors_total", METRIC_COUNTER, backend_connect_errors,
     "Requests that failed because no connection could be made; they are in the errors too."},
    {"backend_ejections_total", METRIC_COUNTER, backend_ejections, "Ejections for failures."},
    {"backend_probe_duration_seconds", METRIC_GAUGE, backend_probe_seconds,
     "How long the last check took."},
};

static void each_backend(void *user, const struct admin_backend *b)
{
    struct pass *p = user;
    struct metric_label labels[] = {
        {"pool", b->pool}, {"backend", b->name}, {"address", b->address}, {"site", b->site}};
    metrics_double(p->m, labels, 4, backend_families[p->at].value(b));
}

static void each_certificate(void *user, const struct admin_certificate *c)
{
    struct pass *p = user;
    struct metric_label labels[] = {{"listener", c->listener}, {"path", c->path}};
    metrics_double(p->m, labels, 2, (double)c->left_s);
}

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* Whoever follows no database has families without samples: nothing that could be away. */
static void put_database(struct admin *a, struct metrics *m)
{
    struct admin_database d = {0};
    a->ops->database(a->ctx, &d);
    const struct {
        const char *name;
        enum metric_type type;
        const char *help;
        uint64_t value;
    } all[] = {
        {"database_up", METRIC_GAUGE, "Whether the central database answers.", (uint64_t)d.up},
        {"database_connects_total", METRIC_COUNTER, "Connections to the database.", d.connects},
        {"database_failures_total", METRIC_COUNTER, "Tries and connections that failed.",
         d.failures},
        {"database_polls_total", METRIC_COUNTER, "Polls of the change log.", d.polls},
        {"database_wakeups_total", METRIC_COUNTER, "Notifications that came.", d.wakeups},
        {"database_changes_total", METRIC_COUNTER, "Polls that told of a change of the registry.",
         d.changes},
        {"database_resumes_total", METRIC_COUNTER,
         "Connections that went on where the last one ended, with nothing missed.", d.resumes},
        {"database_flushes_total", METRIC_COUNTER,
         "Polls after which changes may have been missed.", d.flushes},
        {"registry_rows", METRIC_GAUGE, "Rows of the registry that are in force.", d.rows},
        {"registry_rows_skipped", METRIC_GAUGE, "Rows that cannot be used or are not allowed.",
         d.skipped},
        {"registry_suspects", METRIC_GAUGE, "Servers that stay although their lease is over.",
         d.suspects},
        {"registry_mass_expiry_total", METRIC_COUNTER,
         "Reads that would have removed too many servers.", d.mass_expiries},
        {"registry_saves_failed_total", METRIC_COUNTER,
         "Times that the last-known-good file could not be written.", d.saves_failed},
    };
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        metrics_family(m, all[i].name, all[i].type, all[i].help);
        if (d.followed)
            metrics_u64(m, NULL, 0, all[i].value);
    }
    metrics_family(m, "database_lease_age_seconds", METRIC_GAUGE,
                   "How old what is known of the database is at most.");
    if (d.followed)
        metrics_double(m, NULL, 0, d.contact_ms >= 0 ? (double)d.contact_ms / 1000 : INFINITY);
    metrics_family(m, "database_poll_seconds", METRIC_GAUGE, "How long the last poll took.");
    if (d.followed)
        metrics_double(m, NULL, 0, (double)d.poll_us / 1e6);
}

static void pool_faults(void *user, const struct admin_pool *p)
{
    struct pass *pass = user;
    struct metric_label label = {"pool", p->name};
    metrics_u64(pass->m, &label, 1, p->fault.count);
}

static const struct {
    const char *name;
    enum metric_type type;
    const char *help;
} dependency_families[] = {
    {"dependency_down", METRIC_GAUGE, "Whether something that servers need fails."},
    {"dependency_probe_seconds", METRIC_GAUGE, "How long its last probe took."},
    {"dependency_probes_total", METRIC_COUNTER, "Probes that ended, by result."},
};

static void each_dependency(void *user, const struct admin_dependency *d)
{
    struct pass *p = user;
    struct metric_label labels[] = {{"dependency", d->name}, {"result", SPAN("good")}};
    if (p->at == 0)
        metrics_u64(p->m, labels, 1, d->down);
    else if (p->at == 1)
        metrics_double(p->m, labels, 1, (double)d->took_us / 1e6);
    else
        metrics_u64(p->m, labels, 2, d->good);
    labels[1].value = SPAN("bad");
    if (p->at == 2)
        metrics_u64(p->m, labels, 2, d->bad);
}

static void put_dependencies(struct admin *a, struct metrics *m)
{
    struct pass p = {.m = m};
    for (p.at = 0; p.at < COUNT_OF(dependency_families); p.at++) {
        metrics_family(m, dependency_families[p.at].name, dependency_families[p.at].type,
                       dependency_families[p.at].help);
        a->ops->dependencies(a->ctx, each_dependency, &p);
    }
}

static void write_rows(struct admin *a, struct metrics *m)
{
    const struct admin_ops *ops = a->ops;
    struct pass p = {.m = m};
    for (p.at = 0; ops->listeners != NULL && p.at < COUNT_OF(listener_families); p.at++) {
        metrics_family(m, listener_families[p.at].name, listener_families[p.at].type,
                       listener_families[p.at].help);
        ops->listeners(a->ctx, each_listener, &p);
    }
    for (p.at = 0; ops->pools != NULL && p.at < COUNT_OF(pool_families); p.at++) {
        metrics_family(m, pool_families[p.at].name, METRIC_GAUGE, pool_families[p.at].help);
        ops->pools(a->ctx, each_pool, &p);
    }
    for (p.at = 0; ops->backends != NULL && p.at < COUNT_OF(backend_families); p.at++) {
        metrics_family(m, backend_families[p.at].name, backend_families[p.at].type,
                       backend_families[p.at].help);
        ops->backends(a->ctx, SPAN_NONE, each_backend, &p);
    }
    if (ops->pools != NULL) {
        metrics_family(m, "pool_dependency_downs_total", METRIC_COUNTER,
                       "How often the pool's servers began to fail for something that they share.");
        ops->pools(a->ctx, pool_faults, &p);
    }
    if (ops->database != NULL)
        put_database(a, m);
    if (ops->dependencies != NULL)
        put_dependencies(a, m);
    if (ops->certificates != NULL) {
        metrics_family(m, "cert_expiry_seconds", METRIC_GAUGE,
                       "Time until a certificate expires; negative where it has.");
        ops->certificates(a->ctx, each_certificate, &p);
    }
}

void families_write(struct admin *a, struct buf *out)
{
    struct metrics m;
    metrics_init(&m, out);
    write_server(a, &m);
    write_rows(a, &m);
    if (a->ops->metrics != NULL) {
        a->ops->metrics(a->ctx, &m);
    }
}
