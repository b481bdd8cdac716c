#include "pick/endpoint.h"

#define EJECTS_COUNT_SHIFT 48
#define EJECTS_TIME_MASK   ((UINT64_C(1) << EJECTS_COUNT_SHIFT) - 1)
#define EJECTS_DECAY_MS    60000
#define EJECTS_MOST        UINT32_C(60000) /* fits above the shift */

static uint64_t slot_second(uint64_t slot)
{
    return slot >> 32;
}

void out_ring_add(struct out_ring *ring, int64_t until_ms)
{
    uint64_t second = (uint64_t)until_ms / 1000;
    _Atomic uint64_t *slot = &ring->slot[second % OUT_SLOTS];
    uint64_t was = atomic_load_explicit(slot, memory_order_relaxed);
    uint64_t next;
    do
        next = slot_second(was) == second ? was + 1 : second << 32 | 1;
    while (!atomic_compare_exchange_weak_explicit(slot, &was, next, memory_order_relaxed,
                                                  memory_order_relaxed));
}

uint32_t out_ring_count(const struct out_ring *ring, int64_t now_ms)
{
    uint64_t now = (uint64_t)now_ms / 1000;
    uint32_t count = 0;
    for (size_t i = 0; i < OUT_SLOTS; i++) {
        uint64_t slot = atomic_load_explicit(&ring->slot[i], memory_order_relaxed);
        if (slot_second(slot) >= now)
            count += (uint32_t)slot;
    }
    return count;
}

void pool_changed(struct pool_state *pool)
{
    atomic_fetch_add_explicit(&pool->generation, 1, memory_order_release);
}

void pool_set_fault(struct pool_state *pool, uint8_t why, uint8_t dependency, int64_t now_ms)
{
    uint8_t was = atomic_load_explicit(&pool->fault, memory_order_relaxed);
    atomic_store_explicit(&pool->fault_dependency, dependency, memory_order_relaxed);
    if ((was != 0) != (why != 0))
        atomic_store_explicit(&pool->fault_ms, now_ms, memory_order_relaxed);
    if (was == 0 && why != 0)
        atomic_fetch_add_explicit(&pool->faults, 1, memory_order_relaxed);
    atomic_store_explicit(&pool->fault, why, memory_order_release);
}

/* From a tenth on: nobody would learn that it is over from nothing. */
uint32_t pool_open_share(const struct pool_state *pool, int64_t now_ms)
{
    if (atomic_load_explicit(&pool->fault, memory_order_acquire) != 0)
        return 0;
    int64_t since_ms = atomic_load_explicit(&pool->fault_ms, memory_order_relaxed);
    int64_t passed_ms = now_ms - since_ms;
    if (since_ms == 0 || passed_ms >= POOL_RAMP_MS)
        return 256;
    uint32_t share = passed_ms > 0 ? (uint32_t)(passed_ms * 256 / POOL_RAMP_MS) : 0;
    return share > 25 ? share : 25;
}

struct endpoint *endpoint_ref(struct endpoint *e)
{
    atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

void endpoint_unref(struct endpoint **e)
{
    if (*e != NULL)
        atomic_fetch_sub_explicit(&(*e)->refs, 1, memory_order_release);
    *e = NULL;
}

const char *endpoint_health_name(enum endpoint_health health)
{
    static const char *const names[] = {"up", "soft", "hard"};
    return names[health];
}

const char *endpoint_admin_name(enum endpoint_admin admin)
{
    static const char *const names[] = {"active", "drain", "maintenance"};
    return names[admin];
}

static void clear_counts(struct endpoint *e)
{
    atomic_store_explicit(&e->fails, 0, memory_order_relaxed);
    atomic_store_explicit(&e->connect_fails, 0, memory_order_relaxed);
    atomic_store_explicit(&e->busy, 0, memory_order_relaxed);
}

bool endpoint_set_health(struct endpoint *e, enum endpoint_health health, int64_t now_ms)
{
    enum endpoint_health was = endpoint_health(e);
    if (was == health)
        return false;
    if (health == ENDPOINT_UP) {
        atomic_store_explicit(&e->up_since, now_ms, memory_order_relaxed);
        clear_counts(e);
    }
    atomic_store_explicit(&e->health_since, now_ms, memory_order_relaxed);
    atomic_store_explicit(&e->health, (uint8_t)health, memory_order_relaxed);
    pool_changed(e->pool);
    return true;
}

void endpoint_probed(struct endpoint *e, bool good)
{
    uint64_t history = atomic_load_explicit(&e->history, memory_order_relaxed);
    uint32_t probes = atomic_load_explicit(&e->probes, memory_order_relaxed);
    atomic_store_explicit(&e->history, history << 1 | (good ? 1 : 0), memory_order_relaxed);
    if (probes < 64)
        atomic_store_explicit(&e->probes, probes + 1, memory_order_relaxed);
}

bool endpoint_set_admin(struct endpoint *e, enum endpoint_admin admin)
{
    if (endpoint_admin(e) == admin)
        return false;
    atomic_store_explicit(&e->admin, (uint8_t)admin, memory_order_relaxed);
    pool_changed(e->pool);
    return true;
}

void endpoint_set_weight(struct endpoint *e, uint32_t weight)
{
    atomic_store_explicit(&e->weight, weight, memory_order_relaxed);
    pool_changed(e->pool);
}

/* The failure counts start afresh on return (BALANCING.md section 9). */
void endpoint_readmit(struct endpoint *e)
{
    int64_t until = atomic_load_explicit(&e->out_until, memory_order_relaxed);
    if (until == 0)
        return;
    if (atomic_compare_exchange_strong_explicit(&e->out_until, &until, 0, memory_order_relaxed,
                                                memory_order_relaxed)) {
        clear_counts(e);
        pool_changed(e->pool);
    }
}

static uint32_t decayed(uint64_t ejects, int64_t now_ms)
{
    uint64_t count = ejects >> EJECTS_COUNT_SHIFT;
    uint64_t last = ejects & EJECTS_TIME_MASK;
    uint64_t now = (uint64_t)now_ms & EJECTS_TIME_MASK;
    uint64_t drop = now > last ? (now - last) / EJECTS_DECAY_MS : 0;
    return (uint32_t)(count > drop ? count - drop : 0);
}

uint32_t endpoint_eject_count(const struct endpoint *e, int64_t now_ms)
{
    return decayed(atomic_load_explicit(&e->ejects, memory_order_relaxed), now_ms);
}

uint32_t endpoint_failed(struct endpoint *e, int64_t now_ms)
{
    uint64_t was = atomic_load_explicit(&e->ejects, memory_order_relaxed);
    uint64_t last = (uint64_t)now_ms & EJECTS_TIME_MASK;
    uint32_t count;
    do {
        count = decayed(was, now_ms);
        if ((was & EJECTS_TIME_MASK) > last)
            last = was & EJECTS_TIME_MASK;
    } while (!atomic_compare_exchange_weak_explicit(&e->ejects, &was,
                                                    (uint64_t)count << EJECTS_COUNT_SHIFT | last,
                                                    memory_order_relaxed, memory_order_relaxed));
    return count;
}

static void count_ejection(struct endpoint *e)
{
    uint64_t was = atomic_load_explicit(&e->ejects, memory_order_relaxed);
    while (was >> EJECTS_COUNT_SHIFT < EJECTS_MOST &&
           !atomic_compare_exchange_weak_explicit(&e->ejects, &was,
                                                  was + (UINT64_C(1) << EJECTS_COUNT_SHIFT),
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

void endpoint_eject(struct endpoint *e, int64_t until_ms, bool counts)
{
    if (counts)
        count_ejection(e);
    atomic_fetch_add_explicit(&e->ejections, 1, memory_order_relaxed);
    atomic_store_explicit(&e->out_until, until_ms, memory_order_relaxed);
    pool_changed(e->pool);
}
