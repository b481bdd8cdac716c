#include "proxy/rate.h"

#include <stddef.h>

#define TRIES 64 /* more than there are workers to lose a race against (LIMIT_WORKERS) */

static int64_t full_at(const struct rate_bucket *b)
{
    return atomic_load_explicit(&b->full_ns, memory_order_relaxed);
}

/* The place is the key's from here on; its bucket is full. False: somebody else was faster. */
static int claim(struct rate_bucket *b, uint64_t key, int64_t now_ns)
{
    uint64_t was = atomic_load_explicit(&b->key, memory_order_relaxed);
    int64_t full = full_at(b);
    if (!atomic_compare_exchange_strong(&b->key, &was, key))
        return 0;
    if (full > now_ns)
        atomic_compare_exchange_strong(&b->full_ns, &full, now_ns);
    return 1;
}

/* The key's bucket; NULL: try again. */
static struct rate_bucket *find(struct rate_table *t, uint64_t key, int64_t now_ns)
{
    struct rate_bucket *set = t->sets[key % RATE_SETS], *least = &set[0];
    for (unsigned i = 0; i < RATE_WAYS; i++) {
        if (atomic_load_explicit(&set[i].key, memory_order_relaxed) == key)
            return &set[i];
        if (full_at(&set[i]) < full_at(least))
            least = &set[i];
    }
    return claim(least, key, now_ns) ? least : NULL;
}

int64_t rate_take(struct rate_table *t, uint64_t key, const struct rate_rule *rule, int64_t now_ns)
{
    key += key == 0;
    for (unsigned i = 0; i < TRIES; i++) {
        struct rate_bucket *b = find(t, key, now_ns);
        if (b == NULL)
            continue;
        int64_t full = full_at(b);
        int64_t next = (full > now_ns ? full : now_ns) + rule->interval_ns;
        int64_t wait = next - rule->burst_ns - now_ns;
        if (wait > 0)
            return wait;
        if (atomic_compare_exchange_strong(&b->full_ns, &full, next) &&
            atomic_load_explicit(&b->key, memory_order_relaxed) == key)
            return 0;
    }
    return rule->interval_ns;
}
