#include "check.h"
#include "health/shared.h"

#define INTERVAL_MS 2000

/* A pool on a virtual clock: when each server began to fail, and whom it blames. */
struct pool {
    struct shared state;
    size_t servers;
    int64_t failing_ms[8]; /* 0: it does not fail */
    uint32_t blames[8];
    uint32_t down;
    int64_t now_ms;
};

static bool judge(struct pool *p)
{
    struct shared_facts f = {.interval_ms = INTERVAL_MS, .down = p->down, .servers = p->servers};
    for (size_t i = 0; i < p->servers; i++) {
        if (p->failing_ms[i] != 0)
            shared_add(&f, p->failing_ms[i], p->blames[i], p->now_ms);
    }
    return shared_judge(&p->state, &f, p->now_ms);
}

static void fail(struct pool *p, size_t i, uint32_t blames)
{
    p->failing_ms[i] = p->now_ms;
    p->blames[i] = blames;
}

static bool is_part(const struct pool *p, size_t i)
{
    return shared_is_part(&p->state, p->failing_ms[i], INTERVAL_MS);
}

/* C4: one of five with broken credentials of its own is nobody else's matter. */
TEST(shared, one_of_five_is_its_own_fault)
{
    struct pool p = {.servers = 5, .now_ms = 100000};
    fail(&p, 0, 1);
    CHECK(!judge(&p) && p.state.reason == SHARED_NONE, "blamed by one server only");
    CHECK(!is_part(&p, 0), "not spared");
    p.now_ms += 60000;
    CHECK(!judge(&p), "nor later");
}

/* C4 (a). */
TEST(shared, the_probe_fails_too)
{
    struct pool p = {.servers = 2, .now_ms = 100000, .down = 4};
    CHECK(!judge(&p), "servers that are ready need no excuse");
    fail(&p, 1, 0);
    CHECK(judge(&p) && p.state.reason == SHARED_PROBE && p.state.dependency == 2, "excused");
    CHECK_INT(p.state.since_ms, 100000);
    p.now_ms += 600000;
    CHECK(!judge(&p) && is_part(&p, 1), "for as long as it takes");
}

/* C4 (b). */
TEST(shared, two_blame_the_same)
{
    struct pool p = {.servers = 8, .now_ms = 100000};
    fail(&p, 0, 1);
    fail(&p, 1, 2);
    CHECK(!judge(&p), "different ones");
    fail(&p, 2, 2);
    CHECK(judge(&p) && p.state.reason == SHARED_BLAMED && p.state.dependency == 1, "the second");
    p.down = 1;
    CHECK(judge(&p) && p.state.reason == SHARED_PROBE && p.state.dependency == 0,
          "what was seen counts for more than what was said");
    CHECK_INT(p.state.since_ms, 100000);
}

/* C4 (c): 60 % of at least three within three intervals. */
TEST(shared, most_fail_at_nearly_the_same_time)
{
    struct pool p = {.servers = 5, .now_ms = 100000};
    fail(&p, 0, 0);
    fail(&p, 1, 0);
    CHECK(!judge(&p), "two of five");
    p.now_ms += 3 * INTERVAL_MS;
    fail(&p, 2, 0);
    CHECK(judge(&p) && p.state.reason == SHARED_TOGETHER, "three, just within the time");
    CHECK(is_part(&p, 0) && is_part(&p, 2), "all of them");

    struct pool slow = {.servers = 5, .now_ms = 100000};
    fail(&slow, 0, 0);
    fail(&slow, 1, 0);
    slow.now_ms += 3 * INTERVAL_MS + 1;
    fail(&slow, 2, 0);
    CHECK(!judge(&slow), "not together");

    struct pool small = {.servers = 2, .now_ms = 100000};
    fail(&small, 0, 0);
    fail(&small, 1, 0);
    CHECK(!judge(&small), "two servers are no crowd");
}

/* Whoever failed long before the others has a reason of his own. */
TEST(shared, an_old_failure_is_not_part_of_it)
{
    struct pool p = {.servers = 5, .now_ms = 100000};
    fail(&p, 0, 0);
    p.now_ms += 60000;
    p.down = 1;
    fail(&p, 1, 0);
    CHECK(judge(&p), "begun");
    CHECK(!is_part(&p, 0) && is_part(&p, 1), "only the one that failed with it");
    p.now_ms += 60000;
    fail(&p, 2, 0);
    CHECK(is_part(&p, 2), "and all that fail later");
}

/* It ends when none fails, or when nothing speaks for it for three intervals: servers need their
 * time to be found ready. */
TEST(shared, the_end)
{
    struct pool p = {.servers = 2, .now_ms = 100000, .down = 1};
    fail(&p, 0, 0);
    fail(&p, 1, 0);
    CHECK(judge(&p), "begun");
    p.down = 0;
    p.now_ms += 1000;
    CHECK(!judge(&p) && p.state.reason != SHARED_NONE, "not at once");
    CHECK_INT(shared_again_ms(&p.state, INTERVAL_MS), 101000 + 3 * INTERVAL_MS);
    p.down = 1;
    p.now_ms += 1000;
    CHECK(!judge(&p) && shared_again_ms(&p.state, INTERVAL_MS) == 0, "it is back");
    p.down = 0;
    CHECK(!judge(&p), "once more");
    p.failing_ms[0] = 0;
    p.now_ms += 3 * INTERVAL_MS - 1;
    CHECK(!judge(&p), "still");
    p.now_ms += 1;
    CHECK(judge(&p) && p.state.reason == SHARED_NONE, "over, and the other answers for itself");
    CHECK_INT(p.state.since_ms, p.now_ms);

    p.down = 1;
    CHECK(judge(&p), "begun again");
    p.failing_ms[1] = 0;
    CHECK(judge(&p) && p.state.reason == SHARED_NONE, "nobody fails: at once");
}

/* Flapping: however it goes on and off, no server that fails with the others is ever judged by
 * itself within three intervals of the last sign. */
TEST(shared, flapping)
{
    struct pool p = {.servers = 4, .now_ms = 100000};
    unsigned changes = 0;
    for (size_t i = 0; i < 4; i++)
        fail(&p, i, 0);
    p.servers = 2; /* too few for being many: the probe alone says it */
    for (int round = 0; round < 1000; round++) {
        p.now_ms += 1500;
        p.down = (uint32_t)round & 1;
        changes += judge(&p);
    }
    CHECK_INT(changes, 1);
}
