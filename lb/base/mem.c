#include "base/mem.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The one exception to "nothing global and mutable": memory belongs to the process as a whole, and
 * so do its count and the tests' switch. Shared, atomic. */
static _Atomic uint64_t count;
static _Atomic uint64_t fail_at; /* value of count at which an allocation fails; 0: never */

/* Counts one allocation; true where a test wants this one to fail. */
static bool refused(void)
{
    uint64_t number = atomic_fetch_add_explicit(&count, 1, memory_order_relaxed) + 1;
    return number == atomic_load_explicit(&fail_at, memory_order_relaxed);
}

void *mem_alloc(size_t size)
{
    return refused() ? NULL : calloc(1, size != 0 ? size : 1);
}

void *mem_array(size_t n, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(n, size, &total))
        return NULL;
    return mem_alloc(total);
}

void *mem_resize(void *p, size_t size)
{
    return refused() ? NULL : realloc(p, size != 0 ? size : 1);
}

void *mem_aligned(size_t align, size_t size)
{
    if (refused())
        return NULL;
    void *p = aligned_alloc(align, size);
    if (p != NULL)
        memset(p, 0, size);
    return p;
}

void mem_free(void *p)
{
    free(p);
}

char *mem_copy_str(const char *p, size_t n)
{
    if (n == SIZE_MAX)
        return NULL;
    char *copy = mem_alloc(n + 1);
    if (copy != NULL && n > 0)
        memcpy(copy, p, n);
    return copy;
}

void mem_fail_at(uint64_t n)
{
    uint64_t now = atomic_load_explicit(&count, memory_order_relaxed);
    atomic_store_explicit(&fail_at, n != 0 ? now + n : 0, memory_order_relaxed);
}

uint64_t mem_count(void)
{
    return atomic_load_explicit(&count, memory_order_relaxed);
}

void mem_wipe(void *p, size_t n)
{
    explicit_bzero(p, n);
}
