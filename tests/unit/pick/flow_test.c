/* What redirect mode knows of a site: redirects of the last second, and rounds of checks
 * (BALANCING.md sections 2 and 6). */
#include "fixture.h"

#include <math.h>

TEST(flow, redirects_decay_within_a_second)
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 1));
    struct site_state *s = f.pool->sites[0].state;
    CHECK(site_flow(s, 5000) <= 0, "none yet");
    for (int i = 0; i < 100; i++)
        site_redirected(s, 5000);
    CHECK(fabs(site_flow(s, 5000) - 100) < 1e-3, "%f", site_flow(s, 5000));
    CHECK(fabs(site_flow(s, 4990) - 100) < 1e-3, "another thread's clock is behind");
    CHECK(fabs(site_flow(s, 6000) - 100 * exp(-3)) < 1e-3, "%f", site_flow(s, 6000));
    for (int ms = 0; ms < 10000; ms++) /* one a millisecond: as many as the decay lets stand */
        site_redirected(s, 6000 + ms);
    CHECK(fabs(site_flow(s, 16000) - 333) < 3, "%f", site_flow(s, 16000));
    CHECK_INT(atomic_load(&s->redirects), 10100);
    fixture_free(&f);
}

TEST(flow, time_is_kept_in_32_bits)
{
    struct fixture f;
    int64_t wrap = INT64_C(1) << 32;
    fixture_make(&f, SHAPE(1, 1));
    site_redirected(f.pool->sites[0].state, wrap - 100);
    double flow = site_flow(f.pool->sites[0].state, wrap + 100);
    CHECK(fabs(flow - exp(-0.6)) < 1e-6, "%f", flow);
    fixture_free(&f);
}

TEST(flow, a_round_of_checks_is_one_sample)
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 4));
    struct site_state *s = f.pool->sites[0].state;
    for (int i = 0; i < 3; i++)
        site_checked(s, 10 * (i + 1), 4, 1000, 1000 + i);
    CHECK_INT(site_load(s).samples, 0);
    site_checked(s, 40, 4, 1000, 1003);
    CHECK(site_load(s).samples == 1 && fabs(site_load(s).t_ms - 25) < 1e-9, "%f",
          site_load(s).t_ms);
    site_checked(s, 65, 4, 1000, 2000); /* one server only: the interval ends the round */
    site_checked(s, 65, 4, 1000, 3000);
    CHECK(fabs(site_load(s).t_ms - 45) < 1e-9, "mean of two at first: %f", site_load(s).t_ms);
    for (int i = 0; i < 100; i++)
        site_checked(s, 45, 1, 1000, 4000 + i * 1000);
    double t = site_load(s).t_ms, n = site_load(s).n_ms;
    site_checked(s, 145, 1, 1000, 104000);
    CHECK(fabs(site_load(s).t_ms - (t + 0.4 * (145 - t))) < 1e-6, "T %f", site_load(s).t_ms);
    CHECK(fabs(site_load(s).n_ms - (n + (145 - n) / 30)) < 1e-6, "N %f", site_load(s).n_ms);
    fixture_free(&f);
}

TEST(flow, load_rises_at_once_and_falls_behind)
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 1));
    struct site_state *s = f.pool->sites[0].state;
    static const struct {
        double load, told;
    } steps[] = {{0, 0},   {100, 100}, {90, 100}, {80, 100}, {70, 90}, {85, 90},
                 {95, 95}, {12, 24},   {3, 6},    {0, 0},    {5, 5}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        double told = site_steady(s, steps[i].load);
        CHECK(fabs(told - steps[i].told) < 1e-9, "step %zu: %f", i, told);
    }
    fixture_free(&f);
}

static uint64_t zero(void *ctx)
{
    (void)ctx;
    return 0;
}

TEST(flow, a_choice_takes_nothing_and_offers_nobody_that_is_down)
{
    struct fixture f;
    uint32_t site = 9;
    fixture_make(&f, SHAPE(1, 1));
    f.pool->knobs.redirect = true;
    struct pick_request req = {
        .view = f.view, .allowed = PICK_ALL, .now_ms = f.now_ms, .dice = {.draw = zero}};
    CHECK(pick_site(&req, &site) == ERR_OK && site == 0, "the only one");
    CHECK_INT(endpoint_inflight(f.pool->members[0].endpoint), 0);
    CHECK(site_flow(f.pool->sites[0].state, f.now_ms) > 0.9, "counted");
    endpoint_set_health(f.pool->members[0].endpoint, ENDPOINT_SOFT, f.now_ms);
    pool_view_refresh(f.view, f.now_ms);
    CHECK_INT(pick_site(&req, &site), ERR_OK); /* panic */
    endpoint_set_health(f.pool->members[0].endpoint, ENDPOINT_HARD, f.now_ms);
    pool_view_refresh(f.view, f.now_ms);
    CHECK_INT(pick_site(&req, &site), ERR_NO_BACKEND);
    fixture_free(&f);
}
