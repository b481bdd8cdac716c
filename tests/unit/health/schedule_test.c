#include "check.h"

#include "base/mem.h"
#include "fake_loop.h"
#include "health/health.h"
#include "pick/registry.h"

#include <errno.h>
#include <stdio.h>

#define MOST 1024

/* Health over virtual time, with `n` endpoints of one pool at ports 1..n. */
struct world {
    struct fake_loop net;
    struct registry *registry;
    struct pool_state *pool;
    struct endpoint *endpoints[MOST];
    size_t n;
    struct health *health;
};

static enum fake_mode modes[MOST + 1]; /* by port */
static unsigned checks[MOST + 1];
static int64_t last_check_ns[MOST + 1], shortest_ns, longest_ns;
static unsigned turns; /* in which checks have begun */
static int64_t last_turn_ns;

static enum fake_mode mode_of(const struct addr *to)
{
    return modes[addr_port(to)];
}

static void on_connect(struct fake_loop *f, const struct addr *to)
{
    uint16_t port = addr_port(to);
    int64_t gap_ns = f->loop.now_ns - last_check_ns[port];
    if (checks[port]++ > 0) {
        shortest_ns = gap_ns < shortest_ns ? gap_ns : shortest_ns;
        longest_ns = gap_ns > longest_ns ? gap_ns : longest_ns;
    }
    last_check_ns[port] = f->loop.now_ns;
    turns += f->loop.now_ns != last_turn_ns;
    last_turn_ns = f->loop.now_ns;
}

static void clear_counts(void)
{
    memset(checks, 0, sizeof checks);
    shortest_ns = INT64_MAX;
    longest_ns = 0;
    turns = 0;
}

static void set_modes(enum fake_mode mode)
{
    for (size_t i = 0; i <= MOST; i++) {
        modes[i] = mode;
    }
}

static const struct health_check tcp = {
    .kind = HEALTH_TCP,
    .interval_ms = 2000,
    .timeout_ms = 1000,
    .fall = 3,
    .rise = 2,
};

/* A plan with the endpoints [from, to). */
static struct health_plan *plan_of(struct world *w, const struct health_check *check, size_t from,
                                   size_t to)
{
    struct health_plan *plan = health_plan_new();
    size_t index;
    CHECK(plan != NULL && health_plan_check(plan, check, &index) == ERR_OK, "check");
    for (size_t i = from; i < to; i++) {
        char text[32];
        struct addr at;
        snprintf(text, sizeof text, "10.0.0.1:%zu", i + 1);
        CHECK(addr_parse(span_str(text), &at) == ERR_OK, "address");
        CHECK(health_plan_target(plan, index, w->endpoints[i], &at, SPAN_NONE) == ERR_OK, "target");
    }
    return plan;
}

static void set_targets(struct world *w, const struct health_check *check, size_t from, size_t to)
{
    struct health_plan *plan = plan_of(w, check, from, to);
    CHECK(health_set_targets(w->health, &plan) == ERR_OK && plan == NULL, "targets");
}

static void world_init(struct world *w, size_t n)
{
    struct rng rng;
    memset(w, 0, sizeof *w);
    rng_seed(&rng, 7);
    set_modes(FAKE_ACCEPTS);
    clear_counts();
    fake_loop_init(&w->net);
    w->net.mode_of = mode_of;
    w->net.on_connect = on_connect;
    w->n = n;
    w->registry = registry_new(MOST);
    CHECK(registry_pool(w->registry, SPAN("api"), &w->pool) == ERR_OK, "pool");
    for (size_t i = 0; i < n; i++) {
        char name[32], text[32];
        snprintf(name, sizeof name, "b%zu", i);
        snprintf(text, sizeof text, "10.0.0.1:%zu", i + 1);
        CHECK(registry_endpoint(w->registry, w->pool, span_str(name), span_str(text), 0,
                                &w->endpoints[i]) == ERR_OK,
              "endpoint");
    }
    CHECK(health_new(&w->net.loop, &rng, NULL, &w->health) == ERR_OK, "health");
}

static void world_fini(struct world *w)
{
    health_free(&w->health);
    for (size_t i = 0; i < w->n; i++) {
        endpoint_unref(&w->endpoints[i]);
    }
    pool_state_unref(&w->pool);
    registry_sweep(w->registry);
    CHECK_INT(registry_count(w->registry), 0);
    registry_free(&w->registry);
    CHECK(list_empty(&w->net.timers) && w->net.open == 0, "timers and sockets are given back");
}

static size_t count_health(const struct world *w, enum endpoint_health health)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++) {
        n += endpoint_health(w->endpoints[i]) == health;
    }
    return n;
}

static void pass_ms(struct world *w, int64_t ms)
{
    fake_loop_pass(&w->net, ms * NS_PER_MS);
}

static struct world world;

/* L31: every 2 s +-20 %, everybody alike, spread over time. */
TEST(schedule, interval_and_spread)
{
    world_init(&world, 100);
    set_targets(&world, &tcp, 0, 100);
    pass_ms(&world, 5000);
    clear_counts();
    unsigned before = world.net.connects, least = UINT32_MAX, most = 0;
    for (int second = 0; second < 40; second++) {
        unsigned from = world.net.connects;
        pass_ms(&world, 1000);
        unsigned n = world.net.connects - from;
        least = n < least ? n : least;
        most = n > most ? n : most;
    }
    unsigned total = world.net.connects - before;
    CHECK(total >= 1900 && total <= 2100, "%u checks of 100 in 40 s", total);
    CHECK(least >= 25 && most <= 85, "%u to %u in a second", least, most);
    CHECK(shortest_ns >= 1590 * NS_PER_MS, "%lld", (long long)shortest_ns);
    CHECK(longest_ns <= 2450 * NS_PER_MS, "%lld", (long long)longest_ns);
    pass_ms(&world, 5); /* the last have an answer */
    CHECK_INT(count_health(&world, ENDPOINT_UP), 100);
    CHECK_INT(health_counts(world.health)->good, world.net.connects);
    world_fini(&world);
}

/* L31: of a thousand servers those that are due at about the same time are checked in one turn. */
TEST(schedule, turns)
{
    enum { N = 1000 };
    world_init(&world, N);
    set_targets(&world, &tcp, 0, N);
    pass_ms(&world, 10000);
    clear_counts();
    unsigned before = world.net.connects;
    pass_ms(&world, 10000);
    unsigned total = world.net.connects - before;
    CHECK(total >= 4500 && total <= 5500, "%u checks in 10 s", total);
    CHECK(turns <= 1100, "in %u turns", turns);
    CHECK(shortest_ns >= 1590 * NS_PER_MS && longest_ns <= 2450 * NS_PER_MS, "%lld to %lld",
          (long long)shortest_ns, (long long)longest_ns);
    world_fini(&world);
}

/* F1: a refused check marks hard within the first interval and three checks. */
TEST(schedule, refused_is_found)
{
    world_init(&world, 4);
    set_targets(&world, &tcp, 0, 4);
    pass_ms(&world, 5000);
    modes[2] = FAKE_REFUSES;
    pass_ms(&world, 2400 + 2 * 600 + 100);
    CHECK_INT(endpoint_health(world.endpoints[1]), ENDPOINT_HARD);
    CHECK_INT(world.endpoints[1]->probe_err, ERR_BACKEND_REFUSED);
    CHECK_INT(count_health(&world, ENDPOINT_UP), 3);
    CHECK_INT(world.endpoints[1]->history & 15, 8);
    modes[2] = FAKE_ACCEPTS;
    pass_ms(&world, 2400 + 600 + 100);
    CHECK_INT(endpoint_health(world.endpoints[1]), ENDPOINT_UP);
    CHECK_INT(health_counts(world.health)->changes, 2);
    world_fini(&world);
}

/* F4, G7: one that goes silent is soft-down within 7 s, back within 5 s. */
TEST(schedule, silent_is_found)
{
    world_init(&world, 4);
    set_targets(&world, &tcp, 0, 4);
    pass_ms(&world, 5000);
    modes[3] = FAKE_SILENT;
    pass_ms(&world, 7000);
    CHECK_INT(endpoint_health(world.endpoints[2]), ENDPOINT_SOFT);
    CHECK_INT(world.endpoints[2]->probe_err, ERR_BACKEND_CONNECT_TIMEOUT);
    modes[3] = FAKE_ACCEPTS;
    pass_ms(&world, 5000);
    CHECK_INT(count_health(&world, ENDPOINT_UP), 4);
    world_fini(&world);
}

/* B3: a new backend serves until its first check, which decides alone. */
TEST(schedule, first_check)
{
    world_init(&world, 2);
    modes[1] = FAKE_REFUSES;
    CHECK_INT(count_health(&world, ENDPOINT_UP), 2);
    set_targets(&world, &tcp, 0, 2);
    pass_ms(&world, 400);
    CHECK_INT(endpoint_health(world.endpoints[0]), ENDPOINT_HARD);
    CHECK_INT(endpoint_health(world.endpoints[1]), ENDPOINT_UP);
    world_fini(&world);
}

/* F1, G7: connect failures of live traffic are followed by a check at once. */
TEST(schedule, live_failures)
{
    world_init(&world, 2);
    struct health_check slow = tcp;
    slow.interval_ms = 60000;
    set_targets(&world, &slow, 0, 2);
    pass_ms(&world, 2000);
    uint64_t generation = world.pool->generation;
    unsigned before = world.net.connects;
    modes[1] = FAKE_REFUSES;
    world.endpoints[0]->connect_fails = 2;
    world.endpoints[0]->connect_errors = 2;
    pass_ms(&world, 500);
    CHECK_INT(world.net.connects, before);
    world.endpoints[0]->connect_fails = 3;
    world.endpoints[0]->connect_errors = 3;
    pass_ms(&world, 500);
    CHECK_INT(endpoint_health(world.endpoints[0]), ENDPOINT_HARD);
    CHECK(world.pool->generation != generation, "the pool's views learn of it");

    /* A false alarm costs one check, and is given once. */
    before = world.net.connects;
    world.endpoints[1]->connect_fails = 3;
    world.endpoints[1]->connect_errors = 3;
    pass_ms(&world, 2000);
    CHECK(checks[2] == 2 && endpoint_health(world.endpoints[1]) == ENDPOINT_UP, "%u", checks[2]);
    world_fini(&world);
}

/* B4: when all are silent and then all are due at once, a second carries at most twice the normal
 * number of checks; L31 bounds those in flight. */
TEST(schedule, outage)
{
    enum { N = 600 };
    world_init(&world, N);
    set_targets(&world, &tcp, 0, N);
    pass_ms(&world, 5000);
    set_modes(FAKE_SILENT);
    world.net.most_open = 0;
    for (int second = 0; second < 20; second++) {
        unsigned from = world.net.connects;
        pass_ms(&world, 1000);
        CHECK(world.net.connects - from <= N, "%u in second %d", world.net.connects - from, second);
    }
    CHECK_INT(count_health(&world, ENDPOINT_SOFT), N);
    CHECK(world.net.most_open <= N / 2 && world.net.most_open > N / 4, "%u", world.net.most_open);
    set_modes(FAKE_ACCEPTS);
    pass_ms(&world, 10000);
    CHECK_INT(count_health(&world, ENDPOINT_UP), N);
    world_fini(&world);
}

/* F27: after the process was stopped nothing is ejected, and checks do not come in one burst. */
TEST(schedule, stall)
{
    enum { N = 200 };
    world_init(&world, N);
    struct health_check hasty = tcp;
    hasty.fall = 1;
    world.net.latency_ns = 800 * NS_PER_MS;
    set_targets(&world, &hasty, 0, N);
    pass_ms(&world, 10000);
    CHECK_INT(count_health(&world, ENDPOINT_UP), N);
    for (int round = 0; round < 10; round++) {
        CHECK(world.health != NULL && world.net.open > 0, "some checks run");
        /* Those that run find their time-outs passed before their answers are looked at. */
        for (int fd = 0; fd < FAKE_FDS; fd++) {
            world.net.fds[fd].ready_ns += world.net.fds[fd].ready_ns != 0 ? 60 * NS_PER_S : 0;
        }
        fake_loop_stall(&world.net, 30 * NS_PER_S);
        unsigned from = world.net.connects;
        pass_ms(&world, 1000);
        CHECK(world.net.connects - from <= N, "%u checks at once", world.net.connects - from);
        pass_ms(&world, 4000);
        CHECK_INT(count_health(&world, ENDPOINT_UP), N);
    }
    CHECK(health_counts(world.health)->local > 0, "they were no verdict");
    world_fini(&world);
}

/* B2: what this process lacks says nothing about a server. */
TEST(schedule, local_failures)
{
    static const int errors[] = {-EMFILE, -ENFILE, -ENOMEM};
    world_init(&world, 4);
    set_targets(&world, &tcp, 0, 4);
    pass_ms(&world, 3000);
    uint64_t history = world.endpoints[0]->history;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        world.net.socket_error = errors[i];
        pass_ms(&world, 20000);
        CHECK_INT(count_health(&world, ENDPOINT_UP), 4);
    }
    CHECK(world.endpoints[0]->history == history, "nor does it stand in the history");
    CHECK(health_counts(world.health)->local >= 50, "but it is counted");
    world.net.socket_error = 0;
    modes[1] = FAKE_REFUSES;
    pass_ms(&world, 5000);
    CHECK_INT(endpoint_health(world.endpoints[0]), ENDPOINT_HARD);
    world_fini(&world);
}

/* B3, C2: a new plan keeps what is known of endpoints that were in the old one; checks under way
 * go on; others begin or end. */
TEST(schedule, targets_replaced)
{
    world_init(&world, 30);
    modes[5] = FAKE_REFUSES;
    set_targets(&world, &tcp, 0, 20);
    pass_ms(&world, 5000);
    CHECK_INT(endpoint_health(world.endpoints[4]), ENDPOINT_HARD);
    world.net.latency_ns = 700 * NS_PER_MS;
    for (int i = 0; i < 100; i++) {
        set_targets(&world, &tcp, (size_t)i % 3, 20 + (size_t)i % 10);
        pass_ms(&world, 50);
        CHECK(endpoint_health(world.endpoints[4]) == ENDPOINT_HARD && world.net.open <= 30,
              "reload %d", i);
    }
    CHECK_INT(count_health(&world, ENDPOINT_UP), 29);
    clear_counts();
    pass_ms(&world, 3000);
    CHECK(checks[20] >= 1 && checks[1] + checks[2] + checks[3] >= 2, "they are checked");
    modes[5] = FAKE_ACCEPTS;
    pass_ms(&world, 5000);
    CHECK_INT(endpoint_health(world.endpoints[4]), ENDPOINT_UP);
    set_targets(&world, &tcp, 0, 0);
    clear_counts();
    pass_ms(&world, 10000);
    CHECK_INT(checks[20], 0);
    CHECK_INT(health_counts(world.health)->running, 0);
    world_fini(&world);
}

/* Without checks nothing would ever bring an endpoint up: it is, at once. */
TEST(schedule, switched_off)
{
    static const struct health_check off = {.kind = HEALTH_OFF};
    world_init(&world, 2);
    set_modes(FAKE_SILENT);
    set_targets(&world, &tcp, 0, 2);
    pass_ms(&world, 10000);
    CHECK_INT(count_health(&world, ENDPOINT_SOFT), 2);
    set_targets(&world, &off, 0, 2);
    CHECK_INT(count_health(&world, ENDPOINT_UP), 2);
    clear_counts();
    pass_ms(&world, 10000);
    CHECK_INT(checks[1] + checks[2], 0);
    set_targets(&world, &tcp, 0, 2);
    pass_ms(&world, 10000);
    CHECK_INT(count_health(&world, ENDPOINT_SOFT), 2);
    world_fini(&world);
}

/* F16: without memory for the new plan the old one stays in force. */
TEST(schedule, no_memory)
{
    world_init(&world, 20);
    set_targets(&world, &tcp, 0, 10);
    pass_ms(&world, 3000);
    unsigned refused = 0;
    for (uint64_t n = 1; n <= 12; n++) {
        struct health_plan *plan = plan_of(&world, &tcp, 5, 20);
        mem_fail_at(n);
        enum err e = health_set_targets(world.health, &plan);
        mem_fail_at(0);
        CHECK(plan == NULL && (e == ERR_OK || e == ERR_NO_MEMORY), "%s", err_name(e));
        refused += e == ERR_NO_MEMORY;
        CHECK_INT(health_counts(world.health)->targets, e == ERR_OK ? 15 : 10);
    }
    CHECK(refused == 11, "one array and ten targets are allocated: %u", refused);
    clear_counts();
    pass_ms(&world, 3000);
    CHECK(checks[1] == 0 && checks[6] > 0 && checks[20] > 0, "the last plan was taken");
    world_fini(&world);
}
