/* line_ring: lines from workers to one thread that writes or sends them: one ring each, one
 * producer and one consumer, no lock. What does not fit is not taken: its owner counts it. It knows
 * no file and no meaning. */
#ifndef MERIDIAN_RUN_LINE_RING_H
#define MERIDIAN_RUN_LINE_RING_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

struct line_rings;

/* `most` bytes for all of them together; each has a power of two, at least 64 KiB. */
MUST_CHECK
enum err line_rings_new(unsigned workers, size_t most, struct line_rings **out);
void line_rings_free(struct line_rings **r);
/* Whole or not at all. Worker i's thread only. */
bool line_rings_put(struct line_rings *r, unsigned worker, struct span line);
/* What worker i has put, in two parts (the second where the ring begins again), at most `most`
 * bytes of it; returns how many. The consumer's thread only. */
size_t line_rings_peek(const struct line_rings *r, unsigned worker, size_t most,
                       struct span parts[2]);
/* The first n of them are no longer needed. */
void line_rings_taken(struct line_rings *r, unsigned worker, size_t n);

#endif
