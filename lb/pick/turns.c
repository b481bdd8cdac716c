#include "pick/turns.h"

#define STEPS_TRIED   32
#define QUOTIENT_GOOD 3

static uint64_t common_factor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The largest quotient of the continued fraction step/units: the smaller, the more evenly every
 * stretch of the steps spreads over the circle. UINT64_MAX: they have a common factor. */
static uint64_t unevenness(uint64_t units, uint64_t step)
{
    uint64_t most = 0;
    while (step > 1) {
        uint64_t quotient = units / step, rest = units % step;
        most = quotient > most ? quotient : most;
        units = step;
        step = rest;
    }
    if (step == 0)
        return UINT64_MAX;
    return units > most + 1 ? units - 1 : most; /* [.., n] is [.., n - 1, 1] */
}

uint64_t turns_step(uint64_t units)
{
    uint64_t golden = (uint64_t)((double)units * 0.6180339887498949);
    uint64_t best = 1, best_uneven = units > 1 ? UINT64_MAX : 0;
    for (uint64_t i = 0; i < STEPS_TRIED && best_uneven > QUOTIENT_GOOD; i++) {
        uint64_t step = i % 2 == 0 ? golden + i / 2 : golden - (i + 1) / 2;
        if (step == 0 || step >= units)
            continue;
        uint64_t uneven = unevenness(units, step);
        if (uneven < best_uneven) {
            best = step;
            best_uneven = uneven;
        }
    }
    return best;
}

void turns_build(struct view_turn *turn, const struct view_site *site)
{
    uint64_t factor = 0, was = turn->units;
    for (uint32_t i = 0; i < site->usable && factor != 1; i++)
        factor = common_factor(site->items[i].weight, factor);
    turn->factor = (uint32_t)factor;
    turn->units = site->usable > 0 ? site->ends[site->usable - 1] / factor : 0;
    if (turn->units == was)
        return;
    turn->step = turns_step(turn->units);
    turn->at = was > 0 ? turn->at * turn->units / was : 0;
}

void turns_taken(struct view_turns *turns, uint32_t site, uint64_t next, uint64_t weight)
{
    struct view_turn *turn = &turns->sites[site];
    turns->now = turns_due(turns, site);
    turn->due = turns->now + 1.0 / (double)weight;
    turns_on(turn, next);
}
