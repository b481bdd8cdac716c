#include "base/mem.h"
#include "base/reserve.h"
#include "base/small.h"
#include "check.h"

TEST(reserve, lends_once_for_each_block_and_is_filled_again_F16)
{
    struct reserve r = {0};
    uint64_t before = mem_used();
    CHECK(reserve_fill(&r), "there is memory");
    CHECK_INT(r.count, RESERVE_BLOCKS);
    CHECK(mem_used() - before >= RESERVE_BLOCKS * RESERVE_BLOCK, "laid aside");
    for (size_t left = RESERVE_BLOCKS; left > 0; left--) {
        CHECK(reserve_lend(&r, 100), "%zu left", left);
        CHECK_INT(r.count, left - 1);
    }
    CHECK(!reserve_lend(&r, 1), "all is lent");
    CHECK_INT(mem_used(), before);
    CHECK(reserve_fill(&r), "again");
    reserve_fini(&r);
    CHECK_INT(mem_used(), before);
}

TEST(reserve, gives_as_much_as_is_asked_for_or_nothing)
{
    struct reserve r = {0};
    CHECK(reserve_fill(&r), "there is memory");
    CHECK(reserve_lend(&r, 2 * RESERVE_BLOCK), "three blocks");
    CHECK_INT(r.count, RESERVE_BLOCKS - 3);
    CHECK(!reserve_lend(&r, RESERVE_BLOCKS * RESERVE_BLOCK), "more than there is");
    CHECK_INT(r.count, RESERVE_BLOCKS - 3);
    reserve_fini(&r);
}

/* What is missing is laid aside when it can be had, and not before. */
TEST(reserve, is_filled_as_far_as_the_heap_has_it)
{
    struct reserve r = {0};
    mem_fail_at(3);
    CHECK(!reserve_fill(&r), "not all");
    mem_fail_at(0);
    CHECK_INT(r.count, 2);
    CHECK(reserve_fill(&r), "the rest");
    reserve_fini(&r);
}

TEST(reserve, what_many_share_is_had_where_the_heap_refuses_once_F16)
{
    struct reserve r = {0}, none = {0};
    struct small_store s = {0};
    CHECK(reserve_fill(&r), "there is memory");
    mem_fail_at(1);
    char *p = reserve_alloc(&r, 100);
    CHECK(p != NULL && p[99] == 0, "zeroed");
    mem_fail_at(1);
    char *q = small_take_lent(&s, &r, 40);
    CHECK(q != NULL, "a piece");
    memset(q, 7, 40);
    mem_fail_at(1);
    q = small_resize_lent(&s, &r, q, 400);
    CHECK(q != NULL && q[39] == 7, "and as it grows");
    CHECK_INT(r.count, RESERVE_BLOCKS - 3);
    mem_fail_row(1, 2);
    CHECK(reserve_alloc(&r, 100) == NULL, "the heap has nothing all the same");
    mem_fail_at(1);
    CHECK(reserve_alloc(&none, 100) == NULL, "nothing is laid aside");
    mem_fail_at(0);
    mem_free(p);
    small_give(&s, q);
    small_store_fini(&s);
    reserve_fini(&r);
}
