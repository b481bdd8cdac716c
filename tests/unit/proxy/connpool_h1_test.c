#include "proxy/connpool_impl.h"
#include "scene.h"

/* The pool over connections of one slot, as the exchanges of one server use it (H20, L34). */

static struct scene s;

static const struct step fine = {.act = ACT_REPLY, .text = OK_TEXT};
/* Requests that are answered at their own times meet on different connections. */
static const struct step slow = {.act = ACT_REPLY, .text = OK_TEXT, .delay_ms = 20};

static void open_with(const struct step *steps, unsigned count)
{
    scene_new(&s);
    scene_script(&s, 0, steps, count);
    s.pool.endpoint_count = 1;
}

static void ask_many(const char *method, unsigned n)
{
    unsigned first = s.asked;
    s.loop->now_ns = sim_now_ns(s.sim); /* as in an event of now */
    for (unsigned i = 0; i < n; i++) {
        scene_ask(&s, method, "/", 0);
    }
    for (unsigned i = 0; i < n; i++) {
        scene_wait(&s, &s.asks[first + i]);
        CHECK_INT(s.asks[first + i].status, 200);
    }
    scene_pass(&s, 1);
}

static struct connpool_facts facts(void)
{
    struct connpool_facts f;
    connpool_facts(s.proxy->connpool, s.endpoints[0].endpoint, &f);
    return f;
}

static uint64_t opened(void)
{
    return counter_get(&s.stats->backend_connections);
}

TEST(connpool_h1, one_request_at_a_time_on_each)
{
    open_with(&slow, 1);
    scene_start(&s);
    ask_many("GET", 5);
    CHECK_INT(opened(), 5);
    CHECK(facts().open == 5 && facts().idle == 5, "kept for the next");
    ask_many("GET", 5);
    CHECK_INT(opened(), 5);
    CHECK_INT(counter_get(&s.stats->backend_reused), 5);
    scene_close(&s);
}

/* The surplus grows old, and closes. */
TEST(connpool_h1, the_last_used_is_used_first_L34)
{
    open_with(&slow, 1);
    scene_start(&s);
    ask_many("GET", 3);
    for (int i = 0; i < 6; i++) {
        scene_pass(&s, LIMIT_BACKEND_IDLE_MS / 5);
        ask_many("GET", 1);
    }
    CHECK_INT(opened(), 3);
    CHECK(facts().open == 1 && facts().idle == 1, "%u are left", facts().open);
    scene_pass(&s, LIMIT_BACKEND_IDLE_MS + 1000);
    CHECK_INT(facts().open, 0);
    scene_close(&s);
}

TEST(connpool_h1, no_more_idle_ones_than_wanted_L34)
{
    open_with(&slow, 1);
    s.pool.idle = 2;
    scene_start(&s);
    ask_many("GET", 6);
    CHECK_INT(opened(), 6);
    CHECK(facts().open == 6 && facts().idle == 6, "%u are left", facts().open);
    ask_many("GET", 6);
    CHECK_INT(opened(), 6); /* what a burst has opened serves the next one */
    scene_pass(&s, 1500);
    CHECK(facts().open == 2 && facts().idle == 2, "%u are left", facts().open);
    scene_close(&s);
}

TEST(connpool_h1, no_more_at_all_than_allowed_L34)
{
    open_with(&slow, 1);
    s.pool.connections = 2;
    scene_start(&s);
    ask_many("GET", 6); /* four of them wait */
    CHECK_INT(opened(), 2);
    scene_close(&s);
}

/* How many get a connection, or are promised one, if each leaves so many eighths to others. */
static unsigned promised(struct connpool_wait *waits, unsigned n, unsigned modest)
{
    unsigned promised = 0;
    for (unsigned i = 0; i < n; i++) {
        struct back *b;
        enum err e = connpool_get(s.proxy->connpool, s.endpoints[0].endpoint, NULL, CONNPOOL_ANY,
                                  modest, &waits[i], &b);
        CHECK(e == ERR_AGAIN || e == ERR_FULL, "%s", err_name(e));
        promised += e == ERR_AGAIN;
    }
    return promised;
}

TEST(connpool_h1, the_last_ones_are_left_to_others_L34)
{
    enum { MOST = 80 };
    static struct connpool_wait waits[3][MOST];
    open_with(&slow, 1);
    s.pool.connections = MOST;
    scene_start(&s);
    CHECK_INT(promised(waits[0], MOST, 2), 60);
    CHECK_INT(promised(waits[1], MOST, 1), 10);
    CHECK_INT(promised(waits[2], MOST, 0), 10);
    for (unsigned i = 0; i < 3 * MOST; i++) {
        connpool_cancel(&waits[i / MOST][i % MOST]);
    }
    scene_close(&s);
}

/* A server closes by its own word: one second before that none is used any more. */
TEST(connpool_h1, the_servers_keep_alive_holds_L34)
{
    static const struct step brief = {
        .act = ACT_REPLY,
        .text = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n"};
    open_with(&brief, 1);
    scene_start(&s);
    ask_many("GET", 1);
    scene_pass(&s, 3800);
    CHECK_INT(facts().idle, 1);
    scene_pass(&s, 300);
    CHECK_INT(facts().open, 0);
    scene_close(&s);
}

/* What may not be repeated takes no connection that may be about to close. */
TEST(connpool_h1, a_fresh_one_for_what_may_not_be_repeated_L34)
{
    open_with(&fine, 1);
    scene_start(&s);
    ask_many("POST", 1);
    scene_pass(&s, LIMIT_FRESH_IDLE_MS - 100);
    ask_many("POST", 1);
    CHECK_INT(opened(), 1);
    scene_pass(&s, LIMIT_FRESH_IDLE_MS + 100);
    ask_many("GET", 1);
    CHECK_INT(opened(), 1);
    scene_pass(&s, LIMIT_FRESH_IDLE_MS + 100);
    ask_many("POST", 1);
    CHECK_INT(opened(), 2);
    scene_close(&s);
}

/* H20: each of these is answered well, and its connection is not used again. */
TEST(connpool_h1, never_again_after_an_unclean_exchange_H20)
{
    static const struct step unclean[] = {
        {.act = ACT_REPLY,
         .text = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"},
        {.act = ACT_REPLY, .text = "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"},
        {.act = ACT_REPLY, .text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nleft over"},
        {.act = ACT_REPLY, .text = OK_TEXT, .close_after = true},
        {.act = ACT_REPLY, .text = "HTTP/1.1 200 OK\r\n\r\nto the end", .close_after = true},
    };
    const unsigned count = sizeof(unclean) / sizeof(unclean[0]);
    open_with(unclean, count);
    scene_start(&s);
    for (unsigned i = 0; i < count; i++) {
        ask_many("GET", 1);
        CHECK(opened() == i + 1 && facts().open == 0, "after answer %u", i);
    }
    scene_close(&s);
}

TEST(connpool_h1, one_that_the_server_closes_while_it_is_idle)
{
    open_with(&fine, 1);
    scene_start(&s);
    ask_many("GET", 1);
    CHECK_INT(facts().idle, 1);
    scene_hang_up(&s);
    scene_pass(&s, 10);
    CHECK_INT(facts().open, 0);
    ask_many("GET", 1);
    CHECK_INT(opened(), 2);
    scene_close(&s);
}

/* A server that checks found down may have gone without a word: its connections lead nowhere. */
TEST(connpool_h1, none_of_before_a_fall_F4)
{
    open_with(&slow, 1);
    scene_start(&s);
    ask_many("GET", 3);
    CHECK_INT(facts().idle, 3);
    struct endpoint *e = s.endpoints[0].endpoint;
    CHECK(endpoint_set_health(e, ENDPOINT_SOFT, loop_now_ms(s.loop)), "down");
    scene_pass(&s, 2000);
    CHECK(endpoint_set_health(e, ENDPOINT_UP, loop_now_ms(s.loop)), "up");
    scene_pass(&s, 10);
    ask_many("GET", 1);
    CHECK(opened() == 4 && facts().open == 1, "%u are left", facts().open);
    ask_many("GET", 1);
    CHECK_INT(opened(), 4);
    scene_close(&s);
}

/* Waiting ones that go leave the connection to the next. */
TEST(connpool_h1, a_connection_that_nobody_waits_for_is_kept)
{
    open_with(&slow, 1);
    scene_start(&s);
    internal_cancel(scene_ask(&s, "GET", "/", 0)->handle);
    CHECK_INT(facts().open, 1);
    scene_pass(&s, 10);
    CHECK_INT(facts().idle, 1);
    ask_many("GET", 1);
    CHECK_INT(opened(), 1);
    scene_close(&s);
}
