/* Pauses and minimum rates (RELIABILITY L6, L7, L8). */
#include "proxy/pace.h"

#include "base/clock.h"
#include "check.h"

static const struct pace_rule pause_rule = {.pause_ns = 30 * NS_PER_S};
static const struct pace_rule rate_rule = {
    .pause_ns = 30 * NS_PER_S, .window_ns = 10 * NS_PER_S, .rate = 1024};

TEST(pace, rests_until_somebody_waits)
{
    struct pace p = {0};
    CHECK(!pace_late(&p, &pause_rule, 1000 * NS_PER_S, 0), "never began");
    CHECK(pace_due_ns(&p, &pause_rule) == PACE_NEVER, "never due");
    pace_wait(&p, NS_PER_S, 0);
    pace_rest(&p);
    CHECK(!pace_late(&p, &pause_rule, 1000 * NS_PER_S, 0), "rests");
    CHECK(pace_due_ns(&p, &pause_rule) == PACE_NEVER, "rests");
}

TEST(pace, a_pause_counts_from_the_last_progress)
{
    struct pace p = {0};
    pace_wait(&p, NS_PER_S, 7);
    CHECK_INT(pace_due_ns(&p, &pause_rule), 31 * NS_PER_S);
    CHECK(!pace_late(&p, &pause_rule, 31 * NS_PER_S - 1, 7), "just before");
    CHECK(!pace_late(&p, &pause_rule, 31 * NS_PER_S, 8), "one byte came");
    CHECK_INT(pace_due_ns(&p, &pause_rule), 61 * NS_PER_S);
    CHECK(pace_late(&p, &pause_rule, 61 * NS_PER_S, 8), "L8: a whole pause");
}

TEST(pace, waiting_begins_once)
{
    struct pace p = {0};
    pace_wait(&p, NS_PER_S, 0);
    pace_wait(&p, 20 * NS_PER_S, 0);
    CHECK(pace_late(&p, &pause_rule, 31 * NS_PER_S, 0), "from the first call");
    pace_rest(&p);
    pace_wait(&p, 40 * NS_PER_S, 0);
    CHECK(!pace_late(&p, &pause_rule, 69 * NS_PER_S, 0), "rest forgets");
}

/* L6: 10 KiB in ten seconds are enough, a byte less is not, in every window. */
TEST(pace, a_window_wants_its_mean_rate)
{
    for (uint64_t bytes = 10239; bytes <= 10240; bytes++) {
        struct pace p = {0};
        bool enough = bytes == 10240;
        pace_wait(&p, NS_PER_S, 5);
        CHECK(!pace_late(&p, &rate_rule, 6 * NS_PER_S, 6), "inside the window");
        CHECK(pace_late(&p, &rate_rule, 11 * NS_PER_S, 5 + bytes) == !enough, "%d bytes",
              (int)bytes);
        CHECK(!pace_late(&p, &rate_rule, 21 * NS_PER_S - 1, 5 + bytes), "the next window is open");
        CHECK(pace_late(&p, &rate_rule, 21 * NS_PER_S, 6 + bytes), "one byte in the second");
    }
}

TEST(pace, is_due_at_the_nearer_end)
{
    struct pace p = {0};
    const struct pace_rule none = {0};
    pace_wait(&p, NS_PER_S, 0);
    CHECK_INT(pace_due_ns(&p, &rate_rule), 11 * NS_PER_S);
    CHECK_INT(pace_due_ns(&p, &pause_rule), 31 * NS_PER_S);
    CHECK(pace_due_ns(&p, &none) == PACE_NEVER, "no rule");
    CHECK(!pace_late(&p, &none, 1000000 * NS_PER_S, 0), "no rule");
}
