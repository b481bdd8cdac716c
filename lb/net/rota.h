/* rota: those who wait for a turn, in groups that take turns, so that whoever comes in numbers
 * holds up its own group and no other. It knows links and numbers of groups; not what waits, for
 * what, or how a group is chosen. */
#ifndef MERIDIAN_NET_ROTA_H
#define MERIDIAN_NET_ROTA_H

#include "base/list.h"

#include <stdint.h>

#define ROTA_GROUPS 64

struct rota {
    struct link of[ROTA_GROUPS]; /* the longest there first */
    uint64_t some;               /* a bit for each group in which somebody may wait */
    unsigned next;               /* the group whose turn it is */
};

void rota_init(struct rota *r);
/* As the last one of its group, any number. It leaves by list_remove. */
void rota_add(struct rota *r, unsigned group, struct link *e);

/* Whether somebody may wait: true for the last time when all who did have left. */
static inline bool rota_waits(const struct rota *r)
{
    return r->some != 0;
}

/* Everybody who waits now is taken out and told to go on, one of each group after the other, until
 * `go` returns false: the others stay, before those that have come meanwhile. */
void rota_round(struct rota *r, bool (*go)(struct link *e));

#endif
