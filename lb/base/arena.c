#include "base/arena.h"
#include "base/mem.h"
#include "base/poison.h"

#include <stdarg.h>
#include <stdio.h>

enum { ALIGN = 16, BLOCK_LEAST = 256 };

struct arena_block {
    struct arena_block *next;
    size_t size; /* of `bytes` */
    _Alignas(ALIGN) char bytes[];
};

void arena_init(struct arena *a, struct arena_cache *cache, size_t block_size, size_t limit)
{
    *a = (struct arena){
        .cache = cache,
        .block_size = block_size > BLOCK_LEAST ? block_size : BLOCK_LEAST,
        .limit = limit,
    };
}

/* A cache holds blocks of one size, that of the first one given to it since it was empty. */
static struct arena_block *cache_get(struct arena_cache *c, size_t size)
{
    struct arena_block *block = c != NULL ? c->free : NULL;
    if (block == NULL || block->size != size)
        return NULL;
    c->free = block->next;
    c->count--;
    __builtin_prefetch(c->free, 1);
    ASAN_UNPOISON_MEMORY_REGION(block->bytes, block->size);
    return block;
}

static bool cache_put(struct arena_cache *c, struct arena_block *block)
{
    if (c == NULL || c->count >= c->keep || (c->free != NULL && c->free->size != block->size))
        return false;
    ASAN_POISON_MEMORY_REGION(block->bytes, block->size);
    block->next = c->free;
    c->free = block;
    c->count++;
    return true;
}

static size_t ordinary_size(const struct arena *a)
{
    return a->block_size - sizeof(struct arena_block);
}

/* A block with room for size bytes, counted in `used`. */
static struct arena_block *block_get(struct arena *a, size_t size)
{
    size_t whole = size + sizeof(struct arena_block);
    if (a->limit != 0 && (whole > a->limit || a->used > a->limit - whole))
        return NULL;
    if (a->budget != NULL && !budget_has(a->budget, whole)) {
        a->refused = true;
        return NULL;
    }
    struct arena_block *block = size == ordinary_size(a) ? cache_get(a->cache, size) : NULL;
    if (block == NULL)
        block = mem_resize(NULL, whole);
    if (block == NULL && a->reserve != NULL && reserve_lend(a->reserve, whole))
        block = mem_resize(NULL, whole);
    if (block == NULL)
        return NULL;
    block->size = size;
    budget_book(a->budget, &a->used, a->used + whole);
    return block;
}

void arena_reset(struct arena *a)
{
    while (a->blocks != NULL) {
        struct arena_block *block = a->blocks;
        a->blocks = block->next;
        if (block->size != ordinary_size(a) || !cache_put(a->cache, block))
            mem_free(block);
    }
    a->at = a->end = NULL;
    budget_book(a->budget, &a->used, 0);
    a->refused = false;
}

/* A piece too large for an ordinary block: a block of its own behind the current one, which stays
 * in use for small pieces. */
static void *take_large(struct arena *a, size_t size)
{
    struct arena_block *block = block_get(a, size);
    if (block == NULL)
        return NULL;
    struct arena_block **where = a->blocks != NULL ? &a->blocks->next : &a->blocks;
    block->next = *where;
    *where = block;
    return block->bytes;
}

void *arena_take(struct arena *a, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = size == 0 ? ALIGN : (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (size > (size_t)(a->end - a->at)) {
        if (size > ordinary_size(a))
            return take_large(a, size);
        struct arena_block *block = block_get(a, ordinary_size(a));
        if (block == NULL)
            return NULL;
        block->next = a->blocks;
        a->blocks = block;
        a->at = block->bytes;
        a->end = block->bytes + block->size;
    }
    char *piece = a->at;
    ASAN_UNPOISON_MEMORY_REGION(piece, size);
    a->at += size;
    return piece;
}

void *arena_zero(struct arena *a, size_t size)
{
    void *p = arena_take(a, size);
    if (p != NULL)
        memset(p, 0, size);
    return p;
}

struct span arena_copy(struct arena *a, struct span s)
{
    char *copy = s.p != NULL && s.n < SIZE_MAX ? arena_take(a, s.n + 1) : NULL;
    if (copy == NULL)
        return SPAN_NONE;
    memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    return span_of(copy, s.n);
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    char *text = n >= 0 ? arena_take(a, (size_t)n + 1) : NULL;
    if (text == NULL)
        return NULL;
    va_start(ap, format);
    vsnprintf(text, (size_t)n + 1, format, ap);
    va_end(ap);
    return text;
}

void arena_cache_fini(struct arena_cache *c)
{
    while (c->free != NULL) {
        struct arena_block *block = c->free;
        c->free = block->next;
        mem_free(block);
    }
    c->count = 0;
}
