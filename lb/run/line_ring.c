#include "run/line_ring.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdatomic.h>

/* Positions only grow. Where all has been taken, the worker begins again at the ring's front, whose
 * memory is still in the processor's caches: what is between had been taken before, and is none. */
struct ring {
    _Alignas(64) _Atomic size_t written; /* the worker's, */
    _Atomic size_t begun;                /* and this: where it began so the last time */
    _Alignas(64) _Atomic size_t taken;   /* the consumer's */
    char *bytes;
};

struct line_rings {
    /* set once */
    unsigned workers;
    size_t size; /* of each; a power of two */
    /* shared, atomic */
    struct ring rings[];
};

static size_t size_of(unsigned workers, size_t most)
{
    size_t n = KIB(64);
    while (n * 2 * workers <= most)
        n *= 2;
    return n;
}

enum err line_rings_new(unsigned workers, size_t most, struct line_rings **out)
{
    size_t bytes = sizeof(struct line_rings) + workers * sizeof(struct ring);
    struct line_rings *r = *out = mem_aligned(64, (bytes + 63) / 64 * 64);
    if (r == NULL)
        return ERR_NO_MEMORY;
    r->workers = workers;
    r->size = size_of(workers, most);
    bool fine = true;
    for (unsigned i = 0; i < workers; i++) {
        r->rings[i].bytes = mem_alloc(r->size);
        fine = fine && r->rings[i].bytes != NULL;
    }
    if (!fine)
        line_rings_free(out);
    return fine ? ERR_OK : ERR_NO_MEMORY;
}

void line_rings_free(struct line_rings **rp)
{
    struct line_rings *r = *rp;
    *rp = NULL;
    for (unsigned i = 0; r != NULL && i < r->workers; i++)
        mem_free(r->rings[i].bytes);
    mem_free(r);
}

/* From where on there may be something to take. */
static size_t first_of(const struct ring *r, size_t taken)
{
    size_t begun = atomic_load_explicit(&r->begun, memory_order_relaxed);
    return begun > taken ? begun : taken;
}

bool line_rings_put(struct line_rings *rings, unsigned worker, struct span line)
{
    struct ring *r = &rings->rings[worker];
    size_t written = atomic_load_explicit(&r->written, memory_order_relaxed);
    size_t taken = first_of(r, atomic_load_explicit(&r->taken, memory_order_acquire));
    if (rings->size - (written - taken) < line.n)
        return false;
    if (taken == written) {
        written = (written + rings->size - 1) & ~(rings->size - 1);
        atomic_store_explicit(&r->begun, written, memory_order_relaxed);
    }
    size_t at = written & (rings->size - 1);
    size_t first = line.n < rings->size - at ? line.n : rings->size - at;
    memcpy(r->bytes + at, line.p, first);
    memcpy(r->bytes, line.p + first, line.n - first);
    atomic_store_explicit(&r->written, written + line.n, memory_order_release);
    return true;
}

size_t line_rings_peek(const struct line_rings *rings, unsigned worker, size_t most,
                       struct span parts[2])
{
    const struct ring *r = &rings->rings[worker];
    size_t written = atomic_load_explicit(&r->written, memory_order_acquire);
    size_t taken = first_of(r, atomic_load_explicit(&r->taken, memory_order_relaxed));
    /* It may have begun again, and not yet written. */
    size_t n = written > taken ? written - taken : 0;
    size_t from = taken & (rings->size - 1);
    n = n < most ? n : most;
    size_t first = n < rings->size - from ? n : rings->size - from;
    parts[0] = span_of(r->bytes + from, first);
    parts[1] = span_of(r->bytes, n - first);
    return n;
}

void line_rings_taken(struct line_rings *rings, unsigned worker, size_t n)
{
    struct ring *r = &rings->rings[worker];
    size_t taken = first_of(r, atomic_load_explicit(&r->taken, memory_order_relaxed));
    atomic_store_explicit(&r->taken, taken + n, memory_order_release);
}
