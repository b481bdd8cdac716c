#include "hist.h"

#include <stddef.h>

static const uint64_t LONGEST_NS = 3600ULL * 1000 * 1000 * 1000;

static size_t slot_of(uint64_t ns)
{
    if (ns < 1U << HIST_STEP_BITS)
        return (size_t)ns;
    unsigned shift = 63U - (unsigned)__builtin_clzll(ns) - HIST_STEP_BITS;
    return ((size_t)(shift + 1) << HIST_STEP_BITS) +
           (size_t)((ns >> shift) - (1U << HIST_STEP_BITS));
}

static uint64_t upper_edge(size_t slot)
{
    size_t power = slot >> HIST_STEP_BITS;
    if (!power)
        return slot;
    uint64_t step = (slot & ((1U << HIST_STEP_BITS) - 1)) + (1U << HIST_STEP_BITS);
    return ((step + 1) << (power - 1)) - 1;
}

void hist_add(struct hist *hist, uint64_t ns)
{
    if (ns > LONGEST_NS)
        ns = LONGEST_NS;
    if (ns > hist->max_ns)
        hist->max_ns = ns;
    hist->slots[slot_of(ns)]++;
    hist->count++;
}

uint64_t hist_quantile(const struct hist *hist, double share)
{
    uint64_t rank = (uint64_t)(share * (double)hist->count);
    uint64_t seen = 0;
    for (size_t slot = 0; slot < HIST_SLOTS; slot++) {
        seen += hist->slots[slot];
        if (seen > rank)
            return upper_edge(slot) < hist->max_ns ? upper_edge(slot) : hist->max_ns;
    }
    return hist->max_ns;
}
