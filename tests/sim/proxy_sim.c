/* The whole request path of one worker on the simulated network: clients, two servers and the proxy
 * in one thread, under seeded faults (RELIABILITY A2, P1 to P4). What holds under every seed: each
 * request has exactly one outcome, one whole response or a visible abort; every body is its own and
 * complete; no POST reaches servers twice; all counters come back to zero. usage: proxy_sim [SEED |
 * --seeds N] */
#include "base/mem.h"
#include "net/listener.h"
#include "proxy/proxy.h"
#include "sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CLIENTS     8
#define REQUESTS    240
#define SERVERS     2
#define PATIENCE_MS 30000

struct world;

struct wish { /* one request, as decided by the seed */
    bool post, chunked;
    size_t send, get; /* bytes of content each way */
    unsigned heads;   /* complete heads that servers saw */
    unsigned outcomes;
};

struct peer { /* one connection of a client or a server */
    struct world *w;
    struct conn *c;
    struct buf in;
    unsigned first, next, end; /* client: requests answered from `first`, sent up to `next` */
    struct timer patience;     /* client: a connection that nobody answers is given up */
    struct peer *list;         /* server: next in the world's list */
};

struct world {
    uint64_t seed;
    struct rng rng;
    struct sim *sim;
    struct loop *worker, *server_loop, *client_loop;
    struct conn_env worker_env, server_env, client_env;
    struct registry *registry;
    struct route_stats *route_stats;
    struct worker_stats *stats;
    struct admission *admission;
    struct policy policy;
    struct policy_pool pool;
    struct policy_route route;
    struct policy_endpoint endpoints[SERVERS];
    struct proxy *proxy;
    struct proxy_listener listener;
    struct listener *doors[SERVERS + 1];
    int fds[SERVERS + 1];
    struct addr at, server_at[SERVERS];
    struct wish wishes[REQUESTS];
    struct peer clients[CLIENTS];
    struct peer *servers;
    unsigned open; /* clients that are not through */
    unsigned answered, refused, aborted;
};

static void fail(const struct world *w, const char *what, long long n)
{
    fprintf(stderr, "proxy_sim: seed %" PRIu64 ": %s (%lld)\n", w->seed, what, n);
    abort();
}

static void need(const struct world *w, bool fine, const char *what, long long n)
{
    if (!fine)
        fail(w, what, n);
}

static char pattern(unsigned i)
{
    return (char)('a' + i % 26);
}

/* The value of "name: digits" in a head, or -1. Names are lower case on the wire here. */
static long long number_in(struct span head, const char *name)
{
    char text[64];
    int n = snprintf(text, sizeof text, "\r\n%s: ", name);
    const char *p = memmem(head.p, head.n, text, (size_t)n);
    if (p == NULL)
        return -1;
    long long value = 0;
    for (p += n; p < head.p + head.n && ascii_digit(*p); p++)
        value = value * 10 + (*p - '0');
    return value;
}

static bool has(struct span s, const char *text)
{
    return memmem(s.p, s.n, text, strlen(text)) != NULL;
}

/* The length of the head with its empty line, or 0. */
static size_t head_end(struct span s)
{
    const char *p = memmem(s.p, s.n, "\r\n\r\n", 4);
    return p != NULL ? (size_t)(p - s.p) + 4 : 0;
}

/* A whole chunked body at s: its length on the wire, or 0; *content its bytes of content. */
static size_t chunked_end(const struct world *w, struct span s, unsigned i, size_t *content)
{
    size_t at = 0;
    *content = 0;
    for (;;) {
        const char *line = memmem(s.p + at, s.n - at, "\r\n", 2);
        if (line == NULL)
            return 0;
        uint64_t size;
        need(w, span_hex_u64(span_sub(s, at, (size_t)(line - s.p)), &size) == ERR_OK, "a chunk", i);
        at = (size_t)(line - s.p) + 2;
        if (s.n < at + size + 2)
            return 0;
        for (size_t k = 0; k < size; k++)
            need(w, s.p[at + k] == pattern(i), "another request's bytes", i);
        *content += size;
        at += size + 2;
        if (size == 0)
            return at;
    }
}

static void put_pattern(struct conn *c, unsigned i, size_t n)
{
    char block[4096];
    memset(block, pattern(i), sizeof block);
    for (; n != 0; n -= n < sizeof block ? n : sizeof block)
        conn_write(c, span_of(block, n < sizeof block ? n : sizeof block));
}

/* --- servers --- */

static void server_answer(struct peer *s, unsigned i)
{
    const struct wish *wish = &s->w->wishes[i];
    char head[128];
    bool close = rng_below(&s->w->rng, 20) == 0;
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\n%sx-wish: %u\r\n\r\n", wish->get,
                     close ? "connection: close\r\n" : "", i);
    conn_write(s->c, span_of(head, (size_t)n));
    put_pattern(s->c, i, wish->get);
    if (close)
        conn_close(&s->c, CONN_END_FLUSH);
}

/* One whole request from the front of the buffer; false: not there yet. */
static bool server_take(struct peer *s)
{
    struct span all = buf_span(&s->in);
    size_t head = head_end(all), content = 0, body;
    if (head == 0)
        return false;
    struct span h = span_sub(all, 0, head), rest = span_sub(all, head, all.n);
    long long i = number_in(h, "x-wish"), length = number_in(h, "content-length");
    need(s->w, i >= 0 && i < REQUESTS, "a request nobody made", i);
    struct wish *wish = &s->w->wishes[i];
    need(s->w, length < 0 || !has(h, "transfer-encoding"), "both framings", i);
    if (has(h, "transfer-encoding: chunked")) {
        body = chunked_end(s->w, rest, (unsigned)i, &content);
        if (body == 0)
            return false;
    } else {
        body = content = length > 0 ? (size_t)length : 0;
        if (rest.n < body)
            return false;
        for (size_t k = 0; k < body; k++)
            need(s->w, rest.p[k] == pattern((unsigned)i), "another request's bytes", i);
    }
    if (content != wish->send)
        fprintf(stderr, "wish %lld: %zu of %zu, chunked %d, post %d\n", i, content, wish->send,
                wish->chunked, wish->post);
    need(s->w, content == wish->send, "content of another length", i);
    wish->heads++;
    need(s->w, !wish->post || wish->heads == 1, "a POST came twice", i);
    buf_take(&s->in, head + body);
    server_answer(s, (unsigned)i);
    return s->c != NULL;
}

static size_t server_bytes(void *user, struct conn *c, struct span bytes)
{
    struct peer *s = user;
    (void)c;
    buf_put_span(&s->in, bytes);
    while (server_take(s)) {
    }
    return bytes.n;
}

static void peer_closed(struct peer *p)
{
    if (p->c != NULL)
        conn_close(&p->c, CONN_END_NOW);
}

static void server_eof(void *user, struct conn *c, bool clean)
{
    (void)c;
    (void)clean;
    peer_closed(user);
}

static void server_fail(void *user, struct conn *c, enum err why)
{
    (void)c;
    (void)why;
    peer_closed(user);
}

static void nothing(void *user, struct conn *c)
{
    (void)user;
    (void)c;
}

static const struct conn_events server_events = {nothing, server_bytes, server_eof, nothing,
                                                 server_fail};

static bool server_accept(void *user, int fd, const struct addr *peer)
{
    struct world *w = user;
    struct peer *s = mem_alloc(sizeof *s);
    s->w = w;
    buf_init(&s->in, 0);
    s->list = w->servers;
    w->servers = s;
    need(w, conn_accept(&w->server_env, fd, peer, &w->at, NULL, &server_events, s, &s->c) == ERR_OK,
         "accept", 0);
    return true;
}

/* --- clients --- */

static void client_connect(struct peer *p);

static void outcome(struct peer *p, unsigned *kind)
{
    struct wish *wish = &p->w->wishes[p->first++];
    need(p->w, ++wish->outcomes == 1, "two outcomes", p->first - 1);
    ++*kind;
}

static void client_send(struct peer *p)
{
    unsigned i = p->next++;
    const struct wish *wish = &p->w->wishes[i];
    char head[256];
    int n = snprintf(head, sizeof head, "%s /r/%u HTTP/1.1\r\nHost: sim\r\nX-Wish: %u\r\n",
                     wish->post ? "POST" : "GET", i, i);
    if (wish->chunked)
        n += snprintf(head + n, sizeof head - (size_t)n,
                      "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", wish->send);
    else
        n += snprintf(head + n, sizeof head - (size_t)n, "Content-Length: %zu\r\n\r\n", wish->send);
    conn_write(p->c, span_of(head, (size_t)n));
    put_pattern(p->c, i, wish->send);
    if (wish->chunked)
        conn_write(p->c, wish->send == 0 ? SPAN("\r\n") : SPAN("\r\n0\r\n\r\n"));
}

/* The connection is over: what was sent and not answered has ended visibly. */
static void client_over(struct peer *p)
{
    timer_stop(&p->patience);
    if (p->c != NULL)
        conn_close(&p->c, CONN_END_RESET);
    while (p->first < p->next)
        outcome(p, &p->w->aborted);
    buf_clear(&p->in);
    if (p->first < p->end)
        client_connect(p);
    else
        p->w->open--;
}

static void client_go_on(struct peer *p)
{
    if (p->first == p->end || rng_below(&p->w->rng, 40) == 0) {
        client_over(p); /* now and then with a request under way */
        return;
    }
    unsigned deep = 1 + (unsigned)rng_below(&p->w->rng, 3);
    while (p->next < p->end && p->next - p->first < deep)
        client_send(p);
}

/* One whole response from the front; false: not there yet, or the connection is over. */
static bool client_take(struct peer *p)
{
    struct span all = buf_span(&p->in);
    size_t head = head_end(all);
    if (head == 0)
        return false;
    struct span h = span_sub(all, 0, head);
    long long length = number_in(h, "content-length"), i = number_in(h, "x-wish");
    need(p->w, p->first < p->next, "a response nobody asked for", i);
    need(p->w, length >= 0, "a response without length", i);
    if (all.n < head + (size_t)length)
        return false;
    if (i >= 0) {
        need(p->w, (unsigned)i == p->first, "another request's response", i);
        need(p->w, (size_t)length == p->w->wishes[i].get, "a response of another length", i);
        for (size_t k = 0; k < (size_t)length; k++)
            need(p->w, all.p[head + k] == pattern((unsigned)i), "another request's bytes", i);
    }
    bool last = has(h, "connection: close");
    buf_take(&p->in, head + (size_t)length);
    outcome(p, i >= 0 ? &p->w->answered : &p->w->refused);
    if (last)
        client_over(p);
    return !last && p->c != NULL;
}

static size_t client_bytes(void *user, struct conn *c, struct span bytes)
{
    struct peer *p = user;
    buf_put_span(&p->in, bytes);
    while (client_take(p)) {
    }
    if (p->c == c && p->first == p->next)
        client_go_on(p);
    return bytes.n;
}

static void on_patience(struct timer *t)
{
    client_over(container_of(t, struct peer, patience));
}

static void client_open(void *user, struct conn *c)
{
    timer_stop(&((struct peer *)user)->patience);
    (void)c;
    client_go_on(user);
}

static void client_eof(void *user, struct conn *c, bool clean)
{
    (void)c;
    (void)clean;
    client_over(user);
}

static void client_fail(void *user, struct conn *c, enum err why)
{
    (void)c;
    (void)why;
    client_over(user);
}

static const struct conn_events client_events = {client_open, client_bytes, client_eof, nothing,
                                                 client_fail};

static void client_connect(struct peer *p)
{
    struct conn_target to = {.addr = &p->w->at};
    timer_in_ms(&p->patience, PATIENCE_MS);
    need(p->w, conn_connect(&p->w->client_env, &to, &client_events, p, &p->c) == ERR_OK, "connect",
         0);
}

/* --- the proxy --- */

static void on_edition_end(void *user, const struct policy *policy)
{
    (void)user;
    (void)policy;
}

static void on_slot_free(void *user, unsigned worker, struct pool_state *pool)
{
    (void)user;
    (void)worker;
    (void)pool;
}

static void on_line(void *user, struct span line)
{
    need(user, line.n > 2 && line.p[line.n - 1] == '\n', "a broken log line", (long long)line.n);
}

static bool proxy_door(void *user, int fd, const struct addr *peer)
{
    struct world *w = user;
    return proxy_accept(w->proxy, &w->listener, fd, peer);
}

static void build_pool(struct world *w)
{
    static const struct pool_site_conf site = {.name = SPAN("default")};
    struct pool_member_conf members[SERVERS] = {
        {SPAN("one"), SPAN("10.0.0.11:80"), 0, 100, 6, false},
        {SPAN("two"), SPAN("10.0.0.12:80"), 0, 100, 6, false}};
    struct pool_conf conf = {.name = SPAN("api"),
                             .knobs = PICK_KNOBS_DEFAULT,
                             .sites = &site,
                             .site_count = 1,
                             .members = members,
                             .member_count = SERVERS};
    w->registry = registry_new(16);
    need(w, pick_pool_new(w->registry, &conf, 0, &w->pool.pick) == ERR_OK, "pool", 0);
    for (int i = 0; i < SERVERS; i++) {
        w->endpoints[i].endpoint = w->pool.pick->members[i].endpoint;
        w->endpoints[i].address = w->server_at[i];
    }
    w->pool.name = SPAN("api");
    w->pool.endpoints = w->endpoints;
    w->pool.endpoint_count = SERVERS;
    w->pool.retries = (struct retry_rules){RETRY_CONNECT | RETRY_RESET | RETRY_FIRST_BYTE, 2, 20};
    w->pool.queue_limit = 64;
    w->pool.queue_ms = 5000;
    w->pool.connections = 64;
    w->pool.idle = 8;
}

static void build_policy(struct world *w)
{
    static const struct route_rule rule = {.path = SPAN("/")};
    build_pool(w);
    w->route.name = SPAN("all");
    w->route.pool = &w->pool;
    w->route.timeouts = (struct policy_timeouts){30000, 30000, 3000, 60000, 60000, 30000, 300000};
    w->route.stats = &w->route_stats;
    w->policy = (struct policy){.generation = 1,
                                .routes = &w->route,
                                .route_count = 1,
                                .pools = &w->pool,
                                .pool_count = 1,
                                .unrouted = &w->route_stats};
    need(w, route_table_new(&rule, 1, &w->policy.table) == ERR_OK, "routes", 0);
}

static void build_proxy(struct world *w)
{
    struct proxy_spec spec = {.workers = 1,
                              .env = &w->worker_env,
                              .admission = w->admission,
                              .stats = w->stats,
                              .hooks = {on_edition_end, on_slot_free, on_line, w},
                              .seed = w->seed + 1};
    atomic_store(&w->admission->connections_most, 1000);
    atomic_store(&w->admission->handshakes_most, 1000);
    atomic_store(&w->admission->source_most, 1000);
    w->route_stats->name = "all";
    need(w, proxy_new(&spec, &w->proxy) == ERR_OK, "proxy", 0);
    need(w, proxy_adopt(w->proxy, &w->policy) == ERR_OK, "adopt", 0);
    w->proxy->access = ACCESS_JSON;
    w->listener = (struct proxy_listener){.name = SPAN("sim"),
                                          .limits = {.request_line = LIMIT_REQUEST_LINE,
                                                     .head = LIMIT_HEAD,
                                                     .fields = LIMIT_FIELDS,
                                                     .field = LIMIT_FIELD,
                                                     .requests = 10000,
                                                     .streams = LIMIT_H2_STREAMS,
                                                     .head_ms = 10000,
                                                     .idle_ms = 60000,
                                                     .age_ms = 3600000},
                                          .handshake_ms = 10000};
}

static void open_doors(struct world *w)
{
    static const char *const names[] = {"10.0.0.1:80", "10.0.0.11:80", "10.0.0.12:80"};
    for (int i = 0; i <= SERVERS; i++) {
        struct addr *at = i == 0 ? &w->at : &w->server_at[i - 1];
        struct loop *loop = i == 0 ? w->worker : w->server_loop;
        need(w, addr_parse(span_str(names[i]), at) == ERR_OK, "address", i);
        w->fds[i] = loop->ops->sock_listen(loop, at, true);
        need(w, w->fds[i] >= 0, "listen", i);
        need(w,
             listener_start(loop, w->fds[i], i == 0 ? proxy_door : server_accept, w,
                            &w->doors[i]) == ERR_OK,
             "listener", i);
    }
}

static void make_wishes(struct world *w)
{
    static const size_t sizes[] = {0, 1, 100, 1024, 9000, 40000, 100000};
    for (unsigned i = 0; i < REQUESTS; i++) {
        struct wish *wish = &w->wishes[i];
        wish->post = rng_below(&w->rng, 3) == 0;
        wish->send = wish->post ? sizes[rng_below(&w->rng, 7)] : 0;
        wish->chunked = wish->post && rng_below(&w->rng, 2) == 0;
        wish->get = sizes[rng_below(&w->rng, 7)];
    }
    for (unsigned c = 0; c < CLIENTS; c++) {
        struct peer *p = &w->clients[c];
        p->w = w;
        p->first = p->next = c * (REQUESTS / CLIENTS);
        p->end = p->first + REQUESTS / CLIENTS;
        buf_init(&p->in, 0);
        timer_init(&p->patience, w->client_loop, on_patience);
    }
    w->open = CLIENTS;
}

static bool all_through(void *user)
{
    return ((struct world *)user)->open == 0;
}

static void check_rest(struct world *w)
{
    for (unsigned i = 0; i < REQUESTS; i++)
        need(w, w->wishes[i].outcomes == 1, "no outcome", i);
    for (int i = 0; i < SERVERS; i++)
        need(w, endpoint_inflight(w->endpoints[i].endpoint) == 0, "in flight", i);
    need(w, proxy_clients(w->proxy) == 0, "clients", (long long)proxy_clients(w->proxy));
    need(w, counter_get(&w->stats->exchanges_open) == 0, "exchanges", 0);
    need(w, counter_get(&w->stats->waiting) == 0, "waiting", 0);
    need(w, counter_get(&w->stats->connections_open) == 0, "connections", 0);
    need(w, atomic_load(&w->admission->connections) == 0, "admitted", 0);
    need(w, atomic_load(&w->pool.pick->state->waiting) == 0, "pool waiting", 0);
    for (size_t i = 0; i < sizeof w->admission->sources / sizeof *w->admission->sources; i++)
        need(w, atomic_load(&w->admission->sources[i]) == 0, "source", (long long)i);
}

static void take_down(struct world *w)
{
    proxy_free(&w->proxy);
    for (int i = 0; i <= SERVERS; i++) {
        struct loop *loop = i == 0 ? w->worker : w->server_loop;
        listener_stop(&w->doors[i]);
        loop->ops->sock_close(loop, w->fds[i], false);
    }
    while (w->servers != NULL) {
        struct peer *s = w->servers;
        w->servers = s->list;
        peer_closed(s);
        buf_fini(&s->in);
        mem_free(s);
    }
    for (int i = 0; i < CLIENTS; i++)
        buf_fini(&w->clients[i].in);
    sim_run_for(w->sim, 5 * NS_PER_S);
    need(w, sim_sockets(w->sim) == 0, "open sockets", (long long)sim_sockets(w->sim));
    conn_env_fini(&w->worker_env);
    conn_env_fini(&w->server_env);
    conn_env_fini(&w->client_env);
    route_table_free(&w->policy.table);
    pick_pool_free(&w->pool.pick);
    registry_sweep(w->registry);
    registry_free(&w->registry);
    loop_free(&w->worker);
    loop_free(&w->server_loop);
    loop_free(&w->client_loop);
    sim_free(&w->sim);
    mem_free(w->route_stats);
    mem_free(w->stats);
    mem_free(w->admission);
}

static void make_loops(struct world *w)
{
    struct sim_faults faults = {
        .short_read = (unsigned)rng_below(&w->rng, 4000),
        .short_write = (unsigned)rng_below(&w->rng, 4000),
        .reset = (unsigned)rng_below(&w->rng, 3) == 0 ? 0 : (unsigned)rng_below(&w->rng, 100),
        .refuse = (unsigned)rng_below(&w->rng, 500),
        .black_hole = (unsigned)rng_below(&w->rng, 100),
        .delay_most_ns = (int64_t)rng_below(&w->rng, 20) * NS_PER_MS,
        .accept_delay_most_ns = NS_PER_MS,
    };
    w->sim = sim_new(w->seed, &faults);
    w->worker = sim_loop_new(w->sim);
    w->server_loop = sim_loop_new(w->sim);
    w->client_loop = sim_loop_new(w->sim);
    need(w, conn_env_init(&w->worker_env, w->worker) == ERR_OK, "env", 0);
    need(w, conn_env_init(&w->server_env, w->server_loop) == ERR_OK, "env", 1);
    need(w, conn_env_init(&w->client_env, w->client_loop) == ERR_OK, "env", 2);
}

static void run(uint64_t seed, unsigned total[3])
{
    struct world *w = mem_alloc(sizeof *w);
    w->seed = seed;
    rng_seed(&w->rng, seed);
    w->route_stats = mem_aligned(64, sizeof *w->route_stats);
    w->stats = mem_aligned(64, (sizeof *w->stats + 63) / 64 * 64);
    w->admission = mem_alloc(sizeof *w->admission);
    make_loops(w);
    open_doors(w);
    build_policy(w);
    build_proxy(w);
    make_wishes(w);
    for (int i = 0; i < CLIENTS; i++)
        client_connect(&w->clients[i]);
    need(w, sim_run_until(w->sim, all_through, w, 36000 * NS_PER_S), "it hangs", w->open);
    sim_run_for(w->sim, 120 * NS_PER_S);
    check_rest(w);
    total[0] += w->answered;
    total[1] += w->refused;
    total[2] += w->aborted;
    take_down(w);
    mem_free(w);
}

int main(int argc, char **argv)
{
    uint64_t first = 1, count = 50;
    unsigned total[3] = {0};
    if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
        count = strtoull(argv[2], NULL, 10);
    else if (argc == 2)
        first = strtoull(argv[1], NULL, 10), count = 1;
    for (uint64_t seed = first; seed < first + count; seed++)
        run(seed, total);
    printf("seeds %" PRIu64 "..%" PRIu64 ": %u answered, %u refused, %u aborted\n", first,
           first + count - 1, total[0], total[1], total[2]);
    return total[0] > total[2] || count == 1 ? 0 : 1;
}
