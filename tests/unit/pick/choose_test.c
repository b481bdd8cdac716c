/* The vectors of BALANCING.md section 11, by their numbers, and what section 7 says beyond them. */
#include "fixture.h"
#include "pick/turns.h"

#include <math.h>

enum { N = 4, NONE = -1 };

struct vector_site {
    float distance;
    uint32_t q;
    double a, t, n;
    double cost; /* want; negative: the site is not in the choice */
};
struct vector {
    int number;
    struct vector_site sites[2];
    uint32_t chosen;
};

static const struct vector site_vectors[] = {
    {1, {{5, 0, 0, 20, 20, 5}, {100, 0, 0, 20, 20, 100}}, 0},
    {2, {{5, 16, 12, 20, 20, 5}, {100, 0, 0, 20, 20, 100}}, 0},
    {3, {{5, 40, 40, 40, 20, 35}, {100, 0, 0, 20, 20, 100}}, 0},
    {4, {{5, 120, 60, 40, 20, 147.50}, {100, 8, 8, 20, 20, 100}}, 1},
    {5, {{5, 120, 60, 40, 20, 147.50}, {260, 8, 8, 20, 20, 260}}, 0},
    {6, {{5, 76, 12, 20, 20, 215}, {100, 0, 0, 20, 20, 100}}, 1},
    {7, {{5, 400, 400, 900, 20, 505}, {100, 300, 300, 700, 22, 600}}, 0},
    {8, {{5, 120, 60, 40, 20, 147.50}, {60, 0, 0, 20, 20, 60}}, 1},
    {9, {{5, 0, 0, 45, 45, 50}, {100, 0, 0, 20, 20, 100}}, 0},
    {10, {{5, 0, 0, 45, 45, 50}, {12, 0, 0, 20, 20, 12}}, 1},
    {11, {{10, 6, 6, 20, 20, 10}, {10, 6, 6, 20, 20, 10}}, 1},
    {12, {{5, 0, 0, 10, 10, NONE}, {90, 50, 40, 30, 20, 110.45}}, 1},
    {13, {{5, 0, 0, 20, 20, NONE}, {100, 0, 0, 20, 20, 100}}, 1},
    {14, {{0, 9, 9, 20, 20, 0}, {0, 3, 3, 20, 20, 0}}, 1},
};

/* What the table says in words beside the figures. */
static void arrange(struct fixture *f, const struct vector *v, struct pick_request *req)
{
    if (v->number == 8)
        site_set(f->pool->sites[1].state, &(struct site_load){20, 20, 0, 3, 0}, f->now_ms);
    if (v->number == 12)
        req->allowed = 2;
    if (v->number == 13)
        for (uint32_t i = 0; i < N; i++)
            endpoint_set_health(fixture_endpoint(f, 0, i), ENDPOINT_SOFT, f->now_ms);
    f->view->normals_ms = 0;
    pool_view_refresh(f->view, f->now_ms);
}

static void run_site_vector(const struct vector *v)
{
    static const uint32_t heavier[2 * N] = {100, 100, 100, 100, 200, 200, 200, 200};
    struct fixture f;
    struct pick_explain explain;
    float distances[2];
    fixture_make(&f, SHAPE(2, N, .weights = v->number == 11 ? heavier : NULL));
    for (uint32_t i = 0; i < 2; i++) {
        const struct vector_site *s = &v->sites[i];
        distances[i] = s->distance;
        fixture_load(&f, i, s->q, s->a, s->t, s->n);
    }
    struct pick_request req = fixture_request(&f);
    req.distance_ms = distances;
    req.explain = &explain;
    arrange(&f, v, &req);
    CHECK(pick_explain(&req) == ERR_OK, "vector %d", v->number);
    CHECK(explain.sites[v->chosen].verdict == PICK_CHOSEN, "vector %d", v->number);
    for (uint32_t i = 0; i < 2; i++) {
        double got = explain.sites[i].cost_ms, want = v->sites[i].cost;
        CHECK(want < 0 || fabs(got - want) < 0.01, "vector %d site %u: %f", v->number, i, got);
        CHECK(want >= 0 || explain.sites[i].verdict == PICK_FORBIDDEN ||
                  explain.sites[i].verdict == PICK_EMPTY,
              "vector %d site %u is out", v->number, i);
    }
    fixture_free(&f);
}

TEST(choose, site_vectors_1_to_14)
{
    for (size_t i = 0; i < sizeof site_vectors / sizeof *site_vectors; i++)
        run_site_vector(&site_vectors[i]);
}

struct backend_vector {
    int number;
    uint32_t count, q[3], w[3], chosen;
};
static const struct backend_vector backend_vectors[] = {
    {15, 2, {3, 2}, {100, 100}, 1},        {16, 2, {3, 2}, {200, 100}, 0},
    {17, 2, {2, 4}, {100, 200}, 0},        {18, 2, {0, 0}, {1, 256}, 0},
    {19, 3, {1, 1, 1}, {100, 50, 200}, 2},
};

TEST(choose, backend_vectors_15_to_19)
{
    for (size_t i = 0; i < sizeof backend_vectors / sizeof *backend_vectors; i++) {
        const struct backend_vector *v = &backend_vectors[i];
        struct fixture f;
        struct script script = {0}; /* zeros: the first one is drawn, then round */
        struct pick_ticket t;
        fixture_make(&f, SHAPE(1, v->count, .weights = v->w));
        for (uint32_t k = 0; k < v->count; k++)
            fixture_inflight(&f, 0, k, v->q[k]);
        struct pick_request req = fixture_request(&f);
        req.dice = script_dice(&script);
        CHECK(pick(&req, &t) == ERR_OK, "vector %d", v->number);
        CHECK(t.endpoint == fixture_endpoint(&f, 0, v->chosen), "vector %d", v->number);
        pick_release(&t);
        fixture_free(&f);
    }
}

/* Weighted draws land where the prefix sums say, at every border. */
TEST(choose, draws_follow_the_weights)
{
    static const uint32_t weights[] = {1, 5, 2, 10, 7};
    struct fixture f;
    fixture_make(&f, SHAPE(1, 5, .weights = weights));
    f.pool->knobs.choices = 1;
    uint64_t part = 0;
    for (uint32_t i = 0; i < 5; i++)
        for (uint32_t k = 0; k < weights[i]; k++, part++) {
            uint64_t draw = script_at(part, 25);
            struct script script = {.draws = &draw, .count = 1};
            struct pick_request req = fixture_request(&f);
            struct pick_ticket t;
            req.dice = script_dice(&script);
            f.view->tiers[0].turns->sites[0].begun = false; /* a worker that begins */
            CHECK(pick(&req, &t) == ERR_OK, "part %llu", (unsigned long long)part);
            CHECK(t.endpoint == fixture_endpoint(&f, 0, i), "part %llu", (unsigned long long)part);
            pick_release(&t);
        }
    fixture_free(&f);
}

/* Where all are equally busy chance has no part in who is next: the first draw is a turn, and wins.
 */
TEST(choose, equally_busy_ones_are_served_in_turn_by_weight)
{
    static const uint32_t weights[] = {100, 500, 200, 1000, 700, 300};
    enum { ROUND = 28, ROUNDS = 5 };
    uint32_t last[6] = {0};
    struct fixture f;
    fixture_make(&f, SHAPE(1, 6, .weights = weights));
    struct pick_request req = fixture_request(&f);
    for (uint32_t n = 1; n <= ROUNDS * ROUND; n++) {
        struct pick_ticket t;
        CHECK(pick(&req, &t) == ERR_OK, "pick %u", n);
        for (uint32_t i = 0; i < 6; i++) {
            if (t.endpoint != fixture_endpoint(&f, 0, i))
                continue;
            CHECK(n - last[i] <= 2 * ROUND * 100 / weights[i] + 1, "%u waited from %u to %u", i,
                  last[i], n);
            last[i] = n;
        }
        pick_release(&t);
    }
    for (uint32_t i = 0; i < 6; i++)
        CHECK_INT(fixture_endpoint(&f, 0, i)->requests, ROUNDS * weights[i] / 100);
    fixture_free(&f);
}

TEST(choose, whoever_is_busy_loses_his_turn_and_the_next_one_has_his)
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 10));
    fixture_inflight(&f, 0, 4, 1);
    struct pick_request req = fixture_request(&f);
    for (uint32_t n = 0; n < 100; n++) {
        struct pick_ticket t;
        CHECK(pick(&req, &t) == ERR_OK, "pick %u", n);
        pick_release(&t);
    }
    CHECK_INT(fixture_endpoint(&f, 0, 4)->requests, 0);
    for (uint32_t i = 0; i < 10; i++)
        CHECK(i == 4 || fixture_endpoint(&f, 0, i)->requests >= 10, "%u missed its turn", i);
    fixture_free(&f);
}

TEST(choose, a_repeated_draw_is_redrawn_and_then_the_site_is_scanned)
{
    struct fixture f;
    struct script script = {0}; /* always the first: twelve draws, one candidate */
    struct pick_ticket t;
    struct pick_explain explain;
    fixture_make(&f, SHAPE(1, 10));
    fixture_inflight(&f, 0, 0, 5);
    fixture_inflight(&f, 0, 1, 2);
    fixture_inflight(&f, 0, 2, 1);
    struct pick_request req = fixture_request(&f);
    req.dice = script_dice(&script);
    req.explain = &explain;
    CHECK(pick(&req, &t) == ERR_OK, "picked");
    CHECK_INT(explain.candidate_count, 3);
    CHECK(t.endpoint == fixture_endpoint(&f, 0, 2), "the scan goes on from the start");
    pick_release(&t);
    fixture_free(&f);
}

TEST(choose, full_is_not_the_same_as_nobody)
{
    struct fixture f;
    struct pick_ticket tickets[4], more;
    fixture_make(&f, SHAPE(2, 1, .max_inflight = 2));
    struct pick_request req = fixture_request(&f);
    for (int i = 0; i < 4; i++)
        CHECK(pick(&req, &tickets[i]) == ERR_OK, "place %d", i);
    CHECK_INT(pick(&req, &more), ERR_FULL);
    CHECK(more.endpoint == NULL, "nothing is held");
    pick_release(&tickets[3]);
    CHECK_INT(pick(&req, &tickets[3]), ERR_OK);
    for (int i = 0; i < 4; i++)
        pick_release(&tickets[i]);
    CHECK_INT(fixture_sum(&f), 0);
    for (uint32_t s = 0; s < 2; s++)
        endpoint_set_admin(fixture_endpoint(&f, s, 0), ENDPOINT_DRAIN);
    req = fixture_request(&f);
    CHECK_INT(pick(&req, &more), ERR_NO_BACKEND);
    req.allowed = 0;
    CHECK_INT(pick(&req, &more), ERR_NO_BACKEND);
    fixture_free(&f);
}

static uint64_t counted_draw(void *count)
{
    return (*(uint64_t *)count)++ * UINT64_C(0x9e3779b97f4a7c15);
}

/* B5: where everybody is full, some draws and one pass over each site tell so. */
TEST(choose, a_pick_ends_where_all_are_full_or_down_B5)
{
    enum { SITES = 4, EACH = 250 };
    struct fixture f;
    struct pick_ticket none;
    fixture_make(&f, SHAPE(SITES, EACH, .max_inflight = 2));
    for (uint32_t s = 0; s < SITES; s++)
        for (uint32_t m = 0; m < EACH; m++)
            fixture_inflight(&f, s, m, 2);
    for (int down = 0; down < 2; down++) {
        uint64_t draws = 0;
        struct pick_request req = fixture_request(&f);
        req.dice = (struct pick_dice){.draw = counted_draw, .ctx = &draws};
        CHECK_INT(pick(&req, &none), down ? ERR_NO_BACKEND : ERR_FULL);
        CHECK(none.endpoint == NULL, "nothing is held");
        CHECK(draws <= 40 * SITES, "%llu draws", (unsigned long long)draws);
        for (uint32_t s = 0; s < SITES; s++)
            for (uint32_t m = 0; m < EACH; m++)
                endpoint_set_admin(fixture_endpoint(&f, s, m), ENDPOINT_DRAIN);
        f.now_ms += 100;
        pool_view_refresh(f.view, f.now_ms);
    }
    for (uint32_t s = 0; s < SITES; s++)
        for (uint32_t m = 0; m < EACH; m++)
            fixture_inflight(&f, s, m, 0);
    fixture_free(&f);
}

/* The nearest site's only endpoint has been tried: that site is dropped, the next one serves. */
TEST(choose, a_retry_goes_to_the_next_site)
{
    struct fixture f;
    struct pick_ticket t;
    const float distances[] = {1, 50, 90};
    fixture_make(&f, SHAPE(3, 1));
    struct endpoint *tried[] = {fixture_endpoint(&f, 0, 0), fixture_endpoint(&f, 1, 0)};
    struct pick_request req = fixture_request(&f);
    req.distance_ms = distances;
    req.tried = tried;
    for (uint32_t n = 0; n <= 2; n++) {
        req.tried_count = n;
        CHECK(pick(&req, &t) == ERR_OK, "attempt %u", n);
        CHECK_INT(t.site_index, n);
        pick_release(&t);
    }
    fixture_free(&f);
}

TEST(choose, explain_names_every_reason)
{
    struct fixture f;
    struct pick_explain explain;
    const float distances[] = {5, 5, 5, 9, 1, 2};
    fixture_make(&f, SHAPE(6, 2));
    for (uint32_t i = 0; i < 6; i++)
        fixture_load(&f, i, i == 1 ? 8 : 4, 10, 20, 20);
    for (uint32_t i = 0; i < 2; i++)
        endpoint_set_admin(fixture_endpoint(&f, 5, i), ENDPOINT_MAINT);
    struct pick_request req = fixture_request(&f);
    req.distance_ms = distances;
    req.allowed = PICK_ALL & ~UINT64_C(16);
    req.explain = &explain;
    CHECK(pick_explain(&req) == ERR_OK, "chosen");
    static const enum pick_verdict want[] = {PICK_CHOSEN,   PICK_MORE_LOADED, PICK_TIED,
                                             PICK_COSTLIER, PICK_FORBIDDEN,   PICK_EMPTY};
    for (uint32_t i = 0; i < 6; i++)
        CHECK(explain.sites[i].verdict == want[i], "site %u: %s", i,
              pick_verdict_name(explain.sites[i].verdict));
    CHECK(fabs(explain.base_ms - 20) < 1e-9, "base %f", explain.base_ms);
    CHECK_STR(pick_mode_name(explain.mode), "normal");
    CHECK_INT(endpoint_inflight(fixture_endpoint(&f, 0, 0)), 0);
    for (uint32_t i = 0; i < 6; i++)
        fixture_load(&f, i, 0, 0, 20, 20);
    CHECK_INT(fixture_sum(&f), 0);
    fixture_free(&f);
}

static unsigned taken(struct fixture *f, uint32_t modest)
{
    unsigned taken = 0;
    for (int i = 0; i < 200; i++) {
        struct pick_request req = fixture_request(f);
        struct pick_ticket t;
        req.modest = modest;
        enum err e = pick(&req, &t);
        CHECK(e == ERR_OK || e == ERR_FULL, "%s", err_name(e));
        taken += e == ERR_OK;
    }
    return taken;
}

/* RELIABILITY G9: who may hold a place for nothing leaves the last ones to others. */
TEST(choose, the_last_places_are_left_to_others_L34)
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 1, .max_inflight = 80));
    CHECK_INT(taken(&f, 2), 60);
    CHECK_INT(taken(&f, 1), 10);
    CHECK_INT(taken(&f, 0), 10);
    fixture_free(&f);
    fixture_make(&f, SHAPE(1, 1, .max_inflight = 63));
    CHECK_INT(taken(&f, 2), 63);
    fixture_free(&f);
    fixture_make(&f, SHAPE(1, 1, .max_inflight = 63));
    CHECK_INT(taken(&f, 2 + PLACES_BESIEGED), 49);
    CHECK_INT(taken(&f, 1 + PLACES_BESIEGED), 7);
    CHECK_INT(taken(&f, 0), 7);
    fixture_free(&f);
    static const uint32_t few[][2] = {{1, 1}, {2, 1}, {7, 6}, {8, 7}, {16, 14}};
    for (int i = 0; i < 5; i++) {
        fixture_make(&f, SHAPE(1, 1, .max_inflight = few[i][0]));
        CHECK_INT(taken(&f, 1 + PLACES_BESIEGED), few[i][1]);
        CHECK_INT(taken(&f, 0), few[i][0] - few[i][1]);
        fixture_free(&f);
    }
}
