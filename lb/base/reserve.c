#include "base/reserve.h"

#include "base/mem.h"

bool reserve_fill(struct reserve *r)
{
    while (r->count < RESERVE_BLOCKS) {
        void *block = mem_resize(NULL, RESERVE_BLOCK); /* not cleared, so not touched */
        if (block == NULL)
            return false;
        r->blocks[r->count++] = block;
    }
    return true;
}

bool reserve_lend(struct reserve *r, size_t size)
{
    size_t n = 1 + size / RESERVE_BLOCK;
    if (n > r->count)
        return false;
    for (; n > 0; n--)
        mem_free(r->blocks[--r->count]);
    return true;
}

void *reserve_alloc(struct reserve *r, size_t size)
{
    void *p = mem_alloc(size);
    return p == NULL && reserve_lend(r, size) ? mem_alloc(size) : p;
}

void reserve_fini(struct reserve *r)
{
    while (r->count > 0)
        mem_free(r->blocks[--r->count]);
}
