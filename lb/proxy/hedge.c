#include "proxy/hedge.h"

#include "base/clock.h"

enum { FINE_BITS = 3, FINE = 1 << FINE_BITS, LEAST_BIT = 6, COUNT_MOST = 2048 };

/* By the highest bit of the microseconds and the FINE_BITS below it. */
static unsigned step_of(int64_t ns)
{
    uint64_t us = ns > 0 ? (uint64_t)ns / NS_PER_US : 0;
    if (us < UINT64_C(1) << LEAST_BIT)
        return 0;
    unsigned bit = 63 - (unsigned)__builtin_clzll(us);
    unsigned fine = (unsigned)(us >> (bit - FINE_BITS)) & (FINE - 1);
    unsigned step = (bit - LEAST_BIT) * FINE + fine;
    return step < HEDGE_STEPS ? step : HEDGE_STEPS - 1;
}

/* Where the next step begins. */
static int64_t end_of(unsigned step)
{
    unsigned bit = LEAST_BIT + step / FINE;
    int64_t part = INT64_C(1) << (bit - FINE_BITS);
    return (FINE + step % FINE + 1) * part * NS_PER_US;
}

static void forget_half(struct hedge_times *t)
{
    t->count = 0;
    for (unsigned i = 0; i < HEDGE_STEPS; i++) {
        t->step[i] /= 2;
        t->count += t->step[i];
    }
}

void hedge_times_add(struct hedge_times *t, int64_t ns)
{
    if (t->count >= COUNT_MOST)
        forget_half(t);
    t->step[step_of(ns)]++;
    t->count++;
}

int64_t hedge_delay_ns(const struct hedge_rules *rules, const struct hedge_times *times)
{
    if (rules->after_ns != 0)
        return rules->after_ns;
    if (times->count < HEDGE_SAMPLES_ENOUGH)
        return 0;
    uint32_t slower = times->count * (100 - rules->percent) / 100, seen = 0;
    unsigned i = HEDGE_STEPS;
    while (i > 0 && seen + times->step[i - 1] <= slower)
        seen += times->step[--i];
    return end_of(i > 0 ? i - 1 : 0);
}
