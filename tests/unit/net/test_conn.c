#include "base/mem.h"
#include "check.h"
#include "side.h"

#include <stdlib.h>

#include <errno.h>

static bool client_done(struct pair *p)
{
    return p->client.eofs > 0 || p->client.fails > 0;
}

static bool server_done(struct pair *p)
{
    return p->server.eofs > 0 || p->server.fails > 0;
}

static bool server_got_all(struct pair *p)
{
    return buf_len(&p->server.got) >= 1000 || server_done(p);
}

static void send_fill(struct conn *c, size_t n, unsigned seed, size_t piece)
{
    char *bytes = malloc(n + 1);
    side_fill(bytes, n, seed);
    for (size_t at = 0; at < n; at += piece)
        conn_write(c, span_of(bytes + at, n - at < piece ? n - at : piece));
    free(bytes);
}

static const size_t sizes[] = {0,     1,     100,   4095,  4096,  4097,  8191,   8192,
                               16383, 16384, 16385, 65535, 65536, 65537, 200000, 1048576};

TEST(conn, all_sizes_both_ways)
{
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct pair p;
        size_t n = sizes[i], piece = i % 2 == 0 ? n + 1 : 1000;
        pair_init(&p);
        CHECK(pair_open(&p), "open");
        send_fill(p.client.c, n, 1, piece);
        conn_shutdown(p.client.c);
        CHECK(pair_run(&p, server_done), "%zu bytes to the server", n);
        CHECK(side_has(&p.server, n, 1), "%zu bytes, %zu came", n, buf_len(&p.server.got));
        CHECK(p.server.eofs == 1 && p.server.clean, "FIN is clean");
        CHECK_INT(conn_received(p.server.c), n);
        CHECK_INT(conn_sent(p.client.c), n);
        CHECK_INT(conn_pending(p.client.c), 0);
        /* The other half is still open. */
        send_fill(p.server.c, n, 2, piece);
        conn_close(&p.server.c, CONN_END_FLUSH);
        CHECK(pair_run(&p, client_done), "%zu bytes to the client", n);
        CHECK(side_has(&p.client, n, 2), "%zu bytes back", n);
        CHECK_INT(p.client.eofs, 1);
        pair_fini(&p);
    }
}

TEST(conn, refused_is_told_later)
{
    struct pair p;
    pair_init(&p);
    CHECK_INT(addr_parse(SPAN("127.0.0.1:1"), &p.at), ERR_OK);
    CHECK_INT(pair_connect(&p), ERR_OK);
    CHECK_INT(p.client.fails, 0);
    CHECK(pair_run(&p, client_done), "told");
    CHECK_INT(p.client.why, ERR_BACKEND_REFUSED);
    CHECK_INT(p.client.opens, 0);
    conn_close(&p.client.c, CONN_END_FLUSH);
    CHECK_INT(addr_parse(SPAN("unix:/nonexistent/meridian"), &p.at), ERR_OK);
    p.client.fails = 0;
    CHECK_INT(pair_connect(&p), ERR_OK);
    CHECK_INT(p.client.fails, 0);
    CHECK(pair_run(&p, client_done), "told");
    CHECK_INT(p.client.why, ERR_BACKEND_UNREACHABLE);
    pair_fini(&p);
}

static void yield_and_close(struct side *s)
{
    conn_yield(s->c);
    conn_close(&s->c, s->close_how);
}

static void next_turn_please(struct side *s)
{
    static uint64_t last;
    uint64_t turn = conn_loop(s->c)->turns;
    CHECK(turn != last, "delivery %u comes in the same turn", s->deliveries);
    last = turn;
    conn_yield(s->c);
}

/* P1: what one connection has sent is no reason to keep all others waiting. */
TEST(conn, yielding_goes_on_in_the_next_turn)
{
    struct pair p;
    pair_init(&p);
    p.server.take_most = 250;
    p.server.on_bytes = next_turn_please;
    CHECK(pair_open(&p), "open");
    send_fill(p.client.c, 1000, 1, 1000);
    conn_shutdown(p.client.c);
    CHECK(pair_run(&p, server_done), "all, and the end after it");
    CHECK(side_has(&p.server, 1000, 1), "%zu came", buf_len(&p.server.got));
    CHECK_INT(p.server.deliveries, 4);
    CHECK_INT(p.server.eofs, 1);
    pair_fini(&p);
    /* Closed before that turn comes. */
    pair_init(&p);
    p.server.take_most = 1;
    p.server.close_how = CONN_END_FLUSH;
    p.server.on_bytes = yield_and_close;
    CHECK(pair_open(&p), "open");
    send_fill(p.client.c, 1000, 1, 1000);
    CHECK(pair_run(&p, client_done), "its end");
    pair_fini(&p);
}

static bool above_then_room(struct pair *p)
{
    return p->client.rooms > 0;
}

TEST(conn, back_pressure)
{
    struct pair p;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    conn_want_read(p.server.c, false);
    size_t written = 0;
    while (conn_pending(p.client.c) <= LIMIT_FLOW_HIGH) {
        send_fill(p.client.c, 50000, 3, 50000);
        written += 50000;
        CHECK(written < MIB(64), "the kernel takes an end");
    }
    CHECK(conn_sent(p.client.c) + conn_pending(p.client.c) == written, "all is accounted for");
    pair_run_ms(&p, 20);
    CHECK_INT(p.client.rooms, 0);
    CHECK_INT(p.server.deliveries, 0);
    conn_want_read(p.server.c, true);
    CHECK(pair_run(&p, above_then_room), "room");
    CHECK(conn_pending(p.client.c) <= LIMIT_FLOW_LOW, "low");
    conn_shutdown(p.client.c);
    CHECK(pair_run(&p, server_done), "eof");
    CHECK_INT(buf_len(&p.server.got), written);
    CHECK_INT(p.client.rooms, 1);
    pair_fini(&p);
}

TEST(conn, room_is_told_even_where_the_flush_takes_all)
{
    struct pair p;
    pair_init(&p);
    CHECK_INT(pair_connect(&p), ERR_OK);
    send_fill(p.client.c, LIMIT_FLOW_HIGH + 1000, 3, 1000); /* it has not opened yet */
    CHECK(conn_pending(p.client.c) > LIMIT_FLOW_HIGH, "gathered");
    CHECK(pair_run(&p, above_then_room), "room");
    pair_fini(&p);
}

TEST(conn, much_is_sent_at_once)
{
    struct pair p;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    send_fill(p.client.c, LIMIT_FLOW_HIGH, 3, 1000);
    CHECK_INT(conn_pending(p.client.c), LIMIT_FLOW_HIGH);
    conn_write(p.client.c, SPAN("x"));
    CHECK_INT(conn_pending(p.client.c), 0);
    CHECK_INT(conn_sent(p.client.c), LIMIT_FLOW_HIGH + 1);
    pair_run_ms(&p, 20);
    CHECK_INT(p.client.rooms, 0);
    pair_fini(&p);
}

/* P4: what the peer has seen counts, also where the rest of it could not be kept. */
TEST(conn, what_has_left_is_counted_though_no_memory_is_left)
{
    struct pair p;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    size_t n = MIB(4);
    char *bytes = calloc(1, n); /* more than the socket takes at once */
    mem_fail_row(1, 1000);
    conn_write(p.client.c, span_of(bytes, n));
    mem_fail_at(0);
    CHECK(conn_sent(p.client.c) > 0, "it has begun to leave");
    pair_run_ms(&p, 20);
    CHECK_INT(p.client.why, ERR_NO_MEMORY);
    free(bytes);
    pair_fini(&p);
}

static bool delivered_twice(struct pair *p)
{
    return p->server.deliveries >= 2;
}

static bool delivered(struct pair *p)
{
    return p->server.deliveries >= 1;
}

TEST(conn, kept_bytes_come_again_as_one_run)
{
    struct pair p;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    p.server.take_most = 3;
    conn_write(p.client.c, SPAN("abcdef"));
    CHECK(pair_run(&p, delivered), "first");
    CHECK(conn_has_unread(p.server.c), "three are kept");
    pair_run_ms(&p, 5);
    CHECK_INT(p.server.deliveries, 1);
    p.server.take_most = SIZE_MAX;
    conn_write(p.client.c, SPAN("ghi"));
    CHECK(pair_run(&p, delivered_twice), "second");
    CHECK_SPAN(buf_span(&p.server.got), "abcdefghi");
    CHECK_INT(p.server.longest, 6);
    CHECK(!conn_has_unread(p.server.c), "none kept");
    pair_fini(&p);
}

static bool three_deliveries(struct pair *p)
{
    return p->server.deliveries >= 3;
}

TEST(conn, reading_switched_on_delivers_again_without_new_bytes)
{
    struct pair p;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    p.server.take_most = 2;
    p.server.stop_reading = true;
    conn_write(p.client.c, SPAN("abcdef"));
    conn_shutdown(p.client.c);
    CHECK(pair_run(&p, delivered), "first");
    pair_run_ms(&p, 10);
    CHECK_INT(p.server.deliveries, 1);
    CHECK_INT(p.server.eofs, 0);
    conn_want_read(p.server.c, true);
    conn_want_read(p.server.c, true);
    CHECK_INT(p.server.deliveries, 1);
    CHECK(pair_run(&p, delivered_twice), "second");
    p.server.stop_reading = false;
    conn_want_read(p.server.c, true);
    CHECK(pair_run(&p, three_deliveries), "third");
    CHECK(pair_run(&p, server_done), "the last byte comes before the end");
    CHECK_SPAN(buf_span(&p.server.got), "abcdef");
    pair_fini(&p);
}

TEST(conn, what_was_kept_comes_before_the_end_F9)
{
    struct pair p;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    p.server.take_most = 0;
    send_fill(p.client.c, 3, 5, 3);
    CHECK(pair_run(&p, delivered), "kept");
    conn_want_read(p.server.c, false);
    conn_shutdown(p.client.c);
    pair_run_ms(&p, 20);
    p.server.take_most = SIZE_MAX;
    conn_want_read(p.server.c, true);
    CHECK(pair_run(&p, server_done), "the end");
    CHECK(side_has(&p.server, 3, 5), "and before it all that was kept");
    pair_fini(&p);
}

TEST(conn, hold_limit_stops_the_socket)
{
    struct pair p;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    p.server.take_most = 0;
    conn_set_hold_limit(p.server.c, 10000);
    send_fill(p.client.c, 100000, 5, 100000);
    pair_run_ms(&p, 30);
    CHECK_INT(p.server.longest, 10000);
    CHECK_INT(conn_received(p.server.c), 10000);
    uint64_t turns = p.loop->turns;
    pair_run_ms(&p, 10);
    CHECK(p.loop->turns - turns < 100, "no spinning: %d turns", (int)(p.loop->turns - turns));
    p.server.take_most = SIZE_MAX;
    conn_want_read(p.server.c, false);
    conn_want_read(p.server.c, true);
    conn_shutdown(p.client.c);
    CHECK(pair_run(&p, server_done), "all");
    CHECK(side_has(&p.server, 100000, 5), "in order");
    pair_fini(&p);
}

/* A3: whose bytes they are pays for what they take: kept, and on their way out. */
TEST(conn, its_bytes_are_booked_L18)
{
    struct budget budget = {0};
    struct pair p;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    conn_set_budget(p.server.c, &budget);
    CHECK_INT(budget.used, 0);
    p.server.take_most = 0;
    conn_set_hold_limit(p.server.c, 10000);
    send_fill(p.client.c, 100000, 5, 100000);
    pair_run_ms(&p, 30);
    CHECK(budget.used >= 10000 && budget.used < 20000, "%zu", budget.used);
    size_t kept = budget.used;
    conn_write(p.server.c, SPAN("more"));
    CHECK(budget.used > kept, "%zu", budget.used);
    conn_set_budget(p.server.c, NULL);
    CHECK_INT(budget.used, 0);
    conn_set_budget(p.server.c, &budget);
    CHECK(budget.used > kept, "%zu", budget.used);
    conn_close(&p.server.c, CONN_END_NOW);
    CHECK_INT(budget.used, 0);
    pair_fini(&p);
}

static bool not_now(void *user, struct conn *c)
{
    struct side *s = user;
    conn_want_read(c, false);
    s->rooms++;
    return false;
}

/* Nothing is read where its reader says that there is no room. */
TEST(conn, may_be_told_not_to_read_L18)
{
    struct conn_events events = side_events;
    struct pair p;
    events.may_read = not_now;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    conn_set_events(p.server.c, &events, &p.server);
    send_fill(p.client.c, 1000, 5, 1000);
    pair_run_ms(&p, 30);
    CHECK(p.server.rooms == 1 && conn_received(p.server.c) == 0, "%u", p.server.rooms);
    conn_set_events(p.server.c, &side_events, &p.server);
    conn_want_read(p.server.c, true);
    pair_run_ms(&p, 30);
    CHECK(side_has(&p.server, 1000, 5), "it was all there");
    pair_fini(&p);
}

TEST(conn, reads_no_more_at_a_time_than_asked)
{
    struct pair p;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    conn_set_read_most(p.server.c, 7000);
    send_fill(p.client.c, 100000, 5, 100000);
    conn_shutdown(p.client.c);
    CHECK(pair_run(&p, server_done), "all");
    CHECK(side_has(&p.server, 100000, 5), "in order");
    CHECK_INT(p.server.longest, 7000);
    pair_fini(&p);
}

TEST(conn, reset_is_a_failure)
{
    struct pair p;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    conn_close(&p.server.c, CONN_END_RESET);
    CHECK(pair_run(&p, client_done), "told");
    CHECK_INT(p.client.why, ERR_BACKEND_RESET);
    CHECK_INT(p.client.eofs, 0);
    conn_close(&p.client.c, CONN_END_NOW);
    p.client.fails = 0;
    CHECK(pair_open(&p), "open");
    conn_close(&p.client.c, CONN_END_RESET);
    CHECK(pair_run(&p, server_done), "told");
    CHECK_INT(p.server.why, ERR_CLIENT_ABORT);
    pair_fini(&p);
}

/* A server answers early and closes; what it said must be seen although our writing fails. */
TEST(conn, an_answer_before_a_reset_is_read)
{
    struct pair p;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    pair_run_ms(&p, 5);
    conn_write(p.server.c, SPAN("too large"));
    pair_run_ms(&p, 5);
    CHECK_SPAN(buf_span(&p.client.got), "too large");
    buf_clear(&p.client.got);
    conn_want_read(p.client.c, false);
    conn_write(p.server.c, SPAN("early"));
    conn_env_flush(&p.env);
    conn_close(&p.server.c, CONN_END_NOW);
    pair_run_ms(&p, 5);
    send_fill(p.client.c, 100, 1, 100);
    conn_env_flush(&p.env); /* the kernel learns of the reset by this one */
    pair_run_ms(&p, 5);
    CHECK_INT(p.client.fails, 0);
    send_fill(p.client.c, 100, 1, 100);
    conn_want_read(p.client.c, true);
    CHECK(pair_run(&p, client_done), "told");
    CHECK_SPAN(buf_span(&p.client.got), "early");
    pair_run_ms(&p, 5);
    CHECK(p.client.fails == 1, "and then the failure");
    pair_fini(&p);
}

TEST(conn, a_reset_is_noticed_by_writing_while_reading_is_off)
{
    struct pair p;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    conn_want_read(p.client.c, false);
    conn_close(&p.server.c, CONN_END_RESET);
    pair_run_ms(&p, 10);
    CHECK_INT(p.client.fails, 0);
    uint64_t turns = p.loop->turns;
    pair_run_ms(&p, 10);
    CHECK(p.loop->turns - turns < 100, "no spinning");
    conn_write(p.client.c, SPAN("x"));
    CHECK_INT(p.client.fails, 0);
    CHECK(pair_run(&p, client_done), "told");
    CHECK_INT(p.client.why, ERR_BACKEND_RESET);
    pair_fini(&p);
}

TEST(conn, an_end_of_input_does_not_spin)
{
    struct pair p;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    conn_shutdown(p.client.c);
    CHECK(pair_run(&p, server_done), "eof");
    uint64_t turns = p.loop->turns;
    pair_run_ms(&p, 20);
    CHECK(p.loop->turns - turns < 200, "%d turns", (int)(p.loop->turns - turns));
    CHECK_INT(p.server.eofs, 1);
    pair_fini(&p);
}

TEST(conn, may_be_closed_in_every_callback)
{
    static const enum conn_end ends[] = {CONN_END_NOW, CONN_END_RESET, CONN_END_FLUSH};
    for (size_t i = 0; i < 3 * 4; i++) {
        struct pair p;
        pair_init(&p);
        p.client.close_how = p.server.close_how = ends[i % 3];
        p.client.close_on_open = i / 3 == 0;
        p.server.close_on_bytes = i / 3 == 1;
        p.server.close_on_eof = i / 3 == 2;
        p.client.close_on_fail = i / 3 == 3;
        CHECK(pair_open(&p), "open");
        if (i / 3 > 0) {
            conn_write(p.client.c, SPAN("hello"));
            if (i / 3 == 3)
                conn_close(&p.server.c, CONN_END_RESET);
            else
                conn_shutdown(p.client.c);
        }
        pair_run_ms(&p, 10);
        CHECK((i / 3 == 0 || i / 3 == 3) == (p.client.c == NULL), "case %zu", i);
        CHECK((i / 3 != 0) == (p.server.c == NULL) || i / 3 == 0, "case %zu", i);
        pair_fini(&p);
    }
}

static bool one_left(struct pair *p)
{
    return p->env.open == 0;
}

/* H20: the response must not be lost because request bytes were still on their way. */
TEST(conn, flushing_close_lingers)
{
    struct pair p;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    send_fill(p.client.c, 30000, 1, 30000);
    send_fill(p.server.c, 500000, 2, 500000);
    conn_close(&p.server.c, CONN_END_FLUSH);
    CHECK(p.server.c == NULL, "emptied");
    CHECK(pair_run(&p, client_done), "end");
    CHECK(side_has(&p.client, 500000, 2), "%zu came", buf_len(&p.client.got));
    CHECK_INT(p.client.eofs, 1);
    conn_close(&p.client.c, CONN_END_NOW);
    CHECK(pair_run(&p, one_left), "it ends itself");
    pair_fini(&p);
}

static bool only_the_client_is_left(struct pair *p)
{
    return p->env.open == 1;
}

/* The peer has said that it sends no more: all leaves, and nobody waits for its end. */
TEST(conn, last_close_waits_for_nobody_H20)
{
    struct pair p;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    send_fill(p.server.c, 500000, 2, 500000);
    conn_close(&p.server.c, CONN_END_LAST);
    CHECK(p.server.c == NULL, "emptied");
    CHECK(pair_run(&p, only_the_client_is_left), "closed while the client says nothing");
    CHECK(pair_run(&p, client_done), "end");
    CHECK(side_has(&p.client, 500000, 2), "%zu came", buf_len(&p.client.got));
    CHECK(p.client.eofs == 1 && p.client.fails == 0, "a clean end");
    pair_fini(&p);
}

TEST(conn, lingering_is_bounded)
{
    struct pair p;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    conn_close(&p.server.c, CONN_END_FLUSH);
    CHECK(pair_run(&p, client_done), "eof");
    /* By bytes: the client goes on sending. No more is read; it has its time to read the answer. */
    send_fill(p.client.c, 10 * LIMIT_LINGER_BYTES, 1, KIB(60));
    p.client.eofs = 0;
    int64_t begin = clock_mono_ns();
    CHECK(pair_run(&p, only_the_client_is_left), "closed");
    CHECK(clock_mono_ns() - begin >= LIMIT_LINGER_MS * NS_PER_MS, "not before its time");
    CHECK(p.env.bytes_in <= LIMIT_LINGER_BYTES + p.env.in_size, "not all is read");
    send_fill(p.client.c, 1000, 1, 1000);
    CHECK(pair_run(&p, client_done), "reset");
    CHECK_INT(p.client.fails, 1);
    conn_close(&p.client.c, CONN_END_NOW);
    p.client.fails = 0;
    /* The same where it says nothing and does not close. */
    CHECK(pair_open(&p), "open");
    conn_close(&p.server.c, CONN_END_FLUSH);
    CHECK_INT(p.env.open, 2);
    pair_run_ms(&p, LIMIT_LINGER_MS + 200);
    CHECK_INT(p.env.open, 1);
    pair_fini(&p);
}

/* One timer serves the owner, and then the end. */
TEST(conn, has_one_timer)
{
    struct pair p;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    conn_aim(p.server.c, loop_now_ns(p.loop) + 3600 * NS_PER_S);
    conn_aim(p.server.c, loop_now_ns(p.loop) + 20 * NS_PER_MS);
    pair_run_ms(&p, 60);
    CHECK_INT(p.server.times, 1);
    conn_aim(p.server.c, loop_now_ns(p.loop) + 20 * NS_PER_MS);
    conn_rest(p.server.c);
    pair_run_ms(&p, 60);
    CHECK_INT(p.server.times, 1);
    conn_aim(p.server.c, loop_now_ns(p.loop) + 20 * NS_PER_MS);
    conn_close(&p.server.c, CONN_END_FLUSH);
    pair_run_ms(&p, 60);
    CHECK_INT(p.server.times, 1);
    CHECK_INT(p.env.open, 2); /* the owner's time is not the end's */
    pair_run_ms(&p, LIMIT_LINGER_MS + 200);
    CHECK_INT(p.env.open, 1);
    pair_fini(&p);
}

/* F11: one that is cut off is gone soon, whether it takes nothing of what is left for it, for which
 * others have LIMIT_SEND_MS, or sends on and on. */
TEST(conn, cut_off_is_short_F11)
{
    for (int sends = 0; sends < 2; sends++) {
        struct pair p;
        pair_init(&p);
        CHECK(pair_open(&p), "open");
        conn_want_read(p.client.c, false);
        for (; sends == 0 && conn_pending(p.server.c) == 0;)
            send_fill(p.server.c, KIB(60), 2, KIB(60)), pair_run_ms(&p, 1);
        int64_t begin = clock_mono_ns();
        conn_close(&p.server.c, CONN_END_CUT);
        if (sends == 1)
            send_fill(p.client.c, 10 * LIMIT_LINGER_BYTES, 1, KIB(60));
        CHECK(pair_run(&p, only_the_client_is_left), "closed");
        CHECK(clock_mono_ns() - begin >= LIMIT_LINGER_CUT_MS * NS_PER_MS, "not before its time");
        CHECK(p.env.bytes_in <= LIMIT_LINGER_BYTES + p.env.in_size, "not all is read");
        pair_fini(&p);
    }
}

/* L7 and P3: a client that rests for longer than a closing connection waits for an idle one gets
 * all of it; one that never reads sees a reset, not an end that looks like that of the content. */
TEST(conn, lingering_waits_for_a_slow_reader)
{
    struct pair p;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    conn_want_read(p.client.c, false);
    size_t n = 0;
    for (; conn_pending(p.server.c) == 0; n += KIB(60))
        send_fill(p.server.c, KIB(60), 2, KIB(60)), pair_run_ms(&p, 1);
    conn_close(&p.server.c, CONN_END_FLUSH);
    pair_run_ms(&p, LIMIT_LINGER_MS + 200);
    CHECK_INT(p.env.open, 2);
    conn_want_read(p.client.c, true);
    CHECK(pair_run(&p, client_done), "end");
    CHECK_INT(buf_len(&p.client.got), n);
    CHECK_INT(p.client.eofs, 1);
    pair_fini(&p);
}

TEST(conn, what_cannot_leave_ends_in_a_reset)
{
    struct pair p;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    conn_want_read(p.client.c, false);
    while (conn_pending(p.server.c) == 0)
        send_fill(p.server.c, KIB(60), 2, KIB(60)), pair_run_ms(&p, 1);
    conn_close(&p.server.c, CONN_END_FLUSH);
    /* H20's bound: the client goes on sending. */
    send_fill(p.client.c, 10 * LIMIT_LINGER_BYTES, 1, KIB(60));
    CHECK(pair_run(&p, only_the_client_is_left), "closed");
    if (p.client.c != NULL)
        conn_want_read(p.client.c, true);
    CHECK(pair_run(&p, client_done), "told");
    CHECK(p.client.eofs == 0 && p.client.fails == 1, "%d ends", p.client.eofs);
    pair_fini(&p);
}

static size_t take_nothing(void *user, struct conn *c, struct span bytes)
{
    (void)user, (void)c, (void)bytes;
    return 0;
}

TEST(conn, another_reader_takes_over)
{
    struct pair p;
    struct conn_events other = side_events;
    other.on_bytes = take_nothing;
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    conn_set_events(p.server.c, &other, NULL);
    send_fill(p.client.c, 1000, 4, 1000);
    pair_run_ms(&p, 5);
    CHECK(conn_has_unread(p.server.c), "kept");
    conn_set_events(p.server.c, &side_events, &p.server);
    CHECK(pair_run(&p, server_got_all), "handed to the new one");
    CHECK(side_has(&p.server, 1000, 4), "all");
    CHECK_INT(conn_peer_port(p.client.c), addr_port(&p.at));
    CHECK_INT(conn_peer_port(p.server.c), addr_port(conn_local(p.client.c)));
    CHECK(addr_eq(conn_local(p.server.c), &p.at), "addresses agree");
    CHECK(conn_loop(p.client.c) == p.loop, "loop");
    pair_fini(&p);
}

static int again_connect(struct loop *l, int fd, const struct addr *to)
{
    (void)l, (void)fd, (void)to;
    return -EAGAIN;
}

/* B2: only of a unix socket it says something about the server. */
TEST(conn, not_now_is_the_servers_word_on_unix_sockets_only)
{
    static const struct {
        const char *address;
        enum err e;
    } cases[] = {{"127.0.0.1:9", ERR_NO_PORT}, {"[::1]:9", ERR_NO_PORT}, {"unix:/x", ERR_OK}};
    struct pair p;
    pair_init(&p);
    struct loop_ops ops = *p.loop->ops;
    ops.sock_connect = again_connect;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct addr at;
        const struct loop_ops *real = p.loop->ops;
        CHECK_INT(addr_parse(span_str(cases[i].address), &at), ERR_OK);
        side_init(&p.client);
        p.loop->ops = &ops;
        struct conn_target to = {.addr = &at};
        CHECK_INT(conn_connect(&p.env, &to, &side_events, &p.client, &p.client.c), cases[i].e);
        p.loop->ops = real;
    }
    CHECK(pair_run(&p, client_done), "told");
    CHECK_INT(p.client.why, ERR_BACKEND_REFUSED);
    pair_fini(&p);
}
