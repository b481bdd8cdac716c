/* What holds for every algorithm: the mask, usability, tried, backups, panic; and what the ones
 * that compare loads promise. */
#include "world.h"

#include <math.h>

static const enum pick_algorithm all[] = {PICK_NEAREST, PICK_ROUND_ROBIN, PICK_LEAST_CONNECTIONS,
                                          PICK_TWO_CHOICES, PICK_CONSISTENT_HASH};
enum { ALGORITHMS = sizeof all / sizeof *all };

static void check_pick(struct world *w, uint32_t *picked)
{
    struct pick_ticket t;
    enum pick_mode mode = naive_mode(w);
    uint32_t tier = naive_tier(w, mode);
    enum err err = pick(&w->req, &t);
    CHECK((err == ERR_OK) == (tier != PICK_TIERS), "%s, want tier %u", err_name(err), tier);
    if (err != ERR_OK)
        return;
    const struct pool_member *m = member_of(w, t.endpoint);
    atomic_fetch_sub(&t.endpoint->inflight, 1);
    CHECK(may_serve(w, m, mode), "who was chosen may serve");
    atomic_fetch_add(&t.endpoint->inflight, 1);
    CHECK_INT(t.mode, mode);
    CHECK_INT(m->tier, tier);
    CHECK(w->req.allowed >> m->site & 1, "in the mask");
    CHECK_INT(t.site_index, m->site);
    picked[mode]++;
    pick_release(&t);
}

TEST(algorithm, the_hard_rules_hold_for_all)
{
    for (size_t a = 0; a < ALGORITHMS; a++) {
        struct world w;
        uint32_t picked[3] = {0};
        seed_of(pick_algorithm_name(all[a]), &w.rng);
        for (size_t i = cases(FULL_CASES); i > 0; i--) {
            world_make(&w, all[a], below(&w, 120));
            for (uint32_t n = 1 + below(&w, 4); n > 0; n--)
                check_pick(&w, picked);
            fixture_free(&w.f);
        }
        CHECK(picked[0] > 0 && picked[1] > 0 && picked[2] > 0, "all modes were seen");
    }
}

/* An explained choice is the choice: the same draws lead to the same endpoint, nothing is taken. */
TEST(algorithm, the_explanation_is_what_happens)
{
    struct world w;
    seed_of("explained", &w.rng);
    for (size_t i = cases(FULL_CASES); i > 0; i--) {
        struct pick_explain x;
        struct pick_ticket t;
        const struct endpoint *told = NULL;
        world_make(&w, all[i % ALGORITHMS], below(&w, 100));
        struct rng same = w.f.rng;
        w.req.explain = &x;
        w.req.dice = pick_dice_rng(&same);
        enum err err = pick_explain(&w.req);
        w.req.explain = NULL;
        w.req.dice = pick_dice_rng(&w.f.rng);
        CHECK_INT(pick(&w.req, &t), err);
        for (uint32_t k = 0; k < x.candidate_count; k++)
            if (x.candidates[k].verdict == PICK_CHOSEN) {
                CHECK(told == NULL, "only one is chosen");
                told = x.candidates[k].endpoint;
            }
        CHECK(told == t.endpoint, "%s", pick_algorithm_name(all[i % ALGORITHMS]));
        CHECK_INT(x.algorithm, all[i % ALGORITHMS]);
        CHECK(told == NULL || x.tier == member_of(&w, told)->tier, "the tier");
        CHECK(told == NULL || x.sites[t.site_index].verdict == PICK_CHOSEN, "the site");
        pick_release(&t);
        fixture_free(&w.f);
    }
}

/* With at most 16 endpoints: nobody who may serve has less in flight per weight. */
TEST(algorithm, least_connections_takes_the_least_of_few)
{
    struct world w;
    seed_of("least", &w.rng);
    for (size_t i = cases(FULL_CASES); i > 0; i--) {
        struct pick_ticket t;
        world_make(&w, PICK_LEAST_CONNECTIONS, below(&w, 40));
        enum pick_mode mode = naive_mode(&w);
        uint32_t tier = naive_tier(&w, mode), n = w.f.pool->member_count;
        if (n <= PICK_CHOICES_MOST && pick(&w.req, &t) == ERR_OK) {
            uint64_t q = endpoint_inflight(t.endpoint) - 1, weight = t.weight;
            for (uint32_t k = 0; k < n; k++) {
                const struct pool_member *m = &w.f.pool->members[k];
                if (m->endpoint == t.endpoint || m->tier != tier || !may_serve(&w, m, mode) ||
                    !(w.req.allowed >> m->site & 1))
                    continue;
                CHECK(q * m->weight <= endpoint_inflight(m->endpoint) * weight, "a less busy one");
            }
            pick_release(&t);
        }
        fixture_free(&w.f);
    }
}

/* Held requests per weight, over two sites of unlike size: no site, only weights count. */
static void check_even(enum pick_algorithm algorithm, uint32_t members, double within)
{
    struct fixture f;
    static struct pick_ticket held[20000];
    static uint32_t weights[400];
    size_t n = 0, total = 0;
    for (uint32_t i = 0; i < 2 * members; i++)
        total += weights[i] = 1 + i % 4;
    struct fixture_shape shape = SHAPE(2, members, .weights = weights);
    shape.knobs.algorithm = algorithm;
    fixture_make(&f, shape);
    for (; n < 10 * total; n++) {
        struct pick_request req = fixture_request(&f);
        CHECK(pick(&req, &held[n]) == ERR_OK, "picked");
    }
    for (uint32_t i = 0; i < 2 * members; i++) {
        double each = endpoint_inflight(f.pool->members[i].endpoint) / (10.0 * weights[i]);
        CHECK(fabs(each - 1) <= within, "%s: %f of its share", pick_algorithm_name(algorithm),
              each);
    }
    while (n > 0)
        pick_release(&held[--n]);
    CHECK_INT(fixture_sum(&f), 0);
    fixture_free(&f);
}

TEST(algorithm, shares_follow_the_weights)
{
    check_even(PICK_LEAST_CONNECTIONS, 8, 0.11); /* all are compared: one request off at most */
    check_even(PICK_LEAST_CONNECTIONS, 200, 0.21);
    check_even(PICK_TWO_CHOICES, 8, 0.31);
    check_even(PICK_ROUND_ROBIN, 8, 0.11);
    check_even(PICK_ROUND_ROBIN, 200, 0.11);
}

TEST(algorithm, two_choices_looks_at_two)
{
    struct fixture f;
    struct fixture_shape shape = SHAPE(3, 4);
    uint32_t seen[12] = {0};
    shape.knobs.algorithm = PICK_TWO_CHOICES;
    fixture_make(&f, shape);
    for (uint32_t i = 0; i < 12; i++)
        fixture_inflight(&f, i / 4, i % 4, i);
    for (int i = 0; i < 2000; i++) {
        struct pick_explain x;
        struct pick_request req = fixture_request(&f);
        req.explain = &x;
        CHECK(pick_explain(&req) == ERR_OK, "chosen");
        CHECK_INT(x.candidate_count, 2);
        uint32_t less = x.candidates[0].inflight < x.candidates[1].inflight ? 0 : 1;
        CHECK_INT(x.candidates[less].verdict, PICK_CHOSEN);
        CHECK_INT(x.candidates[1 - less].verdict, PICK_MORE_LOADED);
        seen[x.candidates[less].inflight]++;
    }
    CHECK(seen[0] > 200 && seen[10] > 0 && seen[11] == 0, "the busiest of all never wins");
    fixture_free(&f);
}
