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
    pace_rest(&p, 2 * NS_PER_S);
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
    pace_lapse(&p);
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

/* L7: ten seconds of waiting are a window, whatever rests are between them. */
TEST(pace, a_window_goes_on_after_a_rest)
{
    for (uint64_t bytes = 10239; bytes <= 10240; bytes++) {
        struct pace p = {0};
        int64_t now = NS_PER_S;
        uint64_t total = 0;
        for (int turn = 0; turn < 4; turn++) {
            pace_wait(&p, now, total);
            CHECK(!pace_late(&p, &rate_rule, now + NS_PER_S, total), "turn %d", turn);
            now += 2 * NS_PER_S;
            total += turn < 3 ? 2560 : bytes - 3 * 2560;
            pace_rest(&p, now);
            now += 60 * NS_PER_S;
        }
        pace_wait(&p, now, total);
        CHECK_INT(pace_due_ns(&p, &rate_rule), now + 2 * NS_PER_S);
        CHECK(!pace_late(&p, &rate_rule, now + 2 * NS_PER_S - 1, total), "not yet");
        CHECK(pace_late(&p, &rate_rule, now + 2 * NS_PER_S, total) == (bytes < 10240), "%d bytes",
              (int)bytes);
    }
}

/* L7: who has taken all by the time that somebody looks is not judged by that time. */
TEST(pace, what_lapses_does_not_count)
{
    struct pace p = {0};
    int64_t now = NS_PER_S;
    for (int i = 0; i < 100; i++, now += 9 * NS_PER_S) {
        pace_wait(&p, now, 0);
        CHECK(!pace_late(&p, &rate_rule, now, 0), "at once");
        pace_lapse(&p);
    }
    pace_wait(&p, now, 0);
    pace_wait(&p, now + 9 * NS_PER_S, 0);
    pace_lapse(&p);
    now += 100 * NS_PER_S;
    pace_wait(&p, now, 0);
    CHECK(!pace_late(&p, &rate_rule, now + NS_PER_S - 1, 0), "what was seen to last counts");
    CHECK(pace_late(&p, &rate_rule, now + NS_PER_S, 0), "and the window ends by it");
}

/* F27: a process that was stopped has not looked: that is nobody's window. */
TEST(pace, a_stop_is_not_held_against_anybody)
{
    const struct pace_rule rule = {.window_ns = 30 * NS_PER_S, .rate = 1024};
    struct pace p = {0};
    int64_t now = NS_PER_S;
    pace_wait(&p, now, 0);
    now += PACE_BLIND_NS + 1;
    CHECK(!pace_late(&p, &rule, now, 100), "stopped");
    now += 40 * NS_PER_S;
    pace_rest(&p, now);
    pace_wait(&p, now, 100);
    CHECK(pace_due_ns(&p, &rule) < now + PACE_BLIND_NS, "a running one looks more often");
    for (int64_t left = 30; left > 10; left -= 10, now += 10 * NS_PER_S)
        CHECK(!pace_late(&p, &rule, now + 10 * NS_PER_S, 100), "%d s left", (int)left);
    CHECK(pace_late(&p, &rule, now + 10 * NS_PER_S, 100), "a window of its own");
}

/* Rates up to those that can be configured, over windows longer than meant. */
TEST(pace, no_rate_is_too_large)
{
    const struct pace_rule rule = {.window_ns = 30 * NS_PER_S, .rate = 1ULL << 50};
    struct pace p = {0};
    pace_wait(&p, NS_PER_S, 0);
    CHECK(!pace_late(&p, &rule, 16 * NS_PER_S, 1ULL << 54), "half of it");
    CHECK(pace_late(&p, &rule, 31 * NS_PER_S, 1ULL << 54), "too little");
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
