/* ring: consistent hashing of a pool's endpoints (Karger and others, 1997): each has points on a
 * circle, as many as its weight is worth, and a key belongs to the next point. Built once with the
 * pool, over all its endpoints; who cannot serve is passed over by whoever walks, so that only the
 * keys of that one move. The places come from the endpoints' names alone: every worker, restart and
 * balancer has the same ring. Immutable; any thread. */
#ifndef MERIDIAN_PICK_RING_H
#define MERIDIAN_PICK_RING_H

#include "pick/pool.h"

/* A point knows its owner, and its rank among the owner's points as a share of RING_RANKS: an owner
 * at half of its weight uses those of the lower half. */
#define RING_MEMBER_BITS 14
#define RING_RANK_BITS   18
#define RING_RANKS       (UINT32_C(1) << RING_RANK_BITS)
_Static_assert(PICK_HASHED_MOST <= 1 << RING_MEMBER_BITS, "every member has a number");

/* At most 512 points for an endpoint of mean weight, 256 in large pools, 8 bytes each, and heads to
 * find them by: 23 MB for PICK_HASHED_MOST endpoints. */
struct ring {
    uint32_t count;
    unsigned head_shift;
    uint32_t *heads;   /* behind the points; [h]: the first point with place >> head_shift >= h */
    uint64_t points[]; /* ascending: place << 32 | member << RING_RANK_BITS | rank */
};

/* ERR_NO_MEMORY. */
MUST_CHECK
enum err ring_new(const struct pool_member *members, uint32_t count, struct ring **out);
void ring_free(struct ring **ring);

/* The index of the point that the key belongs to: the first one at its place or after it. */
uint32_t ring_find(const struct ring *ring, uint64_t key);

static inline uint32_t ring_member(const struct ring *ring, uint32_t point)
{
    return (uint32_t)ring->points[point] >> RING_RANK_BITS;
}
static inline uint32_t ring_rank(const struct ring *ring, uint32_t point)
{
    return (uint32_t)ring->points[point] & (RING_RANKS - 1);
}

#endif
