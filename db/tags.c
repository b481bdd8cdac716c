#include "db/tags.h"

#include "base/clock.h"
#include "base/mem.h"

enum err tags_init(struct tags *t, size_t slots)
{
    *t = (struct tags){.mask = slots - 1};
    hash_key_new(&t->key);
    t->slots = mem_array(slots, sizeof *t->slots);
    return t->slots != NULL ? ERR_OK : ERR_NO_MEMORY;
}

void tags_fini(struct tags *t)
{
    mem_free(t->slots);
    t->slots = NULL;
}

static uint64_t load(const _Atomic uint64_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static void store(_Atomic uint64_t *n, uint64_t value)
{
    atomic_store_explicit(n, value, memory_order_relaxed);
}

static _Atomic uint64_t *slot_of(const struct tags *t, struct span tag)
{
    return &t->slots[hash_keyed(&t->key, tag) & t->mask];
}

void tags_mark(struct tags *t, struct span tag)
{
    if (span_eq(tag, SPAN("*")) || tag.n > TAG_MOST)
        tags_flush(t);
    else
        store(slot_of(t, tag), load(&t->seq) + 1);
}

void tags_flush(struct tags *t)
{
    store(&t->flush_seq, load(&t->seq) + 1);
}

/* Whoever sees the number sees what came with it. */
void tags_publish(struct tags *t)
{
    atomic_store_explicit(&t->seq, load(&t->seq) + 1, memory_order_release);
}

void tags_renew(struct tags *t, int64_t asked_ns)
{
    atomic_store_explicit(&t->lease_ns, asked_ns, memory_order_release);
}

uint64_t tags_now(const struct tags *t)
{
    return atomic_load_explicit(&t->seq, memory_order_acquire);
}

bool tags_hold(const struct tags *t, uint64_t since, struct span tag)
{
    char above[TAG_MOST + 1];
    if (load(&t->flush_seq) > since || tag.n > TAG_MOST || load(slot_of(t, tag)) > since)
        return false;
    memcpy(above, tag.p, tag.n);
    for (size_t i = 0; i < tag.n; i++) {
        if (tag.p[i] != '/')
            continue;
        above[i + 1] = '*';
        if (load(slot_of(t, span_of(above, i + 2))) > since)
            return false;
        above[i + 1] = i + 1 < tag.n ? tag.p[i + 1] : '*';
    }
    return true;
}

int64_t tags_lease_age_ms(const struct tags *t)
{
    int64_t lease_ns = atomic_load_explicit(&t->lease_ns, memory_order_acquire);
    return lease_ns != 0 ? (clock_boot_ns() - lease_ns) / NS_PER_MS : -1;
}
