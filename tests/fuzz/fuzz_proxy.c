/* SEES: proxy http net pick geo base
 * USES: sim
 * The whole request path of one worker on the simulated network, a client and a server that say
 * whatever the input says: nothing crashes, leaks or hangs, every counter comes back to zero, a
 * client of HTTP/1 is never sent what is no response, and a server of HTTP/1 only ever gets
 * canonical requests (P1 to P3, P5, H13). The first byte chooses the versions and the faults; then
 * come steps: what is done, how many bytes it takes, the bytes. */
#include "base/limits.h"
#include "base/mem.h"
#include "net/listener.h"
#include "proxy/proxy.h"
#include "sim.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIDES = 16, HEARD_MOST = 1 << 18 };

/* One connection of the client or the server. */
struct side {
    struct play *play;
    struct conn *c;
    struct buf heard;
    bool server;
};

struct play {
    bool front_h2, back_h2;
    struct sim *sim;
    struct loop *worker, *outside;
    struct conn_env worker_env, outside_env;
    struct registry *registry;
    struct route_stats *route_stats;
    struct worker_stats *stats;
    struct policy policy;
    struct policy_pool pool;
    struct policy_route routes[2];
    struct policy_endpoint endpoint;
    struct proxy *proxy;
    struct proxy_listener listener;
    struct listener *doors[2];
    int fds[2];
    struct addr at[2];
    struct side sides[SIDES];
    unsigned used;
    unsigned editions;
};

static void must(bool fine)
{
    if (!fine)
        abort();
}

/* --- what was heard: no code of Meridian's --- */

static size_t head_of(struct span s)
{
    const char *end = s.n > 0 ? memmem(s.p, s.n, "\r\n\r\n", 4) : NULL;
    return end != NULL ? (size_t)(end - s.p) + 4 : 0;
}

/* The value of a field that a canonical head has once at most. */
static bool value_of(struct span head, const char *name, struct span *out)
{
    size_t n = strlen(name);
    unsigned found = 0;
    for (size_t i = 0; i + n + 4 <= head.n; i++) {
        if (memcmp(head.p + i, "\r\n", 2) == 0 && memcmp(head.p + i + 2, name, n) == 0 &&
            memcmp(head.p + i + 2 + n, ": ", 2) == 0) {
            struct span rest = span_sub(head, i + 4 + n, head.n);
            *out = span_sub(rest, 0, span_find(rest, '\r'));
            found++;
        }
    }
    must(found <= 1);
    return found == 1;
}

static void check_bytes(struct span head)
{
    for (size_t i = 0; i < head.n; i++) {
        char c = head.p[i];
        must(c != '\0' && (c != '\n' || (i > 0 && head.p[i - 1] == '\r')));
        must(c != '\r' || (i + 1 < head.n && head.p[i + 1] == '\n'));
    }
}

/* Where the chunked content that begins at `at` ends; 0: it is cut short. */
static size_t after_chunks(struct span s, size_t at)
{
    for (;;) {
        size_t n = 0, digits = 0;
        while (at < s.n && ascii_hex(s.p[at]) >= 0) {
            n = n * 16 + (size_t)ascii_hex(s.p[at++]);
            must(++digits <= 16);
        }
        if (at + 2 > s.n)
            return 0;
        must(digits > 0 && s.p[at] == '\r' && s.p[at + 1] == '\n');
        at += 2 + n;
        if (at + 2 > s.n)
            return 0;
        must(s.p[at] == '\r' && s.p[at + 1] == '\n'); /* no trailers */
        at += 2;
        if (n == 0)
            return at;
    }
}

/* Canonical requests, one after another; the last one may be cut short, or begin a tunnel. */
static void check_requests(struct span s)
{
    while (s.n > 0) {
        size_t head = head_of(s), end = head;
        struct span text = span_sub(s, 0, head), host, length, coding, protocol;
        if (head == 0)
            return;
        check_bytes(text);
        must(value_of(text, "host", &host));
        bool has_length = value_of(text, "content-length", &length);
        bool has_coding = value_of(text, "transfer-encoding", &coding);
        must(!has_length || !has_coding);
        if (has_length) {
            uint64_t n;
            must(span_u64(length, &n) == ERR_OK);
            end += n < s.n ? (size_t)n : s.n;
        } else if (has_coding) {
            must(span_eq(coding, SPAN("chunked")));
            end = after_chunks(s, head);
        }
        if (end == 0 || end >= s.n || value_of(text, "upgrade", &protocol))
            return;
        s = span_sub(s, end, s.n);
    }
}

static void check_heard(const struct side *x)
{
    struct span s = buf_span(&x->heard);
    if (x->server && !x->play->back_h2)
        check_requests(s);
    if (!x->server && !x->play->front_h2 && s.n >= 9)
        must(memcmp(s.p, "HTTP/1.1 ", 9) == 0);
}

/* --- the ends --- */

static void on_nothing(void *user, struct conn *c)
{
    (void)user;
    (void)c;
}

static size_t on_bytes(void *user, struct conn *c, struct span bytes)
{
    struct side *x = user;
    (void)c;
    if (buf_len(&x->heard) < HEARD_MOST)
        buf_put_span(&x->heard, bytes);
    return bytes.n;
}

static void on_eof(void *user, struct conn *c, bool clean)
{
    struct side *x = user;
    (void)c;
    (void)clean;
    conn_close(&x->c, CONN_END_FLUSH);
}

static void on_fail(void *user, struct conn *c, enum err why)
{
    struct side *x = user;
    (void)c;
    (void)why;
    conn_close(&x->c, CONN_END_NOW);
}

static const struct conn_events events = {.on_open = on_nothing,
                                          .on_bytes = on_bytes,
                                          .on_eof = on_eof,
                                          .on_room = on_nothing,
                                          .on_fail = on_fail};

static struct side *new_side(struct play *p, bool server)
{
    if (p->used == SIDES)
        return NULL;
    struct side *x = &p->sides[p->used++];
    *x = (struct side){.play = p, .server = server};
    buf_init(&x->heard, 0);
    return x;
}

static bool server_door(void *user, int fd, const struct addr *peer)
{
    struct play *p = user;
    struct side *x = new_side(p, true);
    if (x == NULL)
        p->outside->ops->sock_close(p->outside, fd, true);
    else
        must(conn_accept(&p->outside_env, fd, peer, NULL, &events, x, &x->c) == ERR_OK);
    return true;
}

static void connect_client(struct play *p)
{
    struct conn_target to = {.addr = &p->at[0]};
    struct side *x = new_side(p, false);
    if (x != NULL)
        must(conn_connect(&p->outside_env, &to, &events, x, &x->c) == ERR_OK);
}

/* The newest open one of that kind. */
static struct side *newest(struct play *p, bool server)
{
    for (unsigned i = p->used; i-- > 0;) {
        if (p->sides[i].server == server && p->sides[i].c != NULL)
            return &p->sides[i];
    }
    return NULL;
}

static void end_side(struct side *x, enum conn_end how)
{
    if (x != NULL && x->c != NULL)
        conn_close(&x->c, how);
}

/* --- the proxy --- */

static void on_edition_end(void *user, const struct policy *policy)
{
    (void)policy;
    ((struct play *)user)->editions--;
}

static void on_slot_free(void *user, unsigned worker, struct pool_state *pool)
{
    (void)user;
    (void)worker;
    (void)pool;
}

static void on_line(void *user, struct span line)
{
    (void)user;
    must(line.n > 2 && line.p[line.n - 1] == '\n' && span_find(line, '\n') == line.n - 1);
}

static bool proxy_door(void *user, int fd, const struct addr *peer)
{
    struct play *p = user;
    return proxy_accept(p->proxy, &p->listener, fd, peer);
}

static void build_policy(struct play *p)
{
    static const struct pool_site_conf site = {.name = SPAN("default")};
    static const struct pool_member_conf member = {
        .backend = SPAN("one"), .address = SPAN("10.0.0.11:80"), .weight = 100, .max_inflight = 4};
    static const struct route_rule rules[2] = {{.path = SPAN("/")},
                                               {.path = SPAN("/admin"), .index = 1}};
    struct pool_conf conf = {.name = SPAN("api"),
                             .knobs = PICK_KNOBS_DEFAULT,
                             .sites = &site,
                             .site_count = 1,
                             .members = &member,
                             .member_count = 1};
    must(pick_pool_new(p->registry, &conf, 0, &p->pool.pick) == ERR_OK);
    p->endpoint.endpoint = p->pool.pick->members[0].endpoint;
    p->endpoint.address = p->at[1];
    p->endpoint.authority = SPAN("10.0.0.11:80");
    p->pool.name = SPAN("api");
    p->pool.endpoints = &p->endpoint;
    p->pool.endpoint_count = 1;
    p->pool.protocol = p->back_h2 ? CONNPOOL_H2 : CONNPOOL_HTTP_1_1;
    p->pool.retries =
        (struct retry_rules){RETRY_CONNECT | RETRY_RESET | RETRY_FIRST_BYTE | RETRY_503, 2, 100};
    p->pool.queue_limit = 4;
    p->pool.queue_ms = 5000;
    p->pool.connections = 4;
    p->pool.idle = 2;
    for (int i = 0; i < 2; i++)
        p->routes[i] =
            (struct policy_route){.name = SPAN("all"),
                                  .pool = &p->pool,
                                  .websocket = true,
                                  .timeouts = {30000, 30000, 3000, 60000, 60000, 30000, 300000, 0},
                                  .stats = &p->route_stats};
    p->routes[1].pool = NULL;
    p->routes[1].action = POLICY_RESPOND;
    p->routes[1].status = 403;
    p->policy = (struct policy){.generation = 1,
                                .routes = p->routes,
                                .route_count = 2,
                                .pools = &p->pool,
                                .pool_count = 1,
                                .unrouted = &p->route_stats};
    must(route_table_new(rules, 2, &p->policy.table) == ERR_OK);
}

static struct admission *admission(void)
{
    static struct admission *kept; /* large, and at zero after each run */
    if (kept == NULL)
        kept = mem_alloc(sizeof *kept);
    must(kept != NULL);
    atomic_store(&kept->connections_most, 1000);
    atomic_store(&kept->handshakes_most, 1000);
    atomic_store(&kept->source_most, 1000);
    return kept;
}

static void build_proxy(struct play *p)
{
    struct proxy_spec spec = {
        .workers = 1,
        .env = &p->worker_env,
        .admission = admission(),
        .stats = p->stats,
        .hooks = {on_edition_end, on_slot_free, NULL, on_line, on_line, NULL, p},
        .seed = 1};
    p->route_stats->name = "all";
    must(proxy_new(&spec, &p->proxy) == ERR_OK);
    build_policy(p);
    p->editions++;
    must(proxy_adopt(p->proxy, &p->policy) == ERR_OK);
    p->proxy->access = ACCESS_JSON;
    p->listener = (struct proxy_listener){.name = SPAN("fuzz"),
                                          .speaks_h1 = !p->front_h2,
                                          .speaks_h2 = p->front_h2,
                                          .limits = {.request_line = LIMIT_REQUEST_LINE,
                                                     .head = LIMIT_HEAD,
                                                     .fields = LIMIT_FIELDS,
                                                     .field = LIMIT_FIELD,
                                                     .requests = 1000,
                                                     .streams = LIMIT_H2_STREAMS,
                                                     .head_ms = 10000,
                                                     .idle_ms = 60000,
                                                     .send_ms = LIMIT_SEND_MS,
                                                     .age_ms = 3600000},
                                          .handshake_ms = 10000};
}

static void open_play(struct play *p, uint8_t how)
{
    static const char *const names[2] = {"10.0.0.1:80", "10.0.0.11:80"};
    struct sim_faults faults = {.short_read = how & 4 ? 5000 : 0,
                                .short_write = how & 8 ? 5000 : 0,
                                .reset = how & 16 ? 50 : 0,
                                .buffer = how & 32 ? 3000 : 0};
    p->front_h2 = (how & 1) != 0;
    p->back_h2 = (how & 2) != 0;
    p->sim = sim_new(how, &faults);
    p->worker = sim_loop_new(p->sim);
    p->outside = sim_loop_new(p->sim);
    must(conn_env_init(&p->worker_env, p->worker) == ERR_OK &&
         conn_env_init(&p->outside_env, p->outside) == ERR_OK);
    p->registry = registry_new(4);
    p->stats = mem_aligned(64, (sizeof *p->stats + 63) / 64 * 64);
    p->route_stats = mem_aligned(64, (sizeof *p->route_stats + 63) / 64 * 64);
    for (int i = 0; i < 2; i++) {
        struct loop *loop = i == 0 ? p->worker : p->outside;
        must(addr_parse(span_str(names[i]), &p->at[i]) == ERR_OK);
        p->fds[i] = loop->ops->sock_listen(loop, &p->at[i], true);
        must(p->fds[i] >= 0 && listener_start(loop, p->fds[i], i == 0 ? proxy_door : server_door, p,
                                              &p->doors[i]) == ERR_OK);
    }
    build_proxy(p);
}

static void close_play(struct play *p)
{
    struct admission *a = admission();
    for (unsigned i = 0; i < p->used; i++)
        end_side(&p->sides[i], CONN_END_FLUSH);
    sim_run_for(p->sim, 400 * NS_PER_S);
    must(proxy_clients(p->proxy) == 0 && list_empty(&p->proxy->exchanges) &&
         p->listener.clients == 0);
    must(counter_get(&p->stats->exchanges_open) == 0 && counter_get(&p->stats->waiting) == 0);
    must(counter_get(&p->stats->tunnels_open) == 0 &&
         counter_get(&p->stats->connections_open) == 0);
    must(endpoint_inflight(p->endpoint.endpoint) == 0 &&
         atomic_load(&p->pool.pick->state->waiting) == 0);
    must(atomic_load(&a->connections) == 0 && atomic_load(&a->handshakes) == 0);
    proxy_free(&p->proxy);
    must(p->editions == 0);
    for (int i = 0; i < 2; i++) {
        struct loop *loop = i == 0 ? p->worker : p->outside;
        listener_stop(&p->doors[i]);
        loop->ops->sock_close(loop, p->fds[i], false);
    }
    for (unsigned i = 0; i < p->used; i++) {
        end_side(&p->sides[i], CONN_END_NOW);
        check_heard(&p->sides[i]);
        buf_fini(&p->sides[i].heard);
    }
    sim_run_for(p->sim, 5 * NS_PER_S);
    must(sim_sockets(p->sim) == 0);
    conn_env_fini(&p->worker_env);
    conn_env_fini(&p->outside_env);
    route_table_free(&p->policy.table);
    pick_pool_free(&p->pool.pick);
    registry_sweep(p->registry);
    must(registry_count(p->registry) == 0);
    registry_free(&p->registry);
    loop_free(&p->worker);
    loop_free(&p->outside);
    sim_free(&p->sim);
    mem_free(p->route_stats);
    mem_free(p->stats);
}

/* --- the steps --- */

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
static const char server_preface[] = "\0\0\0\4\0\0\0\0\0";

static void step(struct play *p, uint8_t what, struct span bytes)
{
    struct side *client = newest(p, false), *server = newest(p, true);
    int64_t pause_ns = (int64_t)bytes.n * 50 * NS_PER_MS;
    switch (what % 10) {
    case 0:
    case 1:
        if (client != NULL)
            conn_write(client->c, bytes);
        break;
    case 2:
    case 3:
        if (server != NULL)
            conn_write(server->c, bytes);
        break;
    case 4:
        sim_run_for(p->sim, pause_ns);
        return;
    case 5:
        end_side(client, bytes.n % 2 == 0 ? CONN_END_FLUSH : CONN_END_RESET);
        break;
    case 6:
        end_side(server, bytes.n % 2 == 0 ? CONN_END_FLUSH : CONN_END_RESET);
        break;
    case 7:
        if (client != NULL)
            conn_shutdown(client->c);
        break;
    case 8:
        connect_client(p);
        if (p->front_h2 && newest(p, false) != NULL)
            conn_write(newest(p, false)->c, span_of(preface, sizeof preface - 1));
        break;
    default:
        if (server != NULL && p->back_h2)
            conn_write(server->c, span_of(server_preface, sizeof server_preface - 1));
        break;
    }
    sim_run_for(p->sim, NS_PER_MS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play *p;
    if (size < 1 || size > KIB(64))
        return 0;
    p = mem_alloc(sizeof *p);
    must(p != NULL);
    open_play(p, data[0]);
    step(p, 8, SPAN_NONE);
    for (size_t at = 1; at + 3 <= size;) {
        size_t n = (size_t)data[at + 1] << 8 | data[at + 2], left = size - at - 3;
        n = n < left ? n : left;
        step(p, data[at], span_of((const char *)data + at + 3, n));
        at += 3 + n;
    }
    close_play(p);
    mem_free(p);
    return 0;
}
