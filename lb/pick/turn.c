/* turn: round robin by weight, first among the sites that may be used, then within one. Panic and
 * the last resort keep no turns: they draw by weight. */
#include "pick/choose.h"
#include "pick/turns.h"

#define TURNS_MOST 12 /* turns of endpoints that cannot serve, before all are looked at */

static uint32_t next_site(const struct choice *c)
{
    uint32_t best = (uint32_t)__builtin_ctzll(c->open);
    for (uint64_t left = c->open & (c->open - 1); left != 0; left &= left - 1) {
        uint32_t site = (uint32_t)__builtin_ctzll(left);
        if (turns_due(c->tier->turns, site) < turns_due(c->tier->turns, best))
            best = site;
    }
    return best;
}

static void next_endpoint(struct choice *c, uint32_t site)
{
    const struct view_site *v = &c->tier->sites[site];
    const struct view_turn *turn = &c->tier->turns->sites[site];
    struct choose_range r = choose_range(v, c->mode);
    uint64_t at = turn->begun ? turn->at : choose_scaled(choose_draw(c), turn->units);
    for (uint32_t i = 0; i < TURNS_MOST && c->candidate_count == 0; i++) {
        choose_consider(c, site, choose_item_at(v, &r, at * turn->factor));
        at = turns_after(turn, at);
    }
    c->next_unit = at;
    if (c->candidate_count == 0)
        choose_scan(c, site, 1);
}

bool choose_turn(struct choice *c)
{
    while (c->open != 0) {
        uint32_t site = next_site(c);
        c->candidate_count = 0;
        if (c->mode == PICK_NORMAL)
            next_endpoint(c, site);
        else
            choose_candidates(c, site, 1);
        if (choose_least_loaded(c))
            return true;
        c->open &= ~(UINT64_C(1) << site);
    }
    return false;
}

void choose_turn_taken(const struct choice *c)
{
    uint64_t weight = choose_range(&c->tier->sites[c->site], c->mode).weight;
    uint64_t next = c->mode == PICK_NORMAL ? c->next_unit : c->tier->turns->sites[c->site].at;
    turns_taken(c->tier->turns, c->site, next, weight);
}
