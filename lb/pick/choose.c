#include "pick/choose.h"

#include <math.h>

#define COST_EQUAL_MS 1e-9
#define DRAWS_LEAST   12 /* draws at most, for up to three choices; four for each where more */
#define DRAWS_EACH    4

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

/* Section 10. Panic where no allowed site is above its threshold, or none has anybody to offer. */
static enum pick_mode mode_of(const struct pick_request *req, uint64_t mask)
{
    const struct pool_view *view = req->view;
    bool served = (mask & view->usable_sites) != 0 && (mask & view->healthy_sites) != 0;
    if (served || view->pool->knobs.panic_percent == 0)
        return PICK_NORMAL;
    return (mask & view->alive_sites) != 0 ? PICK_PANIC : PICK_LAST_RESORT;
}

/* The sites that the mode can choose from. */
static uint64_t open_sites(const struct pool_view *view, enum pick_mode mode)
{
    switch (mode) {
    case PICK_NORMAL:
        return view->usable_sites;
    case PICK_PANIC:
        return view->alive_sites;
    case PICK_LAST_RESORT:
        break;
    }
    return view->any_sites; /* nobody in them is alive: all are HARD */
}

enum err choose_begin(struct choice *c, const struct pick_request *req)
{
    uint64_t mask = choose_mask(req);
    c->req = req;
    c->mode = mode_of(req, mask);
    c->open = mask & open_sites(req->view, c->mode);
    c->full = false;
    c->item = NULL;
    c->candidate_count = 0;
    if (c->mode == PICK_LAST_RESORT && req->no_last_resort)
        c->open = 0;
    c->base_ms = pool_view_base(req->view, c->open);
    return c->open != 0 ? ERR_OK : ERR_NO_BACKEND;
}

/* p = T (Q + n) / (A + n): what the next request is predicted to take. */
static double load_of(const struct choice *c, const struct site_load *s, uint32_t n)
{
    const struct pick_knobs *knobs = &c->req->view->pool->knobs;
    double band = knobs->spill_band * c->base_ms;
    double work = s->t_ms * ((double)s->inflight + n);
    double room = s->a + n;
    if (s->samples < SITE_SAMPLES_ENOUGH || work <= band * room) /* saves most sites the division */
        return 0;
    return fmin(knobs->spill_cap_ms, knobs->spill_gain * fmax(0, work / room - band));
}

static double distance_of(const struct choice *c, uint32_t site)
{
    const float *distances = c->req->distance_ms;
    return (double)(distances != NULL ? distances[site] : c->req->view->pool->sites[site].here_ms);
}

struct choose_cost choose_cost(const struct choice *c, uint32_t site)
{
    const struct view_site *v = &c->req->view->sites[site];
    struct choose_range r = choose_range(v, c->mode);
    struct site_load s = site_load(v->state);
    struct choose_cost out = {.q = s.inflight, .weight = r.weight};
    out.distance_ms = distance_of(c, site);
    out.load_ms = load_of(c, &s, r.to - r.from);
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

/* Only whether the mode may use it; in-flight comes separately. */
static bool eligible(const struct choice *c, const struct endpoint *e)
{
    if (endpoint_admin(e) != ENDPOINT_ACTIVE)
        return false;
    enum endpoint_health health = endpoint_health(e);
    if (c->mode == PICK_NORMAL && (health != ENDPOINT_UP || endpoint_out(e, c->req->now_ms)))
        return false;
    if (c->mode == PICK_PANIC && health == ENDPOINT_HARD)
        return false;
    for (size_t i = 0; i < c->req->tried_count; i++)
        if (c->req->tried[i] == e)
            return false;
    return true;
}

static bool is_drawn(const struct choice *c, uint32_t item)
{
    for (uint32_t i = 0; i < c->candidate_count; i++)
        if (c->candidates[i].item == item)
            return true;
    return false;
}

/* Makes the item a candidate where it is a usable one that is not among them already. */
static void consider(struct choice *c, const struct view_site *site, uint32_t item)
{
    const struct view_item *v = &site->items[item];
    if (is_drawn(c, item) || !eligible(c, v->endpoint))
        return;
    uint32_t q = endpoint_inflight(v->endpoint);
    if (v->max_inflight != 0 && q >= v->max_inflight) {
        c->full = true;
        return;
    }
    c->candidates[c->candidate_count++] = (struct choose_candidate){.item = item, .q = q};
}

/* floor(draw * bound / 2^64): a draw scales with the weights (property 3). */
static uint64_t scaled_draw(const struct choice *c, uint64_t bound)
{
    uint64_t draw = c->req->dice.draw(c->req->dice.ctx);
    return (uint64_t)((unsigned __int128)draw * bound >> 64);
}

static uint32_t weighted_draw(const struct choice *c, const struct view_site *site,
                              const struct choose_range *r)
{
    uint64_t target = r->weight_before + scaled_draw(c, r->weight);
    uint32_t at = r->from, n = r->to - r->from;
    while (n >
           1) { /* the first item whose sum is above the target; without a branch to mispredict */
        uint32_t half = n / 2;
        at += site->ends[at + half - 1] <= target ? half : 0;
        n -= half;
    }
    return at;
}

static void scan(struct choice *c, const struct view_site *site, const struct choose_range *r,
                 uint32_t start, uint32_t most)
{
    uint32_t n = r->to - r->from, item = start;
    for (uint32_t i = 0; i < n && c->candidate_count < most; i++) {
        consider(c, site, item);
        item = item + 1 < r->to ? item + 1 : r->from;
    }
}

static void draw_candidates(struct choice *c, const struct view_site *site)
{
    struct choose_range r = choose_range(site, c->mode);
    uint32_t n = r.to - r.from, most = c->req->view->pool->knobs.choices;
    c->candidate_count = 0;
    if (n <= most) {
        scan(c, site, &r, weighted_draw(c, site, &r), most);
        return;
    }
    uint32_t draws = most * DRAWS_EACH > DRAWS_LEAST ? most * DRAWS_EACH : DRAWS_LEAST;
    while (draws-- > 0 && c->candidate_count < most)
        consider(c, site, weighted_draw(c, site, &r));
    if (c->candidate_count < most)
        scan(c, site, &r, r.from + (uint32_t)scaled_draw(c, n), most);
}

/* The least q/w, not (q + 1)/w: the latter starves light ones. Strict, so ties keep the earlier. */
static const struct view_item *least_loaded(const struct choice *c, const struct view_site *site)
{
    const struct choose_candidate *keep = &c->candidates[0];
    for (uint32_t i = 1; i < c->candidate_count; i++) {
        const struct choose_candidate *next = &c->candidates[i];
        if ((uint64_t)next->q * site->items[keep->item].weight <
            (uint64_t)keep->q * site->items[next->item].weight)
            keep = next;
    }
    return &site->items[keep->item];
}

enum err choose(struct choice *c)
{
    c->item = NULL;
    while (c->open != 0) {
        c->site = cheapest_site(c);
        const struct view_site *site = &c->req->view->sites[c->site];
        draw_candidates(c, site);
        if (c->candidate_count > 0) {
            c->item = least_loaded(c, site);
            return ERR_OK;
        }
        c->open &= ~(UINT64_C(1) << c->site);
    }
    return c->full ? ERR_FULL : ERR_NO_BACKEND;
}
