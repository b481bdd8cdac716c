/* Requests that go where they went before, and those that are kept together by a key: the hard
 * rules of BALANCING.md section 4 hold whatever is asked for. */
#include "world.h"

static const struct pool_member *any_member(struct world *w)
{
    return &w->f.pool->members[below(w, w->f.pool->member_count)];
}

/* Never against residency, health, `tried` or `max_inflight`, in no mode; and always there where
 * nothing is against it. */
TEST(stuck, never_against_the_hard_rules_and_always_with_them)
{
    struct world w;
    uint32_t kept = 0, broken = 0;
    seed_of("stuck", &w.rng);
    for (size_t i = cases(FULL_CASES); i > 0; i--) {
        struct pick_ticket t;
        world_make(&w, (enum pick_algorithm)below(&w, 5), below(&w, 120));
        enum pick_mode mode = naive_mode(&w);
        const struct pool_member *m = any_member(&w);
        uint32_t tier = naive_tier(&w, mode);
        bool may = (w.req.allowed >> m->site & 1) != 0 && m->tier == tier && may_serve(&w, m, mode);
        w.req.stick = m;
        enum err err = pick(&w.req, &t);
        CHECK(!may || err == ERR_OK, "%s", err_name(err));
        if (err == ERR_OK) {
            CHECK(w.req.allowed >> t.site_index & 1, "in the mask");
            CHECK((t.endpoint == m->endpoint) >= may, "it may serve, and does not");
            CHECK(may || t.endpoint != m->endpoint, "it may not serve, and does");
            kept += may;
            broken += !may;
            pick_release(&t);
        }
        fixture_free(&w.f);
    }
    CHECK(kept > 0 && broken > 0, "both were seen: %u %u", kept, broken);
}

TEST(stuck, goes_before_distance_and_load)
{
    struct fixture f;
    struct pick_ticket t;
    fixture_make(&f, SHAPE(2, 3));
    float distances[] = {100, 5};
    struct pick_request req = fixture_request(&f);
    req.distance_ms = distances;
    fixture_inflight(&f, 0, 1, 50);
    req.stick = &f.pool->members[1];
    CHECK_INT(pick(&req, &t), ERR_OK);
    CHECK(t.endpoint == fixture_endpoint(&f, 0, 1), "%s", endpoint_name(t.endpoint));
    pick_release(&t);
    endpoint_set_admin(fixture_endpoint(&f, 0, 1), ENDPOINT_DRAIN);
    f.now_ms += 100;
    pool_view_refresh(f.view, f.now_ms);
    CHECK_INT(pick(&req, &t), ERR_OK);
    CHECK_INT(t.site_index, 1);
    pick_release(&t);
    fixture_free(&f);
}

/* Nobody was compared with it: a cheaper site has lost nothing. */
TEST(stuck, is_explained_as_what_it_is)
{
    struct fixture f;
    struct pick_explain told;
    fixture_make(&f, SHAPE(2, 3));
    float distances[] = {100, 5};
    struct pick_request req = fixture_request(&f);
    req.distance_ms = distances;
    req.explain = &told;
    req.stick = &f.pool->members[1];
    CHECK_INT(pick_explain(&req), ERR_OK);
    CHECK(told.stuck, "it is where it was before");
    CHECK_INT(told.sites[0].verdict, PICK_CHOSEN);
    CHECK_INT(told.sites[1].verdict, PICK_ELSEWHERE);
    req.stick = NULL;
    CHECK_INT(pick_explain(&req), ERR_OK);
    CHECK(!told.stuck, "there was no stick");
    CHECK_INT(told.sites[0].verdict, PICK_COSTLIER);
    fixture_free(&f);
}

/* One that waits for a slot of its own endpoint would wait while others are free. */
TEST(stuck, a_full_one_is_left)
{
    struct fixture f;
    struct pick_ticket first, second;
    fixture_make(&f, SHAPE(1, 2, .max_inflight = 1));
    struct pick_request req = fixture_request(&f);
    req.stick = &f.pool->members[0];
    CHECK_INT(pick(&req, &first), ERR_OK);
    CHECK_INT(pick(&req, &second), ERR_OK);
    CHECK(first.endpoint == req.stick->endpoint && second.endpoint != first.endpoint, "moved on");
    struct pick_ticket third;
    CHECK_INT(pick(&req, &third), ERR_FULL);
    struct pick_explain told;
    req.explain = &told;
    CHECK_INT(pick_explain(&req), ERR_FULL);
    CHECK_INT(told.sites[0].verdict, PICK_FULL);
    CHECK_INT(told.sites[0].usable, 2);
    pick_release(&first);
    pick_release(&second);
    fixture_free(&f);
}

static struct pick_ticket ask_keyed(struct fixture *f, uint64_t i, const float *distances,
                                    uint64_t allowed)
{
    struct pick_ticket t;
    struct pick_request req = fixture_request(f);
    req.key = hash_plain(span_of((const char *)&i, sizeof i));
    req.has_key = true;
    req.distance_ms = distances;
    req.allowed = allowed;
    CHECK_INT(pick(&req, &t), ERR_OK);
    return t;
}

/* Whatever the load, the same key has the same endpoint of the site that geography chooses. */
TEST(stuck, keys_stay_inside_the_chosen_site)
{
    enum { KEYS = 500 };
    struct fixture f;
    struct endpoint *at[KEYS];
    static const enum pick_algorithm all[] = {PICK_NEAREST, PICK_ROUND_ROBIN, PICK_TWO_CHOICES,
                                              PICK_LEAST_CONNECTIONS};
    const float distances[] = {50, 5, 80};
    for (size_t a = 0; a < sizeof all / sizeof *all; a++) {
        struct fixture_shape shape = SHAPE(3, 4);
        shape.knobs.keyed = true;
        shape.knobs.algorithm = all[a];
        fixture_make(&f, shape);
        uint32_t different = 0;
        for (uint64_t i = 0; i < KEYS; i++) {
            struct pick_ticket t = ask_keyed(&f, i, distances, PICK_ALL);
            at[i] = t.endpoint;
            different += at[i] != at[0];
            CHECK(all[a] != PICK_NEAREST || t.site_index == 1, "site %u", t.site_index);
            pick_release(&t);
        }
        CHECK(different > 0, "all are at one endpoint");
        for (uint64_t i = 0; i < KEYS; i++) {
            struct pick_ticket held = ask_keyed(&f, i, distances, PICK_ALL);
            struct pick_ticket t = ask_keyed(&f, i, distances, PICK_ALL);
            CHECK(t.endpoint == at[i] && held.endpoint == at[i], "key %u moved", (unsigned)i);
            pick_release(&held);
            pick_release(&t);
            t = ask_keyed(&f, i, distances, 4);
            CHECK_INT(t.site_index, 2);
            pick_release(&t);
        }
        CHECK_INT(fixture_sum(&f), 0);
        fixture_free(&f);
    }
}
