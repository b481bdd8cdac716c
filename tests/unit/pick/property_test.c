/* The properties of BALANCING.md section 11, by their numbers, over random pools. */
#include "fixture.h"

#include <math.h>

enum { SITES = 5, MEMBERS = 6, ALL = SITES * MEMBERS };

struct world {
    struct fixture f;
    struct rng rng;
    uint32_t weights[ALL];
    float distances[SITES];
    struct endpoint *tried[4];
    struct pick_request req;
};

static uint32_t below(struct world *w, uint32_t bound)
{
    return (uint32_t)rng_below(&w->rng, bound);
}

static struct endpoint *any_endpoint(struct world *w)
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

/* A pool of random shape, weights, load and trouble (percent of endpoints), and a request for it.
 */
static void world_make(struct world *w, uint32_t trouble)
{
    uint32_t sites = 1 + below(w, SITES), members = 1 + below(w, MEMBERS);
    for (uint32_t i = 0; i < ALL; i++)
        w->weights[i] = 1 + below(w, 10);
    fixture_make(&w->f, SHAPE(sites, members, .weights = w->weights,
                              .max_inflight = below(w, 4) == 0 ? 15 : 0));
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

/* May the mode use it? Written from section 7 and 10, not from the code. */
static bool may_serve(const struct world *w, const struct endpoint *e, enum pick_mode mode,
                      uint32_t max_inflight)
{
    if (was_tried(w, e) || endpoint_admin(e) != ENDPOINT_ACTIVE)
        return false;
    if (max_inflight != 0 && endpoint_inflight(e) >= max_inflight)
        return false;
    if (mode == PICK_NORMAL)
        return endpoint_health(e) == ENDPOINT_UP && !endpoint_out(e, w->f.now_ms);
    return mode == PICK_PANIC ? endpoint_health(e) != ENDPOINT_HARD
                              : endpoint_health(e) == ENDPOINT_HARD;
}

static bool site_can(const struct world *w, uint32_t site, enum pick_mode mode)
{
    const struct pool_site *s = &w->f.pool->sites[site];
    for (uint32_t i = 0; i < s->count; i++)
        if (may_serve(w, s->members[i].endpoint, mode, s->members[i].max_inflight))
            return true;
    return false;
}

/* n and W of section 7, without regard to tried and max_inflight. */
static uint32_t usable(const struct world *w, uint32_t site, enum pick_mode mode, uint64_t *weight)
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
        if (!in || endpoint_admin(e) != ENDPOINT_ACTIVE)
            continue;
        n++;
        *weight += s->members[i].weight;
    }
    return n;
}

/* The site by the words of section 7; UINT32_MAX: none. */
static uint32_t naive_site(const struct world *w, enum pick_mode mode)
{
    uint32_t best = UINT32_MAX;
    double best_cost = 0, best_load = 0, base = 0;
    uint64_t weight;
    for (uint32_t i = 0; i < w->f.pool->site_count; i++) {
        struct site_load s = site_load(w->f.pool->sites[i].state);
        if ((w->req.allowed >> i & 1) && s.samples >= 32 && usable(w, i, mode, &weight) > 0 &&
            (base == 0 || s.n_ms < base))
            base = s.n_ms;
    }
    for (uint32_t i = 0; i < w->f.pool->site_count; i++) {
        struct site_load s = site_load(w->f.pool->sites[i].state);
        uint32_t n = usable(w, i, mode, &weight);
        if (!(w->req.allowed >> i & 1) || !site_can(w, i, mode))
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

static enum pick_mode naive_mode(const struct world *w)
{
    uint32_t normal = 0, panic = 0, healthy = 0;
    for (uint32_t i = 0; i < w->f.pool->site_count; i++) {
        if (!(w->req.allowed >> i & 1))
            continue;
        const struct pool_site *s = &w->f.pool->sites[i];
        uint64_t weight, down = 0, total = 0;
        normal += usable(w, i, PICK_NORMAL, &weight);
        panic += usable(w, i, PICK_PANIC, &weight);
        for (uint32_t k = 0; k < s->count; k++) {
            const struct endpoint *e = s->members[k].endpoint;
            if (endpoint_admin(e) != ENDPOINT_ACTIVE)
                continue;
            total += s->members[k].weight;
            down += endpoint_health(e) != ENDPOINT_UP ? s->members[k].weight : 0;
        }
        healthy += total > 0 && down * 100 <= total * (100 - w->f.pool->knobs.panic_percent);
    }
    if (w->f.pool->knobs.panic_percent == 0 || (healthy > 0 && normal > 0))
        return PICK_NORMAL;
    return panic > 0 ? PICK_PANIC : PICK_LAST_RESORT;
}

/* 1 and 5: mask, usability, ties; and the whole choice of the site against a naive one. */
TEST(property, the_choice_is_allowed_usable_and_the_cheapest)
{
    struct world w;
    uint32_t picked[3] = {0};
    seed_of("property 1, 5", &w.rng);
    for (size_t i = cases(FULL_CASES); i > 0; i--) {
        struct pick_ticket t;
        world_make(&w, below(&w, 120));
        enum pick_mode mode = naive_mode(&w);
        uint32_t want = naive_site(&w, mode);
        enum err err = pick(&w.req, &t);
        CHECK((err == ERR_OK) == (want != UINT32_MAX), "%s, want site %d", err_name(err),
              (int)want);
        if (err == ERR_OK) {
            CHECK_INT(t.mode, mode);
            CHECK_INT(t.site_index, want);
            atomic_fetch_sub(&t.endpoint->inflight, 1);
            CHECK(may_serve(&w, t.endpoint, mode, w.f.pool->members[0].max_inflight), "usable");
            atomic_fetch_add(&t.endpoint->inflight, 1);
            CHECK(w.req.allowed >> t.site_index & 1, "in the mask");
            picked[mode]++;
            pick_release(&t);
        }
        fixture_free(&w.f);
    }
    CHECK(picked[0] > 0 && picked[1] > 0 && picked[2] > 0, "all modes were seen");
}

/* The same draws again: explains without taking. */
static enum err replay(struct world *w, struct pick_explain *out)
{
    struct rng same = w->f.rng;
    w->req.dice = pick_dice_rng(&same);
    w->req.explain = out;
    return pick_explain(&w->req);
}

static const struct endpoint *chosen_endpoint(const struct pick_explain *x)
{
    for (uint32_t i = 0; i < x->candidate_count; i++)
        if (x->candidates[i].verdict == PICK_CHOSEN)
            return x->candidates[i].endpoint;
    return NULL;
}

static uint32_t chosen_site(const struct pick_explain *x)
{
    for (uint32_t i = 0; i < x->site_count; i++)
        if (x->sites[i].verdict == PICK_CHOSEN)
            return i;
    return UINT32_MAX;
}

TEST(property, more_load_never_attracts) /* 2 */
{
    struct world w;
    seed_of("property 2", &w.rng);
    for (size_t i = cases(FULL_CASES); i > 0; i--) {
        struct pick_explain before, after;
        world_make(&w, 20);
        if (replay(&w, &before) == ERR_OK) {
            struct endpoint *e = any_endpoint(&w);
            uint32_t was = endpoint_inflight(e);
            atomic_store(&e->inflight, was + 1 + below(&w, 10));
            if (replay(&w, &after) == ERR_OK && chosen_endpoint(&before) != e)
                CHECK(chosen_endpoint(&after) != e, "an endpoint became attractive by load");
            atomic_store(&e->inflight, was);
            uint32_t site = below(&w, w.f.pool->site_count);
            if (below(&w, 2) == 0)
                atomic_fetch_add(&w.f.pool->sites[site].state->inflight,
                                 1 + (int32_t)below(&w, 50));
            else
                w.distances[site] += (float)(1 + below(&w, 50));
            if (replay(&w, &after) == ERR_OK && chosen_site(&before) != site)
                CHECK(chosen_site(&after) != site, "a site became attractive by load or distance");
        }
        fixture_free(&w.f);
    }
}

TEST(property, only_the_ratio_of_weights_matters) /* 3 */
{
    struct world w;
    seed_of("property 3", &w.rng);
    for (size_t i = cases(FULL_CASES); i > 0; i--) {
        struct pick_explain one, many;
        world_make(&w, 20);
        enum err err = replay(&w, &one);
        uint32_t factor = 1 + below(&w, 100);
        for (uint32_t k = 0; k < w.f.pool->member_count; k++)
            w.f.pool->members[k].weight *= factor;
        pool_changed(w.f.pool->state);
        pool_view_refresh(w.f.view, w.f.now_ms);
        CHECK_INT(replay(&w, &many), err);
        if (err == ERR_OK)
            CHECK(chosen_endpoint(&one) == chosen_endpoint(&many), "factor %u", factor);
        fixture_free(&w.f);
    }
}

enum { HELD = 40 };

static void one_step(struct world *w, struct pick_ticket *held)
{
    struct pick_ticket *t = &held[below(w, HELD)];
    w->f.now_ms += below(w, 50);
    if (below(w, 100) == 0) {
        fixture_reload(&w->f, SHAPE(1 + below(w, SITES), 1 + below(w, MEMBERS)));
    } else if (t->endpoint != NULL) {
        pick_done(t, (enum pick_outcome)below(w, PICK_ABORTED + 1), below(w, 50), w->f.now_ms);
    } else {
        struct pick_request req = fixture_request(&w->f);
        enum err err = pick(&req, t);
        CHECK(err == ERR_OK || (err == ERR_NO_BACKEND && t->endpoint == NULL), "%s", err_name(err));
    }
}

TEST(property, everything_taken_is_given_back) /* 4 */
{
    struct world w;
    struct pick_ticket held[HELD] = {0};
    seed_of("property 4", &w.rng);
    fixture_make(&w.f, SHAPE(SITES, MEMBERS));
    for (size_t i = cases(FULL_CASES); i > 0; i--)
        one_step(&w, held);
    for (size_t i = 0; i < HELD; i++)
        pick_done(&held[i], PICK_ABORTED, 0, w.f.now_ms);
    CHECK_INT(fixture_sum(&w.f), 0);
    registry_sweep(w.f.registry);
    CHECK_INT(registry_count(w.f.registry), w.f.pool->member_count);
    fixture_free(&w.f);
}

static double wide(struct world *w, double low, double high)
{
    switch (below(w, 4)) {
    case 0:
        return low;
    case 1:
        return high;
    default:
        return low + (high - low) * pow(rng_unit(&w->rng), 8);
    }
}

TEST(property, no_figure_leaves_the_finite) /* 7 */
{
    struct world w;
    seed_of("property 7", &w.rng);
    for (size_t i = cases(FULL_CASES); i > 0; i--) {
        struct pick_explain x;
        world_make(&w, 0);
        w.req.allowed = PICK_ALL;
        w.req.tried_count = 0;
        for (uint32_t k = 0; k < w.f.pool->site_count; k++)
            fixture_load(&w.f, k, (uint32_t)wide(&w, 0, INT32_MAX), wide(&w, 0, 2147483648.0),
                         wide(&w, 0.01, 3.6e6), wide(&w, 0.01, 3.6e6));
        w.f.view->normals_ms = 0;
        pool_view_refresh(w.f.view, w.f.now_ms);
        for (uint32_t k = 0; k < w.f.pool->site_count; k++) {
            site_sample(w.f.pool->sites[k].state, wide(&w, 0.01, 3.6e6),
                        (uint32_t)wide(&w, 0, INT32_MAX), w.f.now_ms + below(&w, 100000));
            struct site_load s = site_load(w.f.pool->sites[k].state);
            CHECK(isfinite(s.t_ms) && isfinite(s.n_ms) && isfinite(s.a), "the estimator");
        }
        CHECK(replay(&w, &x) == ERR_OK || w.f.pool->members[0].max_inflight != 0, "chosen");
        for (uint32_t k = 0; k < x.site_count; k++)
            CHECK(isfinite(x.sites[k].cost_ms) && isfinite(x.sites[k].predicted_ms) &&
                      x.sites[k].load_ms >= 0 && x.sites[k].load_ms <= 500,
                  "site %u: %f", k, x.sites[k].cost_ms);
        fixture_free(&w.f);
    }
}
