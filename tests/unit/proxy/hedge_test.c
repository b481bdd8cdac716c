/* Hedging: a second attempt beside a slow first one; one answer, one outcome, nothing left over. */
#include "proxy/hedge.h"
#include "proxy/retry.h"
#include "scene.h"

static struct scene s;

static const struct step fine = {.act = ACT_REPLY, .text = OK_TEXT};
static const struct step busy = {.act = ACT_REPLY,
                                 .text = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"};

/* Each server treats all requests alike; the second is asked for after 100 ms. */
static void open_with(struct step first, struct step second)
{
    scene_new(&s);
    scene_script(&s, 0, &first, 1);
    scene_script(&s, 1, &second, 1);
    s.pool.hedge =
        (struct hedge_rules){.on = true, .after_ns = 100 * NS_PER_MS, .budget_percent = 100};
    scene_start(&s);
}

static struct step slow(struct step step, int64_t ms)
{
    step.delay_ms = ms;
    return step;
}

static struct step silent(void)
{
    return (struct step){.act = ACT_SILENT};
}

static struct ask *ask_ok(const char *method)
{
    struct ask *a = scene_ask(&s, method, "/", 0);
    scene_wait(&s, a);
    CHECK(a->why == ERR_OK && a->status == 200, "%s: %s, %u", method, err_name(a->why), a->status);
    return a;
}

static uint64_t hedges(void)
{
    return counter_get(&s.route_stats->hedges);
}

static uint64_t won(void)
{
    return counter_get(&s.route_stats->hedges_won);
}

TEST(hedge, shares_of_the_times_seen)
{
    struct hedge_times t = {0};
    struct hedge_rules rules = {.on = true, .percent = 95};
    for (int i = 0; i < HEDGE_SAMPLES_ENOUGH - 1; i++)
        hedge_times_add(&t, 10 * NS_PER_MS);
    CHECK_INT(hedge_delay_ns(&rules, &t), 0);
    for (int64_t i = 1; i <= 1000; i++)
        hedge_times_add(&t, i * NS_PER_MS);
    /* One step is an eighth of a doubling. */
    double ms = (double)hedge_delay_ns(&rules, &t) / (double)NS_PER_MS;
    CHECK(ms >= 900 && ms <= 950 * 1.125, "95 %% within %.1f ms", ms);
    rules.percent = 50;
    ms = (double)hedge_delay_ns(&rules, &t) / (double)NS_PER_MS;
    CHECK(ms >= 420 && ms <= 500 * 1.125, "50 %% within %.1f ms", ms);
    rules.after_ns = 7;
    CHECK_INT(hedge_delay_ns(&rules, &t), 7);
}

TEST(hedge, times_are_forgotten_and_have_bounds)
{
    struct hedge_times t = {0};
    struct hedge_rules rules = {.on = true, .percent = 95};
    static const int64_t odd[] = {-1, 0, 1, 63999, 64000, INT64_MAX};
    for (int i = 0; i < 6; i++)
        hedge_times_add(&t, odd[i]);
    for (int i = 0; i < 5000; i++)
        hedge_times_add(&t, 800 * NS_PER_MS);
    CHECK(hedge_delay_ns(&rules, &t) >= 800 * NS_PER_MS, "slow times");
    for (int i = 0; i < 20000; i++)
        hedge_times_add(&t, NS_PER_MS);
    CHECK(hedge_delay_ns(&rules, &t) < 2 * NS_PER_MS, "quick again");
    CHECK(t.count <= 2048, "%u", t.count);
}

TEST(hedge, only_what_is_safe_to_ask_twice)
{
    for (int m = METHOD_GET; m <= METHOD_OTHER; m++)
        for (unsigned bits = 0; bits < 8; bits++) {
            struct request r = {.method = (enum method)m,
                                .content = (bits & 1) != 0 ? CONTENT_LENGTH : CONTENT_NONE,
                                .upgrade = (bits & 2) != 0 ? UPGRADE_WEBSOCKET : UPGRADE_NONE};
            unsigned attempts = (bits & 4) != 0 ? 2 : 1;
            bool safe = m == METHOD_GET || m == METHOD_HEAD || m == METHOD_OPTIONS;
            CHECK(retry_beside(&r, attempts) == (safe && bits == 0), "method %d bits %u", m, bits);
        }
}

TEST(hedge, the_quicker_server_answers)
{
    open_with(slow(fine, 1000), fine);
    for (int i = 0; i < 12; i++) {
        int64_t before = loop_now_ms(s.loop);
        ask_ok(i % 3 == 0 ? "HEAD" : "GET");
        CHECK(loop_now_ms(s.loop) - before < 300, "%lld ms",
              (long long)(loop_now_ms(s.loop) - before));
    }
    CHECK(hedges() > 0 && won() == hedges(), "%llu of %llu", (unsigned long long)won(),
          (unsigned long long)hedges());
    CHECK_INT(counter_get(&s.route_stats->attempts), 12 + hedges());
    CHECK_INT(counter_get(&s.route_stats->retries), 0);
    scene_close(&s);
}

TEST(hedge, a_first_attempt_that_is_slow_may_still_be_quicker)
{
    open_with(slow(fine, 200), slow(fine, 200));
    for (int i = 0; i < 8; i++)
        ask_ok("GET");
    CHECK_INT(hedges(), 8);
    CHECK_INT(won(), 0);
    scene_close(&s);
}

TEST(hedge, what_may_have_an_effect_is_asked_for_once)
{
    open_with(slow(fine, 400), slow(fine, 400));
    static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH"};
    for (unsigned i = 0; i < 4; i++)
        ask_ok(methods[i]);
    struct ask *a = scene_ask(&s, "GET", "/", 10);
    scene_wait(&s, a);
    CHECK_INT(a->status, 200);
    CHECK_INT(hedges(), 0);
    CHECK_INT(s.heads[0] + s.heads[1], 5);
    scene_close(&s);
}

/* The first one's failure is no retry: the other goes on alone. */
TEST(hedge, one_of_two_fails)
{
    static const struct step reset = {.act = ACT_RESET};
    open_with(slow(reset, 300), slow(fine, 250));
    for (int i = 0; i < 8; i++)
        ask_ok("GET");
    CHECK(won() > 0 && won() < hedges(), "%llu", (unsigned long long)won());
    CHECK_INT(counter_get(&s.route_stats->retries), 0);
    scene_close(&s);
}

/* An answer that says that a server is unwell gives way to the other. */
TEST(hedge, a_bad_answer_does_not_win)
{
    open_with(slow(busy, 150), slow(fine, 200));
    for (int i = 0; i < 8; i++)
        ask_ok("GET");
    CHECK(won() > 0 && won() < 8, "%llu", (unsigned long long)won());
    scene_close(&s);
    open_with(slow(busy, 150), slow(busy, 150));
    struct ask *a = scene_ask(&s, "GET", "/", 0);
    scene_wait(&s, a);
    CHECK_INT(a->status, 503);
    scene_close(&s);
}

TEST(hedge, the_other_server_is_not_there)
{
    open_with(slow(fine, 300), slow(fine, 300));
    scene_absent(&s, 1);
    for (int i = 0; i < 6; i++)
        ask_ok("GET");
    CHECK_INT(won(), 0);
    scene_close(&s);
}

/* A server that never answers is rescued from; its time-out is the request's only without. */
TEST(hedge, a_server_that_is_silent)
{
    open_with(silent(), fine);
    s.routes[0].timeouts.first_byte_ms = 2000;
    for (int i = 0; i < 6; i++)
        ask_ok("GET");
    scene_close(&s);
    open_with(silent(), silent());
    s.routes[0].timeouts.first_byte_ms = 300;
    struct ask *a = scene_ask(&s, "GET", "/", 0);
    scene_wait(&s, a);
    CHECK_INT(a->status, 504);
    CHECK(s.heads[0] + s.heads[1] <= 1 + LIMIT_RETRY_EXTRA, "%u", s.heads[0] + s.heads[1]);
    scene_close(&s);
}

TEST(hedge, the_client_leaves_while_both_run)
{
    open_with(silent(), silent());
    struct ask *a = scene_ask(&s, "GET", "/", 0);
    scene_pass(&s, 200);
    CHECK_INT(s.heads[0] + s.heads[1], 2);
    CHECK_INT(scene_inflight(&s), 2);
    internal_cancel(a->handle);
    scene_pass(&s, 10);
    CHECK_INT(a->why, ERR_CLIENT_ABORT);
    CHECK_INT(scene_inflight(&s), 0);
    scene_close(&s);
}

TEST(hedge, the_budget_holds)
{
    open_with(slow(fine, 200), slow(fine, 200));
    s.pool.hedge.budget_percent = 10;
    for (int i = 0; i < 40; i++)
        ask_ok("GET");
    CHECK(hedges() >= 1 && hedges() <= 4, "%llu", (unsigned long long)hedges());
    CHECK_INT(counter_get(&s.route_stats->hedges_refused), 40 - hedges());
    scene_close(&s);
}

/* Nobody waits for a place because of a second attempt, and none is made while others wait. */
TEST(hedge, no_room_no_second_attempt)
{
    scene_new(&s);
    scene_script(&s, 0, &(struct step){.act = ACT_REPLY, .text = OK_TEXT, .delay_ms = 300}, 1);
    scene_script(&s, 1, &(struct step){.act = ACT_REPLY, .text = OK_TEXT, .delay_ms = 300}, 1);
    s.max_inflight = 1;
    s.pool.hedge =
        (struct hedge_rules){.on = true, .after_ns = 100 * NS_PER_MS, .budget_percent = 100};
    scene_start(&s);
    struct ask *asks[3];
    for (int i = 0; i < 3; i++)
        asks[i] = scene_ask(&s, "GET", "/", 0);
    for (int i = 0; i < 3; i++) {
        scene_wait(&s, asks[i]);
        CHECK_INT(asks[i]->status, 200);
    }
    CHECK(hedges() <= 1, "%llu", (unsigned long long)hedges()); /* of the last one, alone */
    scene_close(&s);
}

TEST(hedge, after_a_share_of_the_answers)
{
    open_with(fine, fine);
    s.pool.hedge.after_ns = 0;
    s.pool.hedge.percent = 90;
    struct pool_slot *slot = container_of(s.proxy->slots.next, struct pool_slot, link);
    for (int i = 0; i < HEDGE_SAMPLES_ENOUGH; i++)
        hedge_times_add(&slot->hedge_times, 50 * NS_PER_MS);
    scene_script(&s, 0, &(struct step){.act = ACT_REPLY, .text = OK_TEXT, .delay_ms = 500}, 1);
    for (int i = 0; i < 10; i++) {
        int64_t before = loop_now_ms(s.loop);
        ask_ok("GET");
        CHECK(loop_now_ms(s.loop) - before < 120, "%lld ms",
              (long long)(loop_now_ms(s.loop) - before));
    }
    CHECK(won() > 0, "%llu", (unsigned long long)won());
    scene_close(&s);
}
