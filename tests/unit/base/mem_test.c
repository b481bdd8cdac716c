#include "base/limits.h"
#include "base/mem.h"
#include "check.h"

#include <pthread.h>

static bool all_zero(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0)
            return false;
    return true;
}

TEST(mem, memory_is_zeroed)
{
    char *one = mem_alloc(100), *many = mem_array(10, 10), *aligned = mem_aligned(64, 128);
    CHECK(one != NULL && all_zero(one, 100), "alloc");
    CHECK(many != NULL && all_zero(many, 100), "array");
    CHECK(aligned != NULL && all_zero(aligned, 128), "aligned");
    CHECK_INT((uintptr_t)aligned % 64, 0);
    mem_free(one);
    mem_free(many);
    mem_free(aligned);
    mem_free(NULL);
}

TEST(mem, an_overflowing_product_is_refused)
{
    CHECK(mem_array(SIZE_MAX / 2, 3) == NULL, "wrapped");
}

TEST(mem, nothing_is_something)
{
    void *p = mem_alloc(0), *q = mem_array(0, 8);
    CHECK(p != NULL && q != NULL, "size 0 is not a failure");
    mem_free(p);
    mem_free(q);
}

TEST(mem, copies_end_in_nul)
{
    char *p = mem_copy_str("abcdef", 3), *none = mem_copy_str(NULL, 0);
    CHECK_STR(p, "abc");
    CHECK_STR(none, "");
    mem_free(p);
    mem_free(none);
}

TEST(mem, some_in_a_row_fail)
{
    mem_fail_row(2, 3);
    for (int i = 1; i <= 6; i++) {
        void *p = mem_alloc(8);
        CHECK((p == NULL) == (i >= 2 && i <= 4), "allocation %d", i);
        mem_free(p);
    }
    mem_fail_at(0);
}

/* A2: the n-th allocation can be made to fail, whatever asks for it; the one after it succeeds. */
TEST(mem, the_nth_allocation_fails_once)
{
    void *first, *p, *old = mem_alloc(8);
    mem_fail_at(2);
    first = mem_alloc(8);
    CHECK(first != NULL, "first");
    CHECK(mem_resize(old, 1000) == NULL, "second: the old block stays");
    memset(old, 1, 8);
    p = mem_alloc(8);
    CHECK(p != NULL, "third");
    mem_fail_at(1);
    CHECK(mem_aligned(64, 64) == NULL, "aligned");
    mem_fail_at(1);
    CHECK(mem_copy_str("a", 1) == NULL, "copy");
    mem_fail_at(1);
    mem_fail_hold(true);
    mem_free(first);
    first = mem_alloc(8);
    CHECK(first != NULL, "held");
    mem_fail_hold(false);
    CHECK(mem_alloc(8) == NULL, "no longer");
    mem_fail_at(1);
    mem_fail_at(0);
    mem_free(first);
    first = mem_alloc(8);
    CHECK(first != NULL, "switched off");
    mem_free(first);
    mem_free(p);
    mem_free(old);
}

/* F16: so many of ten thousand fail, the same ones for the same seed. */
TEST(mem, some_allocations_fail_by_seed)
{
    enum { MANY = 20000 };
    unsigned failed[2] = {0, 0}, first[2] = {0, 0};
    for (int run = 0; run < 2; run++) {
        mem_fail_some(7, 100);
        for (unsigned i = 0; i < MANY; i++) {
            void *p = mem_alloc(8);
            if (p == NULL && failed[run]++ == 0)
                first[run] = i;
            mem_free(p);
        }
    }
    mem_fail_some(0, 0);
    CHECK_INT(failed[0], failed[1]);
    CHECK_INT(first[0], first[1]);
    CHECK(failed[0] > MANY / 200 && failed[0] < MANY / 50, "%u", failed[0]);
    void *p = mem_alloc(8);
    CHECK(p != NULL, "switched off");
    mem_free(p);
}

static void *take_in_thread(void *from)
{
    mem_free(from);
    return mem_alloc(KIB(64));
}

/* A3: what is out counts, whoever gives it back. */
TEST(mem, bytes_that_are_out_are_counted)
{
    uint64_t before = mem_used();
    void *p = mem_alloc(KIB(100)), *other;
    CHECK(mem_used() - before >= KIB(100), "taken: %d", (int)(mem_used() - before));
    p = mem_resize(p, KIB(300));
    CHECK(mem_used() - before >= KIB(300), "grown: %d", (int)(mem_used() - before));
    pthread_t thread;
    pthread_create(&thread, NULL, take_in_thread, p);
    pthread_join(thread, &other);
    CHECK(mem_used() - before >= KIB(64) && mem_used() - before < KIB(128), "other thread: %d",
          (int)(mem_used() - before));
    mem_free(other);
    CHECK_INT(mem_used() - before, 0);
}

TEST(mem, allocations_are_counted)
{
    uint64_t before = mem_count();
    void *p = mem_alloc(1);
    p = mem_resize(p, 2);
    CHECK_INT(mem_count() - before, 2);
    mem_free(p);
    CHECK_INT(mem_count() - before, 2);
}
