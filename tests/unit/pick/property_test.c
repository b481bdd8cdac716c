/* The properties of BALANCING.md section 11, by their numbers, over random pools. */
#include "world.h"

#include <math.h>

/* 1 and 5: mask, usability, ties; and the whole choice of the site against a naive one. */
TEST(property, the_choice_is_allowed_usable_and_the_cheapest)
{
    struct world w;
    uint32_t picked[3] = {0};
    seed_of("property 1, 5", &w.rng);
    for (size_t i = cases(FULL_CASES); i > 0; i--) {
        struct pick_ticket t;
        world_make(&w, PICK_NEAREST, below(&w, 120));
        enum pick_mode mode = naive_mode(&w);
        uint32_t want = naive_site(&w, mode);
        enum err err = pick(&w.req, &t);
        CHECK((err == ERR_OK) == (want != UINT32_MAX), "%s, want site %d", err_name(err),
              (int)want);
        if (err == ERR_OK) {
            CHECK_INT(t.mode, mode);
            CHECK_INT(t.site_index, want);
            atomic_fetch_sub(&t.endpoint->inflight, 1);
            CHECK(may_serve(&w, member_of(&w, t.endpoint), mode), "usable");
            CHECK_INT(member_of(&w, t.endpoint)->tier, naive_tier(&w, mode));
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
        world_make(&w, PICK_NEAREST, 20);
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
        world_make(&w, PICK_NEAREST, 20);
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
        world_make(&w, PICK_NEAREST, 0);
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
