/* What a configuration becomes: values, defaults, what follows from other keys. */
#include "check.h"
#include "file.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MINIMAL                                                                                    \
    "listeners:\n  public: {bind: \"0.0.0.0:8080\"}\n"                                             \
    "pools:\n  api: {backends: {one: {address: \"127.0.0.1:9001\"}}}\n"                            \
    "routes:\n  - pool: api\n"

TEST(conf_load, defaults_are_the_limits)
{
    struct conf *c = load_good(MINIMAL);
    const struct {
        int64_t got, want;
    } rows[] = {
        {c->workers, 0},
        {c->timeouts.handshake_ms, LIMIT_HANDSHAKE_MS},
        {c->timeouts.request_head_ms, LIMIT_REQUEST_HEAD_MS},
        {c->timeouts.idle_ms, LIMIT_IDLE_MS},
        {c->timeouts.request_body_ms, LIMIT_REQUEST_BODY_MS},
        {c->timeouts.send_ms, LIMIT_SEND_MS},
        {c->timeouts.connect_ms, LIMIT_CONNECT_MS},
        {c->timeouts.first_byte_ms, LIMIT_FIRST_BYTE_MS},
        {c->timeouts.response_body_ms, LIMIT_RESPONSE_BODY_MS},
        {c->timeouts.backend_send_ms, LIMIT_BACKEND_SEND_MS},
        {c->timeouts.tunnel_idle_ms, LIMIT_TUNNEL_IDLE_MS},
        {c->timeouts.connection_age_ms, LIMIT_CONNECTION_AGE_MS},
        {c->limits.connections, 0},
        {c->limits.connections_per_source, LIMIT_CONNECTIONS_SOURCE},
        {c->limits.handshakes, LIMIT_HANDSHAKES},
        {c->limits.request_rate, LIMIT_REQUEST_RATE},
        {c->limits.response_rate, LIMIT_RESPONSE_RATE},
        {c->limits.requests_per_connection, LIMIT_REQUESTS_CONNECTION},
        {c->limits.request_line, (int64_t)LIMIT_REQUEST_LINE},
        {c->limits.head, (int64_t)LIMIT_HEAD},
        {c->limits.fields, LIMIT_FIELDS},
        {c->limits.field, (int64_t)LIMIT_FIELD},
        {c->limits.body, (int64_t)LIMIT_BODY},
        {c->limits.backend_connections, LIMIT_BACKEND_CONNECTIONS},
        {c->limits.backend_idle, LIMIT_BACKEND_IDLE},
        {c->drain.requests_ms, LIMIT_DRAIN_REQUESTS_MS},
        {c->drain.tunnels_ms, LIMIT_DRAIN_TUNNELS_MS},
        {c->pools->queue.limit, LIMIT_QUEUE},
        {c->pools->queue.timeout_ms, LIMIT_QUEUE_WAIT_MS},
        {c->pools->retries.extra, LIMIT_RETRY_EXTRA},
        {c->pools->retries.budget_percent, LIMIT_RETRY_BUDGET_PERCENT},
        {c->pools->health.interval_ms, LIMIT_CHECK_INTERVAL_MS},
        {c->pools->health.timeout_ms, LIMIT_CHECK_TIMEOUT_MS},
        {c->pools->health.fall, LIMIT_CHECK_FALL},
        {c->pools->health.rise, LIMIT_CHECK_RISE},
        {c->pools->balance.slow_start_ms, LIMIT_SLOW_START_MS},
        {c->routes->body_bytes, (int64_t)LIMIT_BODY},
        {c->routes->request_rate, LIMIT_REQUEST_RATE},
        {c->routes->timeouts.first_byte_ms, LIMIT_FIRST_BYTE_MS},
        {c->routes->timeouts.handshake_ms, LIMIT_HANDSHAKE_MS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK(rows[i].got == rows[i].want, "row %zu is %lld, want %lld", i, (long long)rows[i].got,
              (long long)rows[i].want);
    conf_free(&c);
}

/* BALANCING.md section 8. */
TEST(conf_load, defaults_of_a_pool)
{
    struct conf *c = load_good(MINIMAL);
    const struct conf_pool *p = c->pools;
    CHECK(p->balance.distance_weight == 1.0, "%f", p->balance.distance_weight);
    CHECK(p->balance.spill_band == 1.5, "%f", p->balance.spill_band);
    CHECK(p->balance.spill_gain == 3.0, "%f", p->balance.spill_gain);
    CHECK_INT(p->balance.spill_cap_ms, 500);
    CHECK_INT(p->balance.choices, 3);
    CHECK_INT(p->balance.panic_percent, 50);
    CHECK_INT(p->balance.distance_from, CONF_DISTANCE_NONE);
    CHECK_INT(p->backends->weight, 100);
    CHECK_INT(p->backends->max_inflight, 0);
    CHECK_INT(p->health.probe, CONF_PROBE_TCP);
    CHECK_INT(p->host, CONF_HOST_PRESERVE);
    CHECK_INT(p->retries.on, CONF_RETRY_CONNECT | CONF_RETRY_RESET | CONF_RETRY_FIRST_BYTE);
    CHECK(!p->tls.set && p->tls.verify, "tls is %d, verify %d", p->tls.set, p->tls.verify);
    CHECK_INT(c->listeners->protocols, CONF_PROTOCOL_H1);
    CHECK(c->admin.http_on && c->admin.http.port == 9977, "port %d", c->admin.http.port);
    CHECK_SPAN(c->admin.socket.s, "/run/meridian/control.sock");
    CHECK_INT(c->admin.socket.mark.line, 0);
    CHECK_SPAN(c->state.s, "/var/lib/meridian");
    CHECK_SPAN(c->log.access_path.s, "stdout");
    CHECK_INT(c->log.access_line.format, CONF_LOG_JSON);
    CHECK_INT(c->log.level, LOG_INFO);
    conf_free(&c);
}

static struct conf *load_everything(void)
{
    struct conf *c = NULL;
    struct buf messages;
    buf_init(&messages, 0);
    CHECK_INT(conf_load(TEST_DATA "/conf/good/everything.yaml", &c, &messages), ERR_OK);
    return c;
}

TEST(conf_load, values_of_listeners_and_sites)
{
    struct conf *c = load_everything();
    CHECK_INT(c->workers, 4);
    CHECK(c->here.set && c->here.latitude == 50.11 && c->here.longitude == 8.68, "%f %f",
          c->here.latitude, c->here.longitude);
    CHECK_INT(c->database_count, 2);
    CHECK_SPAN(c->databases[1].s, "/var/lib/x.mmdb");
    CHECK_INT(c->trusted.from_count, 3);
    CHECK_INT(c->trusted.from[0].bits, 8);
    CHECK_INT(c->trusted.from[1].family, CONF_IPV6);
    CHECK_INT(c->trusted.from[2].bits, 32);
    CHECK_INT(c->trusted.header, CONF_FORWARDED);
    CHECK_SPAN(c->sites[1].name.s, "iad");
    CHECK(c->sites[1].location.longitude == -77.49, "%f", c->sites[1].location.longitude);
    CHECK_SPAN(c->sites[0].continent.s, "EU");
    const struct conf_listener *l = c->listeners;
    CHECK_INT(l->bind_count, 4);
    CHECK_INT(l->binds[0].family, CONF_IPV4);
    CHECK_INT(l->binds[0].port, 443);
    CHECK_INT(l->binds[1].family, CONF_IPV6);
    CHECK_INT(l->binds[2].family, CONF_UNIX);
    CHECK_STR(l->binds[2].path.p, "/run/x.sock");
    CHECK_INT(l->binds[3].family, CONF_SYSTEMD);
    CHECK_STR(l->binds[3].path.p, "web");
    CHECK_INT(l->tls.certificate_count, 2);
    CHECK_STR(l->tls.certificates[1].key.s.p, "/etc/d.pem");
    CHECK_INT(l->tls.minimum, CONF_TLS_1_3);
    CHECK_STR(l->tls.client_ca.s.p, "/etc/ca.pem");
    CHECK(c->listeners[1].redirect_to_https && !c->listeners[1].tls.set, "redirect");
    conf_free(&c);
}

TEST(conf_load, values_of_pools)
{
    struct conf *c = load_everything();
    const struct conf_pool *p = c->pools;
    static const uint8_t address[] = {10, 1, 0, 11};
    CHECK_INT(p->backend_count, 2);
    CHECK(memcmp(p->backends->address.bytes, address, sizeof address) == 0, "bytes");
    CHECK_INT(p->backends->address.port, 8080);
    CHECK(p->backends[1].site == &c->sites[1], "the site is not found");
    CHECK_INT(p->backends->max_inflight, 200);
    CHECK(p->tls.set && !p->tls.verify, "tls");
    CHECK_STR(p->tls.server_name.s.p, "api.internal");
    CHECK_INT(p->health.probe, CONF_PROBE_HTTP);
    CHECK_STR(p->health.path.s.p, "/healthz?x=1");
    CHECK(conf_statuses_has(&p->health.status, 204) && !conf_statuses_has(&p->health.status, 205) &&
              conf_statuses_has(&p->health.status, 399) &&
              !conf_statuses_has(&p->health.status, 400),
          "statuses");
    CHECK_INT(p->health.timeout_ms, 500);
    CHECK(p->balance.distance_weight == 2.25, "%f", p->balance.distance_weight);
    CHECK_INT(p->balance.distance_from, CONF_DISTANCE_HERE);
    CHECK_INT(p->balance.slow_start_ms, 60000);
    CHECK_INT(p->host, CONF_HOST_BACKEND);
    CHECK_INT(p->retries.on, CONF_RETRY_CONNECT | CONF_RETRY_503);
    CHECK_INT(c->pools[1].health.probe, CONF_PROBE_OFF);
    CHECK_INT(c->pools[1].balance.distance_from, CONF_DISTANCE_CLIENT);
    CHECK_INT(c->pools[1].host, CONF_HOST_NAME);
    CHECK_STR(c->pools[1].host_name.s.p, "[2001:db8::8]:8443");
    CHECK_STR(c->pools[1].backends->address.path.p, "/run/a.sock");
    conf_free(&c);
}

TEST(conf_load, values_of_routes)
{
    struct conf *c = load_everything();
    const struct conf_route *r = c->routes;
    CHECK_SPAN(r->match.host.s, "api.example.com");
    CHECK_INT(r->match.method_count, 2);
    CHECK_SPAN(r->match.headers[1].name.s, "x-plan");
    CHECK_SPAN(r->match.headers[1].value.s, "gold");
    CHECK(r->pool == c->pools && r->action == CONF_TO_POOL && r->websocket, "pool");
    CHECK_INT(r->timeouts.first_byte_ms, 90000);
    CHECK_INT(r->timeouts.idle_ms, 90000);
    CHECK_INT(r->body_bytes, 1 << 30);
    CHECK_INT(r->request_rate, 512);
    CHECK_INT(r[1].action, CONF_RESPOND);
    CHECK(r[1].match.exact && !r[0].match.exact, "exact");
    CHECK_INT(r[1].respond.status, 418);
    CHECK_INT(r[1].body_bytes, 0);
    CHECK_INT(r[1].request_rate, 0);
    CHECK_INT(r[2].action, CONF_REDIRECT);
    CHECK_INT(r[2].redirect.status, 301);
    CHECK_SPAN(r[3].respond.type.s, "text/plain; charset=utf-8");
    CHECK_INT(r[3].respond.status, 200);
    CHECK_INT(c->log.access_line.format, CONF_LOG_COMBINED);
    CHECK_INT(c->log.level, LOG_DEBUG);
    CHECK(!c->admin.http_on, "admin.http is on");
    CHECK_INT(c->drain.requests_ms, 0);
    conf_free(&c);
}

TEST(conf_load, labels_are_made_and_unique)
{
    struct conf *c = load_everything();
    static const char *const want[] = {"first",   "*.example.com/x", "/old",  "/teapot", "/moved",
                                       "/shared", "/chance",         "other", "other#2"};
    CHECK_INT(c->route_count, sizeof want / sizeof *want);
    for (size_t i = 0; i < c->route_count; i++)
        CHECK_SPAN(c->routes[i].name.s, want[i]);
    conf_free(&c);
}

/* Metrics with one label would be one: a name that was written stays, wherever it stands. */
TEST(conf_load, a_label_that_is_made_makes_way_for_a_name)
{
    struct conf *c = load_good("listeners: {w: {bind: \"127.0.0.1:80\"}}\n"
                               "pools: {web: {backends: {a: {address: \"127.0.0.1:1\"}}}}\n"
                               "routes:\n"
                               "  - pool: web\n"
                               "  - {name: web, match: {path: /x}, pool: web}\n"
                               "  - {match: {methods: [GET]}, pool: web}\n");
    CHECK_SPAN(c->routes[0].name.s, "web#1");
    CHECK_SPAN(c->routes[1].name.s, "web");
    CHECK_SPAN(c->routes[2].name.s, "web#3");
    conf_free(&c);
}

static const struct conf_pool *pool_named(const struct conf *c, const char *name)
{
    for (size_t i = 0; i < c->pool_count; i++)
        if (span_eq(c->pools[i].name.s, span_str(name)))
            return &c->pools[i];
    CHECK(false, "no pool %s", name);
    return c->pools;
}

TEST(conf_load, residency)
{
    struct conf *c = load_everything();
    const struct conf_residency *r = &c->pools->residency;
    CHECK(r->set && r->unknown == 1 && r->rule_count == 4, "the map");
    CHECK_SPAN(r->rules[0].groups[1].s, "CH");
    CHECK(r->rules[0].places[0] == &c->sites[0], "fra");
    CHECK(r->rules[0].deny == 0 && r->rules[1].deny == 451 && r->rules[3].deny == 403, "refusals");
    CHECK(r->rules[2].unknown && !r->rules[0].unknown, "the unknown");
    CHECK_SPAN(r->rules[2].continents[0].s, "AS");
    CHECK_SPAN(r->rules[2].subdivisions[1].s, "US-NY");
    CHECK(r->rules[2].places[0] == &c->sites[1] && r->rules[2].places[1] == &c->sites[0], "sites");
    CHECK(!pool_named(c, "turns")->residency.set, "not written");
    conf_free(&c);
}

TEST(conf_load, algorithms)
{
    struct conf *c = load_everything();
    const struct conf_pool *turns = pool_named(c, "turns"), *hashed = pool_named(c, "by-header");
    CHECK_INT(turns->balance.algorithm, CONF_ROUND_ROBIN);
    CHECK(turns->backends[0].backup == 0 && turns->backends[1].backup == 1 &&
              turns->backends[2].backup == 3,
          "the backups");
    CHECK_INT(turns->backends[2].address.family, CONF_SERVICE);
    CHECK_INT(pool_named(c, "api")->balance.algorithm, CONF_NEAREST);
    CHECK_INT(pool_named(c, "least")->balance.algorithm, CONF_LEAST_CONNECTIONS);
    CHECK_INT(pool_named(c, "two")->balance.algorithm, CONF_TWO_CHOICES);
    CHECK_INT(hashed->balance.algorithm, CONF_CONSISTENT_HASH);
    CHECK_INT(hashed->balance.hash.by.kind, CONF_KEY_HEADER);
    CHECK_SPAN(hashed->balance.hash.by.name.s, "x-user");
    CHECK_INT(hashed->balance.hash.load_percent, 150);
    CHECK_INT(turns->balance.hash.by.kind, CONF_KEY_CLIENT);
    CHECK_INT(turns->balance.hash.load_percent, 125);
    CHECK_SPAN(pool_named(c, "by-cookie")->balance.hash.by.name.s, "Id");
    CHECK_INT(pool_named(c, "by-query")->balance.hash.by.kind, CONF_KEY_QUERY);
    CHECK_INT((int)pool_named(c, "by-query")->balance.hash.by.name.s.n, 0);
    CHECK_SPAN(pool_named(c, "by-parameter")->balance.hash.by.name.s, "user");
    CHECK_INT(pool_named(c, "by-path")->balance.hash.by.kind, CONF_KEY_PATH);
    conf_free(&c);
}

TEST(conf_load, routes_that_shape_traffic)
{
    struct conf *c = load_everything();
    const struct conf_route *moved = &c->routes[4], *shared = &c->routes[5],
                            *chance = &c->routes[6];
    CHECK_SPAN(moved->match.countries[1].s, "DE"); /* sorted, to find the same match twice */
    CHECK_SPAN(moved->redirect.to.s, "https://{geo.country}.example.com{uri}");
    CHECK_INT(moved->redirect.status, 308);
    CHECK_INT(moved->access.allow_count, 2);
    CHECK_INT(moved->access.allow[1].bits, 32);
    CHECK_INT(moved->access.deny[0].bytes[1], 1);
    CHECK_SPAN(moved->access.deny_countries[0].s, "XX");
    CHECK_INT(shared->action, CONF_SPLIT);
    CHECK_INT(shared->share_count, 2);
    CHECK_SPAN(shared->shares[0].pool->name.s, "other");
    CHECK_INT(shared->shares[0].weight, 95);
    CHECK_INT(shared->split_by.kind, CONF_KEY_COOKIE);
    CHECK_SPAN(shared->split_by.name.s, "session");
    CHECK_INT(shared->rate_limit.per.kind, CONF_KEY_HEADER);
    CHECK_SPAN(shared->rate_limit.per.name.s, "x-api-key");
    CHECK_INT(shared->rate_limit.rate_per_hour, 90 * 60);
    CHECK_INT(shared->rate_limit.burst, 20);
    CHECK_SPAN(shared->request_headers.set[0].name.s, "x-country");
    CHECK_SPAN(shared->request_headers.add[0].value.s, "{request_id}");
    CHECK_SPAN(shared->request_headers.remove[0].s, "cookie");
    CHECK_SPAN(shared->rewrite.add_prefix.s, "/v2/");
    CHECK_INT(chance->split_by.kind, CONF_KEY_NONE);
    CHECK_INT(chance->rate_limit.per.kind, CONF_KEY_CLIENT);
    CHECK_INT(chance->rate_limit.burst, 1); /* 5/h has less than one in a second */
    CHECK(!c->routes[0].access.set && !c->routes[0].rate_limit.set && !c->routes[0].rewrite.set,
          "what is not written is there");
    conf_free(&c);
}

TEST(conf_load, distance_follows_what_is_known)
{
    struct conf *c = load_good("here: {location: [1, 2]}\n" MINIMAL);
    CHECK_INT(c->pools->balance.distance_from, CONF_DISTANCE_HERE);
    conf_free(&c);
    c = load_good("here: {location: [1, 2]}\ngeo: {databases: [/x]}\n" MINIMAL);
    CHECK_INT(c->pools->balance.distance_from, CONF_DISTANCE_CLIENT);
    conf_free(&c);
}

TEST(conf_load, callers_report_in_the_same_form)
{
    struct conf *c = load_good(MINIMAL "state: /nowhere\n");
    struct conf_messages m;
    struct buf out;
    buf_init(&out, 0);
    conf_messages_init(&m, c, &out);
    conf_report(&m, c->state.mark, "the folder cannot be made; %s", "choose another");
    conf_report(&m, c->admin.socket.mark, "no place");
    CHECK_SPAN(buf_span(&out), "test.yaml:7:8: error: the folder cannot be made; choose another\n"
                               "  state: /nowhere\n"
                               "         ^~~~~~~~\n"
                               "test.yaml: error: no place\n");
    CHECK_INT(m.errors, 2);
    buf_fini(&out);
    conf_free(&c);
    conf_free(&c);
}

/* F23: what, where, and how it is mended. */
TEST(conf_load, files_that_cannot_be_read)
{
    char folder[] = "/tmp/meridian-load-XXXXXX", loop[64], pipe[64], inner[80];
    CHECK(mkdtemp(folder) != NULL, "folder");
    snprintf(loop, sizeof loop, "%s/loop", folder);
    snprintf(pipe, sizeof pipe, "%s/pipe", folder);
    snprintf(inner, sizeof inner, "%s/x.yaml", loop);
    CHECK(symlink("loop", loop) == 0 && mkfifo(pipe, 0600) == 0, "%s", folder);
    const char circle[] = "a symbolic link leads in a circle, or may not stand there; `namei PATH` "
                          "shows it";
    const struct {
        const char *path, *why;
        enum err err;
    } rows[] = {{"/nowhere/x.yaml", "it does not exist; -c FILE names another one", ERR_NOT_FOUND},
                {folder, "it is a folder; name the file in it", ERR_EXISTS},
                {pipe, "it is a pipe or a device; a file is wanted", ERR_UNSUPPORTED},
                {loop, circle, ERR_SYMLINK},
                {inner, circle, ERR_SYMLINK}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char want[256];
        struct conf *c = NULL;
        struct buf messages;
        buf_init(&messages, 0);
        snprintf(want, sizeof want, "%s: error: the file cannot be read: %s\n", rows[i].path,
                 rows[i].why);
        CHECK_INT(conf_load(rows[i].path, &c, &messages), rows[i].err);
        CHECK_SPAN(buf_span(&messages), want);
        CHECK(c == NULL, "%s", rows[i].path);
        buf_fini(&messages);
    }
    unlink(pipe);
    unlink(loop);
    rmdir(folder);
}

/* RELIABILITY A2: an allocation that fails ends the load, with nothing kept. */
TEST(conf_load, memory_runs_out_anywhere)
{
    struct buf text, messages;
    buf_init(&text, 0);
    buf_init(&messages, KIB(64));
    CHECK(file_read(TEST_DATA "/conf/good/everything.yaml", &text), "no file");
    CHECK(buf_reserve(&messages, KIB(60)), "no memory");
    enum err err = ERR_NO_MEMORY;
    uint64_t n = 0;
    while (err == ERR_NO_MEMORY && n < 10000) {
        struct conf *c = NULL;
        mem_fail_at(++n);
        err = conf_load_text("test.yaml", buf_span(&text), &c, &messages);
        mem_fail_at(0);
        CHECK((c != NULL) == (err == ERR_OK), "allocation %llu", (unsigned long long)n);
        conf_free(&c);
    }
    CHECK_INT(err, ERR_OK);
    CHECK(n > 4, "only %llu allocations", (unsigned long long)n);
    buf_fini(&text);
    buf_fini(&messages);
}
