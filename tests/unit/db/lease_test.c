#include "check.h"
#include "db/lease.h"
#include "rows.h"

/* Servers whose port is 1 fail their checks. */
static bool port_one(void *ctx, const struct row *row)
{
    (void)ctx;
    return addr_port(&row->addr) == 1;
}

static size_t left(struct lease_book *b, const char *lines, int64_t now_ms, bool gap)
{
    struct row_set *set = rows_of(lines);
    set->after_gap = gap;
    (void)lease_settle(b, set, now_ms, port_one, NULL);
    size_t n = set->count;
    row_set_free(&set);
    return n;
}

#define GOOD(ip) "a 10.0.0." ip ":80 100  active 1000 f f\n"

TEST(lease, a_lapsed_lease_is_a_suspicion)
{
    struct lease_book b = {0};
    CHECK(left(&b, GOOD("1") GOOD("2") "a 10.0.0.3:80 9  active 1000 t f", 5, false) == 3, "kept");
    CHECK(b.suspects == 1, "but known");
    CHECK(left(&b, GOOD("1") GOOD("2") "a 10.0.0.3:1 9  active 1000 t f", 5, false) == 2,
          "its checks fail too");
    CHECK(left(&b, GOOD("1") GOOD("2") "a 10.0.0.3:1 9  active 1000 f f", 5, false) == 3,
          "failing checks alone are health's matter");
    CHECK(left(&b, GOOD("1") GOOD("2") "a 10.0.0.3:80 9  active 1000 t t", 5, false) == 2,
          "ten times its lease");
    CHECK(b.brakes == 0, "no brake");
}

TEST(lease, whoever_goes_is_named_with_the_reason)
{
    struct lease_book b = {0};
    struct row_set *set =
        rows_of(GOOD("1") GOOD("2") GOOD("4") "a 10.0.0.3:1 9  active 1000 t f\n"
                                              "b 10.0.0.3:80 9  active 1000 t t\n");
    (void)lease_settle(&b, set, 5, port_one, NULL);
    CHECK(set->count == 3 && set->bad_count == 2 && set->skipped == 0, "two");
    CHECK(span_eq(set->bad[0].address, SPAN("10.0.0.3:1")) &&
              strcmp(set->bad[0].why, "its lease is over, and its checks fail") == 0,
          "%s", set->bad[0].why);
    CHECK(span_eq(set->bad[1].pool, SPAN("b")) &&
              strcmp(set->bad[1].why, "its lease has been over for ten times its length") == 0,
          "%s", set->bad[1].why);
    row_set_free(&set);
}

TEST(lease, c11_many_at_a_time_are_kept)
{
    struct lease_book b = {0};
    const char *two = GOOD("1") "a 10.0.0.2:80 9  active 9 t t\na 10.0.0.3:80 9  active 9 t t\n";
    CHECK(left(&b, two, 5, false) == 3 && b.brakes == 1, "two of three stay");
    CHECK(left(&b, "a 10.0.0.2:80 9  active 9 t t\n", 5, false) == 0, "one alone may go");
    CHECK(left(&b, "a 10.0.0.2:1 9  active 9 t t\na 10.0.0.3:1 9  active 9 t t\n", 5, false) == 0,
          "where checks confirm it");
    CHECK(left(&b,
               GOOD("1") GOOD("2")
                   GOOD("4") "a 10.0.0.2:81 9  active 9 t t\n"
                             "b 10.0.0.3:80 9  active 9 t t\nb 10.0.0.4:80 9  active 9 t t\n",
               5, false) == 5,
          "each pool by itself");
}

TEST(lease, after_a_gap_servers_may_renew)
{
    struct lease_book b = {0};
    const char *gone = GOOD("1") GOOD("2") "a 10.0.0.3:80 9  active 3000 t t\n";
    CHECK(left(&b, gone, 1000, true) == 3, "at once");
    CHECK(left(&b, gone, 3999, false) == 3, "within the longest lease");
    CHECK(left(&b, gone, 4000, false) == 2, "then it counts");
}
