/* Consistent hashing: who moves when somebody leaves, how even it is, and that the bound holds. */
#include "fixture.h"
#include "pick/ring.h"

#include <math.h>
#include <stdlib.h>

enum { MOST = 512, KEYS = 20000 };

static void make(struct fixture *f, uint32_t sites, uint32_t members, const uint32_t *weights)
{
    struct fixture_shape shape = SHAPE(sites, members, .weights = weights);
    shape.knobs.algorithm = PICK_CONSISTENT_HASH;
    fixture_make(f, shape);
}

static uint64_t key_of(uint64_t i)
{
    return hash_plain(span_of((const char *)&i, sizeof i));
}

static uint32_t index_of(const struct fixture *f, const struct endpoint *e)
{
    uint32_t i = 0;
    while (i < f->pool->member_count && f->pool->members[i].endpoint != e)
        i++;
    return i;
}

static uint32_t owner(struct fixture *f, uint64_t key)
{
    struct pick_request req = fixture_request(f);
    struct pick_ticket t;
    req.key = key;
    req.has_key = true;
    CHECK(pick(&req, &t) == ERR_OK, "picked");
    uint32_t i = index_of(f, t.endpoint);
    pick_release(&t);
    return i;
}

static void owners(struct fixture *f, uint32_t *out, size_t keys)
{
    for (size_t i = 0; i < keys; i++)
        out[i] = owner(f, key_of(i));
}

/* Only the keys of the one that left move, to more than one other, and at most 1.5/n of all. */
static void check_leaving(uint32_t n, const uint32_t *weights)
{
    static uint32_t before[KEYS], after[KEYS];
    struct fixture f;
    uint64_t total = 0;
    make(&f, 1, n, weights);
    for (uint32_t i = 0; i < n; i++)
        total += weights != NULL ? weights[i] : 100;
    owners(&f, before, KEYS);
    for (uint32_t gone = 0; gone < n; gone += 1 + n / 5) {
        struct endpoint *e = fixture_endpoint(&f, 0, gone);
        uint32_t moved = 0, to[MOST] = {0}, heirs = 0;
        endpoint_set_admin(e, ENDPOINT_DRAIN);
        owners(&f, after, KEYS);
        for (size_t i = 0; i < KEYS; i++) {
            CHECK(after[i] == before[i] || before[i] == gone, "a key of another one moved");
            CHECK(after[i] != gone, "it is gone");
            moved += after[i] != before[i];
            heirs += after[i] != before[i] && to[after[i]]++ == 0;
        }
        double share = (weights != NULL ? weights[gone] : 100) / (double)total;
        CHECK(moved <= 1.5 * share * KEYS, "%u keys of %u endpoints", moved, n);
        CHECK(moved >= 0.5 * share * KEYS, "%u keys of %u endpoints", moved, n);
        CHECK(n < 10 || heirs >= 5, "they went to %u", heirs);
        endpoint_set_admin(e, ENDPOINT_ACTIVE);
    }
    owners(&f, after, KEYS);
    CHECK(memcmp(before, after, sizeof before) == 0, "all are back");
    fixture_free(&f);
}

TEST(hashed, only_the_keys_of_who_leaves_move)
{
    static const uint32_t unlike[] = {100, 200, 50, 400, 100, 100, 250};
    check_leaving(3, NULL);
    check_leaving(10, NULL);
    check_leaving(50, NULL);
    check_leaving(7, unlike);
}

/* A reload that takes one away, or adds one, moves as few. */
TEST(hashed, a_reload_moves_few)
{
    static const uint32_t sizes[] = {3, 20, 200};
    static uint32_t before[KEYS], after[KEYS];
    for (size_t s = 0; s < 3; s++) {
        struct fixture f;
        uint32_t n = sizes[s], moved = 0;
        make(&f, 1, n, NULL);
        owners(&f, before, KEYS);
        struct fixture_shape shape = SHAPE(1, n - 1);
        shape.knobs.algorithm = PICK_CONSISTENT_HASH;
        fixture_reload(&f, shape);
        owners(&f, after, KEYS);
        for (size_t i = 0; i < KEYS; i++)
            moved += after[i] != before[i];
        CHECK(moved * n <= 1.5 * KEYS, "%u of %u keys, %u endpoints", moved, (unsigned)KEYS, n);
        fixture_free(&f);
    }
}

TEST(hashed, shares_follow_the_weights)
{
    static const uint32_t weights[] = {100, 200, 300, 50, 350};
    struct fixture f;
    uint32_t count[5] = {0};
    make(&f, 1, 5, weights);
    for (size_t i = 0; i < 100000; i++)
        count[owner(&f, key_of(i))]++;
    for (int i = 0; i < 5; i++) {
        double each = count[i] / (100.0 * weights[i]);
        CHECK(fabs(each - 1) < 0.2, "weight %u has %f of its share", weights[i], each);
    }
    fixture_free(&f);
}

/* After every pick: at most the bound times the share of what is in flight, rounded up. */
TEST(hashed, the_bound_holds)
{
    struct rng rng;
    seed_of("bound", &rng);
    for (size_t i = cases(FULL_CASES / 50); i > 0; i--) {
        struct fixture f;
        uint32_t weights[12], held = 0, n = 2 + (uint32_t)rng_below(&rng, 11);
        uint64_t total = 0, hot = rng_u64(&rng);
        struct pick_ticket tickets[200];
        for (uint32_t k = 0; k < n; k++)
            total += weights[k] = 1 + (uint32_t)rng_below(&rng, 10);
        make(&f, 1, n, weights);
        f.pool->knobs.hash_load_percent = 101 + (uint32_t)rng_below(&rng, 200);
        while (held < 200) { /* half of all requests have one and the same key */
            struct pick_request req = fixture_request(&f);
            req.has_key = true;
            req.key = rng_below(&rng, 2) == 0 ? hot : rng_u64(&rng);
            CHECK(pick(&req, &tickets[held]) == ERR_OK, "picked");
            const struct endpoint *e = tickets[held++].endpoint;
            double share = weights[index_of(&f, e)] * (double)held / (double)total;
            double most = ceil(share * f.pool->knobs.hash_load_percent / 100 - 1e-9);
            CHECK(endpoint_inflight(e) <= most, "%u of %f", endpoint_inflight(e), most);
            if (rng_below(&rng, 3) == 0) {
                pick_release(&tickets[--held]);
                uint32_t other = held > 0 ? (uint32_t)rng_below(&rng, held) : 0;
                if (held > 0) {
                    pick_release(&tickets[other]);
                    tickets[other] = tickets[--held];
                }
            }
        }
        while (held > 0)
            pick_release(&tickets[--held]);
        CHECK_INT(fixture_sum(&f), 0);
        fixture_free(&f);
    }
}

/* The hot key's overflow goes always to the same next ones. */
TEST(hashed, what_is_over_goes_on_along_the_ring)
{
    struct fixture f;
    struct pick_ticket tickets[40];
    struct pick_explain x;
    uint32_t used = 0, count[10] = {0};
    make(&f, 1, 10, NULL);
    f.pool->knobs.hash_load_percent = 500; /* half of all */
    for (int i = 0; i < 40; i++) {
        struct pick_request req = fixture_request(&f);
        req.has_key = true;
        req.key = 42;
        req.explain = &x;
        CHECK(pick(&req, &tickets[i]) == ERR_OK, "picked");
        used += count[index_of(&f, tickets[i].endpoint)]++ == 0;
    }
    CHECK_INT(used, 2);
    uint32_t last = x.candidate_count - 1;
    CHECK_INT(x.candidates[last].verdict, PICK_CHOSEN);
    for (uint32_t i = 0; i < last; i++)
        CHECK_INT(x.candidates[i].verdict, PICK_OVER_SHARE);
    for (int i = 0; i < 40; i++)
        pick_release(&tickets[i]);
    fixture_free(&f);
}

TEST(hashed, tried_ones_and_sites_are_passed_over)
{
    struct fixture f;
    struct endpoint *tried[6];
    make(&f, 3, 2, NULL);
    for (uint64_t key = 0; key < 200; key++) {
        struct pick_ticket t;
        struct pick_request req = fixture_request(&f);
        req.key = key_of(key);
        req.has_key = true;
        req.tried = tried;
        for (req.tried_count = 0; req.tried_count < 6; req.tried_count++) {
            CHECK(pick(&req, &t) == ERR_OK, "attempt %zu", req.tried_count);
            tried[req.tried_count] = t.endpoint;
            pick_release(&t);
        }
        CHECK_INT(pick(&req, &t), ERR_NO_BACKEND);
        req.tried_count = 0;
        req.allowed = UINT64_C(1) << key % 3;
        CHECK(pick(&req, &t) == ERR_OK && t.site_index == key % 3, "only the allowed site");
        pick_release(&t);
    }
    fixture_free(&f);
}

TEST(hashed, without_a_key_requests_spread)
{
    struct fixture f;
    uint32_t count[4] = {0};
    make(&f, 1, 4, NULL);
    for (int i = 0; i < 4000; i++) {
        struct pick_ticket t;
        struct pick_request req = fixture_request(&f);
        req.key = 7;
        CHECK(pick(&req, &t) == ERR_OK, "picked");
        count[index_of(&f, t.endpoint)]++;
        pick_release(&t);
    }
    for (int i = 0; i < 4; i++)
        CHECK(count[i] > 700 && count[i] < 1300, "%d: %u", i, count[i]);
    fixture_free(&f);
}

/* A backend in slow start gets a part of its own keys and of no other's; by hand it is the same. */
TEST(hashed, slow_start_gives_the_keys_back_bit_by_bit)
{
    static uint32_t before[KEYS], after[KEYS];
    struct fixture f;
    uint32_t last = 0;
    make(&f, 1, 5, NULL);
    owners(&f, before, KEYS);
    struct endpoint *e = fixture_endpoint(&f, 0, 0);
    endpoint_set_health(e, ENDPOINT_HARD, f.now_ms);
    endpoint_set_health(e, ENDPOINT_UP, f.now_ms);
    for (int step = 0; step <= 3; step++, f.now_ms += 10000) {
        uint32_t own = 0;
        owners(&f, after, KEYS);
        for (size_t i = 0; i < KEYS; i++) {
            CHECK(after[i] == before[i] || before[i] == 0, "a key of another one moved");
            own += after[i] == 0;
        }
        CHECK(own > last, "%u after %u", own, last);
        last = own;
    }
    CHECK(memcmp(before, after, sizeof before) == 0, "all are back");
    endpoint_set_weight(e, 50);
    uint32_t half = 0;
    owners(&f, after, KEYS);
    for (size_t i = 0; i < KEYS; i++)
        half += after[i] == 0;
    CHECK(half > last / 3 && half < last * 2 / 3, "%u of %u", half, last);
    fixture_free(&f);
}

TEST(hashed, a_large_pool_in_which_hardly_anybody_serves)
{
    struct fixture f;
    struct pick_ticket t;
    uint32_t n = FIXTURE_MOST / 8;
    make(&f, 8, n, NULL);
    CHECK(f.pool->ring->count <= 256 * FIXTURE_MOST, "%u points", f.pool->ring->count);
    for (uint32_t i = 0; i < FIXTURE_MOST; i++)
        if (i != 1234)
            endpoint_set_admin(fixture_endpoint(&f, i / n, i % n), ENDPOINT_MAINT);
    f.now_ms += 100;
    for (uint64_t key = 0; key < 50; key++)
        CHECK_INT(owner(&f, key_of(key)), 1234);
    fixture_inflight(&f, 1234 / n, 1234 % n, 9); /* far above its share, but the only one */
    struct pick_request req = fixture_request(&f);
    req.has_key = true;
    CHECK(pick(&req, &t) == ERR_OK, "picked");
    pick_release(&t);
    fixture_free(&f);
}

TEST(hashed, the_ring_is_in_order_and_found_at_every_place)
{
    struct fixture f;
    static const uint32_t weights[] = {1, 1000, 30};
    make(&f, 1, 3, weights);
    const struct ring *r = f.pool->ring;
    uint32_t of[3] = {0};
    for (uint32_t i = 0; i < r->count; i++) {
        CHECK(i == 0 || r->points[i] >> 32 >= r->points[i - 1] >> 32, "point %u", i);
        of[ring_member(r, i)]++;
        uint64_t place = r->points[i] >> 32 << 32;
        CHECK(r->points[ring_find(r, place)] >> 32 == place >> 32, "found at point %u", i);
        uint32_t next = i + 1 < r->count ? i + 1 : 0;
        CHECK(r->points[ring_find(r, place + (UINT64_C(1) << 32))] >> 32 == r->points[next] >> 32,
              "after point %u", i);
    }
    CHECK(of[0] >= 1 && of[1] == 1000 * of[0] && of[2] == 30 * of[0], "%u %u %u", of[0], of[1],
          of[2]);
    fixture_free(&f);
}
