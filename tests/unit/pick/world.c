#include "world.h"

#include <math.h>

uint32_t below(struct world *w, uint32_t bound)
{
    return (uint32_t)rng_below(&w->rng, bound);
}

struct endpoint *any_endpoint(struct world *w)
{
    return w->f.pool->members[below(w, w->f.pool->member_count)].endpoint;
}

static void random_state(struct world *w, struct endpoint *e, uint32_t trouble)
{
    atomic_store(&e->inflight, below(w, 20));
    if (below(w, 100) >= trouble)
        return;
    switch (below(w, 5)) {
    case 0:
        endpoint_set_health(e, ENDPOINT_SOFT, w->f.now_ms);
        break;
    case 1:
        endpoint_set_health(e, ENDPOINT_HARD, w->f.now_ms);
        break;
    case 2:
        endpoint_set_admin(e, ENDPOINT_DRAIN);
        break;
    case 3:
        endpoint_set_admin(e, ENDPOINT_MAINT);
        break;
    default:
        endpoint_eject(e, w->f.now_ms + 1 + below(w, 9000), true);
    }
}

void world_make(struct world *w, enum pick_algorithm algorithm, uint32_t trouble)
{
    uint32_t sites = 1 + below(w, SITES), members = 1 + below(w, MEMBERS);
    for (uint32_t i = 0; i < ALL; i++)
        w->weights[i] = 1 + below(w, 10);
    bool tiers = below(w, 3) == 0;
    for (uint32_t i = 0; i < ALL; i++)
        w->ranks[i] = (uint8_t)(tiers ? below(w, 4) : 0);
    struct fixture_shape shape = SHAPE(sites, members, .weights = w->weights, .ranks = w->ranks,
                                       .max_inflight = below(w, 4) == 0 ? 15 : 0);
    shape.knobs.algorithm = algorithm;
    fixture_make(&w->f, shape);
    w->f.pool->knobs.choices = 1 + below(w, 4);
    w->f.pool->knobs.panic_percent = below(w, 4) == 0 ? below(w, 101) : 50;
    for (uint32_t i = 0; i < w->f.pool->member_count; i++)
        random_state(w, w->f.pool->members[i].endpoint, trouble);
    for (uint32_t i = 0; i < sites; i++) {
        w->distances[i] = (float)below(w, 4) * 40;
        fixture_load(&w->f, i, below(w, 100), below(w, 60), 1 + below(w, 60), 1 + below(w, 40));
        if (below(w, 5) == 0)
            atomic_store(&w->f.pool->sites[i].state->samples, 31);
    }
    w->req = fixture_request(&w->f);
    w->req.distance_ms = w->distances;
    w->req.allowed = below(w, 3) == 0 ? rng_u64(&w->rng) : PICK_ALL;
    w->req.tried = w->tried;
    w->req.key = rng_u64(&w->rng);
    w->req.has_key = below(w, 4) != 0;
    for (uint32_t n = below(w, 5); w->req.tried_count < n;)
        w->tried[w->req.tried_count++] = any_endpoint(w);
}

static bool was_tried(const struct world *w, const struct endpoint *e)
{
    for (size_t i = 0; i < w->req.tried_count; i++)
        if (w->tried[i] == e)
            return true;
    return false;
}

const struct pool_member *member_of(const struct world *w, const struct endpoint *e)
{
    for (uint32_t i = 0; i < w->f.pool->member_count; i++)
        if (w->f.pool->members[i].endpoint == e)
            return &w->f.pool->members[i];
    return NULL;
}

bool may_serve(const struct world *w, const struct pool_member *m, enum pick_mode mode)
{
    const struct endpoint *e = m->endpoint;
    if (was_tried(w, e) || endpoint_admin(e) != ENDPOINT_ACTIVE)
        return false;
    if (m->max_inflight != 0 && endpoint_inflight(e) >= m->max_inflight)
        return false;
    if (mode == PICK_NORMAL)
        return endpoint_health(e) == ENDPOINT_UP && !endpoint_out(e, w->f.now_ms);
    return mode == PICK_PANIC ? endpoint_health(e) != ENDPOINT_HARD
                              : endpoint_health(e) == ENDPOINT_HARD;
}

static bool site_can(const struct world *w, uint32_t tier, uint32_t site, enum pick_mode mode)
{
    const struct pool_site *s = &w->f.pool->sites[site];
    for (uint32_t i = 0; i < s->count; i++)
        if (s->members[i].tier == tier && may_serve(w, &s->members[i], mode))
            return true;
    return false;
}

uint32_t naive_tier(const struct world *w, enum pick_mode mode)
{
    for (uint32_t tier = 0; tier < PICK_TIERS; tier++)
        for (uint32_t i = 0; i < w->f.pool->site_count; i++)
            if ((w->req.allowed >> i & 1) && site_can(w, tier, i, mode))
                return tier;
    return PICK_TIERS;
}

/* n and W of section 7, without regard to tried and max_inflight. */
static uint32_t usable(const struct world *w, uint32_t tier, uint32_t site, enum pick_mode mode,
                       uint64_t *weight)
{
    const struct pool_site *s = &w->f.pool->sites[site];
    uint32_t n = 0;
    *weight = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct endpoint *e = s->members[i].endpoint;
        bool out = endpoint_out(e, w->f.now_ms);
        enum endpoint_health health = endpoint_health(e);
        bool in = mode == PICK_NORMAL  ? health == ENDPOINT_UP && !out
                  : mode == PICK_PANIC ? health != ENDPOINT_HARD
                                       : health == ENDPOINT_HARD;
        if (!in || s->members[i].tier != tier || endpoint_admin(e) != ENDPOINT_ACTIVE)
            continue;
        n++;
        *weight += s->members[i].weight;
    }
    return n;
}

uint32_t naive_site(const struct world *w, enum pick_mode mode)
{
    uint32_t best = UINT32_MAX;
    double best_cost = 0, best_load = 0, base = 0;
    uint32_t tier = naive_tier(w, mode);
    uint64_t weight;
    for (uint32_t i = 0; i < w->f.pool->site_count; i++) {
        struct site_load s = site_load(w->f.pool->sites[i].state);
        if ((w->req.allowed >> i & 1) && s.samples >= 32 && usable(w, tier, i, mode, &weight) > 0 &&
            (base == 0 || s.n_ms < base))
            base = s.n_ms;
    }
    for (uint32_t i = 0; i < w->f.pool->site_count; i++) {
        struct site_load s = site_load(w->f.pool->sites[i].state);
        uint32_t n = usable(w, tier, i, mode, &weight);
        if (!(w->req.allowed >> i & 1) || !site_can(w, tier, i, mode))
            continue;
        double p = s.t_ms * (s.inflight + n) / (s.a + n);
        double load = s.samples >= 32 ? fmin(500, 3 * fmax(0, p - 1.5 * base)) : 0;
        double cost = (double)w->distances[i] + load, u = (double)s.inflight / (double)weight;
        if (best == UINT32_MAX || cost < best_cost - 1e-9 ||
            (fabs(cost - best_cost) <= 1e-9 && u < best_load - 1e-12)) {
            best = i;
            best_cost = cost;
            best_load = u;
        }
    }
    return best;
}

/* Whether at most the rest of panic_percent of the weight is DOWN. */
static bool above_threshold(const struct world *w, uint32_t tier, uint32_t site)
{
    const struct pool_site *s = &w->f.pool->sites[site];
    uint64_t down = 0, total = 0;
    for (uint32_t k = 0; k < s->count; k++) {
        const struct endpoint *e = s->members[k].endpoint;
        if (s->members[k].tier != tier || endpoint_admin(e) != ENDPOINT_ACTIVE)
            continue;
        total += s->members[k].weight;
        down += endpoint_health(e) != ENDPOINT_UP ? s->members[k].weight : 0;
    }
    return total > 0 && down * 100 <= total * (100 - w->f.pool->knobs.panic_percent);
}

enum pick_mode naive_mode(const struct world *w)
{
    uint32_t all_panic = 0;
    uint64_t weight;
    for (uint32_t tier = 0; tier < PICK_TIERS; tier++) {
        uint32_t normal = 0, healthy = 0;
        for (uint32_t i = 0; i < w->f.pool->site_count; i++) {
            if (!(w->req.allowed >> i & 1))
                continue;
            normal += usable(w, tier, i, PICK_NORMAL, &weight);
            all_panic += usable(w, tier, i, PICK_PANIC, &weight);
            healthy += above_threshold(w, tier, i);
        }
        if (healthy > 0 && normal > 0)
            return PICK_NORMAL;
    }
    if (w->f.pool->knobs.panic_percent == 0)
        return PICK_NORMAL;
    return all_panic > 0 ? PICK_PANIC : PICK_LAST_RESORT;
}
