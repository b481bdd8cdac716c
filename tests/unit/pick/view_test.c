/* Views: slow start, drain, panic and the last resort (BALANCING.md sections 9 and 10). */
#include "fixture.h"
#include "pick/choose.h"

static uint32_t effective(const struct fixture *f, uint32_t item)
{
    return f->view->tiers[0].sites[0].items[item].weight;
}

TEST(view, slow_start_vectors)
{
    CHECK_INT(pool_slow_weight(100, 0, 30000), 10);
    CHECK_INT(pool_slow_weight(100, 5000, 30000), 16);
    CHECK_INT(pool_slow_weight(100, 15000, 30000), 50);
    CHECK_INT(pool_slow_weight(100, 30000, 30000), 100);
    CHECK_INT(pool_slow_weight(1, 0, 30000), 1);
    CHECK_INT(pool_slow_weight(1000, 29999, 30000), 990);
    CHECK_INT(pool_slow_weight(70, -5, 30000), 7);
    CHECK_INT(pool_slow_weight(70, 0, 0), 70);
}

TEST(view, slow_start_after_recovery_grows_every_second)
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 2));
    struct endpoint *e = fixture_endpoint(&f, 0, 0);
    CHECK(endpoint_set_health(e, ENDPOINT_SOFT, f.now_ms), "changed");
    CHECK(!endpoint_set_health(e, ENDPOINT_SOFT, f.now_ms), "no change");
    pool_view_refresh(f.view, f.now_ms);
    CHECK_INT(f.view->tiers[0].sites[0].usable, 1);
    endpoint_set_health(e, ENDPOINT_UP, f.now_ms);
    pool_view_refresh(f.view, f.now_ms);
    CHECK_INT(effective(&f, 0), 10);
    CHECK_INT(f.view->tiers[0].sites[0].ends[1], 110);
    pool_view_refresh(f.view, f.now_ms + 15000);
    CHECK_INT(effective(&f, 0), 50);
    pool_view_refresh(f.view, f.now_ms + 30000);
    CHECK_INT(effective(&f, 0), 100);
    CHECK(f.view->rebuild_at_ms == INT64_MAX, "nothing more to come");
    fixture_free(&f);
}

TEST(view, slow_start_is_skipped_where_all_are_in_it)
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 2));
    for (uint32_t i = 0; i < 2; i++) {
        endpoint_set_health(fixture_endpoint(&f, 0, i), ENDPOINT_HARD, f.now_ms);
        endpoint_set_health(fixture_endpoint(&f, 0, i), ENDPOINT_UP, f.now_ms);
    }
    pool_view_refresh(f.view, f.now_ms);
    CHECK_INT(effective(&f, 0), 100);
    CHECK_INT(effective(&f, 1), 100);
    fixture_free(&f);
}

TEST(view, those_added_by_a_reload_start_slowly_the_others_keep_everything)
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 2));
    struct endpoint *old = fixture_endpoint(&f, 0, 1);
    endpoint_set_admin(old, ENDPOINT_DRAIN);
    endpoint_set_weight(fixture_endpoint(&f, 0, 0), 300);
    fixture_reload(&f, SHAPE(1, 3));
    CHECK(fixture_endpoint(&f, 0, 1) == old, "found again by its key");
    CHECK_INT(endpoint_admin(old), ENDPOINT_DRAIN);
    CHECK_INT(f.view->tiers[0].sites[0].usable, 2);
    CHECK_INT(effective(&f, 0), 300);
    CHECK_INT(effective(&f, 1), 10);
    endpoint_set_weight(fixture_endpoint(&f, 0, 0), 0);
    pool_view_refresh(f.view, f.now_ms);
    CHECK_INT(effective(&f, 0), 100);
    fixture_free(&f);
}

static enum pick_mode mode_now(struct fixture *f, struct pick_ticket *t)
{
    struct pick_request req = fixture_request(f);
    CHECK(pick(&req, t) == ERR_OK, "somebody serves");
    enum pick_mode mode = t->mode;
    pick_release(t);
    return mode;
}

TEST(view, panic_begins_above_the_threshold_and_takes_soft_ones)
{
    struct fixture f;
    struct pick_ticket t;
    fixture_make(&f, SHAPE(1, 4));
    endpoint_set_health(fixture_endpoint(&f, 0, 0), ENDPOINT_SOFT, f.now_ms);
    endpoint_set_health(fixture_endpoint(&f, 0, 1), ENDPOINT_HARD, f.now_ms);
    CHECK_INT(mode_now(&f, &t), PICK_NORMAL); /* half is not more than half */
    endpoint_set_health(fixture_endpoint(&f, 0, 2), ENDPOINT_SOFT, f.now_ms);
    bool soft = false, hard = false;
    for (int i = 0; i < 100; i++) {
        struct pick_request req = fixture_request(&f);
        CHECK(pick(&req, &t) == ERR_OK && t.mode == PICK_PANIC, "panic");
        soft |= endpoint_health(t.endpoint) == ENDPOINT_SOFT;
        hard |= endpoint_health(t.endpoint) == ENDPOINT_HARD;
        pick_release(&t);
    }
    CHECK(soft && !hard, "SOFT ones are used, HARD ones never");
    endpoint_set_admin(fixture_endpoint(&f, 0, 0), ENDPOINT_MAINT);
    endpoint_set_admin(fixture_endpoint(&f, 0, 2), ENDPOINT_DRAIN);
    for (int i = 0; i < 100; i++) {
        struct pick_request req = fixture_request(&f);
        CHECK(pick(&req, &t) == ERR_OK, "somebody serves");
        CHECK(t.endpoint == fixture_endpoint(&f, 0, 3), "MAINT and DRAIN hold in panic too");
        pick_release(&t);
    }
    fixture_free(&f);
}

TEST(view, a_healthy_allowed_site_prevents_panic)
{
    struct fixture f;
    struct pick_ticket t;
    fixture_make(&f, SHAPE(2, 4));
    for (uint32_t i = 0; i < 3; i++)
        endpoint_set_health(fixture_endpoint(&f, 0, i), ENDPOINT_SOFT, f.now_ms);
    CHECK_INT(mode_now(&f, &t), PICK_NORMAL);
    struct pick_request req = fixture_request(&f);
    req.allowed = 1; /* the other one may not be used: it does not count either */
    CHECK(pick(&req, &t) == ERR_OK && t.mode == PICK_PANIC && t.site_index == 0, "panic");
    pick_release(&t);
    fixture_free(&f);
}

TEST(view, panic_ignores_ejections_and_can_be_switched_off)
{
    struct fixture f;
    struct pick_ticket t;
    fixture_make(&f, SHAPE(1, 2));
    endpoint_eject(fixture_endpoint(&f, 0, 0), f.now_ms + 5000, true);
    endpoint_set_health(fixture_endpoint(&f, 0, 1), ENDPOINT_HARD, f.now_ms);
    CHECK_INT(mode_now(&f, &t), PICK_PANIC); /* nobody else is left */
    f.pool->knobs.panic_percent = 0;
    struct pick_request req = fixture_request(&f);
    CHECK_INT(pick(&req, &t), ERR_NO_BACKEND);
    f.now_ms += 5000;
    CHECK_INT(mode_now(&f, &t), PICK_NORMAL); /* the view looks again when the ejection ends */
    CHECK_INT(atomic_load(&fixture_endpoint(&f, 0, 0)->out_until), 0);
    fixture_free(&f);
}

TEST(view, the_last_resort_is_one_hard_one_once)
{
    struct fixture f;
    struct pick_ticket t;
    fixture_make(&f, SHAPE(2, 2));
    for (uint32_t i = 0; i < 4; i++)
        endpoint_set_health(fixture_endpoint(&f, i / 2, i % 2), ENDPOINT_HARD, f.now_ms);
    CHECK_INT(mode_now(&f, &t), PICK_LAST_RESORT);
    struct pick_request req = fixture_request(&f);
    req.no_last_resort = true;
    CHECK_INT(pick(&req, &t), ERR_NO_BACKEND);
    endpoint_set_health(fixture_endpoint(&f, 1, 1), ENDPOINT_SOFT, f.now_ms);
    req = fixture_request(&f);
    CHECK(pick(&req, &t) == ERR_OK && t.mode == PICK_PANIC, "a SOFT one is better");
    CHECK(t.endpoint == fixture_endpoint(&f, 1, 1), "and it is the only one");
    pick_release(&t);
    fixture_free(&f);
}

TEST(view, a_large_pool_is_not_rebuilt_for_every_change)
{
    struct fixture f;
    fixture_make(&f, SHAPE(4, 256));
    endpoint_set_admin(fixture_endpoint(&f, 0, 0), ENDPOINT_DRAIN);
    pool_view_refresh(f.view, f.now_ms);
    CHECK_INT(pool_view_usable(f.view, PICK_ALL), 1024);
    for (int i = 0; i < 2000; i++) { /* but the old view does no harm */
        struct pick_request req = fixture_request(&f);
        struct pick_ticket t;
        CHECK(pick(&req, &t) == ERR_OK, "picked");
        CHECK(t.endpoint != fixture_endpoint(&f, 0, 0), "not the one in DRAIN");
        pick_release(&t);
    }
    pool_view_refresh(f.view, f.now_ms + 4);
    CHECK_INT(pool_view_usable(f.view, PICK_ALL), 1023);
    CHECK_INT(pool_view_usable(f.view, 2), 256);
    fixture_free(&f);
}

/* BALANCING.md section 4, `distance_source: measured`: for all sites of a pool or for none, and
 * what a site says itself goes before it. */
TEST(view, distances_are_measured_for_all_sites_or_for_none)
{
    struct fixture f;
    fixture_make(&f, SHAPE(3, 1));
    struct pick_pool *pool = f.pool;
    pool->knobs.measured = true;
    pool->knobs.distance_weight = 2;
    for (uint32_t i = 0; i < 3; i++)
        pool->sites[i].here_ms = (float)(100 + i);
    pool->sites[2].fixed = true;
    pool_view_free(&f.view);
    f.view = pool_view_new(pool, f.now_ms);
    site_connected(pool->sites[0].state, 10, f.now_ms);
    pool_view_refresh(f.view, ++f.now_ms);
    CHECK(!f.view->measured && f.view->here_ms[0] == 100 && f.view->here_ms[1] == 101,
          "one lacks it");
    site_connected(pool->sites[1].state, 30, f.now_ms);
    pool_view_refresh(f.view, ++f.now_ms);
    CHECK(f.view->measured && f.view->here_ms[0] == 20 && f.view->here_ms[1] == 60, "measured");
    CHECK(f.view->here_ms[2] == 102, "what the site says");
    struct pick_request req = fixture_request(&f);
    struct pick_ticket t;
    CHECK(pick(&req, &t) == ERR_OK && t.site_index == 0, "the nearest");
    pick_release(&t);
    site_connected(pool->sites[1].state, 5, f.now_ms);
    pool_view_refresh(f.view, ++f.now_ms);
    req = fixture_request(&f);
    CHECK(pick(&req, &t) == ERR_OK && t.site_index == 1, "it has come nearer");
    pick_release(&t);
    fixture_free(&f);
}

/* The first and the last unit of each item, whatever the weights are. */
static void check_units(const struct view_site *site, enum pick_mode mode)
{
    struct choose_range r = choose_range(site, mode);
    for (uint32_t i = r.from; i < r.to; i++) {
        uint64_t end = site->ends[i] - r.weight_before;
        CHECK_INT(choose_item_at(site, &r, end - site->items[i].weight), i);
        CHECK_INT(choose_item_at(site, &r, end - 1), i);
    }
}

TEST(view, each_unit_of_weight_leads_to_its_item)
{
    static const uint32_t most[] = {1, 3, 100, 1000};
    uint32_t weights[300];
    struct fixture f;
    struct rng rng;
    seed_of("view", &rng);
    for (int round = 0; round < 100; round++) {
        uint32_t n = 1 + (uint32_t)rng_below(&rng, 300);
        uint32_t light = most[rng_below(&rng, 4)], heavy = most[rng_below(&rng, 4)];
        for (uint32_t i = 0; i < n; i++)
            weights[i] = 1 + (uint32_t)rng_below(&rng, rng_below(&rng, 8) == 0 ? heavy : light);
        fixture_make(&f, SHAPE(1, n, .weights = weights));
        check_units(&f.view->tiers[0].sites[0], PICK_NORMAL);
        for (uint32_t i = 0; i < n; i += 3)
            endpoint_set_health(fixture_endpoint(&f, 0, i),
                                i % 2 == 0 ? ENDPOINT_SOFT : ENDPOINT_HARD, f.now_ms);
        pool_view_refresh(f.view, f.now_ms + 10); /* large ones are not rebuilt at once */
        check_units(&f.view->tiers[0].sites[0], PICK_NORMAL);
        check_units(&f.view->tiers[0].sites[0], PICK_PANIC);
        check_units(&f.view->tiers[0].sites[0], PICK_LAST_RESORT);
        fixture_free(&f);
    }
}
