#include "net/rota.h"

static uint64_t bit(unsigned group)
{
    return UINT64_C(1) << group;
}

void rota_init(struct rota *r)
{
    for (unsigned i = 0; i < ROTA_GROUPS; i++)
        list_init(&r->of[i]);
    r->some = 0;
    r->next = 0;
}

void rota_add(struct rota *r, unsigned group, struct link *e)
{
    group %= ROTA_GROUPS;
    list_append(&r->of[group], e);
    r->some |= bit(group);
}

/* Of those in `some`, the first one from `next` on. */
static unsigned group_in_turn(uint64_t some, unsigned next)
{
    uint64_t later = some & ~(bit(next) - 1);
    return (unsigned)__builtin_ctzll(later != 0 ? later : some);
}

void rota_round(struct rota *r, bool (*go)(struct link *e))
{
    struct rota now;
    bool more = true;
    rota_init(&now);
    for (unsigned i = 0; i < ROTA_GROUPS; i++)
        list_move(&r->of[i], &now.of[i]);
    now.some = r->some;
    r->some = 0;
    while (now.some != 0 && more) {
        unsigned group = group_in_turn(now.some, r->next);
        struct link *first = now.of[group].next;
        if (list_empty(&now.of[group])) {
            now.some &= ~bit(group);
            continue;
        }
        r->next = (group + 1) % ROTA_GROUPS;
        list_remove(first);
        more = go(first);
    }
    for (unsigned i = 0; i < ROTA_GROUPS; i++) {
        list_move(&r->of[i], &now.of[i]);
        list_move(&now.of[i], &r->of[i]);
    }
    r->some |= now.some;
}
