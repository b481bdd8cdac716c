/* The estimator of BALANCING.md section 6, with the vectors of section 11. */
#include "fixture.h"

#include <math.h>

TEST(site, the_first_samples_are_their_mean)
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 1));
    struct site_state *s = f.pool->sites[0].state;
    site_sample(s, 20, 7, 0);
    CHECK(site_load(s).t_ms == 20 && site_load(s).n_ms == 20 && site_load(s).a == 7, "the first");
    site_sample(s, 20, 7, 1000);
    site_sample(s, 20, 7, 2000);
    site_sample(s, 100, 7, 3000);
    CHECK(fabs(site_load(s).t_ms - 40) < 1e-9, "T = %f", site_load(s).t_ms);
    CHECK(fabs(site_load(s).n_ms - 40) < 1e-9, "N = %f", site_load(s).n_ms);
    CHECK_INT(site_load(s).samples, 4);
    fixture_free(&f);
}

TEST(site, one_slow_answer_after_many)
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 1));
    struct site_state *s = f.pool->sites[0].state;
    for (int i = 0; i < 5000; i++)
        site_sample(s, 20, 0, 1000 + i);
    site_sample(s, 100, 0, 1000 + 4999 + 10);
    CHECK(fabs(site_load(s).t_ms - 20.7960) < 1e-4, "T = %f", site_load(s).t_ms);
    CHECK(fabs(site_load(s).n_ms - 20.0267) < 1e-4, "N = %f", site_load(s).n_ms);
    fixture_free(&f);
}

/* The weights of one sample of 100 after a thousand of 20 are held within bounds. */
TEST(site, the_weight_of_a_sample_is_bounded)
{
    static const struct {
        int64_t dt_ms;
        double t, n; /* the weights of the last sample */
    } rows[] = {{0, 1.0 / 512, 1.0 / 1001},
                {1, 1.0 / 512, 1.0 / 1001},
                {100, 1.0 / 64, 0.0033277},
                {60000, 1.0 / 64, 1.0 / 64}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        fixture_make(&f, SHAPE(1, 1));
        struct site_state *s = f.pool->sites[0].state;
        for (int k = 0; k < 1000; k++)
            site_sample(s, 20, 0, 1000);
        site_sample(s, 100, 10, 1000 + rows[i].dt_ms);
        struct site_load load = site_load(s);
        CHECK(fabs((load.t_ms - 20) / 80 - rows[i].t) < 1e-6, "row %zu: T = %f", i, load.t_ms);
        CHECK(fabs(load.a / 10 - rows[i].t) < 1e-6, "row %zu: A = %f", i, load.a);
        CHECK(fabs((load.n_ms - 20) / 80 - rows[i].n) < 1e-6, "row %zu: N = %f", i, load.n_ms);
        fixture_free(&f);
    }
}

TEST(site, odd_samples_do_no_harm)
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 1));
    struct site_state *s = f.pool->sites[0].state;
    static const double odd[] = {-5, 0, NAN, 1e-30};
    for (size_t i = 0; i < 4; i++)
        site_sample(s, odd[i], 0, 1000 - (int64_t)i * 100); /* and time that goes back */
    CHECK(fabs(site_load(s).t_ms - SITE_SAMPLE_LEAST) < 1e-12, "T = %f", site_load(s).t_ms);
    CHECK_INT(atomic_load(&s->last_ms), 1000);
    CHECK(!atomic_flag_test_and_set(&s->busy), "the try-flag is free again");
    site_sample(s, 50, 0, 2000);
    CHECK_INT(site_load(s).samples, 4); /* contended: dropped */
    atomic_flag_clear(&s->busy);
    fixture_free(&f);
}

/* BALANCING.md section 4: the lowest connect time of 10 minutes; what is older is forgotten, but
 * not before there is something newer. */
TEST(site, the_way_is_the_least_of_ten_minutes)
{
    static const struct {
        int64_t minute;
        double ms, way;
    } rows[] = {{100, 30, 30}, {100, 20, 20}, {100, 25, 20}, {105, 40, 20}, {109, 50, 20},
                {110, 60, 40}, {114, 70, 40}, {115, 80, 50}, {900, 90, 90}, {901, 0, 0.001},
                {911, 7, 7},   {910, 5, 5},   {912, 9, 5},   {1200, 11, 11}};
    struct fixture f;
    fixture_make(&f, SHAPE(1, 1));
    struct site_state *s = f.pool->sites[0].state;
    CHECK(site_way(s) <= 0, "it is not known");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        site_connected(s, rows[i].ms, rows[i].minute * 60000 + 7);
        CHECK(fabs(site_way(s) - rows[i].way) < 1e-6, "row %zu: %f", i, site_way(s));
    }
    fixture_free(&f);
}

/* Section 6: a sample is less the measured round trip; what passed without an answer is not. */
TEST(site, samples_are_less_the_way)
{
    static const struct {
        enum pick_outcome outcome;
        double x_ms, t_ms;
    } rows[] = {{PICK_ANSWERED, 95, 15},
                {PICK_ANSWERED, 60, 0.01},
                {PICK_TIMEOUT, 200, 200},
                {PICK_OUTRUN, 95, 95}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        struct pick_ticket t;
        fixture_make(&f, SHAPE(1, 1));
        site_connected(f.pool->sites[0].state, 80, f.now_ms);
        struct pick_request req = fixture_request(&f);
        CHECK_INT(pick(&req, &t), ERR_OK);
        pick_done(&t, rows[i].outcome, rows[i].x_ms, f.now_ms);
        double t_ms = site_load(f.pool->sites[0].state).t_ms;
        CHECK(fabs(t_ms - rows[i].t_ms) < 1e-6, "row %zu: T = %f", i, t_ms);
        fixture_free(&f);
    }
}
