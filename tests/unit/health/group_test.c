#include "check.h"
#include "fake_loop.h"
#include "health/target.h"
#include "pick/registry.h"

#include <stdio.h>

#define SERVERS     5
#define INTERVAL_MS 2000
#define DB          SPAN("db")

/* C4 on a virtual clock: one pool whose servers depend on "db" and "cache". No check runs; the
 * tests say what checks would have found. */
struct world {
    struct fake_loop net;
    struct registry *registry;
    struct pool_state *pool;
    struct health health;
    struct span depends[2];
    struct health_check check;
    struct plan_target plans[SERVERS];
    struct target targets[SERVERS];
    unsigned asked;
};

static void on_ask(void *user, struct span name)
{
    struct world *w = user;
    CHECK(span_eq(name, DB) || span_eq(name, SPAN("cache")), "%.*s", SPAN_FMT(name));
    w->asked++;
}

static void add_target(struct world *w, int i)
{
    struct target *t = &w->targets[i];
    char address[32];
    snprintf(address, sizeof address, "10.0.0.%d:80", i + 1);
    t->health = &w->health;
    t->plan = &w->plans[i];
    w->plans[i].check = &w->check;
    CHECK(registry_endpoint(w->registry, w->pool, span_str(address), span_str(address), 0,
                            &t->endpoint) == ERR_OK,
          "endpoint");
    verdict_init(&t->verdict, ENDPOINT_UP, true);
    verdict_init(&t->ready, ENDPOINT_UP, true);
    list_init(&t->in_group);
    group_join(t);
}

static void world_init(struct world *w)
{
    memset(w, 0, sizeof *w);
    fake_loop_init(&w->net);
    w->registry = registry_new(100);
    CHECK(registry_pool(w->registry, SPAN("api"), &w->pool) == ERR_OK, "pool");
    w->health.env.loop = &w->net.loop;
    list_init(&w->health.groups);
    w->depends[0] = DB;
    w->depends[1] = SPAN("cache");
    w->check = (struct health_check){.kind = HEALTH_HTTP,
                                     .pool = SPAN("api"),
                                     .ready = true,
                                     .depends = w->depends,
                                     .depend_count = 2,
                                     .interval_ms = INTERVAL_MS,
                                     .fall = 1,
                                     .rise = 1};
    health_on_doubt(&w->health, on_ask, w);
    for (int i = 0; i < SERVERS; i++)
        add_target(w, i);
}

static void world_fini(struct world *w)
{
    for (int i = 0; i < SERVERS; i++) {
        group_leave(&w->targets[i]);
        endpoint_unref(&w->targets[i].endpoint);
    }
    CHECK(list_empty(&w->health.groups), "no group without members");
    CHECK(list_empty(&w->net.timers), "and no timer");
    pool_state_unref(&w->pool);
    registry_sweep(w->registry);
    registry_free(&w->registry);
}

static void pass(struct world *w, int64_t ms)
{
    fake_loop_pass(&w->net, ms * NS_PER_MS);
}

/* As health/target.c does when the first bad answer suffices. */
static void turns(struct world *w, int i, bool good, uint32_t blames)
{
    struct target *t = &w->targets[i];
    if (!good && t->unready_ns == 0)
        group_doubt(t->group);
    t->unready_ns = good ? 0 : w->net.loop.now_ns;
    t->blames = blames;
    t->ready.health = good ? ENDPOINT_UP : ENDPOINT_SOFT;
    t->turned_ms = loop_now_ms(&w->net.loop);
    t->spared = !good;
    group_judge(t->group);
}

static void unready(struct world *w, int i)
{
    turns(w, i, false, 0);
}

static void dies(struct world *w, int i)
{
    w->targets[i].verdict.health = ENDPOINT_HARD;
    group_judge(w->targets[i].group);
}

/* A probe that began and ended a moment after all that has happened. */
static bool told(struct world *w, struct span name, bool good)
{
    pass(w, 1);
    struct health_finding found = {.good = good, .began_ns = w->net.loop.now_ns, .rise = 2};
    return health_dependency(&w->health, name, &found);
}

/* "uushu": each server's health, by its first letter. */
static const char *healths(const struct world *w)
{
    static char text[SERVERS + 1];
    for (int i = 0; i < SERVERS; i++)
        text[i] = endpoint_health_name(endpoint_health(w->targets[i].endpoint))[0];
    return text;
}

static enum shared_reason fault(const struct world *w)
{
    return (enum shared_reason)atomic_load(&w->pool->fault);
}

#define SAME(w, wanted) CHECK(strcmp(healths(w), wanted) == 0, "%s, not %s", healths(w), wanted)

TEST(group, one_server_is_held_back_until_all_that_it_needs_was_asked)
{
    struct world w;
    world_init(&w);
    unready(&w, 0);
    CHECK(w.asked == 2, "both are asked: %u", w.asked);
    SAME(&w, "uuuuu");
    (void)told(&w, DB, true);
    SAME(&w, "uuuuu");
    (void)told(&w, SPAN("cache"), true);
    SAME(&w, "suuuu");
    CHECK(fault(&w) == SHARED_NONE, "its own failure");
    turns(&w, 0, true, 0);
    SAME(&w, "uuuuu");
    world_fini(&w);
}

TEST(group, what_was_asked_before_it_failed_excuses_and_accuses_nobody)
{
    struct world w;
    world_init(&w);
    (void)told(&w, DB, true);
    (void)told(&w, SPAN("cache"), true);
    pass(&w, 1);
    unready(&w, 1);
    SAME(&w, "uuuuu");
    world_fini(&w);
}

TEST(group, without_anybody_who_asks_time_decides)
{
    struct world w;
    world_init(&w);
    unready(&w, 0);
    pass(&w, SHARED_INTERVALS * INTERVAL_MS - 1);
    SAME(&w, "uuuuu");
    pass(&w, 1);
    SAME(&w, "suuuu");
    world_fini(&w);
}

TEST(group, c4_a_the_probe_fails_too)
{
    struct world w;
    world_init(&w);
    CHECK(told(&w, DB, false), "one bad probe suffices");
    CHECK(fault(&w) == SHARED_NONE, "nobody suffers from it");
    for (int i = 0; i < SERVERS; i++)
        unready(&w, i);
    CHECK(fault(&w) == SHARED_PROBE && atomic_load(&w.pool->faults) == 1, "once");
    pass(&w, 100 * INTERVAL_MS);
    SAME(&w, "uuuuu");
    dies(&w, 2);
    SAME(&w, "uuhuu");
    CHECK(told(&w, DB, true), "one good probe is not enough");
    CHECK(!told(&w, DB, true), "two are");
    for (int i = 0; i < SERVERS; i++)
        turns(&w, i, true, 0);
    CHECK(fault(&w) == SHARED_NONE, "over");
    SAME(&w, "uuhuu");
    world_fini(&w);
}

TEST(group, c4_a_after_its_end_each_answers_for_itself_but_not_at_once)
{
    struct world w;
    world_init(&w);
    (void)told(&w, DB, false);
    unready(&w, 0);
    unready(&w, 1);
    (void)told(&w, DB, true);
    (void)told(&w, DB, true);
    turns(&w, 0, true, 0);
    pass(&w, SHARED_INTERVALS * INTERVAL_MS - 1);
    SAME(&w, "uuuuu");
    pass(&w, 1);
    CHECK(fault(&w) == SHARED_NONE, "over");
    SAME(&w, "usuuu");
    world_fini(&w);
}

TEST(group, c4_b_two_blame_it)
{
    struct world w;
    world_init(&w);
    turns(&w, 0, false, 2);
    (void)told(&w, DB, true);
    (void)told(&w, SPAN("cache"), true);
    SAME(&w, "suuuu");
    turns(&w, 3, false, 2);
    CHECK(fault(&w) == SHARED_BLAMED, "the second");
    CHECK(atomic_load(&w.pool->fault_dependency) == 1, "cache");
    SAME(&w, "uuuuu");
    world_fini(&w);
}

/* C4 (c) and C11: three of five together; the one that failed long before has a reason of its own.
 */
TEST(group, c4_c_most_of_them_at_a_time)
{
    struct world w;
    world_init(&w);
    unready(&w, 4);
    (void)told(&w, DB, true);
    (void)told(&w, SPAN("cache"), true);
    SAME(&w, "uuuus");
    pass(&w, (2 * SHARED_INTERVALS + 1) * INTERVAL_MS);
    unready(&w, 0);
    unready(&w, 1);
    CHECK(fault(&w) == SHARED_NONE, "two of five are not most");
    unready(&w, 2);
    CHECK(fault(&w) == SHARED_TOGETHER, "three are");
    SAME(&w, "uuuus");
    world_fini(&w);
}

TEST(group, who_was_ejected_for_his_answers_comes_back_with_it)
{
    struct world w;
    world_init(&w);
    for (int i = 0; i < 2; i++)
        atomic_store(&w.targets[i].endpoint->out_until, INT64_MAX);
    atomic_store(&w.targets[1].endpoint->connect_fails, 3);
    (void)told(&w, DB, false);
    unready(&w, 2);
    int64_t now_ms = loop_now_ms(&w.net.loop);
    CHECK(!endpoint_out(w.targets[0].endpoint, now_ms), "answered 500");
    CHECK(endpoint_out(w.targets[1].endpoint, now_ms), "could not be reached");
    world_fini(&w);
}

TEST(group, a_reload_that_depends_on_nothing_ends_it)
{
    struct world w;
    world_init(&w);
    (void)told(&w, DB, false);
    for (int i = 0; i < SERVERS; i++)
        unready(&w, i);
    SAME(&w, "uuuuu");
    w.check.depend_count = 0;
    for (int i = 0; i < SERVERS; i++) {
        group_join(&w.targets[i]);
        target_settle(&w.targets[i], ERR_BACKEND_UNHEALTHY);
    }
    CHECK(fault(&w) == SHARED_NONE, "over");
    SAME(&w, "sssss");
    world_fini(&w);
}

TEST(group, a_dependency_that_nobody_tells_of_any_more_excuses_nobody)
{
    struct world w;
    world_init(&w);
    (void)told(&w, DB, false);
    unready(&w, 0);
    CHECK(fault(&w) == SHARED_PROBE, "down");
    health_forget_dependency(&w.health, DB);
    health_forget_dependency(&w.health, SPAN("unknown"));
    pass(&w, SHARED_INTERVALS * INTERVAL_MS);
    CHECK(fault(&w) == SHARED_NONE, "over");
    SAME(&w, "suuuu");
    world_fini(&w);
}

TEST(group, more_dependencies_than_there_is_room_for)
{
    struct world w;
    char name[16];
    world_init(&w);
    for (int i = 0; i < HEALTH_DEPENDENCY_MOST; i++) {
        snprintf(name, sizeof name, "d%d", i);
        CHECK(told(&w, span_str(name), false) && told(&w, span_str(name), true), "remembered");
    }
    CHECK(told(&w, SPAN("more"), false) && !told(&w, SPAN("more"), true), "only what is said now");
    CHECK(w.health.dependency_count == HEALTH_DEPENDENCY_MOST, "bounded");
    world_fini(&w);
}
