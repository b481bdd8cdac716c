/* hashed: consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2018). A key
 * belongs to the next point of the ring whose owner can serve and has less in flight than its share
 * of all requests times the bound. */
#include "pick/choose.h"
#include "pick/ring.h"

#define WALK_MOST                                                                                  \
    2048 /* points; beyond them whoever comes next in the view, which is as stable                 \
          */

struct bound {
    uint64_t of_weight, weight; /* the most of an item: its weight * of_weight / weight */
};

static struct bound bound_of(const struct choice *c)
{
    struct bound b = {0};
    uint64_t inflight = 1;
    if (c->req->view->pool->knobs.keyed)
        return (struct bound){.of_weight = 1}; /* nobody is ever above it */
    struct spread own;
    const struct spread *s = spread_of(c, &own);
    for (uint32_t i = 0; i < s->count; i++) {
        const struct site_state *site = c->tier->sites[s->sites[i]].state;
        int32_t q = atomic_load_explicit(&site->inflight, memory_order_relaxed);
        inflight += q > 0 ? (uint32_t)q : 0;
    }
    b.of_weight = c->req->view->pool->knobs.hash_load_percent * inflight;
    b.weight = s->ends[s->count - 1] * 100;
    return b;
}

/* q + 1 <= ceil(share): sums over all to more than what is in flight, so somebody has room. */
static bool is_over(const struct choice *c, const struct choose_candidate *k, const struct bound *b)
{
    uint32_t weight = c->tier->sites[k->site].items[k->item].weight;
    return k->q * b->weight >= weight * b->of_weight;
}

/* Where the owner of a point is in the view. False: not in this tier, or at no open site, or the
 * point is not used, as its owner has not all of its weight (slow start, or set by hand). */
static bool find_owner(const struct choice *c, uint32_t point, struct choose_candidate *out)
{
    const struct pool_view *view = c->req->view;
    const struct ring *ring = view->pool->ring;
    uint32_t index = ring_member(ring, point);
    const struct pool_member *m = &view->pool->members[index];
    if (&view->tiers[m->tier] != c->tier || (c->open >> m->site & 1) == 0 ||
        view->places[index] == VIEW_NOWHERE)
        return false;
    out->site = m->site;
    out->item = view->places[index];
    const struct view_site *site = &c->tier->sites[m->site];
    struct choose_range r = choose_range(site, c->mode);
    double used = site->items[out->item].weight / (m->weight * view->heaviest) * RING_RANKS;
    return out->item >= r.from && out->item < r.to && ring_rank(ring, point) < used;
}

/* Takes the next candidate; true: it is the one. */
static bool settles(struct choice *c, uint32_t site, uint32_t item, const struct bound *b)
{
    if (c->candidate_count == PICK_CHOICES_MOST)
        c->candidate_count--; /* the last place is for the one that is found */
    if (!choose_consider(c, site, item))
        return false;
    struct choose_candidate *k = &c->candidates[c->candidate_count - 1];
    k->over = is_over(c, k, b);
    if (!k->over)
        choose_settle(c, k);
    return !k->over;
}

static bool walk(struct choice *c, uint64_t key, const struct bound *b)
{
    const struct ring *ring = c->req->view->pool->ring;
    uint32_t point = ring_find(ring, key);
    uint32_t steps = ring->count < WALK_MOST ? ring->count : WALK_MOST;
    for (; steps > 0; steps--) {
        struct choose_candidate k;
        if (find_owner(c, point, &k) && settles(c, k.site, k.item, b))
            return true;
        point = point + 1 < ring->count ? point + 1 : 0;
    }
    return false;
}

/* Hardly anybody of a large pool can serve: the next one from the key's place in the view. */
static bool look_at_all(struct choice *c, uint64_t key, const struct bound *b)
{
    struct spread own;
    const struct spread *s = spread_of(c, &own);
    struct spread_place p = spread_at(c, s, key);
    for (uint32_t i = 0; i < s->items; i++) {
        if (settles(c, s->sites[p.nth], p.item, b))
            return true;
        spread_next(c, s, &p);
    }
    return false;
}

bool choose_hashed(struct choice *c)
{
    uint64_t key = c->req->has_key ? c->req->key : choose_draw(c);
    struct bound b = bound_of(c);
    c->candidate_count = 0;
    /* All are above their share where the others have been tried: then the least busy one. */
    return walk(c, key, &b) || look_at_all(c, key, &b) || choose_least_loaded(c);
}
