/* explain: every term of one choice, in the words of BALANCING.md section 7. Shows what choose.c
 * did, computes nothing that decides. */
#include "pick/choose.h"

const char *pick_verdict_name(enum pick_verdict verdict)
{
    static const char *const names[] = {"chosen", "forbidden", "empty",
                                        "full",   "costlier",  "more-loaded",
                                        "tied",   "elsewhere", "over-share"};
    return names[verdict];
}

const char *pick_mode_name(enum pick_mode mode)
{
    static const char *const names[] = {"normal", "panic", "last-resort"};
    return names[mode];
}

/* Why `cost` lost against the chosen site's. */
static enum pick_verdict lost_by(const struct choose_cost *cost, const struct choose_cost *chosen)
{
    struct choose_cost even = *cost;
    even.q = chosen->q;
    even.weight = chosen->weight;
    if (choose_better(chosen, &even))
        return PICK_COSTLIER;
    return choose_better(chosen, cost) ? PICK_MORE_LOADED : PICK_TIED;
}

static bool is_stuck(const struct choice *c)
{
    const struct pool_member *stick = c->req->stick;
    return stick != NULL && c->item != NULL && c->item->endpoint == stick->endpoint;
}

static enum pick_verdict site_verdict(const struct choice *c, uint32_t site, uint32_t usable,
                                      const struct choose_cost *cost)
{
    uint64_t bit = UINT64_C(1) << site;
    if ((choose_mask(c->req) & bit) == 0)
        return PICK_FORBIDDEN;
    if ((c->open & bit) == 0)
        return usable == 0 ? PICK_EMPTY : PICK_FULL;
    if (c->item == NULL)
        return PICK_FULL; /* the others have not been taken out one by one */
    if (site == c->site)
        return PICK_CHOSEN;
    if (c->req->view->pool->knobs.algorithm != PICK_NEAREST || is_stuck(c))
        return PICK_ELSEWHERE;
    struct choose_cost chosen = choose_cost(c, c->site);
    return lost_by(cost, &chosen);
}

static void explain_site(const struct choice *c, uint32_t i, struct pick_site_terms *out)
{
    const struct view_site *site = &c->tier->sites[i];
    bool costs = c->req->view->pool->knobs.algorithm == PICK_NEAREST;
    struct choose_range r = choose_range(site, c->mode);
    struct choose_cost cost = choose_cost(c, i);
    struct site_load load = site_load(site->state);
    uint32_t n = r.to - r.from;
    *out = (struct pick_site_terms){
        .verdict = site_verdict(c, i, n, &cost),
        .usable = n,
        .inflight = (uint32_t)cost.q,
        .weight = r.weight,
        .distance_ms = cost.distance_ms,
        .t_ms = load.t_ms,
        .n_ms = load.n_ms,
        .a = load.a,
        .samples = load.samples,
        .load_ms = costs ? cost.load_ms : 0,
        .cost_ms = costs ? cost.cost_ms : 0,
    };
    if (costs && n > 0)
        out->predicted_ms = load.t_ms * ((double)cost.q + n) / (load.a + n);
}

static const struct view_item *item_of(const struct choice *c, uint32_t candidate)
{
    const struct choose_candidate *k = &c->candidates[candidate];
    return &c->tier->sites[k->site].items[k->item];
}

static void explain_candidate(const struct choice *c, uint32_t i, struct pick_candidate *out)
{
    const struct view_item *item = item_of(c, i);
    uint32_t chosen_q = 0;
    for (uint32_t k = 0; k < c->candidate_count; k++)
        if (item_of(c, k) == c->item)
            chosen_q = c->candidates[k].q;
    *out = (struct pick_candidate){.endpoint = item->endpoint,
                                   .site = c->candidates[i].site,
                                   .inflight = c->candidates[i].q,
                                   .weight = item->weight,
                                   .verdict = PICK_CHOSEN};
    if (item != c->item && c->candidates[i].over)
        out->verdict = PICK_OVER_SHARE;
    else if (item != c->item)
        out->verdict = (uint64_t)out->inflight * c->item->weight > (uint64_t)chosen_q * item->weight
                           ? PICK_MORE_LOADED
                           : PICK_TIED;
}

void explain_choice(const struct choice *c, struct pick_explain *out)
{
    *out = (struct pick_explain){.algorithm = c->req->view->pool->knobs.algorithm,
                                 .mode = c->mode,
                                 .tier = (uint32_t)(c->tier - c->req->view->tiers),
                                 .keyed = c->req->has_key,
                                 .stuck = is_stuck(c),
                                 .base_ms = c->base_ms,
                                 .site_count = c->req->view->site_count,
                                 .candidate_count = c->item != NULL ? c->candidate_count : 0};
    for (uint32_t i = 0; i < out->site_count; i++)
        explain_site(c, i, &out->sites[i]);
    for (uint32_t i = 0; i < out->candidate_count; i++)
        explain_candidate(c, i, &out->candidates[i]);
}
