/* turn: round robin by weight, first among the sites that may be used, then within one; and the
 * turn that the first draw of PICK_NEAREST is. Panic and the last resort keep no turns: they draw
 * by weight. */
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

bool choose_has_turn(const struct choice *c)
{
    return c->mode == PICK_NORMAL && c->req->tried_count == 0;
}

static uint32_t item_at_unit(const struct choice *c, uint32_t site, uint64_t unit)
{
    const struct view_site *v = &c->tier->sites[site];
    struct choose_range r = choose_range(v, c->mode);
    return choose_item_at(v, &r, unit * c->tier->turns->sites[site].factor);
}

uint32_t choose_item_in_turn(struct choice *c, uint32_t site)
{
    const struct view_turn *turn = &c->tier->turns->sites[site];
    uint64_t unit = turn->begun ? turn->at : choose_scaled(choose_draw(c), turn->units);
    c->next_unit = turns_after(turn, unit);
    return item_at_unit(c, site, unit);
}

static void next_endpoint(struct choice *c, uint32_t site)
{
    choose_consider(c, site, choose_item_in_turn(c, site));
    for (uint32_t i = 1; i < TURNS_MOST && c->candidate_count == 0; i++) {
        choose_consider(c, site, item_at_unit(c, site, c->next_unit));
        c->next_unit = turns_after(&c->tier->turns->sites[site], c->next_unit);
    }
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
    struct view_turns *turns = c->tier->turns;
    if (c->req->view->pool->knobs.algorithm == PICK_NEAREST) {
        if (choose_has_turn(c))
            turns_on(&turns->sites[c->site], c->next_unit);
        return;
    }
    uint64_t weight = choose_range(&c->tier->sites[c->site], c->mode).weight;
    uint64_t next = c->mode == PICK_NORMAL ? c->next_unit : turns->sites[c->site].at;
    turns_taken(turns, c->site, next, weight);
}
