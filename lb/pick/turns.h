/* turns: whose turn it is. A site's weights laid end to end are a circle of units; each turn goes
 * on by a fixed step that has no factor in common with their number, so that in one round every
 * unit has exactly one turn, and that is close to the golden section, so that a heavy endpoint's
 * turns lie far apart. A turn costs what a search costs, and needs no lock: each worker's view has
 * its own. PICK_ROUND_ROBIN goes by it alone, over sites and within each. PICK_NEAREST takes its
 * first draw in a site by it, which is the one that wins where all are equally busy: requests reach
 * an endpoint at even intervals instead of by chance, which makes shorter queues, and at rates
 * where a connection would rest for longer than the kernel delays an acknowledgement (40 ms) by
 * chance only, saves the packet. Inside lb/pick only. */
#ifndef MERIDIAN_PICK_TURNS_H
#define MERIDIAN_PICK_TURNS_H

#include "pick/pool.h"

/* Of one site, over the usable items. */
struct view_turn {
    uint64_t units; /* the sum of the weights, without their common factor; 0: nobody is usable */
    uint64_t step;
    uint64_t at; /* the unit whose turn is next */
    uint32_t factor;
    bool begun; /* a worker begins anywhere, so that not all of them begin with the first */
    double due; /* when the site is next, counted in turns per weight */
};
/* Sites take turns by start-time fair queueing (Goyal and others, 1996): a site that requests could
 * not use for a while is not owed anything. */
struct view_turns {
    double now;
    struct view_turn *sites;
};

/* Adapts a site's turn to its new items; where it stood stays where it was in proportion. */
void turns_build(struct view_turn *turn, const struct view_site *site);
/* The step for so many units; pure. */
uint64_t turns_step(uint64_t units);

static inline uint64_t turns_after(const struct view_turn *turn, uint64_t at)
{
    uint64_t next = at + turn->step;
    return next < turn->units ? next : next - turn->units;
}
/* When the site would be served. */
static inline double turns_due(const struct view_turns *turns, uint32_t site)
{
    return turns->sites[site].due > turns->now ? turns->sites[site].due : turns->now;
}
/* A turn within the site was taken; `next` is the unit that comes after it. */
static inline void turns_on(struct view_turn *turn, uint64_t next)
{
    turn->at = next;
    turn->begun = true;
}
/* The same, and it was the site's turn among the sites. */
void turns_taken(struct view_turns *turns, uint32_t site, uint64_t next, uint64_t weight);

#endif
