/* Round robin: exact shares in every round, even spacing, sites, and what changes in between. */
#include "fixture.h"
#include "pick/turns.h"

#include <stdlib.h>

enum { MOST = 64 };

static void make(struct fixture *f, uint32_t sites, uint32_t members, const uint32_t *weights)
{
    struct fixture_shape shape = SHAPE(sites, members, .weights = weights);
    shape.knobs.algorithm = PICK_ROUND_ROBIN;
    fixture_make(f, shape);
}

static uint32_t next(struct fixture *f, uint64_t allowed)
{
    struct pick_request req = fixture_request(f);
    struct pick_ticket t;
    req.allowed = allowed;
    CHECK(pick(&req, &t) == ERR_OK, "picked");
    uint32_t i = 0;
    while (f->pool->members[i].endpoint != t.endpoint)
        i++;
    pick_release(&t);
    return i;
}

TEST(turns, equal_ones_take_strict_turns)
{
    for (uint32_t n = 1; n <= 20; n++) {
        struct fixture f;
        uint32_t order[20];
        make(&f, 1, n, NULL);
        for (uint32_t i = 0; i < n; i++)
            order[i] = next(&f, PICK_ALL);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t k = 0; k < i; k++)
                CHECK(order[i] != order[k], "twice in a round of %u", n);
        for (uint32_t i = 0; i < 3 * n; i++)
            CHECK_INT(next(&f, PICK_ALL), order[i % n]);
        fixture_free(&f);
    }
}

/* In a round of as many turns as there are units of weight each has exactly its own, and never
 * waits much longer than its mean distance. */
static void check_round(const uint32_t *weights, uint32_t n)
{
    struct fixture f;
    uint32_t count[MOST] = {0}, last[MOST] = {0}, total = 0;
    make(&f, 1, n, weights);
    uint32_t units = (uint32_t)f.view->tiers[0].turns->sites[0].units;
    uint32_t factor = f.view->tiers[0].turns->sites[0].factor;
    for (uint32_t i = 0; i < n; i++)
        total += weights[i];
    CHECK_INT(units * factor, total);
    for (uint32_t i = 1; i <= 2 * units; i++) {
        uint32_t who = next(&f, PICK_ALL);
        count[who]++;
        uint32_t gap = i - last[who], mean = total / weights[who] + 1;
        CHECK(last[who] == 0 || gap <= 4 * mean, "%u of %u waits %u turns", weights[who], total,
              gap);
        last[who] = i;
    }
    for (uint32_t i = 0; i < n; i++)
        CHECK_INT(count[i] * factor, 2 * weights[i]);
    fixture_free(&f);
}

TEST(turns, rounds_are_exact_and_even)
{
    struct rng rng;
    seed_of("turns", &rng);
    check_round((const uint32_t[]){5, 1, 1}, 3);
    check_round((const uint32_t[]){1, 1000}, 2);
    check_round((const uint32_t[]){300, 200, 100}, 3);
    for (size_t i = cases(FULL_CASES / 10); i > 0; i--) {
        uint32_t weights[MOST], n = 1 + (uint32_t)rng_below(&rng, MOST);
        for (uint32_t k = 0; k < n; k++)
            weights[k] = 1 + (uint32_t)rng_below(&rng, 1 + rng_below(&rng, 100));
        check_round(weights, n);
    }
}

/* The step has no factor in common with the units: by a full round, for every small number. */
TEST(turns, a_step_meets_every_unit)
{
    static bool met[2000];
    for (uint64_t units = 1; units < 2000; units++) {
        struct view_turn turn = {.units = units, .step = turns_step(units)};
        memset(met, 0, sizeof met);
        uint64_t at = 0;
        for (uint64_t i = 0; i < units; i++) {
            CHECK(!met[at], "unit %u of %u twice", (unsigned)at, (unsigned)units);
            met[at] = true;
            at = turns_after(&turn, at);
        }
    }
    CHECK(turns_step(10000000) > 1 && turns_step(10000000) < 10000000, "large ones too");
}

TEST(turns, workers_begin_anywhere)
{
    uint32_t first[4] = {0};
    struct fixture f;
    make(&f, 1, 4, NULL);
    for (int i = 0; i < 400; i++) {
        pool_view_free(&f.view);
        f.view = pool_view_new(f.pool, f.now_ms);
        first[next(&f, PICK_ALL)]++;
    }
    for (int i = 0; i < 4; i++)
        CHECK(first[i] > 50, "%d began %u times", i, first[i]);
    fixture_free(&f);
}

/* Requests that may not go everywhere take no turn from the others: both kinds spread evenly. */
TEST(turns, unlike_masks_do_not_disturb_each_other)
{
    struct fixture f;
    uint32_t narrow[8] = {0}, wide[8] = {0};
    make(&f, 2, 4, NULL);
    for (int i = 0; i < 4000; i++) {
        narrow[next(&f, 1)]++;
        wide[next(&f, PICK_ALL)]++;
    }
    for (int i = 0; i < 8; i++) {
        CHECK_INT(narrow[i], i < 4 ? 1000 : 0);
        CHECK(i < 4 || (wide[i] >= 990 && wide[i] <= 1000), "%d: %u of the others", i, wide[i]);
        CHECK(i >= 4 || narrow[i] + wide[i] <= 1010, "%d: %u", i, narrow[i] + wide[i]);
    }
    fixture_free(&f);
}

/* Who is away is owed nothing, and who comes back slowly gets its growing share. */
TEST(turns, changes_of_the_view)
{
    struct fixture f;
    uint32_t count[3] = {0};
    make(&f, 1, 3, NULL);
    endpoint_set_health(fixture_endpoint(&f, 0, 0), ENDPOINT_SOFT, f.now_ms);
    for (int i = 0; i < 100; i++)
        count[next(&f, PICK_ALL)]++;
    CHECK(count[0] == 0 && count[1] == 50 && count[2] == 50, "%u %u", count[1], count[2]);
    endpoint_set_health(fixture_endpoint(&f, 0, 0), ENDPOINT_UP, f.now_ms);
    memset(count, 0, sizeof count);
    for (int i = 0; i < 210; i++) /* weights 10, 100, 100: ten rounds of 21 */
        count[next(&f, PICK_ALL)]++;
    CHECK(count[0] == 10 && count[1] == 100 && count[2] == 100, "%u %u", count[0], count[1]);
    f.now_ms += 30000;
    memset(count, 0, sizeof count);
    for (int i = 0; i < 300; i++)
        count[next(&f, PICK_ALL)]++;
    CHECK(count[0] == 100 && count[1] == 100, "%u %u", count[0], count[1]);
    fixture_free(&f);
}

TEST(turns, a_weight_set_by_hand_counts_at_once)
{
    struct fixture f;
    uint32_t count[2] = {0};
    make(&f, 1, 2, NULL);
    endpoint_set_weight(fixture_endpoint(&f, 0, 1), 300);
    for (int i = 0; i < 400; i++)
        count[next(&f, PICK_ALL)]++;
    CHECK_INT(count[0], 100);
    CHECK_INT(count[1], 300);
    fixture_free(&f);
}
