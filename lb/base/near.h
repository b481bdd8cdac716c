/* near: which of the names that there are somebody meant who wrote one that is none. Knows
 * spelling; not what is named. */
#ifndef MERIDIAN_BASE_NEAR_H
#define MERIDIAN_BASE_NEAR_H

#include "base/buf.h"

/* Levenshtein distance, two neighbours swapped being one step; at most `cap` (returns cap where it
 * is more). */
size_t near_distance(struct span a, struct span b, size_t cap);

/* The candidate nearest to `wanted`, near enough to be what was meant; SPAN_NONE otherwise. They
 * are offered one by one, and must live as long as this. */
struct near {
    struct span wanted, best;
    size_t distance;
};
struct near near_to(struct span wanted);
void near_offer(struct near *near, struct span candidate);
/* "; did you mean 'NAME'?", or nothing. */
void near_put(const struct near *near, struct buf *out);

#endif
