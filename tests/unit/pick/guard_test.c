/* Outcomes, ejection and the black-hole guard (BALANCING.md sections 6 and 9, RELIABILITY L32). */
#include "fixture.h"

#include <math.h>

/* A ticket on one given endpoint, as pick would hand it out. */
static struct pick_ticket take(struct fixture *f, uint32_t site, uint32_t member)
{
    struct endpoint *others[FIXTURE_MOST];
    struct pick_ticket t;
    struct pick_request req = fixture_request(f);
    req.allowed = UINT64_C(1) << site;
    req.tried = others;
    for (uint32_t i = 0; i < f->pool->sites[site].count; i++)
        if (i != member)
            others[req.tried_count++] = fixture_endpoint(f, site, i);
    CHECK(pick(&req, &t) == ERR_OK, "site %u member %u", site, member);
    return t;
}

static void attempt(struct fixture *f, uint32_t member, enum pick_outcome outcome)
{
    struct pick_ticket t = take(f, 0, member);
    pick_done(&t, outcome, 10, f->now_ms);
}

static bool is_out(const struct fixture *f, uint32_t member)
{
    return endpoint_out(fixture_endpoint(f, 0, member), f->now_ms);
}

TEST(guard, the_table_of_outcomes)
{
    static const struct {
        int status;
        enum pick_outcome want;
    } statuses[] = {{200, PICK_ANSWERED}, {404, PICK_ANSWERED}, {501, PICK_ANSWERED},
                    {429, PICK_BUSY},     {503, PICK_BUSY},     {500, PICK_FAILED},
                    {502, PICK_FAILED},   {504, PICK_FAILED},   {101, PICK_ANSWERED}};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        CHECK_INT(pick_outcome_of_status(statuses[i].status), statuses[i].want);
    CHECK_INT(pick_outcome_of_err(ERR_OK), PICK_ANSWERED);
    CHECK_INT(pick_outcome_of_err(ERR_BACKEND_REFUSED), PICK_CONNECT_FAILED);
    CHECK_INT(pick_outcome_of_err(ERR_BACKEND_CONNECT_TIMEOUT), PICK_CONNECT_FAILED);
    CHECK_INT(pick_outcome_of_err(ERR_BACKEND_TIMEOUT), PICK_TIMEOUT);
    CHECK_INT(pick_outcome_of_err(ERR_BACKEND_RESET), PICK_FAILED);
    CHECK_INT(pick_outcome_of_err(ERR_BACKEND_TRUNCATED), PICK_FAILED);
    CHECK_INT(pick_outcome_of_err(ERR_CLIENT_ABORT), PICK_ABORTED);
    CHECK_INT(pick_outcome_of_err(ERR_NO_DESCRIPTOR),
              PICK_ABORTED); /* B2: not the backend's fault */
    CHECK_INT(pick_outcome_of_err(ERR_NO_PORT), PICK_ABORTED);
}

TEST(guard, which_outcome_gives_a_sample)
{
    static const struct {
        enum pick_outcome outcome;
        double want; /* of T; 0: no sample */
    } rows[] = {{PICK_ANSWERED, 10},      {PICK_TIMEOUT, 10}, {PICK_FAILED, 0}, {PICK_ABORTED, 0},
                {PICK_CONNECT_FAILED, 0}, {PICK_BUSY, 1000},  {PICK_OUTRUN, 10}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        fixture_make(&f, SHAPE(1, 2));
        attempt(&f, 0, rows[i].outcome);
        struct site_load load = site_load(f.pool->sites[0].state);
        CHECK(fabs(load.t_ms - rows[i].want) < 1e-9, "row %zu: T = %f", i, load.t_ms);
        CHECK_INT(load.samples, rows[i].want > 0 ? 1 : 0);
        CHECK_INT(fixture_sum(&f), 0);
        fixture_free(&f);
    }
}

TEST(guard, five_failures_in_a_row_eject_and_an_answer_clears_them)
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 4));
    for (int i = 0; i < 4; i++)
        attempt(&f, 0, i % 2 == 0 ? PICK_FAILED : PICK_TIMEOUT);
    attempt(&f, 0, PICK_ANSWERED);
    for (int i = 0; i < 4; i++)
        attempt(&f, 0, PICK_FAILED);
    attempt(&f, 0, PICK_ABORTED);
    CHECK(!is_out(&f, 0), "four in a row");
    attempt(&f, 0, PICK_FAILED);
    CHECK(is_out(&f, 0), "five in a row");
    f.now_ms += LIMIT_EJECT_BASE_MS;
    CHECK(!is_out(&f, 0), "back after five seconds");
    attempt(&f, 0, PICK_FAILED);
    CHECK(!is_out(&f, 0), "on return the count starts at nothing");
    CHECK_INT(atomic_load(&fixture_endpoint(&f, 0, 0)->fails), 1);
    CHECK_INT(atomic_load(&fixture_endpoint(&f, 0, 0)->errors), 10);
    CHECK_INT(atomic_load(&fixture_endpoint(&f, 0, 0)->ejections), 1);
    fixture_free(&f);
}

TEST(guard, three_connect_failures_in_a_row_eject) /* L32 */
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 4));
    attempt(&f, 0, PICK_CONNECT_FAILED);
    attempt(&f, 0, PICK_CONNECT_FAILED);
    attempt(&f, 0, PICK_FAILED); /* it did connect */
    attempt(&f, 0, PICK_CONNECT_FAILED);
    CHECK(!is_out(&f, 0), "not three in a row");
    attempt(&f, 1, PICK_CONNECT_FAILED);
    attempt(&f, 1, PICK_CONNECT_FAILED);
    attempt(&f, 1, PICK_CONNECT_FAILED);
    CHECK(is_out(&f, 1), "three in a row");
    fixture_free(&f);
}

/* 5 s, 10 s, ... at most 30 s; less one step for every minute without failure. */
TEST(guard, ejections_grow_longer_and_are_forgotten)
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 4));
    struct endpoint *e = fixture_endpoint(&f, 0, 0);
    for (int64_t n = 1; n <= 8; n++) {
        for (int i = 0; i < LIMIT_EJECT_FAILS; i++)
            attempt(&f, 0, PICK_FAILED);
        int64_t want = n < 6 ? n * LIMIT_EJECT_BASE_MS : LIMIT_EJECT_MOST_MS;
        CHECK_INT(atomic_load(&e->out_until) - f.now_ms, want);
        CHECK_INT(endpoint_eject_count(e, f.now_ms), n);
        f.now_ms += want;
    }
    CHECK_INT(endpoint_eject_count(e, f.now_ms + 60000 - 1 - LIMIT_EJECT_MOST_MS), 8);
    f.now_ms += 3 * 60000 - LIMIT_EJECT_MOST_MS;
    CHECK_INT(endpoint_eject_count(e, f.now_ms), 5);
    f.now_ms += 100 * 60000;
    for (int i = 0; i < LIMIT_EJECT_FAILS; i++)
        attempt(&f, 0, PICK_FAILED);
    CHECK_INT(atomic_load(&e->out_until) - f.now_ms, LIMIT_EJECT_BASE_MS);
    fixture_free(&f);
}

TEST(guard, at_most_half_of_the_pool_is_ejected)
{
    for (uint32_t n = 1; n <= 7; n++) {
        struct fixture f;
        fixture_make(&f, SHAPE(1, n));
        uint32_t out = 0;
        for (uint32_t m = 0; m < n; m++) {
            for (int i = 0; i < 10 && !is_out(&f, m); i++)
                attempt(&f, m, PICK_FAILED);
            out += is_out(&f, m);
        }
        CHECK(out == n / 2, "%u of %u", out, n);
        fixture_free(&f);
    }
}

TEST(guard, a_whole_failing_site_may_be_ejected)
{
    struct fixture f;
    struct pick_ticket t;
    const float distances[] = {1, 90};
    fixture_make(&f, SHAPE(2, 3));
    for (uint32_t m = 0; m < 3; m++)
        for (int i = 0; i < LIMIT_EJECT_FAILS; i++)
            attempt(&f, m, PICK_FAILED);
    struct pick_request req = fixture_request(&f);
    req.distance_ms = distances;
    CHECK(pick(&req, &t) == ERR_OK, "picked");
    CHECK_INT(t.site_index, 1);
    pick_release(&t);
    fixture_free(&f);
}

/* Its neighbours are loaded, it is not: 2 * q_b * W < Q * w_b. */
static void load_neighbours(struct fixture *f, struct pick_ticket *held, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        held[i] = take(f, 0, 1 + i % 3);
}

TEST(guard, a_light_outlier_goes_out_after_three_busy_answers)
{
    struct fixture f;
    struct pick_ticket held[12];
    fixture_make(&f, SHAPE(1, 4));
    load_neighbours(&f, held, 12);
    attempt(&f, 0, PICK_BUSY);
    attempt(&f, 0, PICK_BUSY);
    attempt(&f, 0, PICK_ANSWERED);
    attempt(&f, 0, PICK_BUSY);
    attempt(&f, 0, PICK_BUSY);
    CHECK(!is_out(&f, 0), "not three in a row");
    CHECK_INT(site_load(f.pool->sites[0].state).samples, 1); /* the answer's */
    attempt(&f, 0, PICK_BUSY);
    CHECK_INT(atomic_load(&fixture_endpoint(&f, 0, 0)->out_until) - f.now_ms, 5000);
    CHECK_INT(endpoint_eject_count(fixture_endpoint(&f, 0, 0), f.now_ms), 0);
    for (int i = 0; i < 12; i++)
        pick_release(&held[i]);
    fixture_free(&f);
}

TEST(guard, a_loaded_busy_one_is_never_ejected)
{
    struct fixture f;
    struct pick_ticket held[12];
    fixture_make(&f, SHAPE(1, 4));
    load_neighbours(&f, held, 12);
    for (int i = 0; i < 50; i++)
        attempt(&f, 1, PICK_BUSY);
    CHECK(!is_out(&f, 1), "it has its share of the load");
    CHECK_INT(site_load(f.pool->sites[0].state).samples, 50);
    for (int i = 0; i < 12; i++)
        pick_release(&held[i]);
    fixture_free(&f);
}

/* W = 400, w = 100, both counts without the answered request itself: light below an eighth of the
 * site's in-flight. */
TEST(guard, light_begins_below_half_of_the_share)
{
    for (uint32_t q = 0; q < 6; q++) {
        struct fixture f;
        fixture_make(&f, SHAPE(1, 4));
        struct pick_ticket t = take(&f, 0, 0);
        fixture_inflight(&f, 0, 0, q + 1);
        atomic_store(&f.pool->sites[0].state->inflight, 24 + 1);
        pick_note(&t, PICK_BUSY, 1, f.now_ms);
        CHECK_INT(atomic_load(&t.endpoint->busy), 8 * q < 24 ? 1 : 0);
        fixture_free(&f);
    }
}

TEST(guard, not_more_than_half_of_a_site_goes_out_as_light)
{
    struct fixture f;
    fixture_make(&f, SHAPE(4, 3)); /* the pool's half would be six */
    struct pick_ticket held[20];
    for (int i = 0; i < 20; i++)
        held[i] = take(&f, 0, 2);
    for (uint32_t m = 0; m < 2; m++)
        for (int i = 0; i < 4 && !is_out(&f, m); i++)
            attempt(&f, m, PICK_BUSY);
    CHECK(is_out(&f, 0) && !is_out(&f, 1), "one of three");
    for (int i = 0; i < 20; i++)
        pick_release(&held[i]);
    fixture_free(&f);
}

TEST(guard, a_ticket_is_given_back_once)
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 2));
    struct pick_ticket t = take(&f, 0, 0), empty = {0};
    CHECK_INT(fixture_sum(&f), 2);
    pick_note(&t, PICK_ANSWERED, 10, f.now_ms);
    CHECK_INT(fixture_sum(&f), 2);
    pick_release(&t);
    pick_release(&t);
    pick_done(&t, PICK_FAILED, 1, f.now_ms);
    pick_release(&empty);
    CHECK_INT(fixture_sum(&f), 0);
    CHECK_INT(atomic_load(&fixture_endpoint(&f, 0, 0)->errors), 0);
    fixture_free(&f);
}

TEST(guard, an_operator_ends_an_ejection)
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 4));
    for (int i = 0; i < LIMIT_EJECT_FAILS; i++)
        attempt(&f, 0, PICK_FAILED);
    pool_view_refresh(f.view, f.now_ms);
    CHECK_INT(f.view->tiers[0].sites[0].usable, 3);
    endpoint_readmit(fixture_endpoint(&f, 0, 0));
    pool_view_refresh(f.view, f.now_ms);
    CHECK_INT(f.view->tiers[0].sites[0].usable, 4);
    CHECK_INT(atomic_load(&fixture_endpoint(&f, 0, 0)->fails), 0);
    fixture_free(&f);
}

/* The ring forgets by time alone, also after it has gone round many times. */
TEST(guard, the_ring_counts_those_still_out)
{
    struct out_ring ring = {0};
    for (int64_t now = 500; now < 200000; now += 1000) {
        out_ring_add(&ring, now + 30000);
        int64_t want = now / 1000 + 1 < 31 ? now / 1000 + 1 : 31;
        CHECK_INT(out_ring_count(&ring, now), want);
    }
    CHECK_INT(out_ring_count(&ring, 300000), 0);
}

TEST(guard, probes_and_names_are_kept)
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 1));
    struct endpoint *e = fixture_endpoint(&f, 0, 0);
    endpoint_probed(e, true);
    endpoint_probed(e, false);
    endpoint_probed(e, true);
    CHECK_INT(atomic_load(&e->history), 5);
    CHECK_INT(atomic_load(&e->probes), 3);
    for (int i = 0; i < 100; i++)
        endpoint_probed(e, true);
    CHECK_INT(atomic_load(&e->probes), 64);
    CHECK(atomic_load(&e->history) == UINT64_MAX, "all good");
    CHECK_STR(endpoint_health_name(ENDPOINT_SOFT), "soft");
    CHECK_STR(endpoint_admin_name(ENDPOINT_MAINT), "maintenance");
    CHECK_STR(endpoint_name(e), "p/b0-0@192.0.2.1:80");
    CHECK_SPAN(e->backend, "b0-0");
    CHECK_SPAN(e->address, "192.0.2.1:80");
    fixture_free(&f);
}

/* C4: while servers fail for something that they share, answers eject nobody; that no connection
 * can be had does. */
TEST(guard, a_shared_fault_ejects_nobody_for_answers)
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 4));
    struct pool_state *state = f.pool->state;
    pool_set_fault(state, 1, 0, f.now_ms);
    for (int i = 0; i < 200; i++) {
        struct pick_ticket t;
        struct pick_request req = fixture_request(&f);
        CHECK(pick(&req, &t) == ERR_OK, "somebody serves");
        pick_done(&t, i % 2 ? PICK_FAILED : PICK_BUSY, 1, f.now_ms);
    }
    for (uint32_t i = 0; i < 4; i++)
        CHECK(!endpoint_out(fixture_endpoint(&f, 0, i), f.now_ms), "%u is out", i);
    struct endpoint *e = NULL;
    for (int i = 0; i < 100; i++) {
        struct pick_ticket t;
        struct pick_request req = fixture_request(&f);
        CHECK(pick(&req, &t) == ERR_OK, "somebody serves");
        e = e != NULL ? e : t.endpoint;
        pick_done(&t, t.endpoint == e ? PICK_CONNECT_FAILED : PICK_ABORTED, 1, f.now_ms);
    }
    CHECK(endpoint_out(e, f.now_ms), "nobody can connect to it");
    fixture_free(&f);
}

/* Traffic that was held back comes again in ten seconds. */
TEST(guard, traffic_grows_after_a_fault)
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 1));
    struct pool_state *state = f.pool->state;
    CHECK_INT(pool_open_share(state, f.now_ms), 256);
    pool_set_fault(state, 2, 1, f.now_ms);
    CHECK_INT(pool_open_share(state, f.now_ms + 1), 0);
    pool_set_fault(state, 1, 0, f.now_ms + 5000);
    CHECK(atomic_load(&state->fault_ms) == f.now_ms && state->faults == 1, "the same one");
    int64_t over_ms = f.now_ms + 60000;
    pool_set_fault(state, 0, 0, over_ms);
    uint32_t last = 0;
    for (int64_t ms = 0; ms <= POOL_RAMP_MS; ms += 100) {
        uint32_t share = pool_open_share(state, over_ms + ms);
        CHECK(share >= last && share >= 25 && share <= 256, "%u after %u", share, last);
        last = share;
    }
    CHECK_INT(last, 256);
    fixture_free(&f);
}
