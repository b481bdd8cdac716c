#include "check.h"
#include "db/row.h"
#include "rows.h"

TEST(row, good_rows_are_sorted_and_in_one_form)
{
    struct row_set *set = rows_of("b 10.0.0.2:80 100 fra active 0 f f\n"
                                  "a [2001:DB8:0::1]:80 7  drain 30000 t f\n"
                                  "a 10.0.0.9:80 0 iad maintenance 30000 t t\n");
    const struct row *rows;
    CHECK(set->count == 3 && set->skipped == 0, "%zu, %zu skipped", set->count, set->skipped);
    CHECK(row_set_pool(set, SPAN("a"), &rows) == 2, "of a");
    CHECK(span_eq(rows[0].address, SPAN("10.0.0.9:80")) && rows[0].weight == 0, "first");
    CHECK(rows[0].desired == ROW_MAINTENANCE && rows[0].lapsed && rows[0].expired, "first");
    CHECK(span_eq(rows[1].address, SPAN("[2001:db8::1]:80")), "%.*s", SPAN_FMT(rows[1].address));
    CHECK(rows[1].desired == ROW_DRAIN && rows[1].ttl_ms == 30000 && !rows[1].expired, "second");
    CHECK(row_set_pool(set, SPAN("b"), &rows) == 1 && span_eq(rows[0].site, SPAN("fra")), "b");
    CHECK(row_set_pool(set, SPAN("c"), &rows) == 0 && rows == NULL, "none");
    row_set_free(&set);
}

TEST(row, f20_hostile_rows_are_skipped_and_counted)
{
    static const char *const bad[] = {
        "A 10.0.0.1:80 100  active 0 f f",
        " 10.0.0.1:80 100  active 0 f f",
        "a/b 10.0.0.1:80 100  active 0 f f",
        "a 10.0.0.1 100  active 0 f f",
        "a 10.0.0.1:0 100  active 0 f f",
        "a 10.0.0.1:65536 100  active 0 f f",
        "a example.com:80 100  active 0 f f",
        "a unix:/run/x 100  active 0 f f",
        "a 10.0.0.1:80 -1  active 0 f f",
        "a 10.0.0.1:80 1001  active 0 f f",
        "a 10.0.0.1:80 1e2  active 0 f f",
        "a 10.0.0.1:80 100 s\x01 active 0 f f",
        "a 10.0.0.1:80 100  gone 0 f f",
        "a 10.0.0.1:80 100  active 99999999999 f f",
        "a 10.0.0.1:80@x 100  active 0 f f",
        "a 010.0.0.1:80 100  active 0 f f",
        "a",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct row_set *set = rows_of(bad[i]);
        CHECK(set->count == 0 && set->skipped == 1, "%s", bad[i]);
        row_set_free(&set);
    }
}

TEST(row, an_address_twice_counts_once)
{
    struct row_set *set = rows_of("a [::1]:80 100  active 0 f f\na [0:0::1]:80 5  active 0 f f");
    CHECK(set->count == 1 && set->skipped == 1, "%zu", set->count);
    row_set_free(&set);
}

TEST(row, more_than_there_is_room_for_are_skipped)
{
    struct row_set *from = rows_of("a 10.0.0.1:80 1  active 0 f f\na 10.0.0.2:80 1  active 0 f f");
    struct row_set *set = row_set_new(1);
    CHECK(row_set_copy(set, &from->rows[0]) == ERR_OK, "fits");
    CHECK(row_set_copy(set, &from->rows[1]) == ERR_OK, "counted");
    CHECK(set->count == 1 && set->skipped == 1, "one each");
    row_set_free(&from);
    row_set_free(&set);
}

/* C8: ten thousand of one pool; another pool's do not count against them. */
TEST(row, c8_each_pool_has_its_own_room)
{
    struct row_set *set = row_set_new(ROWS_MOST);
    struct row row = {.pool = SPAN("b"), .site = SPAN("")};
    const struct row *first;
    CHECK(addr_parse(SPAN("10.0.0.1:1"), &row.addr) == ERR_OK, "address");
    for (uint32_t i = 0; i <= ROWS_POOL_MOST; i++) {
        row.addr.v4.sin_addr.s_addr = htonl(0x0a000000 + i);
        CHECK(row_set_copy(set, &row) == ERR_OK, "memory");
    }
    row.pool = SPAN("a");
    CHECK(row_set_copy(set, &row) == ERR_OK, "memory");
    row_set_settle(set);
    CHECK(row_set_pool(set, SPAN("b"), &first) == ROWS_POOL_MOST, "as many as may be");
    CHECK(row_set_pool(set, SPAN("a"), &first) == 1 && set->skipped == 1, "one too many");
    row_set_free(&set);
}

TEST(row, sameness_is_about_what_a_balancer_does)
{
    struct row_set *a = rows_of("a 10.0.0.1:80 100  active 1000 f f");
    struct row_set *lapsed = rows_of("a 10.0.0.1:80 100  active 2000 t f");
    struct row_set *drained = rows_of("a 10.0.0.1:80 100  drain 1000 f f");
    struct row_set *heavier = rows_of("a 10.0.0.1:80 101  active 1000 f f");
    struct row_set *none = rows_of("");
    CHECK(row_set_same(a, lapsed), "leases aside");
    CHECK(!row_set_same(a, drained) && !row_set_same(a, heavier) && !row_set_same(a, none), "no");
    CHECK(row_set_same(NULL, none) && !row_set_same(NULL, a), "none at all");
    row_set_free(&a);
    row_set_free(&lapsed);
    row_set_free(&drained);
    row_set_free(&heavier);
    row_set_free(&none);
}
