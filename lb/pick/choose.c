#include "pick/choose.h"

#include <math.h>

#define COST_EQUAL_MS 1e-9

uint64_t choose_mask(const struct pick_request *req)
{
    uint32_t count = req->view->site_count;
    uint64_t sites = count >= LIMIT_SITES ? UINT64_MAX : (UINT64_C(1) << count) - 1;
    return sites & req->allowed;
}

/* The lowest site in the mask, taken out of it. */
static uint32_t next_site(uint64_t *mask)
{
    uint32_t site = (uint32_t)__builtin_ctzll(*mask);
    *mask &= *mask - 1;
    return site;
}

struct choose_range choose_range(const struct view_site *site, enum pick_mode mode)
{
    struct choose_range r = {.from = 0, .to = site->usable};
    if (mode == PICK_PANIC)
        r.to = site->alive;
    if (mode == PICK_LAST_RESORT) {
        r.from = site->alive;
        r.to = site->count;
    }
    if (r.to > r.from) {
        r.weight_before = r.from > 0 ? site->ends[r.from - 1] : 0;
        r.weight = site->ends[r.to - 1] - r.weight_before;
    }
    return r;
}

/* Section 10. Panic where no allowed site is above its threshold, or none has anybody to offer; a
 * healthy backup prevents it. */
enum pick_mode pick_mode_of(const struct pool_view *view, uint64_t mask)
{
    uint64_t alive = 0;
    if (view->pool->knobs.panic_percent == 0)
        return PICK_NORMAL;
    for (uint32_t t = 0; t < view->tier_count; t++) {
        const struct view_tier *tier = &view->tiers[t];
        if ((mask & tier->usable_sites) != 0 && (mask & tier->healthy_sites) != 0)
            return PICK_NORMAL;
        alive |= mask & tier->alive_sites;
    }
    return alive != 0 ? PICK_PANIC : PICK_LAST_RESORT;
}

/* The sites that the mode can choose from. */
static uint64_t open_sites(const struct view_tier *tier, enum pick_mode mode)
{
    switch (mode) {
    case PICK_NORMAL:
        return tier->usable_sites;
    case PICK_PANIC:
        return tier->alive_sites;
    case PICK_LAST_RESORT:
        break;
    }
    return tier->any_sites; /* nobody in them is alive: all are HARD */
}

/* The first tier from this one on that has somebody for the mode. */
static bool enter_tier(struct choice *c, uint32_t from)
{
    const struct pool_view *view = c->req->view;
    uint64_t mask = choose_mask(c->req);
    for (uint32_t t = from; t < view->tier_count; t++) {
        uint64_t open = mask & open_sites(&view->tiers[t], c->mode);
        if (open == 0)
            continue;
        c->tier = &view->tiers[t];
        c->open = open;
        c->base_ms = pool_view_base(view, c->tier, open);
        return true;
    }
    c->open = 0;
    return false;
}

enum err choose_begin(struct choice *c, const struct pick_request *req)
{
    c->req = req;
    c->mode = pick_mode_of(req->view, choose_mask(req));
    c->tier = &req->view->tiers[0];
    c->open = 0;
    c->base_ms = 0;
    c->full = false;
    c->item = NULL;
    c->out_of_turn = false;
    c->candidate_count = 0;
    if (c->mode == PICK_LAST_RESORT && req->no_last_resort)
        return ERR_NO_BACKEND;
    return enter_tier(c, 0) ? ERR_OK : ERR_NO_BACKEND;
}

/* p = T (Q + n) / (A + n): what the next request is predicted to take. */
static double load_of(const struct choice *c, const struct site_load *s, uint32_t n)
{
    const struct pick_knobs *knobs = &c->req->view->pool->knobs;
    double band = knobs->spill_band * c->base_ms;
    double work = s->t_ms * ((double)s->inflight + n);
    double room = s->a + n;
    if (s->samples < pool_samples_enough(c->req->view->pool) || work <= band * room)
        return 0; /* saves most sites the division */
    return fmin(knobs->spill_cap_ms, knobs->spill_gain * fmax(0, work / room - band));
}

static double distance_of(const struct choice *c, uint32_t site)
{
    const float *distances = c->req->distance_ms;
    return (double)(distances != NULL ? distances[site] : c->req->view->here_ms[site]);
}

struct choose_cost choose_cost(const struct choice *c, uint32_t site)
{
    const struct view_site *v = &c->tier->sites[site];
    struct choose_range r = choose_range(v, c->mode);
    bool redirect = c->req->view->pool->knobs.redirect;
    struct site_load s = site_load(v->state);
    if (redirect)
        s.inflight = (uint32_t)(site_flow(v->state, c->req->now_ms) + 0.5);
    struct choose_cost out = {.q = s.inflight, .weight = r.weight};
    out.distance_ms = distance_of(c, site);
    out.load_ms = load_of(c, &s, r.to - r.from);
    if (redirect)
        out.load_ms = site_steady(v->state, out.load_ms);
    out.cost_ms = out.distance_ms + out.load_ms;
    return out;
}

/* Q/W is compared crosswise: exact, and the same for any scale of weights. */
bool choose_better(const struct choose_cost *a, const struct choose_cost *b)
{
    if (a->cost_ms < b->cost_ms - COST_EQUAL_MS)
        return true;
    return fabs(a->cost_ms - b->cost_ms) <= COST_EQUAL_MS && a->q * b->weight < b->q * a->weight;
}

/* Load only adds to the distance: most sites are too far to be looked at. */
static uint32_t cheapest_site(const struct choice *c)
{
    uint64_t left = c->open;
    uint32_t best = next_site(&left);
    if (left == 0)
        return best;
    struct choose_cost best_cost = choose_cost(c, best);
    while (left != 0) {
        uint32_t i = next_site(&left);
        if (distance_of(c, i) > best_cost.cost_ms + COST_EQUAL_MS)
            continue;
        struct choose_cost cost = choose_cost(c, i);
        if (choose_better(&cost, &best_cost)) {
            best = i;
            best_cost = cost;
        }
    }
    return best;
}

static bool kept_together(const struct choice *c)
{
    return c->req->view->pool->knobs.keyed && c->req->has_key;
}

/* BALANCING.md section 7: the cheapest site, and the least busy of some in it. */
static bool choose_nearest(struct choice *c)
{
    while (c->open != 0) {
        uint32_t site = cheapest_site(c);
        if (kept_together(c) && choose_kept(c, UINT64_C(1) << site))
            return true;
        choose_candidates(c, site, c->req->view->pool->knobs.choices);
        if (choose_least_loaded(c))
            return true;
        c->open &= ~(UINT64_C(1) << site);
    }
    return false;
}

static bool choose_in_tier(struct choice *c)
{
    enum pick_algorithm algorithm = c->req->view->pool->knobs.algorithm;
    if (choose_stuck(c))
        return true;
    if (algorithm != PICK_NEAREST && kept_together(c))
        return choose_kept(c, c->open);
    switch (algorithm) {
    case PICK_NEAREST:
        return choose_nearest(c);
    case PICK_ROUND_ROBIN:
        return choose_turn(c);
    case PICK_LEAST_CONNECTIONS:
    case PICK_TWO_CHOICES:
        return choose_spread(c);
    case PICK_CONSISTENT_HASH:
        break;
    }
    return choose_hashed(c);
}

enum err choose(struct choice *c)
{
    do {
        if (choose_in_tier(c))
            return ERR_OK;
    } while (enter_tier(c, (uint32_t)(c->tier - c->req->view->tiers) + 1));
    return c->full ? ERR_FULL : ERR_NO_BACKEND;
}

void choose_taken(const struct choice *c)
{
    enum pick_algorithm algorithm = c->req->view->pool->knobs.algorithm;
    if ((algorithm == PICK_ROUND_ROBIN || algorithm == PICK_NEAREST) && !c->out_of_turn)
        choose_turn_taken(c);
}
