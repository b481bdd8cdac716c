/* split: one of several by weight. Immutable, part of a policy; pure. Knows no pool. */
#ifndef MERIDIAN_PROXY_SPLIT_H
#define MERIDIAN_PROXY_SPLIT_H

#include <stdint.h>

/* ends[i] is the sum of the first i + 1 weights, the last of them more than 0. `random` is uniform
 * or a key's hash: then the same key has the same part while the weights stay, and where the last
 * part grows at the cost of the one before, nobody leaves it. Returns the part's index; one
 * without weight is never chosen. */
uint32_t split_choose(const uint32_t *ends, uint32_t count, uint64_t random);

#endif
