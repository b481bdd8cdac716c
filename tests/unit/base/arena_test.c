#include "base/arena.h"
#include "base/mem.h"
#include "check.h"

enum { BLOCK = 1024 };

TEST(arena, pieces_are_aligned_and_apart)
{
    struct arena a;
    char *pieces[200];
    arena_init(&a, NULL, BLOCK, 0);
    for (size_t i = 0; i < 200; i++) {
        pieces[i] = arena_take(&a, i);
        CHECK(pieces[i] != NULL && (uintptr_t)pieces[i] % 16 == 0, "piece %zu", i);
        memset(pieces[i], (int)i, i);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t j = 0; j < i; j++)
            CHECK_INT((unsigned char)pieces[i][j], i);
    arena_reset(&a);
    CHECK_INT(a.used, 0);
}

TEST(arena, a_large_piece_leaves_the_current_block_in_use)
{
    struct arena a;
    arena_init(&a, NULL, BLOCK, 0);
    char *first = arena_take(&a, 16), *large = arena_take(&a, (size_t)BLOCK * 3);
    char *second = arena_take(&a, 16);
    CHECK(large != NULL && second == first + 16, "the small pieces are neighbours");
    memset(large, 1, (size_t)BLOCK * 3);
    arena_reset(&a);
    large = arena_take(&a, (size_t)BLOCK * 3);
    CHECK(large != NULL && arena_take(&a, 16) != NULL, "a large piece may come first");
    arena_reset(&a);
}

TEST(arena, what_was_taken_since_a_mark_is_used_again)
{
    struct arena a;
    arena_init(&a, NULL, BLOCK, 0);
    struct arena_mark empty = arena_mark(&a);
    char *first = arena_take(&a, 32);
    struct arena_mark mark = arena_mark(&a);
    char *second = arena_take(&a, 100), *large = arena_take(&a, (size_t)BLOCK * 2);
    CHECK(first != NULL && second != NULL && large != NULL, "taken");
    arena_rewind(&a, mark);
    CHECK(arena_take(&a, 100) == second, "the same place");
    arena_rewind(&a, mark);
    while (arena_take(&a, 100) != NULL && a.blocks == mark.block) {
    }
    char *at = a.at;
    arena_rewind(&a, mark);
    CHECK(a.at == at, "a block has come: what is in use stays");
    arena_rewind(&a, empty);
    CHECK(a.at == at, "and from before the first one, too");
    arena_reset(&a);
    CHECK_INT(a.used, 0);
}

TEST(arena, the_limit_holds)
{
    struct arena a;
    arena_init(&a, NULL, BLOCK, (size_t)BLOCK * 4);
    size_t taken = 0;
    while (arena_take(&a, 100) != NULL)
        taken += 100;
    CHECK(taken > (size_t)BLOCK * 3 && taken < (size_t)BLOCK * 4, "took %zu", taken);
    CHECK(a.used <= a.limit, "used %zu", a.used);
    arena_reset(&a);
    CHECK(arena_take(&a, (size_t)BLOCK * 4) == NULL, "the header counts too");
    CHECK(arena_take(&a, SIZE_MAX) == NULL && arena_take(&a, SIZE_MAX - 20) == NULL, "absurd");
    CHECK(arena_take(&a, 100) != NULL, "empty again");
    arena_reset(&a);
}

static void use_some_blocks(struct arena *a)
{
    for (int i = 0; i < 20; i++)
        CHECK(arena_take(a, 490) != NULL, "piece %d", i);
    arena_reset(a);
}

TEST(arena, a_warm_cache_needs_no_heap_and_is_bounded)
{
    struct arena a;
    struct arena_cache cache = {.keep = 12};
    arena_init(&a, &cache, BLOCK, 0);
    use_some_blocks(&a);
    CHECK_INT(cache.count, 10);
    uint64_t before = mem_count();
    use_some_blocks(&a);
    CHECK_INT(mem_count() - before, 0);
    cache.keep = 3;
    use_some_blocks(&a);
    CHECK_INT(cache.count, 3);
    arena_cache_fini(&cache);
    CHECK_INT(cache.count, 0);
    use_some_blocks(&a);
    arena_cache_fini(&cache);
}

TEST(arena, blocks_of_another_size_pass_the_cache_by)
{
    struct arena small, large;
    struct arena_cache cache = {.keep = 8};
    arena_init(&small, &cache, BLOCK, 0);
    arena_init(&large, &cache, (size_t)BLOCK * 4, 0);
    CHECK(arena_take(&small, 100) != NULL && arena_take(&large, 100) != NULL, "taken");
    arena_reset(&small);
    arena_reset(&large);
    CHECK_INT(cache.count, 1);
    char *p = arena_zero(&large, 3000);
    CHECK(p != NULL && p[2999] == 0, "not the small one");
    arena_reset(&large);
    arena_cache_fini(&cache);
}

TEST(arena, text)
{
    struct arena a;
    arena_init(&a, NULL, BLOCK, (size_t)BLOCK * 2);
    struct span copy = arena_copy(&a, SPAN("abc"));
    CHECK_STR(copy.p, "abc");
    CHECK_INT(copy.n, 3);
    CHECK_STR(arena_copy(&a, SPAN("")).p, "");
    CHECK(arena_copy(&a, SPAN_NONE).p == NULL, "none stays none");
    CHECK_STR(arena_printf(&a, "%d%%-%s", 7, "x"), "7%-x");
    CHECK(arena_printf(&a, "%5000d", 1) == NULL, "beyond the limit");
    arena_reset(&a);
}

/* A2 */
TEST(arena, a_failing_allocation_changes_nothing)
{
    struct arena a;
    arena_init(&a, NULL, BLOCK, 0);
    mem_fail_at(1);
    CHECK(arena_take(&a, 10) == NULL && a.used == 0, "refused");
    char *p = arena_zero(&a, 10);
    CHECK(p != NULL && p[9] == 0, "then had");
    mem_fail_at(1);
    CHECK(arena_zero(&a, (size_t)BLOCK * 2) == NULL, "large refused");
    CHECK(arena_take(&a, 10) == p + 16, "the block is still in use");
    arena_reset(&a);
}

/* A3: what it takes is booked, and refused where that is used up. */
TEST(arena, a_budget_is_kept_L18)
{
    struct budget budget = {.most = 2 * BLOCK + 100};
    struct arena a;
    arena_init(&a, NULL, BLOCK, 0);
    a.budget = &budget;
    CHECK(arena_take(&a, 10) != NULL && budget.used == BLOCK, "%zu", budget.used);
    CHECK(arena_take(&a, BLOCK) != NULL && budget.used > 2 * BLOCK, "%zu", budget.used);
    size_t used = budget.used;
    CHECK(!a.refused && arena_take(&a, BLOCK) == NULL && a.refused, "a third does not fit");
    CHECK_INT(budget.used, used);
    CHECK(arena_take(&a, 10) != NULL, "what is there already does");
    arena_reset(&a);
    CHECK(budget.used == 0 && !a.refused, "%zu", budget.used);
}
