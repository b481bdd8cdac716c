/* The whole request path of one worker on the simulated network: clients, two servers and the proxy
 * in one thread, under seeded faults and bad manners on both sides, with the policy replaced now
 * and then (RELIABILITY A2, P1 to P4, G12). What holds under every seed: each request has exactly
 * one outcome, one whole response or a visible abort; every body is its own and complete; a POST
 * reaches servers once at most, counted when its head arrives; all counters come back to zero. In a
 * calm world, one seed of four, every request is served, and no server is blamed (B2). Besides,
 * allocations of the proxy fail (F16): one of a hundred in one seed of five; and each in turn in a
 * short run, which costs one request at most, or ROW in a row, so that the reserve is of no use,
 * and then what connections carry. No byte stays behind. usage: proxy_sim [SEED | --seeds N |
 * --seeds FIRST N | --starve SEED STEP [ROW]] */
#include "base/mem.h"
#include "proxy_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Seeds that once failed; the first ones when nobody spoke HTTP/2 here. */
static const struct {
    uint64_t seed;
    bool h1_only;
} regressions[] = {{21, true},   {466, true}, {1008, true},    {1022, true},
                   {1137, true}, {25, false}, {100586, false}, {101706, false}};

/* Short runs whose allocations fail: the first one and those that once failed so, with HTTP/2. */
static const struct {
    uint64_t seed, step, row;
} starved[] = {{1, 5, 1}, {112, 3, 1}, {103, 6, 2}, {110, 3, 2}};

_Noreturn void world_fail(const struct world *w, const char *what, long long n)
{
    fprintf(stderr, "proxy_sim: seed %" PRIu64 "%s: %s (%lld)\n", w->seed, w->calm ? ", calm" : "",
            what, n);
    abort();
}

/* --- the policy --- */

static void regime_free(struct regime *r)
{
    route_table_free(&r->policy.table);
    pick_pool_free(&r->pool.pick);
    mem_free(r);
}

static void on_edition_end(void *user, const struct policy *policy)
{
    struct world *w = user;
    w->regimes--;
    if (policy != &w->regime->policy)
        regime_free(container_of(policy, struct regime, policy));
}

static void build_pool(struct world *w, struct regime *r, size_t members)
{
    static const struct pool_site_conf site = {.name = SPAN("default")};
    static const struct pool_member_conf all[SERVERS] = {
        {.backend = SPAN("one"), .address = SPAN("10.0.0.11:80"), .weight = 100, .max_inflight = 6},
        {.backend = SPAN("two"),
         .address = SPAN("10.0.0.12:80"),
         .weight = 100,
         .max_inflight = 6}};
    struct pool_conf conf = {.name = SPAN("api"),
                             .knobs = PICK_KNOBS_DEFAULT,
                             .sites = &site,
                             .site_count = 1,
                             .members = all,
                             .member_count = members};
    int64_t slow_from_ms = w->generation == 1 ? 0 : loop_now_ms(w->worker);
    need(w, pick_pool_new(w->registry, &conf, slow_from_ms, &r->pool.pick) == ERR_OK, "pool", 0);
    for (size_t i = 0; i < members; i++) {
        r->endpoints[i].endpoint = r->pool.pick->members[i].endpoint;
        r->endpoints[i].address = w->server_at[i];
    }
    r->pool.name = SPAN("api");
    r->pool.endpoints = r->endpoints;
    r->pool.endpoint_count = (uint32_t)members;
    r->pool.settings = one_in(w, 3) ? w->generation : 0;
    r->pool.protocol = speaks_h2(w) ? CONNPOOL_H2 : CONNPOOL_HTTP_1_1;
    r->pool.settings += r->pool.protocol == CONNPOOL_H2 ? UINT64_C(1) << 32 : 0;
    r->pool.retries = (struct retry_rules){
        RETRY_CONNECT | RETRY_RESET | RETRY_FIRST_BYTE | RETRY_503, REPEATED_MOST - 1, 20};
    if (w->seed % 2 == 0)
        r->pool.hedge =
            (struct hedge_rules){true, 1 + (int64_t)rng_below(&w->rng, 50) * NS_PER_MS, 0, 100};
    r->pool.queue_limit = 64;
    r->pool.queue_ms = 5000;
    r->pool.connections = 64;
    r->pool.idle = 8;
}

/* The next generation, now and then with one server only. */
static struct regime *build_regime(struct world *w)
{
    static const struct route_rule rule = {.path = SPAN("/")};
    struct regime *r = mem_alloc(sizeof *r);
    w->generation++;
    build_pool(w, r, w->generation > 1 && one_in(w, 3) ? 1 : SERVERS);
    r->route.name = SPAN("all");
    r->route.pool = &r->pool;
    r->route.websocket = true;
    r->route.timeouts =
        (struct policy_timeouts){30000, 30000, 3000, 60000, 60000, 30000, 300000, 0};
    r->route.stats = &w->route_stats;
    r->policy = (struct policy){.generation = w->generation,
                                .routes = &r->route,
                                .route_count = 1,
                                .pools = &r->pool,
                                .pool_count = 1,
                                .unrouted = &w->route_stats};
    need(w, route_table_new(&rule, 1, &r->policy.table) == ERR_OK, "routes", 0);
    return r;
}

/* Where memory is short the old one stays. */
static void adopt(struct world *w)
{
    struct regime *old = w->regime;
    mem_fail_hold(true);
    w->regime = build_regime(w);
    mem_fail_hold(false);
    unsigned before = w->regimes++;
    enum err e = proxy_adopt(w->proxy, &w->regime->policy);
    need(w, e == ERR_OK || (w->starved && old != NULL), "adopt", e);
    if (e != ERR_OK) {
        regime_free(w->regime);
        w->regime = old;
        w->regimes--;
    }
    need(w, w->regimes > 0 && w->regimes <= before + 1, "editions", w->regimes);
}

static void on_reload(struct timer *t)
{
    struct world *w = container_of(t, struct world, reload);
    adopt(w);
    registry_sweep(w->registry);
    timer_in_ms(t, 1 + (int64_t)rng_below(&w->rng, 3000));
}

/* F27, C5: the process stands still for a while, or the wall clock is set by years. */
static void on_jolt(struct timer *t)
{
    struct world *w = container_of(t, struct world, jolt);
    int64_t years = (int64_t)rng_below(&w->rng, 21) - 10;
    if (one_in(w, 2))
        sim_jump_wall(w->sim, years * 365 * 24 * 3600 * NS_PER_S);
    else if (!w->calm)
        sim_freeze(w->worker, (int64_t)rng_below(&w->rng, 40000) * NS_PER_MS);
    timer_in_ms(t, 1 + (int64_t)rng_below(&w->rng, 20000));
}

/* --- the proxy --- */

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

static void build_proxy(struct world *w)
{
    struct proxy_spec spec = {
        .workers = 1,
        .env = &w->worker_env,
        .admission = w->admission,
        .stats = w->stats,
        .hooks = {on_edition_end, on_slot_free, NULL, on_line, on_line, NULL, w},
        .seed = w->seed + 1};
    atomic_store(&w->admission->connections_most, 1000);
    atomic_store(&w->admission->handshakes_most, 1000);
    atomic_store(&w->admission->source_most, 1000);
    w->route_stats->name = "all";
    need(w, proxy_new(&spec, &w->proxy) == ERR_OK, "proxy", 0);
    adopt(w);
    timer_init(&w->reload, w->worker, on_reload);
    if (one_in(w, 2))
        timer_in_ms(&w->reload, 1);
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
                                                     .send_ms = 30000,
                                                     .age_ms = 3600000},
                                          .speaks_h1 = true,
                                          .speaks_h2 = !w->h1_only,
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

/* --- the world --- */

static void make_wish(struct world *w, struct wish *wish)
{
    static const size_t sizes[] = {0, 1, 100, 1024, 9000, 40000, 100000};
    static const enum wish_method methods[] = {WISH_GET, WISH_GET, WISH_HEAD, WISH_POST, WISH_PUT};
    unsigned most = w->bytewise ? 5 : 7; /* else the parsers here are what takes the time */
    wish->method = methods[rng_below(&w->rng, 5)];
    wish->get = sizes[rng_below(&w->rng, most)];
    if (wish->method >= WISH_POST) {
        wish->send = sizes[rng_below(&w->rng, most)];
        wish->chunked = one_in(w, 2);
        wish->expect = one_in(w, 5) && (wish->chunked || wish->send > 0);
    } else if (wish->method == WISH_GET && one_in(w, 6)) {
        wish->tunnel = true;
        wish->hasty = one_in(w, 3);
        wish->server_first = one_in(w, 2);
        wish->send = sizes[rng_below(&w->rng, wish->server_first ? 4 : most)];
        if (w->calm && wish->server_first)
            wish->send = 0; /* else it may come when nobody is there, and a reset answers */
    }
}

static bool all_through(void *user)
{
    return ((struct world *)user)->open == 0;
}

static void check_endpoint(void *ctx, struct endpoint *e)
{
    const struct world *w = ctx;
    struct connpool_facts facts;
    need(w, endpoint_inflight(e) == 0, "in flight", endpoint_inflight(e));
    connpool_facts(w->proxy->connpool, e, &facts);
    need(w, facts.open == 0 && facts.waiting == 0, "connections of a server", facts.open);
    need(w, !w->calm || atomic_load(&e->errors) == 0, "a server's failure that was ours (B2)",
         (long long)atomic_load(&e->errors));
}

/* A8: what went up has come down. */
static void check_rest(struct world *w)
{
    const struct admission *a = w->admission;
    for (unsigned i = 0; i < w->requests; i++)
        need(w, w->wishes[i].outcomes == 1, "no outcome", i);
    registry_each(w->registry, check_endpoint, w);
    need(w, w->regimes == 1, "editions that nobody needs", w->regimes);
    need(w, proxy_clients(w->proxy) == 0, "clients", (long long)proxy_clients(w->proxy));
    need(w, list_empty(&w->proxy->exchanges), "exchanges", 0);
    need(w, w->listener.clients == 0, "clients of the listener", w->listener.clients);
    need(w, counter_get(&w->stats->exchanges_open) == 0, "exchanges", 1);
    need(w, counter_get(&w->stats->tunnels_open) == 0, "tunnels", 0);
    need(w, counter_get(&w->stats->waiting) == 0, "waiting", 0);
    need(w, counter_get(&w->stats->connections_open) == 0, "connections", 0);
    need(w, w->worker_env.open == 0, "transport connections", (long long)w->worker_env.open);
    need(w, atomic_load(&a->connections) == 0, "admitted", 0);
    need(w, atomic_load(&a->handshakes) == 0, "handshakes", 0);
    need(w, atomic_load(&w->regime->pool.pick->state->waiting) == 0, "pool waiting", 0);
    for (size_t i = 0; i < sizeof a->sources / sizeof *a->sources; i++)
        need(w, atomic_load(&a->sources[i]) == 0, "source", (long long)i);
}

static void take_down(struct world *w)
{
    proxy_free(&w->proxy);
    need(w, w->regimes == 0, "editions", w->regimes);
    for (int i = 0; i <= SERVERS; i++) {
        struct loop *loop = i == 0 ? w->worker : w->server_loop;
        listener_stop(&w->doors[i]);
        loop->ops->sock_close(loop, w->fds[i], false);
    }
    servers_free(w);
    h2_servers_free(w);
    clients_free(w);
    sim_run_for(w->sim, 5 * NS_PER_S);
    need(w, sim_sockets(w->sim) == 0, "open sockets", (long long)sim_sockets(w->sim));
    conn_env_fini(&w->worker_env);
    conn_env_fini(&w->server_env);
    conn_env_fini(&w->client_env);
    regime_free(w->regime);
    registry_sweep(w->registry);
    need(w, registry_count(w->registry) == 0, "endpoints", (long long)registry_count(w->registry));
    registry_free(&w->registry);
    loop_free(&w->worker);
    loop_free(&w->server_loop);
    loop_free(&w->client_loop);
    sim_free(&w->sim);
    mem_free(w->route_stats);
    mem_free(w->stats);
    mem_free(w->admission);
}

static struct sim_faults choose_faults(struct world *w)
{
    static const size_t buffers[] = {KIB(64), KIB(64), KIB(16), 3000};
    struct sim_faults faults = {
        .short_read = (unsigned)rng_below(&w->rng, 4000),
        .short_write = (unsigned)rng_below(&w->rng, 4000),
        .delay_most_ns = (int64_t)rng_below(&w->rng, 20) * NS_PER_MS,
        .accept_delay_most_ns = NS_PER_MS,
        .buffer = buffers[rng_below(&w->rng, 4)],
    };
    if (one_in(w, 4))
        faults.again = (unsigned)rng_below(&w->rng, 5000);
    if (one_in(w, 4))
        faults.spent = (unsigned)rng_below(&w->rng, 5000);
    if (one_in(w, 8)) {
        faults.bytewise = w->bytewise = true;
        faults.short_read = faults.short_write = 9000;
    }
    if (w->calm)
        return faults;
    faults.reset = one_in(w, 3) ? 0 : (unsigned)rng_below(&w->rng, 100);
    faults.refuse = (unsigned)rng_below(&w->rng, 500);
    faults.black_hole = (unsigned)rng_below(&w->rng, 100);
    return faults;
}

static void make_loops(struct world *w)
{
    struct sim_faults faults = choose_faults(w);
    w->sim = sim_new(w->seed, &faults);
    w->worker = sim_loop_new(w->sim);
    w->server_loop = sim_loop_new(w->sim);
    w->client_loop = sim_loop_new(w->sim);
    need(w, conn_env_init(&w->worker_env, w->worker) == ERR_OK, "env", 0);
    need(w, conn_env_init(&w->server_env, w->server_loop) == ERR_OK, "env", 1);
    need(w, conn_env_init(&w->client_env, w->client_loop) == ERR_OK, "env", 2);
}

/* What is asked of one run. */
struct play {
    uint64_t seed;
    unsigned requests;
    bool calm;           /* whatever the seed says */
    bool h1_only;        /* nobody speaks HTTP/2 */
    uint64_t fail_at;    /* the proxy's allocation that fails; 0: none */
    uint64_t fail_row;   /* and so many with it, in a row */
    unsigned fail_often; /* so many of ten thousand fail */
};

static struct world *world_new(const struct play *play)
{
    struct world *w = mem_alloc(sizeof *w);
    w->seed = play->seed;
    rng_seed(&w->rng, play->seed);
    rng_seed(&w->versions, ~play->seed);
    w->h1_only = play->h1_only;
    w->calm = one_in(w, 4) || play->calm;
    w->starved = play->fail_at != 0 || play->fail_often != 0;
    w->requests = play->requests;
    wire_letters(w);
    w->route_stats = mem_aligned(64, sizeof *w->route_stats);
    w->stats = mem_aligned(64, (sizeof *w->stats + 63) / 64 * 64);
    w->admission = mem_alloc(sizeof *w->admission);
    w->registry = registry_new(16);
    make_loops(w);
    open_doors(w);
    build_proxy(w);
    for (unsigned i = 0; i < w->requests; i++)
        make_wish(w, &w->wishes[i]);
    timer_init(&w->jolt, w->client_loop, on_jolt);
    if (one_in(w, 3))
        timer_in_ms(&w->jolt, 1);
    return w;
}

static void starve(struct world *w, const struct play *play)
{
    if (!w->starved)
        return;
    sim_starve(w->worker);
    mem_fail_row(play->fail_at, play->fail_row);
    mem_fail_some(play->seed, play->fail_often);
}

static void add_up(struct world *total, const struct world *w)
{
    for (int i = 0; i < OUTCOMES; i++)
        total->outcomes[i] += w->outcomes[i];
    total->tunnels += w->tunnels;
    total->generation += w->generation - 1;
}

/* F16: what a failed allocation may cost: the request that asked for it. What follows it on a
 * connection of HTTP/1 that has to be closed, since the rest of its content comes (H20), was never
 * begun. Where so many fail in a row that the reserve is of no use (base/reserve.h), each of them
 * may be the end of a connection: of what that carries, requests that may go again must. */
static unsigned lost_most(const struct play *play)
{
    enum { CARRIED = 4 };
    return play->fail_row == 1 ? 1 : (unsigned)play->fail_row * CARRIED;
}

static void run(const struct play *play, struct world *total)
{
    uint64_t before = mem_used();
    struct world *w = world_new(play);
    starve(w, play);
    clients_make(w);
    need(w, sim_run_until(w->sim, all_through, w, 36000 * NS_PER_S), "it hangs", w->open);
    timer_stop(&w->reload);
    timer_stop(&w->jolt);
    sim_run_for(w->sim, 400 * NS_PER_S);
    unsigned lost = w->outcomes[REFUSED] + w->outcomes[ABORTED] - w->behind;
    need(w, !w->calm || play->fail_often != 0 || lost <= lost_most(play), "too many lost", lost);
    check_rest(w);
    mem_fail_at(0);
    mem_fail_some(0, 0);
    add_up(total, w);
    take_down(w);
    mem_free(w);
    need(total, mem_used() == before, "bytes that nobody gives back",
         (long long)(mem_used() - before));
}

/* F16: each allocation of a short run fails, or each `step`th one, until none is left to fail; with
 * `row`, those behind it too. */
static void run_starving(uint64_t seed, uint64_t step, uint64_t row, struct world *total)
{
    struct play play = {
        .seed = seed, .requests = 3 * CLIENTS, .calm = true, .fail_at = 1, .fail_row = row};
    unsigned runs = 0;
    for (uint64_t before = mem_failed() - 1; before != mem_failed(); play.fail_at += step) {
        before = mem_failed();
        run(&play, total);
        runs++;
    }
    printf("seed %" PRIu64 ": %u runs with %" PRIu64 " of %" PRIu64 " allocations failed\n", seed,
           runs - 1, row, play.fail_at - step);
}

/* One seed of five has one allocation of a hundred fail. */
static void run_seed(uint64_t seed, bool h1_only, struct world *total)
{
    struct play play = {.seed = seed,
                        .requests = REQUESTS,
                        .h1_only = h1_only,
                        .fail_often = seed % 5 == 0 ? 100 : 0};
    run(&play, total);
}

static void say(const char *what, uint64_t first, uint64_t count, const struct world *total)
{
    const unsigned *n = total->outcomes;
    printf("%s %" PRIu64 "..%" PRIu64 ": %u answered, %u refused, %u aborted, %u tunnels, "
           "%" PRIu64 " reloads\n",
           what, first, first + count - 1, n[ANSWERED], n[REFUSED], n[ABORTED], total->tunnels,
           total->generation);
}

int main(int argc, char **argv)
{
    uint64_t first = 1, count = 20, step = 1, row = 1;
    struct world *total = mem_alloc(sizeof *total);
    bool starve_only = argc >= 4 && strcmp(argv[1], "--starve") == 0;
    if (starve_only) {
        first = strtoull(argv[2], NULL, 10), step = strtoull(argv[3], NULL, 10), count = 1;
        row = argc > 4 ? strtoull(argv[4], NULL, 10) : 1;
    } else if (argc >= 3 && strcmp(argv[1], "--seeds") == 0) {
        first = argc > 3 ? strtoull(argv[2], NULL, 10) : 1;
        count = strtoull(argv[argc - 1], NULL, 10);
    } else if (argc == 2) {
        first = strtoull(argv[1], NULL, 10), count = 1;
    }
    if (starve_only)
        run_starving(first, step, row, total);
    for (size_t i = 0; argc == 1 && i < sizeof starved / sizeof *starved; i++)
        run_starving(starved[i].seed, starved[i].step, starved[i].row, total);
    for (size_t i = 0; argc == 1 && i < sizeof regressions / sizeof *regressions; i++)
        run_seed(regressions[i].seed, regressions[i].h1_only, total);
    for (uint64_t seed = first; !starve_only && seed < first + count; seed++)
        run_seed(seed, false, total);
    bool fine = total->outcomes[ANSWERED] > total->outcomes[ABORTED] || count == 1;
    say("seeds", first, count, total);
    mem_free(total);
    return fine ? 0 : 1;
}
