#include "check.h"

#include "base/limits.h"
#include "health/verdict.h"

#define UP   ENDPOINT_UP
#define SOFT ENDPOINT_SOFT
#define HARD ENDPOINT_HARD

/* One row: from a state, results as letters (g good, s soft, h hard, n none), and where they lead.
 * fall 3, rise 2, checked before. */
struct row {
    enum endpoint_health from;
    const char *results;
    enum endpoint_health to;
    bool settled;
};

static enum verdict_result result_of(char c)
{
    return c == 'g'   ? VERDICT_GOOD
           : c == 's' ? VERDICT_SOFT
           : c == 'h' ? VERDICT_HARD
                      : VERDICT_NONE;
}

static void run(struct verdict *v, const char *results)
{
    for (const char *r = results; *r != 0; r++) {
        enum endpoint_health before = v->health;
        bool changed = verdict_add(v, result_of(*r), LIMIT_CHECK_FALL, LIMIT_CHECK_RISE);
        CHECK(changed == (v->health != before), "\"%s\" at %c", results, *r);
    }
}

/* B1, L31: every transition and every way to stay. */
TEST(verdict, table)
{
    static const struct row rows[] = {
        {UP, "g", UP, true},         {UP, "s", UP, false},       {UP, "ss", UP, false},
        {UP, "sss", SOFT, true},     {UP, "hhh", HARD, true},    {UP, "hhs", SOFT, true},
        {UP, "ssh", HARD, true},     {UP, "ssg", UP, true},      {UP, "ssgss", UP, false},
        {UP, "ssgsss", SOFT, true},  {UP, "n", UP, true},        {UP, "snsns", SOFT, true},
        {UP, "snn", UP, false},      {SOFT, "s", SOFT, true},    {SOFT, "g", SOFT, false},
        {SOFT, "gg", UP, true},      {SOFT, "gsg", SOFT, false}, {SOFT, "gng", UP, true},
        {SOFT, "hh", SOFT, false},   {SOFT, "hhh", HARD, true},  {SOFT, "hhsh", SOFT, false},
        {SOFT, "hhgh", SOFT, false}, {HARD, "h", HARD, true},    {HARD, "gg", UP, true},
        {HARD, "ss", HARD, false},   {HARD, "sss", SOFT, true},  {HARD, "sgs", HARD, false},
        {HARD, "n", HARD, true},     {HARD, "ghg", HARD, false}, {UP, "sssgg", UP, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct verdict v;
        verdict_init(&v, rows[i].from, true);
        run(&v, rows[i].results);
        CHECK(v.health == rows[i].to && verdict_settled(&v) == rows[i].settled,
              "row %zu \"%s\": health %d, want %d; settled %d", i, rows[i].results, v.health,
              rows[i].to, verdict_settled(&v));
    }
}

/* B3: optimistic until the first check says otherwise, and only then. */
TEST(verdict, first_check_decides)
{
    static const struct row rows[] = {
        {UP, "s", SOFT, true},    {UP, "h", HARD, true}, {UP, "ns", SOFT, true},
        {UP, "gs", UP, false},    {UP, "gh", UP, false}, {SOFT, "g", SOFT, false},
        {HARD, "g", HARD, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct verdict v;
        verdict_init(&v, rows[i].from, false);
        run(&v, rows[i].results);
        CHECK(v.health == rows[i].to && verdict_settled(&v) == rows[i].settled, "row %zu", i);
    }
}

/* F1: after failures of live traffic one failed check confirms, as HARD; a good one clears it. */
TEST(verdict, live_failures)
{
    struct verdict v;
    verdict_init(&v, UP, true);
    CHECK(verdict_live_fails(&v), "a check should follow");
    CHECK(!verdict_live_fails(&v), "but one only");
    run(&v, "s");
    CHECK_INT(v.health, HARD);
    CHECK(!verdict_live_fails(&v), "down already");

    verdict_init(&v, UP, true);
    CHECK(verdict_live_fails(&v), "a check should follow");
    run(&v, "ngs");
    CHECK_INT(v.health, UP);
    CHECK(!verdict_settled(&v), "one contrary result counts");
}

/* Properties over random rows: a change needs fall or rise contrary results in a row; a good result
 * never leads away from UP, a bad one never to it; no result is lost on VERDICT_NONE. */
TEST(verdict, properties)
{
    struct rng rng;
    rng_seed(&rng, 31);
    for (int round = 0; round < 2000; round++) {
        unsigned fall = 1 + (unsigned)rng_below(&rng, 5), rise = 1 + (unsigned)rng_below(&rng, 5);
        unsigned good = 0, bad = 0;
        struct verdict v;
        verdict_init(&v, (enum endpoint_health)rng_below(&rng, 3), true);
        for (int i = 0; i < 60; i++) {
            enum verdict_result r = (enum verdict_result)rng_below(&rng, 4);
            struct verdict before = v;
            bool changed = verdict_add(&v, r, fall, rise);
            if (r == VERDICT_NONE) {
                CHECK(memcmp(&before, &v, sizeof v) == 0 && !changed, "B2: none changes nothing");
                continue;
            }
            good = r == VERDICT_GOOD ? good + 1 : 0;
            bad = r == VERDICT_GOOD ? 0 : bad + 1;
            CHECK(!changed || (v.health == UP ? good >= rise : bad >= fall), "in a row");
            CHECK(good < rise || v.health == UP, "rise good ones: up");
            CHECK(bad < fall || v.health != UP, "fall bad ones: down");
        }
    }
}

TEST(verdict, reasons)
{
    CHECK_INT(verdict_result(ERR_OK), VERDICT_GOOD);
    static const enum err hard[] = {ERR_BACKEND_REFUSED, ERR_BACKEND_UNREACHABLE};
    static const enum err soft[] = {ERR_BACKEND_CONNECT_TIMEOUT, ERR_BACKEND_TLS,
                                    ERR_BACKEND_RESET,           ERR_BACKEND_PROTOCOL,
                                    ERR_BACKEND_HEAD_TOO_LARGE,  ERR_BACKEND_TIMEOUT,
                                    ERR_BACKEND_TRUNCATED,       ERR_BACKEND_UNHEALTHY};
    /* B2 */
    static const enum err none[] = {ERR_NO_MEMORY, ERR_NO_DESCRIPTOR, ERR_NO_PORT, ERR_FULL,
                                    ERR_SYSTEM,    ERR_INTERNAL,      ERR_SHUTDOWN};
    for (size_t i = 0; i < sizeof hard / sizeof *hard; i++) {
        CHECK_INT(verdict_result(hard[i]), VERDICT_HARD);
    }
    for (size_t i = 0; i < sizeof soft / sizeof *soft; i++) {
        CHECK_INT(verdict_result(soft[i]), VERDICT_SOFT);
    }
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        CHECK_INT(verdict_result(none[i]), VERDICT_NONE);
    }
}

/* L31, B4: the interval, or half a second while not settled, each +-20 % and really spread. */
TEST(verdict, waits)
{
    struct rng rng;
    rng_seed(&rng, 4);
    struct verdict v;
    verdict_init(&v, UP, true);
    for (int unsettled = 0; unsettled < 2; unsettled++) {
        int64_t ms = unsettled ? LIMIT_CHECK_SOON_MS : 2000, least = ms, most = ms;
        for (int i = 0; i < 1000; i++) {
            int64_t w = verdict_wait_ms(&v, 2000, &rng);
            CHECK(w >= ms * 8 / 10 && w <= ms * 12 / 10, "%lld", (long long)w);
            least = w < least ? w : least;
            most = w > most ? w : most;
        }
        CHECK(least < ms * 85 / 100 && most > ms * 115 / 100, "not spread: %lld..%lld",
              (long long)least, (long long)most);
        run(&v, "s");
    }
    CHECK(verdict_wait_ms(&v, 100, &rng) <= 120, "a shorter interval stays");
}
