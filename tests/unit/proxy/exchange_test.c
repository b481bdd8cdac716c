#include "base/mem.h"
#include "proxy/exchange_impl.h"
#include "scene.h"

#include <stdio.h>

/* The exchange, asked through internal fronts, against scripted servers: what is answered, by whom,
 * and how often servers hear of it. */

static struct scene s;

#define STEP(...)                                                                                  \
    (const struct step[])                                                                          \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define SCRIPT(server, count, ...) scene_script(&s, server, STEP(__VA_ARGS__), count)

static const struct step fine = {.act = ACT_REPLY, .text = OK_TEXT};

static void open_fine(void)
{
    scene_new(&s);
    scene_script(&s, 0, &fine, 1);
    scene_script(&s, 1, &fine, 1);
}

static struct ask *ask(const char *method, const char *path, size_t content)
{
    struct ask *a = scene_ask(&s, method, path, content);
    scene_wait(&s, a);
    return a;
}

#define ANSWERED(a, status_, content_)                                                             \
    do {                                                                                           \
        const struct ask *a_ = (a);                                                                \
        CHECK(a_->why == ERR_OK, "ended as %s", err_name(a_->why));                                \
        CHECK_INT(a_->status, status_);                                                            \
        CHECK_SPAN(span_of(a_->content, a_->content_size), content_);                              \
    } while (0)
/* Meridian's own answer for that reason. */
#define REFUSED(a, status_, reason_)                                                               \
    do {                                                                                           \
        struct ask *a_ = (a);                                                                      \
        CHECK_INT(a_->status, status_);                                                            \
        a_->content[a_->content_size] = '\0';                                                      \
        CHECK(strstr(a_->content, "\"reason\":\"" reason_ "\"") != NULL, "%s", a_->content);       \
    } while (0)

TEST(exchange, a_request_and_its_answer)
{
    open_fine();
    scene_start(&s);
    struct ask *a = ask("GET", "/x", 0);
    ANSWERED(a, 200, "ok");
    CHECK(strstr(a->head, "via: 1.1 meridian") != NULL, "%s", a->head);
    CHECK_INT(s.heads[0] + s.heads[1], 1);
    const char *seen = scene_log(&s, s.heads[0] == 1 ? 0 : 1);
    CHECK(strstr(seen, "GET /x HTTP/1.1\r\nhost: a\r\n") == seen, "%s", seen);
    CHECK(strstr(seen, "x-request-id: ") != NULL, "%s", seen);
    ANSWERED(ask("POST", "/", 100000), 200, "ok");
    scene_close(&s);
}

TEST(exchange, routes)
{
    open_fine();
    scene_start(&s);
    REFUSED(ask("POST", "/small", 11), 413, "limit-L16");
    ANSWERED(ask("POST", "/small", 10), 200, "ok");
    ANSWERED(ask("GET", "/fixed", 0), 418, "");
    CHECK_INT(s.heads[0] + s.heads[1], 1);
    scene_close(&s);
}

TEST(exchange, no_route)
{
    open_fine();
    scene_start(&s);
    route_table_free(&s.policy.table);
    static const struct span get_head[2] = {SPAN("GET"), SPAN("HEAD")};
    static const struct route_rule only = {
        .path = SPAN("/only"), .methods = get_head, .method_count = 2};
    CHECK_INT(route_table_new(&only, 1, &s.policy.table), ERR_OK);
    REFUSED(ask("GET", "/other", 0), 404, "no-route");
    REFUSED(ask("POST", "/only", 0), 405, "bad-method");
    CHECK(strstr(s.asks[1].head, "allow: GET, HEAD\n") != NULL, "%s", s.asks[1].head);
    scene_close(&s);
}

/* H14: /get%2fx could be /get/x to somebody, which is another route than "/". */
TEST(exchange, a_path_with_two_readings_H14)
{
    open_fine();
    scene_start(&s);
    struct request r = {.method = METHOD_GET,
                        .version = VERSION_1_1,
                        .path_odd = true,
                        .method_name = SPAN("GET"),
                        .scheme = SPAN("http"),
                        .authority = SPAN("a"),
                        .host = SPAN("a"),
                        .path = SPAN("/get%2fx")};
    struct ask *a = scene_ask_head(&s, &r, 0);
    scene_wait(&s, a);
    REFUSED(a, 400, "bad-target");
    CHECK_INT(s.heads[0] + s.heads[1], 0);
    scene_close(&s);
}

/* HTTP/1.0 may name no host; every server of HTTP/1.1 and HTTP/2 is told one (H8, RFC 9113
 * section 8.3.1). */
TEST(exchange, a_request_without_host_gets_the_servers_H8)
{
    open_fine();
    scene_start(&s);
    s.endpoints[0].authority = s.endpoints[1].authority = SPAN("inner:8080");
    struct request r = {.method = METHOD_GET,
                        .version = VERSION_1_0,
                        .method_name = SPAN("GET"),
                        .scheme = SPAN("http"),
                        .path = SPAN("/")};
    struct ask *a = scene_ask_head(&s, &r, 0);
    scene_wait(&s, a);
    ANSWERED(a, 200, "ok");
    const char *seen = scene_log(&s, s.heads[0] == 1 ? 0 : 1);
    CHECK(strstr(seen, "\r\nhost: inner:8080\r\n") != NULL, "%s", seen);
    ANSWERED(ask("GET", "/", 0), 200, "ok");
    bool kept = strstr(scene_log(&s, 0), "host: a\r\n") != NULL ||
                strstr(scene_log(&s, 1), "host: a\r\n") != NULL;
    CHECK(kept, "what the client says stays");
    scene_close(&s);
}

TEST(exchange, refused_connections_go_elsewhere_H22)
{
    open_fine();
    scene_start(&s);
    scene_absent(&s, 0);
    for (int i = 0; i < 8; i++) {
        ANSWERED(ask(i % 2 == 0 ? "GET" : "POST", "/", i % 2 == 0 ? 0 : 100), 200, "ok");
    }
    CHECK_INT(s.heads[1], 8);
    CHECK(counter_get(&s.route_stats->retries) > 0, "some began at the other one");
    scene_close(&s);
}

TEST(exchange, nobody_is_there)
{
    open_fine();
    scene_start(&s);
    scene_absent(&s, 0);
    scene_absent(&s, 1);
    struct ask *a = ask("GET", "/", 0);
    CHECK_INT(a->status, 502);
    CHECK_INT(counter_get(&s.route_stats->attempts), 0); /* no request was ever sent */
    scene_close(&s);
}

TEST(exchange, resets_are_repeated_where_that_is_safe_H22)
{
    open_fine();
    SCRIPT(0, 1, {.act = ACT_RESET});
    SCRIPT(1, 1, {.act = ACT_RESET});
    scene_start(&s);
    REFUSED(ask("POST", "/", 10), 502, "backend-reset");
    CHECK_INT(s.heads[0] + s.heads[1], 1);
    REFUSED(ask("GET", "/", 0), 502, "backend-reset");
    CHECK_INT(s.heads[0] + s.heads[1], 3); /* there are only two to try */
    REFUSED(ask("PUT", "/", 10), 502, "backend-reset");
    CHECK(s.heads[0] + s.heads[1] <= 5, "%u", s.heads[0] + s.heads[1]);
    scene_close(&s);
}

TEST(exchange, content_that_is_not_kept_is_not_repeated)
{
    open_fine();
    SCRIPT(0, 1, {.act = ACT_RESET, .after = 200000});
    SCRIPT(1, 1, {.act = ACT_RESET, .after = 200000});
    scene_start(&s);
    REFUSED(ask("PUT", "/", 300000), 502, "backend-reset");
    CHECK_INT(s.heads[0] + s.heads[1], 1);
    scene_close(&s);
}

/* The server closes a connection that was used before, without a word: it was idle for too long. */
TEST(exchange, a_stale_connection_is_not_held_against_the_server)
{
    open_fine();
    SCRIPT(0, 3, {.act = ACT_REPLY, .text = OK_TEXT}, {.act = ACT_CLOSE},
           {.act = ACT_REPLY, .text = OK_TEXT});
    SCRIPT(1, 3, {.act = ACT_REPLY, .text = OK_TEXT}, {.act = ACT_CLOSE},
           {.act = ACT_REPLY, .text = OK_TEXT});
    scene_start(&s);
    for (int i = 0; i < 8; i++) {
        ANSWERED(ask("GET", "/", 0), 200, "ok");
    }
    scene_close(&s);
}

/* F16, B2: who has no connection since we had no memory for one waits for another, in vain for a
 * while only. */
TEST(exchange, our_want_of_memory_is_not_the_servers_fault_B2)
{
    unsigned answered = 0, lost = 0;
    for (uint64_t n = 1; n <= 60; n++) {
        open_fine();
        SCRIPT(0, 1, {.act = ACT_REPLY, .text = OK_TEXT});
        SCRIPT(1, 1, {.act = ACT_REPLY, .text = OK_TEXT});
        scene_start(&s);
        sim_starve(s.loop);
        mem_fail_row(n, n % 2 != 0 ? 4 : 400);
        struct ask *a = ask("GET", "/", 0);
        mem_fail_at(0);
        CHECK(a->status == 200 || a->why == ERR_NO_MEMORY || a->status == 503, "%s, %u, %d",
              err_name(a->why), a->status, (int)n);
        answered += a->status == 200;
        lost += a->status != 200;
        for (int i = 0; i < SCENE_SERVERS; i++) {
            CHECK_INT(atomic_load(&s.endpoints[i].endpoint->errors), 0);
        }
        scene_close(&s);
    }
    CHECK(answered > 0 && lost > 0, "%u, %u", answered, lost);
}

TEST(exchange, l9_the_queue_is_bounded_in_time_and_length)
{
    open_fine();
    SCRIPT(0, 1, {.act = ACT_REPLY, .text = OK_TEXT, .delay_ms = 3000});
    SCRIPT(1, 1, {.act = ACT_REPLY, .text = OK_TEXT, .delay_ms = 3000});
    s.max_inflight = 1;
    scene_start(&s);
    struct ask *a[7];
    for (int i = 0; i < 7; i++) {
        a[i] = scene_ask(&s, "GET", "/", 0);
    }
    scene_pass(&s, 10);
    CHECK_INT(scene_inflight(&s), 2);
    CHECK_INT(counter_get(&s.stats->waiting), 4);
    REFUSED(a[6], 503, "queue-full");
    for (int i = 0; i < 6; i++) {
        scene_wait(&s, a[i]);
    }
    ANSWERED(a[0], 200, "ok");
    ANSWERED(a[1], 200, "ok");
    for (int i = 2; i < 6; i++) {
        REFUSED(a[i], 503, "limit-L9");
    }
    scene_close(&s);
}

TEST(exchange, who_waits_longest_is_served_first)
{
    open_fine();
    SCRIPT(0, 1, {.act = ACT_REPLY, .text = OK_TEXT, .delay_ms = 300});
    SCRIPT(1, 1, {.act = ACT_REPLY, .text = OK_TEXT, .delay_ms = 300});
    s.max_inflight = 1;
    scene_start(&s);
    struct ask *a[6];
    for (int i = 0; i < 6; i++) {
        a[i] = scene_ask(&s, "GET", "/", 0);
    }
    scene_wait(&s, a[2]);
    scene_wait(&s, a[3]);
    CHECK(!a[4]->done && !a[5]->done, "in their order");
    scene_wait(&s, a[5]);
    ANSWERED(a[5], 200, "ok");
    scene_close(&s);
}

/* Another worker whose requests wait gets every second slot that is released here; what it does not
 * take is for those who wait here, and at once. */
TEST(exchange, workers_with_waiters_are_served_in_turns_L9)
{
    open_fine();
    SCRIPT(0, 1, {.act = ACT_REPLY, .text = OK_TEXT, .delay_ms = 350});
    SCRIPT(1, 1, {.act = ACT_REPLY, .text = OK_TEXT, .delay_ms = 350});
    s.max_inflight = 1;
    s.proxy->workers = 2;
    scene_start(&s);
    atomic_fetch_or(&s.pool.pick->state->waiting_workers, 2);
    struct ask *a[6];
    for (int i = 0; i < 6; i++)
        a[i] = scene_ask(&s, "GET", "/", 0);
    scene_wait(&s, a[1]);
    CHECK(s.offered == 1 || !a[0]->done, "offered %u", s.offered);
    scene_pass(&s, 20);
    CHECK_INT(s.offered, 1);
    CHECK_INT(scene_inflight(&s), 2);
    for (int i = 0; i < 6; i++) {
        scene_wait(&s, a[i]);
        ANSWERED(a[i], 200, "ok");
    }
    atomic_fetch_and(&s.pool.pick->state->waiting_workers, ~UINT64_C(2));
    scene_close(&s);
}

TEST(exchange, a_server_that_comes_back_serves_those_who_wait_first)
{
    open_fine();
    SCRIPT(0, 1, {.act = ACT_REPLY, .text = OK_TEXT, .delay_ms = 1500});
    SCRIPT(1, 1, {.act = ACT_REPLY, .text = OK_TEXT, .delay_ms = 300});
    s.max_inflight = 1;
    scene_start(&s);
    CHECK(endpoint_set_admin(s.endpoints[1].endpoint, ENDPOINT_DRAIN), "drain");
    struct ask *a[4];
    for (int i = 0; i < 3; i++) {
        a[i] = scene_ask(&s, "GET", "/", 0);
        scene_pass(&s, 30);
    }
    CHECK(endpoint_set_admin(s.endpoints[1].endpoint, ENDPOINT_ACTIVE), "enable");
    a[3] = scene_ask(&s, "GET", "/", 0);
    scene_wait(&s, a[1]);
    CHECK(!a[2]->done && !a[3]->done, "who waits longest comes first");
    scene_wait(&s, a[2]);
    CHECK(!a[3]->done, "and who came last, last");
    scene_wait(&s, a[3]);
    CHECK(!a[0]->done, "all by the other one");
    for (int i = 0; i < 4; i++) {
        scene_wait(&s, a[i]);
        ANSWERED(a[i], 200, "ok");
    }
    scene_close(&s);
}

/* "/get" is important, "/small" is not. */
TEST(exchange, a_full_queue_sheds_the_less_important)
{
    open_fine();
    SCRIPT(0, 1, {.act = ACT_REPLY, .text = OK_TEXT, .delay_ms = 300});
    SCRIPT(1, 1, {.act = ACT_REPLY, .text = OK_TEXT, .delay_ms = 300});
    s.max_inflight = 1;
    for (int i = 0; i < SCENE_ROUTES; i++) {
        s.routes[i].rank = RANK_NORMAL;
    }
    s.routes[1].rank = RANK_HIGH;
    s.routes[2].rank = RANK_LOW;
    scene_start(&s);
    static const char *const paths[] = {"/", "/", "/small", "/", "/small", "/", "/get", "/", "/"};
    struct ask *a[9];
    for (int i = 0; i < 9; i++) {
        a[i] = scene_ask(&s, "GET", paths[i], 0);
    }
    scene_pass(&s, 10);
    REFUSED(a[4], 503, "shed");
    CHECK(strstr(a[4]->head, "retry-after: ") != NULL, "%s", a[4]->head);
    REFUSED(a[2], 503, "shed");
    REFUSED(a[8], 503, "queue-full");
    CHECK_INT(counter_get(&s.stats->ends[ERR_SHED]), 2);
    scene_wait(&s, a[6]);
    CHECK(!a[5]->done && !a[7]->done, "the important one did not wait for those before it");
    for (int i = 3; i < 8; i++) {
        if (i != 4) {
            scene_wait(&s, a[i]);
            ANSWERED(a[i], 200, "ok");
        }
    }
    scene_close(&s);
}

/* What a server said is asked for again, and whoever could have served is taken away meanwhile. */
static struct ask *nobody_betters(const char *said)
{
    open_fine();
    SCRIPT(0, 1, {.act = ACT_REPLY, .text = said, .delay_ms = 100});
    SCRIPT(1, 1, {.act = ACT_REPLY, .text = OK_TEXT, .delay_ms = 1000});
    s.max_inflight = 1;
    s.pool.retries.on |= RETRY_502 | RETRY_503 | RETRY_504;
    scene_start(&s);
    CHECK(endpoint_set_admin(s.endpoints[0].endpoint, ENDPOINT_DRAIN), "drain");
    struct ask *first = scene_ask(&s, "GET", "/", 0);
    scene_pass(&s, 30);
    CHECK(endpoint_set_admin(s.endpoints[0].endpoint, ENDPOINT_ACTIVE), "enable");
    struct ask *again = scene_ask(&s, "GET", "/", 0);
    scene_pass(&s, 300);
    CHECK(!again->done && s.heads[0] == 1, "it waits for the other one");
    CHECK(endpoint_set_admin(s.endpoints[1].endpoint, ENDPOINT_MAINT), "maintenance");
    scene_wait(&s, again);
    scene_wait(&s, first);
    ANSWERED(first, 200, "ok");
    return again;
}

TEST(exchange, a_bad_status_that_nobody_betters_stays_what_it_was)
{
    REFUSED(nobody_betters("HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n"), 502,
            "backend-unhealthy");
    scene_close(&s);
    REFUSED(nobody_betters("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"), 503, "no-backend");
    scene_close(&s);
    REFUSED(nobody_betters("HTTP/1.1 504 Late\r\nContent-Length: 0\r\n\r\n"), 504,
            "backend-timeout");
    scene_close(&s);
}

TEST(exchange, l8_time_to_the_first_byte)
{
    open_fine();
    SCRIPT(0, 1, {.act = ACT_SILENT});
    SCRIPT(1, 1, {.act = ACT_SILENT});
    s.routes[0].timeouts.first_byte_ms = 500;
    scene_start(&s);
    REFUSED(ask("POST", "/", 10), 504, "backend-timeout");
    CHECK_INT(s.heads[0] + s.heads[1], 1);
    scene_close(&s);
}

TEST(exchange, l8_a_response_that_stops)
{
    open_fine();
    SCRIPT(0, 1, {.act = ACT_REPLY, .text = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbeg"});
    SCRIPT(1, 1, {.act = ACT_REPLY, .text = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbeg"});
    s.routes[0].timeouts.response_body_ms = 500;
    scene_start(&s);
    struct ask *a = ask("GET", "/", 0);
    CHECK_INT(a->status, 200);
    CHECK_INT(a->why, ERR_BACKEND_BODY_TIMEOUT);
    scene_close(&s);
}

TEST(exchange, h19_truncated_responses_are_not_whole)
{
    static const char *const texts[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbeg",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbeg\r\n",
    };
    for (unsigned i = 0; i < 2; i++) {
        open_fine();
        SCRIPT(0, 1, {.act = ACT_REPLY, .text = texts[i], .close_after = true});
        SCRIPT(1, 1, {.act = ACT_REPLY, .text = texts[i], .close_after = true});
        scene_start(&s);
        struct ask *a = ask("GET", "/", 0);
        CHECK_INT(a->why, ERR_BACKEND_TRUNCATED);
        CHECK_INT(s.heads[0] + s.heads[1], 1);
        scene_close(&s);
    }
}

TEST(exchange, a_reset_inside_a_response)
{
    open_fine();
    SCRIPT(0, 1, {.act = ACT_REPLY, .text = "HTTP/1.1 200 OK\r\n\r\nbeg", .reset_after = true});
    SCRIPT(1, 1, {.act = ACT_REPLY, .text = "HTTP/1.1 200 OK\r\n\r\nbeg", .reset_after = true});
    scene_start(&s);
    struct ask *a = ask("GET", "/", 0);
    CHECK(a->why != ERR_OK, "it must not look complete");
    scene_close(&s);
}

TEST(exchange, responses_without_content)
{
    open_fine();
    SCRIPT(0, 3, {.act = ACT_REPLY, .text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"},
           {.act = ACT_REPLY, .text = "HTTP/1.1 204 No Content\r\n\r\n"},
           {.act = ACT_REPLY, .text = "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"});
    scene_start(&s);
    scene_absent(&s, 1);
    ANSWERED(ask("HEAD", "/", 0), 200, "");
    ANSWERED(ask("GET", "/", 0), 204, "");
    ANSWERED(ask("GET", "/", 0), 304, "");
    scene_close(&s);
}

TEST(exchange, interim_responses_and_trailers_pass)
{
    open_fine();
    SCRIPT(0, 1,
           {.act = ACT_REPLY,
            .text = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
                    "0\r\nX-Sum: 7\r\n\r\n"});
    scene_start(&s);
    scene_absent(&s, 1);
    struct ask *a = ask("GET", "/", 0);
    ANSWERED(a, 200, "ok");
    CHECK_INT(a->interim, 1);
    CHECK_STR(a->trailers, "x-sum: 7\n");
    scene_close(&s);
}

TEST(exchange, an_early_answer_ends_the_upload)
{
    open_fine();
    SCRIPT(
        0, 1,
        {.act = ACT_REPLY, .text = "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno", .after = 1});
    scene_start(&s);
    scene_absent(&s, 1);
    ANSWERED(ask("POST", "/", 400000), 413, "no");
    scene_close(&s);
}

TEST(exchange, cancelled_in_every_state)
{
    const int64_t moments[] = {0, 1, 20, 250, 400};
    for (unsigned i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
        open_fine();
        SCRIPT(0, 2,
               {.act = ACT_REPLY,
                .text = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbeg",
                .delay_ms = 200},
               {.act = ACT_SILENT});
        SCRIPT(1, 2,
               {.act = ACT_REPLY,
                .text = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbeg",
                .delay_ms = 200},
               {.act = ACT_SILENT});
        s.max_inflight = 1;
        scene_start(&s);
        for (int k = 0; k < 4; k++) {
            (void)scene_ask(&s, k % 2 == 0 ? "GET" : "POST", "/", k % 2 == 0 ? 0 : 100000);
        }
        scene_pass(&s, moments[i]);
        for (int k = 0; k < 4; k++) {
            CHECK(s.asks[k].handle != NULL, "request %d is over at %lld ms", k,
                  (long long)moments[i]);
            internal_cancel(s.asks[k].handle);
        }
        scene_pass(&s, 50);
        for (int k = 0; k < 4; k++) {
            CHECK_INT(s.asks[k].why, ERR_CLIENT_ABORT);
        }
        scene_close(&s);
    }
}

TEST(exchange, killed_ones_are_answered_where_possible)
{
    open_fine();
    SCRIPT(0, 1, {.act = ACT_SILENT});
    SCRIPT(1, 1, {.act = ACT_SILENT});
    scene_start(&s);
    struct ask *a = scene_ask(&s, "GET", "/", 0);
    scene_pass(&s, 20);
    proxy_kill(s.proxy, false, ERR_SHUTDOWN);
    scene_wait(&s, a);
    REFUSED(a, 503, "shutdown");
    scene_close(&s);
}

TEST(exchange, an_answer_larger_than_wanted_is_given_up)
{
    static char text[300 * 1024];
    open_fine();
    int n = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: 299000\r\n\r\n");
    memset(text + n, 'x', 299000);
    SCRIPT(0, 1, {.act = ACT_REPLY, .text = text});
    SCRIPT(1, 1, {.act = ACT_REPLY, .text = text});
    scene_start(&s);
    struct ask *a = ask("GET", "/", 0);
    CHECK_INT(a->why, ERR_FULL);
    CHECK(a->content_size <= sizeof(a->content), "bounded");
    scene_close(&s);
}

TEST(exchange, budget_of_retries_L30)
{
    open_fine();
    SCRIPT(0, 1, {.act = ACT_RESET});
    SCRIPT(1, 1, {.act = ACT_RESET});
    s.pool.retries.budget_percent = 0;
    s.pool.retries.extra = 1;
    scene_start(&s);
    for (int i = 0; i < 20; i++) {
        (void)ask("GET", "/", 0);
    }
    uint64_t retries = counter_get(&s.route_stats->retries);
    CHECK(retries <= (uint64_t)LIMIT_RETRY_BUDGET_MIN * 10, "%llu", (unsigned long long)retries);
    scene_close(&s);
}

TEST(exchange, no_illegal_move)
{
    for (int from = 0; from < EXCHANGE_STATE_COUNT; from++) {
        CHECK(!exchange_may_move((enum exchange_state)from, EXCHANGE_HEAD), "nobody begins anew");
        CHECK(!exchange_may_move(EXCHANGE_DONE, (enum exchange_state)from), "the end is the end");
        bool ends = from != EXCHANGE_DONE;
        CHECK(exchange_may_move((enum exchange_state)from, EXCHANGE_DONE) == ends, "%s",
              exchange_state_name((enum exchange_state)from));
    }
    /* Once a byte of the answer has gone to the client there is no other attempt and no other
     * answer. */
    static const enum exchange_state late[] = {EXCHANGE_RELAY, EXCHANGE_TUNNEL};
    for (unsigned i = 0; i < 2; i++) {
        for (int to = 0; to < EXCHANGE_DONE; to++) {
            CHECK(!exchange_may_move(late[i], (enum exchange_state)to), "%s to %s",
                  exchange_state_name(late[i]), exchange_state_name((enum exchange_state)to));
        }
    }
    CHECK(!exchange_may_move(EXCHANGE_FAILING, EXCHANGE_ADMIT), "a failure is not repeated");
    CHECK(!exchange_may_move(EXCHANGE_WAIT, EXCHANGE_RELAY), "nothing is relayed from nowhere");
}

static void keep_reason(void *user, const struct internal_answer *a)
{
    *(enum err *)user = a->why;
}

/* An answer that may hold nothing is not one without a bound. */
TEST(exchange, an_answer_that_may_hold_nothing)
{
    open_fine();
    scene_start(&s);
    struct request head = {.method = METHOD_GET,
                           .version = VERSION_1_1,
                           .method_name = SPAN("GET"),
                           .scheme = SPAN("http"),
                           .authority = SPAN("a"),
                           .host = SPAN("a"),
                           .path = SPAN("/x")};
    enum err why = ERR_OK;
    struct internal_request r = {.head = &head, .on_done = keep_reason, .user = &why};
    struct internal *handle;
    CHECK_INT(internal_begin(s.proxy, &r, &handle), ERR_OK);
    scene_pass(&s, 1000);
    CHECK_INT(why, ERR_FULL);
    scene_close(&s);
}

/* The server's side is gone before the callback runs. */
TEST(exchange, trailers_outlive_the_connection_they_came_on)
{
    scene_new(&s);
    static const struct step last = {.act = ACT_REPLY,
                                     .text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                             "2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n",
                                     .close_after = true};
    scene_script(&s, 0, &last, 1);
    scene_script(&s, 1, &last, 1);
    scene_start(&s);
    struct ask *a = ask("GET", "/x", 0);
    ANSWERED(a, 200, "ok");
    CHECK(strstr(a->trailers, "x-sum: 7") != NULL, "%s", a->trailers);
    scene_close(&s);
}
