#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Threads that have a cell of their own; the last one is everybody else's. */
#define CELLS 128

/* What one thread has done. A block that another thread gives back is taken off there, so a cell
 * may be below zero; the sum is right. Shared, atomic; but for the last one each has one writer. */
struct cell {
    _Alignas(64) _Atomic int64_t bytes;
    _Atomic uint64_t count;
};

/* The one exception to "nothing global and mutable": memory belongs to the process as a whole, and
 * so do its sums and the tests' switches. */
static struct cell cells[CELLS];
static _Atomic unsigned taken;
static _Thread_local struct cell *mine;

/* Tests' switches. `armed` is read by every allocation and written by tests alone. */
static _Atomic bool armed;
static _Atomic uint64_t left;   /* allocations up to and with the last that fails; 0: none does */
static _Atomic uint64_t in_row; /* so many of them fail, the last ones */
static _Atomic uint64_t chance; /* of ten thousand */
static _Atomic uint64_t dice;
static _Atomic bool held;
static _Atomic uint64_t failed;

static struct cell *cell_mine(void)
{
    if (mine == NULL) {
        unsigned n = atomic_fetch_add_explicit(&taken, 1, memory_order_relaxed);
        mine = &cells[n < CELLS - 1 ? n : CELLS - 1];
    }
    return mine;
}

static void book(int64_t bytes, uint64_t count)
{
    struct cell *c = cell_mine();
    if (c == &cells[CELLS - 1]) {
        atomic_fetch_add_explicit(&c->bytes, bytes, memory_order_relaxed);
        atomic_fetch_add_explicit(&c->count, count, memory_order_relaxed);
        return;
    }
    int64_t was = atomic_load_explicit(&c->bytes, memory_order_relaxed);
    uint64_t counted = atomic_load_explicit(&c->count, memory_order_relaxed);
    atomic_store_explicit(&c->bytes, was + bytes, memory_order_relaxed);
    atomic_store_explicit(&c->count, counted + count, memory_order_relaxed);
}

static int64_t size_of(void *p)
{
    return (int64_t)malloc_usable_size(p);
}

/* The generator SplitMix64. */
static uint64_t throw_dice(void)
{
    uint64_t z =
        atomic_fetch_add_explicit(&dice, UINT64_C(0x9e3779b97f4a7c15), memory_order_relaxed);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static bool chosen(void)
{
    if (atomic_load_explicit(&held, memory_order_relaxed))
        return false;
    uint64_t of_10000 = atomic_load_explicit(&chance, memory_order_relaxed);
    if (of_10000 != 0 && throw_dice() % 10000 < of_10000)
        return true;
    return atomic_load_explicit(&left, memory_order_relaxed) != 0 &&
           atomic_fetch_sub_explicit(&left, 1, memory_order_relaxed) <= atomic_load(&in_row);
}

/* True where a test wants this allocation to fail. */
static bool refused(void)
{
    if (!atomic_load_explicit(&armed, memory_order_relaxed) || !chosen())
        return false;
    atomic_fetch_add_explicit(&failed, 1, memory_order_relaxed);
    return true;
}

void *mem_alloc(size_t size)
{
    void *p = refused() ? NULL : calloc(1, size != 0 ? size : 1);
    book(size_of(p), 1);
    return p;
}

void *mem_array(size_t n, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(n, size, &total))
        return NULL;
    return mem_alloc(total);
}

/* Not cleared. */
static void *fresh(size_t size)
{
    void *p = refused() ? NULL : malloc(size != 0 ? size : 1);
    book(p != NULL ? size_of(p) : 0, 1);
    return p;
}

void *mem_resize(void *p, size_t size)
{
    if (p == NULL)
        return fresh(size);
    int64_t was = size_of(p);
    void *q = refused() ? NULL : realloc(p, size != 0 ? size : 1);
    book(q != NULL ? size_of(q) - was : 0, 1);
    return q;
}

void *mem_aligned(size_t align, size_t size)
{
    void *p = refused() ? NULL : aligned_alloc(align, size);
    book(size_of(p), 1);
    if (p != NULL)
        memset(p, 0, size);
    return p;
}

void mem_free(void *p)
{
    if (p == NULL)
        return;
    book(-size_of(p), 0);
    free(p);
}

size_t mem_room(void *p)
{
    return malloc_usable_size(p);
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

void mem_trim(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

uint64_t mem_used(void)
{
    int64_t sum = 0;
    for (size_t i = 0; i < CELLS; i++)
        sum += atomic_load_explicit(&cells[i].bytes, memory_order_relaxed);
    return sum > 0 ? (uint64_t)sum : 0;
}

void mem_fail_at(uint64_t n)
{
    mem_fail_row(n, 1);
}

void mem_fail_row(uint64_t n, uint64_t row)
{
    atomic_store_explicit(&in_row, row, memory_order_relaxed);
    atomic_store_explicit(&left, n != 0 ? n + row - 1 : 0, memory_order_relaxed);
    atomic_store_explicit(&armed, n != 0 || atomic_load(&chance) != 0, memory_order_relaxed);
}

void mem_fail_some(uint64_t seed, unsigned of_10000)
{
    atomic_store_explicit(&dice, seed, memory_order_relaxed);
    atomic_store_explicit(&chance, of_10000, memory_order_relaxed);
    atomic_store_explicit(&armed, of_10000 != 0 || atomic_load(&left) != 0, memory_order_relaxed);
}

void mem_fail_hold(bool on)
{
    atomic_store_explicit(&held, on, memory_order_relaxed);
}

uint64_t mem_failed(void)
{
    return atomic_load_explicit(&failed, memory_order_relaxed);
}

uint64_t mem_count(void)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < CELLS; i++)
        sum += atomic_load_explicit(&cells[i].count, memory_order_relaxed);
    return sum;
}

void mem_wipe(void *p, size_t n)
{
    explicit_bzero(p, n);
}
