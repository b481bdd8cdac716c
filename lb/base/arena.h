/* arena: memory that lives and dies with one thing (an exchange, a snapshot). Pieces are never
 * freed singly; arena_reset gives all back at once. Blocks come from mem or from a cache that one
 * thread owns, so that a warm worker does not touch the heap. One thread at a time. */
#ifndef MERIDIAN_BASE_ARENA_H
#define MERIDIAN_BASE_ARENA_H

#include "base/budget.h"
#include "base/poison.h"
#include "base/reserve.h"
#include "base/str.h"

struct arena_block;

/* A per-thread store of empty blocks; bounded, zero-initialised is valid (keeps `keep` blocks). */
struct arena_cache {
    struct arena_block *free;
    size_t count; /* blocks in `free` */
    size_t keep;  /* how many may stay there */
};

struct arena {
    struct arena_block *blocks;
    char *at, *end;
    struct arena_cache *cache; /* borrowed; NULL: straight from mem */
    size_t block_size;         /* of ordinary blocks; larger pieces get a block of their own */
    size_t used, limit;        /* bytes taken from mem or cache; limit 0 = none */
    struct reserve *reserve; /* borrowed; lends a block that the heap has not; NULL: nothing does */
    struct budget *budget;   /* borrowed; what its blocks take is booked there; NULL: nowhere */
    bool refused;            /* the budget has refused a block */
};

/* A place to come back to. */
struct arena_mark {
    struct arena_block *block;
    char *at;
};

void arena_init(struct arena *a, struct arena_cache *cache, size_t block_size, size_t limit);
/* Gives everything back; the arena can be used again. */
void arena_reset(struct arena *a);
static inline struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){a->blocks, a->at};
}
/* What was taken since the mark is of no use any more: what comes next may have its place, so that
 * it touches the memory that is warm. Blocks that were added meanwhile stay until arena_reset. */
static inline void arena_rewind(struct arena *a, struct arena_mark to)
{
    if (a->blocks != to.block)
        return;
    ASAN_POISON_MEMORY_REGION(to.at, (size_t)(a->at - to.at));
    a->at = to.at;
}
/* Uninitialised bytes, aligned to 16; NULL where memory, the limit or the budget is used up. */
void *arena_take(struct arena *a, size_t size) __attribute__((warn_unused_result));
void *arena_zero(struct arena *a, size_t size) __attribute__((warn_unused_result));
/* A copy of s with a NUL after it; p is NULL on failure and where s.p is NULL. */
struct span arena_copy(struct arena *a, struct span s) __attribute__((warn_unused_result));
/* printf into the arena; NULL on failure. */
char *arena_printf(struct arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3), warn_unused_result));
/* Frees the cached blocks. */
void arena_cache_fini(struct arena_cache *c);

#endif
