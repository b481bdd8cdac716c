#include "fake_view.h"

#include <stdio.h>

static void keep(char *out, size_t size, struct span s)
{
    snprintf(out, size, "%.*s", SPAN_FMT(s));
}

static void server(void *ctx, struct admin_server *out)
{
    struct fake_view *f = ctx;
    *out = (struct admin_server){
        .version = "0.1.0",
        .config = "/etc/meridian/meridian.yaml",
        .pid = 4711,
        .uptime_ms = 3725000,
        .generation = 3,
        .workers = 2,
        .not_ready = f->not_ready,
        .connections = 7,
        .connections_total = 70,
        .requests_running = 5,
        .requests_total = 1234567890123,
        .reloads = 3,
        .reloads_failed = 1,
        .last_reload_ns = 1700000000 * NS_PER_S,
        .log_level = f->level,
    };
}

static void listeners(void *ctx, void (*each)(void *user, const struct admin_listener *l),
                      void *user)
{
    (void)ctx;
    struct admin_listener l = {SPAN("public"), SPAN("0.0.0.0:443"), true, 7, 70};
    each(user, &l);
}

static void pools(void *ctx, void (*each)(void *user, const struct admin_pool *p), void *user)
{
    (void)ctx;
    struct admin_pool api = {.name = SPAN("api"),
                             .endpoints = 2,
                             .usable = 1,
                             .sites = 2,
                             .routes = 1,
                             .inflight = 4,
                             .requests = 100,
                             .errors = 3,
                             .probe = "http",
                             .panic = true};
    struct admin_pool odd = {
        .name = SPAN("o\"d\\d\n"), .endpoints = 1, .usable = 1, .sites = 1, .probe = "tcp"};
    each(user, &api);
    each(user, &odd);
}

static void backends(void *ctx, struct span pool,
                     void (*each)(void *user, const struct admin_backend *b), void *user)
{
    struct fake_view *f = ctx;
    const struct admin_backend rows[] = {
        {.pool = SPAN("api"),
         .name = SPAN("fra-1"),
         .address = SPAN("10.1.0.11:8080"),
         .site = SPAN("fra"),
         .weight = 100,
         .weight_configured = 100,
         .health = ENDPOINT_UP,
         .admin = ENDPOINT_ACTIVE,
         .health_since_ms = -1,
         .inflight = 3,
         .requests = 90,
         .responses = 88,
         .errors = 1,
         .history = 0xfff,
         .probes = 12,
         .probe_err = ERR_OK,
         .probe_us = 1500,
         .recent_ms = 20.5,
         .normal_ms = 19},
        {.pool = SPAN("api"),
         .name = SPAN("iad-1"),
         .address = SPAN("[2001:db8:1111:2222:3333:4444:5555:6666]:18080"),
         .site = SPAN("iad"),
         .weight = 50,
         .weight_configured = 100,
         .weight_forced = true,
         .health = ENDPOINT_HARD,
         .admin = ENDPOINT_MAINT,
         .admin_forced = true,
         .out_ms = 2500,
         .health_since_ms = 61000,
         .inflight = 1,
         .max_inflight = 200,
         .requests = 10,
         .errors = 2,
         .connect_errors = 2,
         .ejections = 1,
         .history = 0x8,
         .probes = 4,
         .probe_err = ERR_BACKEND_REFUSED,
         .probe_us = 300},
        {.pool = SPAN("o\"d\\d\n"),
         .name = SPAN("b"),
         .address = SPAN("unix:/run/b\x1b[31m.sock"),
         .weight = 1,
         .weight_configured = 1,
         .health = ENDPOINT_UP,
         .out_ms = 10},
    };
    for (size_t i = 0; i < 3 * f->backend_copies; i++) {
        if (pool.n == 0 || span_eq(pool, rows[i % 3].pool)) {
            each(user, &rows[i % 3]);
        }
    }
}

static void routes(void *ctx, void (*each)(void *user, const struct admin_route *r), void *user)
{
    (void)ctx;
    struct admin_route r = {
        SPAN("api-route"), SPAN("api.example.com"), SPAN("/v1/"), "pool", SPAN("api"), 100};
    each(user, &r);
}

static void certificates(void *ctx, void (*each)(void *user, const struct admin_certificate *c),
                         void *user)
{
    (void)ctx;
    struct admin_certificate c = {SPAN("public"), SPAN("/etc/tls/a.pem"),
                                  SPAN("example.com www.example.com"), 1800000000, -86400};
    each(user, &c);
}

static void database(void *ctx, struct admin_database *out)
{
    *out = ((struct fake_view *)ctx)->database;
}

static void dependencies(void *ctx, void (*each)(void *user, const struct admin_dependency *d),
                         void *user)
{
    const struct fake_view *f = ctx;
    const struct admin_dependency rows[] = {
        {.name = SPAN("db"), .level = "query", .known = true, .since_ms = 7200000, .good = 9},
        {.name = SPAN("write"),
         .level = "primary",
         .known = true,
         .down = true,
         .why = SPAN("it is a <standby>"),
         .since_ms = 90000},
        {.name = SPAN("new"), .level = "accept"},
    };
    for (size_t i = 0; i < f->dependency_count; i++)
        each(user, &rows[i]);
}

static void metrics(void *ctx, struct metrics *out)
{
    (void)ctx;
    static const double bounds[] = {0.001, 0.01, 0.1};
    static const uint64_t counts[] = {5, 3, 0, 2};
    struct metric_label route = {"route", SPAN("r\"1\\\n")};
    metrics_family(out, "request_seconds", METRIC_HISTOGRAM, "Durations,\nand \\more.");
    metrics_histogram(out, &route, 1, bounds, 3, counts, 1.25);
}

static enum err find(struct fake_view *f, struct span target)
{
    keep(f->target, sizeof f->target, target);
    return span_eq(target, SPAN("api/fra-1")) ? ERR_OK : ERR_NOT_FOUND;
}

static enum err set_admin(void *ctx, struct span target, enum endpoint_admin to, size_t *count)
{
    struct fake_view *f = ctx;
    f->admin = to;
    *count = 1;
    return find(f, target);
}

static enum err set_weight(void *ctx, struct span target, uint32_t weight, size_t *count)
{
    struct fake_view *f = ctx;
    f->weight = weight;
    *count = 2;
    return find(f, target);
}

static enum err reset(void *ctx, struct span target, size_t *count)
{
    struct fake_view *f = ctx;
    f->resets++;
    *count = 1;
    return find(f, target);
}

static void reload(void *ctx, struct admin_job *job)
{
    struct fake_view *f = ctx;
    if (f->answer_now) {
        admin_job_done(job, f->reload_result, span_str(f->reload_messages));
    } else {
        f->job = job;
    }
}

static void connections(void *ctx, struct admin_job *job)
{
    (void)ctx;
    const struct admin_connection rows[] = {
        {SPAN("public"), SPAN("192.0.2.1:5000"), 1, "http/1.1", "TLSv1.3", "relay", SPAN("api"),
         SPAN("fra-1"), 65000, 12, 1000, 2000},
        {.listener = SPAN("public"),
         .client = SPAN("192.0.2.2:5001"),
         .protocol = "http/1.1",
         .state = "idle"},
    };
    admin_job_connections(job, rows, 2, 3);
}

static void stop(void *ctx, bool now)
{
    struct fake_view *f = ctx;
    f->stops++;
    f->stop_now = now;
}

static void set_log_level(void *ctx, enum log_level level)
{
    ((struct fake_view *)ctx)->level = level;
}

static void fill_place(struct admin_place *p)
{
    *p = (struct admin_place){true, SPAN("FR"), SPAN("EU"), SPAN("IDF"), true,
                              48.9, 2.35,       10,         "database"};
}

static enum err explain(void *ctx, const struct admin_explain_ask *ask, struct admin_explain *out,
                        struct buf *message)
{
    struct fake_view *f = ctx;
    keep(f->client, sizeof f->client, ask->client);
    keep(f->url, sizeof f->url, ask->url);
    keep(f->method, sizeof f->method, ask->method);
    if (ask->header_count > 0) {
        snprintf(f->header, sizeof f->header, "%.*s=%.*s", SPAN_FMT(ask->headers[0].name),
                 SPAN_FMT(ask->headers[0].value));
    }
    if (span_eq(ask->client, SPAN("nonsense"))) {
        buf_put_str(message, "nonsense is not an address");
        return ERR_SYNTAX;
    }
    fill_place(&out->place);
    out->outcome = f->outcome;
    if (f->outcome == ERR_NO_ROUTE) {
        return ERR_OK;
    }
    out->route = SPAN("api-route");
    out->action = "pool";
    out->pool = SPAN("api");
    out->distance_from = "client";
    out->site_names[0] = SPAN("fra");
    out->site_names[1] = SPAN("iad");
    out->terms.site_count = 2;
    out->terms.sites[0] = (struct pick_site_terms){.verdict = PICK_CHOSEN,
                                                   .usable = 1,
                                                   .inflight = 3,
                                                   .weight = 100,
                                                   .distance_ms = 7.957,
                                                   .t_ms = 20,
                                                   .n_ms = 20,
                                                   .samples = 5000,
                                                   .predicted_ms = 20,
                                                   .cost_ms = 7.957};
    out->terms.sites[1] = (struct pick_site_terms){
        .verdict = PICK_COSTLIER, .usable = 1, .distance_ms = 103.133, .cost_ms = 103.133};
    return ERR_OK;
}

static enum err geo(void *ctx, struct span ip, struct admin_geo *out, struct buf *message)
{
    (void)ctx;
    if (span_find(ip, '.') == ip.n) {
        buf_put_str(message, "not an address");
        return ERR_SYNTAX;
    }
    static struct admin_geo_database databases[2];
    static const struct admin_geo_site sites[] = {{SPAN("fra"), true, 7.957},
                                                  {SPAN("iad"), false, 103.133}};
    static const struct admin_geo_pool pools[] = {{SPAN("api"), "client", ERR_OK, sites, 2}};
    *out = (struct admin_geo){.city = SPAN("Paris"),
                              .databases = databases,
                              .pools = pools,
                              .database_count = 2,
                              .pool_count = 1,
                              .pools_left = 3};
    databases[0] =
        (struct admin_geo_database){.path = SPAN("/city.mmdb"), .network = SPAN("5.1.2.3/16")};
    databases[1] = (struct admin_geo_database){.path = SPAN("/asn.mmdb")};
    fill_place(&databases[0].place);
    fill_place(&out->place);
    return ERR_OK;
}

void fake_view_init(struct fake_view *f)
{
    *f = (struct fake_view){
        .ops = {.server = server,
                .listeners = listeners,
                .pools = pools,
                .backends = backends,
                .routes = routes,
                .certificates = certificates,
                .database = database,
                .dependencies = dependencies,
                .metrics = metrics,
                .set_admin = set_admin,
                .set_weight = set_weight,
                .reset = reset,
                .reload = reload,
                .connections = connections,
                .stop = stop,
                .set_log_level = set_log_level,
                .explain = explain,
                .geo = geo},
        .backend_copies = 1,
        .level = LOG_INFO,
        .reload_messages = "",
    };
}
