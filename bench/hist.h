/* A histogram of durations with a bounded relative error: each power of two is cut into 64 equal
 * steps, so that a reported percentile is at most 1.6 % above the true one. Values above an hour
 * are counted as an hour. */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

enum { HIST_STEP_BITS = 6, HIST_SLOTS = (43 - HIST_STEP_BITS) << HIST_STEP_BITS };

struct hist {
    uint64_t count, max_ns;
    uint64_t slots[HIST_SLOTS];
};

void hist_add(struct hist *hist, uint64_t ns);

/* The upper edge in ns of the slot that holds the given share (0..1) of all values; 0 when empty.
 */
uint64_t hist_quantile(const struct hist *hist, double share);

#endif
