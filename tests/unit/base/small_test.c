#include "base/mem.h"
#include "base/small.h"
#include "check.h"

TEST(small, what_is_given_back_is_had_again_without_the_heap)
{
    struct small_store s = {0};
    void *pieces[100];
    for (size_t round = 0; round < 3; round++) {
        uint64_t before = mem_count();
        for (size_t i = 0; i < 100; i++) {
            size_t size = i * 11;
            pieces[i] = small_take(&s, size);
            CHECK(pieces[i] != NULL && (uintptr_t)pieces[i] % 16 == 0, "piece %zu", i);
            memset(pieces[i], (int)i, size);
        }
        /* A piece for which the heap had more room than was asked for is kept for a larger size. */
        uint64_t taken = mem_count() - before;
        CHECK(round == 0 || (taken >= 7 && taken < 12), "%d from the heap, 7 of them too large",
              (int)taken);
        for (size_t i = 0; i < 100; i++) {
            for (size_t at = 0; at < i * 11; at++)
                CHECK_INT(((unsigned char *)pieces[i])[at], i);
            small_give(&s, pieces[i]);
        }
    }
    small_store_fini(&s);
    CHECK_INT(s.kept, 0);
}

TEST(small, what_is_kept_has_a_bound)
{
    enum { MANY = 2 * SMALL_KEPT / SMALL_MOST };
    struct small_store s = {0};
    static void *pieces[MANY];
    for (size_t i = 0; i < MANY; i++)
        pieces[i] = small_take(&s, SMALL_MOST);
    for (size_t i = 0; i < MANY; i++)
        small_give(&s, pieces[i]);
    CHECK(s.kept <= SMALL_KEPT && s.kept > SMALL_KEPT - SMALL_MOST, "%zu", s.kept);
    small_give(&s, NULL);
    small_store_fini(&s);
}

TEST(small, a_piece_grows_with_what_it_holds)
{
    struct small_store s = {0};
    char *p = small_resize(&s, NULL, 20);
    for (size_t n = 20; n < 5000; n += 100) {
        memset(p, (int)(n % 100 + n / 100), 20);
        char *q = small_resize(&s, p, n + 100);
        CHECK(q != NULL && q[0] == (char)(n % 100 + n / 100) && q[19] == q[0], "at %zu", n);
        p = q;
    }
    CHECK(small_resize(&s, p, 10) == p, "smaller: as it is");
    small_give(&s, p);
    small_store_fini(&s);
}

/* A2 */
TEST(small, a_failing_allocation_changes_nothing)
{
    struct small_store s = {0};
    mem_fail_at(1);
    CHECK(small_take(&s, 10) == NULL, "refused");
    char *p = small_take(&s, 10);
    memset(p, 7, 10);
    mem_fail_at(1);
    CHECK(small_resize(&s, p, 100) == NULL && p[9] == 7, "the old one stays");
    small_give(&s, p);
    mem_fail_at(1);
    CHECK(small_take(&s, 10) == p, "had without the heap");
    mem_fail_at(0);
    small_give(&s, p);
    small_store_fini(&s);
}
