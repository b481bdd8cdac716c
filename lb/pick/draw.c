/* draw: the endpoints of a site as candidates (BALANCING.md section 7). Where it asks for weighted
 * draws, the first one is the endpoint whose turn it is (turns.h): the same share, evenly spread.
 */
#include "pick/choose.h"

#define DRAWS_LEAST 12 /* draws at most, for up to three choices; four for each where more */
#define DRAWS_EACH  4

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

static bool is_drawn(const struct choice *c, uint32_t site, uint32_t item)
{
    for (uint32_t i = 0; i < c->candidate_count; i++)
        if (c->candidates[i].item == item && c->candidates[i].site == site)
            return true;
    return false;
}

uint32_t choose_most(const struct choice *c, const struct view_item *item)
{
    return item->max_inflight - endpoint_places_left(item->max_inflight, c->req->modest);
}

bool choose_look(struct choice *c, uint32_t site, uint32_t item, struct choose_candidate *out)
{
    const struct view_item *v = &c->tier->sites[site].items[item];
    if (!eligible(c, v->endpoint))
        return false;
    uint32_t q = endpoint_inflight(v->endpoint);
    if (v->max_inflight != 0 && q >= choose_most(c, v)) {
        c->full = true;
        return false;
    }
    *out = (struct choose_candidate){.site = site, .item = item, .q = q};
    return true;
}

bool choose_consider(struct choice *c, uint32_t site, uint32_t item)
{
    if (is_drawn(c, site, item) || !choose_look(c, site, item, &c->candidates[c->candidate_count]))
        return false;
    c->candidate_count++;
    return true;
}

/* A draw scales with the weights (property 3). */
uint64_t choose_scaled(uint64_t draw, uint64_t bound)
{
    return (uint64_t)((unsigned __int128)draw * bound >> 64);
}

uint64_t choose_draw(const struct choice *c)
{
    return c->req->dice.draw(c->req->dice.ctx);
}

uint32_t choose_item_at(const struct view_site *site, const struct choose_range *r, uint64_t at)
{
    uint64_t target = r->weight_before + at;
    uint32_t item = site->guide[target >> site->guide_shift], n = site->guide_span;
    item = item + n <= site->count ? item : site->count - n;
    /* The first item whose sum is above the target; without a branch to mispredict. */
    while (n > 1) {
        uint32_t half = n / 2;
        item += site->ends[item + half - 1] <= target ? half : 0;
        n -= half;
    }
    return item;
}

static uint32_t weighted_draw(const struct choice *c, const struct view_site *site,
                              const struct choose_range *r)
{
    return choose_item_at(site, r, choose_scaled(choose_draw(c), r->weight));
}

static uint32_t first_draw(struct choice *c, uint32_t site, const struct choose_range *r)
{
    if (choose_has_turn(c))
        return choose_item_in_turn(c, site);
    return weighted_draw(c, &c->tier->sites[site], r);
}

static void scan_from(struct choice *c, uint32_t site, const struct choose_range *r, uint32_t start,
                      uint32_t most)
{
    uint32_t n = r->to - r->from, item = start;
    for (uint32_t i = 0; i < n && c->candidate_count < most; i++) {
        choose_consider(c, site, item);
        item = item + 1 < r->to ? item + 1 : r->from;
    }
}

void choose_scan(struct choice *c, uint32_t site, uint32_t most)
{
    struct choose_range r = choose_range(&c->tier->sites[site], c->mode);
    scan_from(c, site, &r, r.from + (uint32_t)choose_scaled(choose_draw(c), r.to - r.from), most);
}

/* All are drawn before any is looked at, so that their memory comes at once. */
static void draw_some(struct choice *c, uint32_t site, const struct choose_range *r, uint32_t n,
                      bool first)
{
    const struct view_site *v = &c->tier->sites[site];
    uint32_t drawn[PICK_CHOICES_MOST];
    for (uint32_t i = 0; i < n; i++) {
        drawn[i] = i == 0 && first ? first_draw(c, site, r) : weighted_draw(c, v, r);
        __builtin_prefetch(v->items[drawn[i]].endpoint);
    }
    for (uint32_t i = 0; i < n; i++)
        choose_consider(c, site, drawn[i]);
}

void choose_candidates(struct choice *c, uint32_t site, uint32_t most)
{
    const struct view_site *v = &c->tier->sites[site];
    struct choose_range r = choose_range(v, c->mode);
    c->candidate_count = 0;
    if (r.to - r.from <= most) {
        scan_from(c, site, &r, first_draw(c, site, &r), most);
        return;
    }
    uint32_t all = most * DRAWS_EACH > DRAWS_LEAST ? most * DRAWS_EACH : DRAWS_LEAST, draws = all;
    while (draws > 0 && c->candidate_count < most) {
        uint32_t n = most - c->candidate_count;
        n = n < draws ? n : draws;
        draw_some(c, site, &r, n, draws == all);
        draws -= n;
    }
    if (c->candidate_count < most)
        choose_scan(c, site, most);
}

static const struct view_item *item_of(const struct choice *c, const struct choose_candidate *k)
{
    return &c->tier->sites[k->site].items[k->item];
}

void choose_settle(struct choice *c, const struct choose_candidate *chosen)
{
    c->site = chosen->site;
    c->item = item_of(c, chosen);
}

/* The least q/w, not (q + 1)/w: the latter starves light ones. Strict, so ties keep the earlier. */
bool choose_least_loaded(struct choice *c)
{
    const struct choose_candidate *keep = &c->candidates[0];
    if (c->candidate_count == 0)
        return false;
    for (uint32_t i = 1; i < c->candidate_count; i++) {
        const struct choose_candidate *next = &c->candidates[i];
        if ((uint64_t)next->q * item_of(c, keep)->weight <
            (uint64_t)keep->q * item_of(c, next)->weight)
            keep = next;
    }
    choose_settle(c, keep);
    return true;
}
