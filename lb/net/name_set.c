#include "net/name_set.h"

#define FIRST_RETRY_MS 1000

static int64_t jittered(int64_t ms, struct rng *rng)
{
    return ms - (int64_t)rng_below(rng, (uint64_t)(ms / 10 + 1));
}

/* A name that has never been known is asked for sooner: a pool may wait for it. */
static int64_t retry_ms(const struct name_set *set)
{
    int64_t ms = set->count == 0 ? FIRST_RETRY_MS : LIMIT_NAME_TTL_LEAST_MS;
    for (unsigned i = 1; i < set->failures && ms < LIMIT_NAME_RETRY_MOST_MS; i++)
        ms *= 2;
    return ms < LIMIT_NAME_RETRY_MOST_MS ? ms : LIMIT_NAME_RETRY_MOST_MS;
}

static int64_t clamped_ms(uint32_t ttl_s)
{
    int64_t ms = (int64_t)ttl_s * 1000;
    if (ms < LIMIT_NAME_TTL_LEAST_MS)
        return LIMIT_NAME_TTL_LEAST_MS;
    return ms < LIMIT_NAME_TTL_MOST_MS ? ms : LIMIT_NAME_TTL_MOST_MS;
}

static bool answer_has(const struct name_answer *answer, const struct addr *a)
{
    for (size_t i = 0; i < answer->count; i++) {
        if (addr_eq(&answer->addrs[i].addr, a))
            return true;
    }
    return false;
}

static struct name_member *member_of(struct name_set *set, const struct addr *a)
{
    for (size_t i = 0; i < set->count; i++) {
        if (addr_eq(&set->members[i].is.addr, a))
            return &set->members[i];
    }
    return NULL;
}

/* Marks what the answer lacks; returns how many those are. */
static size_t mark_gone(struct name_set *set, const struct name_answer *answer, int64_t now_ms)
{
    size_t gone = 0;
    for (size_t i = 0; i < set->count; i++) {
        struct name_member *m = &set->members[i];
        if (answer_has(answer, &m->is.addr))
            m->gone_ms = 0;
        else if (m->gone_ms == 0 && answer->complete)
            m->gone_ms = now_ms;
        gone += m->gone_ms != 0;
    }
    return gone;
}

static size_t drop_gone(struct name_set *set, int64_t since_ms)
{
    size_t kept = 0, before = set->count;
    for (size_t i = 0; i < before; i++) {
        const struct name_member *m = &set->members[i];
        if (m->gone_ms == 0 || m->gone_ms > since_ms)
            set->members[kept++] = *m;
    }
    set->count = kept;
    return before - kept;
}

/* Few may go at once; many only when they have been away for LIMIT_NAME_HOLD_MS. */
static size_t remove_gone(struct name_set *set, size_t gone, bool complete, int64_t now_ms)
{
    if (!complete)
        return 0;
    bool mass = gone * 100 > set->count * LIMIT_NAME_REMOVE_PERCENT;
    return drop_gone(set, mass ? now_ms - LIMIT_NAME_HOLD_MS : now_ms);
}

/* Those that are known get the rank and the weight that they have now. */
static void add_new(struct name_set *set, const struct name_answer *answer, struct name_change *c)
{
    for (size_t i = 0; i < answer->count; i++) {
        const struct name_address *now = &answer->addrs[i];
        struct name_member *m = member_of(set, &now->addr);
        if (m == NULL) {
            set->members[set->count++] = (struct name_member){.is = *now};
            c->added++;
        } else if (m->is.rank != now->rank || m->is.weight != now->weight) {
            m->is = *now;
            c->altered++;
        }
    }
}

static void plan_next(struct name_set *set, int64_t wait_ms, int64_t now_ms, struct rng *rng)
{
    for (size_t i = 0; i < set->count; i++) {
        int64_t gone_ms = set->members[i].gone_ms;
        if (gone_ms == 0)
            continue;
        int64_t left = gone_ms + LIMIT_NAME_HOLD_MS - now_ms;
        set->held++;
        wait_ms = left < wait_ms ? left : wait_ms;
    }
    if (wait_ms < LIMIT_NAME_TTL_LEAST_MS)
        wait_ms = LIMIT_NAME_TTL_LEAST_MS;
    set->next_ms = now_ms + jittered(wait_ms, rng);
}

struct name_change name_set_take(struct name_set *set, const struct name_answer *answer,
                                 int64_t now_ms, struct rng *rng)
{
    struct name_change change = {0};
    if (answer->result != ERR_OK || answer->count == 0 || answer->count > LIMIT_NAME_ADDRESSES) {
        set->failures += set->failures < UINT8_MAX;
        set->next_ms = now_ms + jittered(retry_ms(set), rng);
        return change;
    }
    set->failures = 0;
    set->held = 0;
    size_t gone = mark_gone(set, answer, now_ms);
    change.removed = remove_gone(set, gone, answer->complete, now_ms);
    add_new(set, answer, &change);
    /* Those that are away make room for those that are there. */
    if (set->count > LIMIT_NAME_ADDRESSES)
        change.removed += drop_gone(set, now_ms);
    if (set->count > LIMIT_NAME_ADDRESSES) {
        change.added -= set->count - LIMIT_NAME_ADDRESSES;
        set->count = LIMIT_NAME_ADDRESSES;
    }
    plan_next(set, clamped_ms(answer->ttl_s), now_ms, rng);
    return change;
}
