#include "check.h"

#include "base/clock.h"
#include "health/spread.h"

static void settle(struct spread *s, unsigned targets, int64_t interval_ms, int64_t timeout_ms)
{
    spread_clear(s);
    for (unsigned i = 0; i < targets; i++) {
        spread_add(s, interval_ms, timeout_ms);
    }
    spread_settle(s);
}

/* How many checks begin within [from, from + 1 s) where all are due and none takes time. */
static unsigned begun_in_second(struct spread *s, int64_t from_ns)
{
    unsigned n = 0;
    for (int64_t now = from_ns; now < from_ns + NS_PER_S; now += NS_PER_MS) {
        while (spread_when_ns(s) <= now) {
            spread_begin(s, now);
            n++;
        }
    }
    return n;
}

/* B4: after an outage the first second carries at most twice the normal rate, and not much less. */
TEST(spread, twice_the_rate)
{
    static const unsigned sizes[] = {20, 100, 1000, 10000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct spread s = {0};
        settle(&s, sizes[i], 2000, 1000);
        unsigned normal = sizes[i] / 2, n = begun_in_second(&s, 1000 * NS_PER_S);
        CHECK(n <= 2 * normal && n >= normal * 3 / 2, "%u targets: %u", sizes[i], n);
        /* A quiet hour is not saved up. */
        n = begun_in_second(&s, 5000 * NS_PER_S);
        CHECK(n <= 2 * normal, "%u targets: %u", sizes[i], n);
    }
}

TEST(spread, small_pools_are_not_slowed)
{
    struct spread s = {0};
    settle(&s, 2, 2000, 1000);
    CHECK(begun_in_second(&s, NS_PER_S) >= 16, "two targets may be checked as soon as L31 says");
}

/* L31: max(64, targets * timeout / interval). */
TEST(spread, in_flight)
{
    struct spread s = {0};
    settle(&s, 10, 2000, 1000);
    CHECK_INT(s.most, 64);
    settle(&s, 1000, 2000, 1000);
    CHECK_INT(s.most, 500);
    settle(&s, 0, 0, 0);
    CHECK_INT(s.most, 64);
}
