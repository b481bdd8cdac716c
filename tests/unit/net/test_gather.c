/* Where a turn has many events, what has been received waits until all receives are made (conn.h).
 */
#include "base/limits.h"
#include "check.h"
#include "side.h"

#include <sys/socket.h>
#include <unistd.h>

enum { SIDES = 24, WORDS = 8 };

static struct crowd {
    struct loop *loop;
    struct loop_ops ops; /* its own, with a clock of the test's for a turn */
    bool spent;
    struct conn_env env;
    struct side side[SIDES];
    int peer[SIDES];
    struct timer end;
    unsigned delivered;     /* sides that have been told */
    unsigned before[SIDES]; /* how many had been when it was */
    unsigned unread;        /* others with something unread when the first one was */
    void (*first)(struct side *s);
} crowd;

static void on_bytes(struct side *s)
{
    crowd.before[s - crowd.side] = crowd.delivered;
    if (crowd.delivered++ > 0)
        return;
    for (int i = 0; i < SIDES; i++)
        crowd.unread += &crowd.side[i] != s && conn_has_unread(crowd.side[i].c);
    if (crowd.first != NULL)
        crowd.first(s);
}

static void on_end(struct timer *t)
{
    loop_stop(t->loop);
}

static void run_ms(int64_t ms)
{
    timer_in_ms(&crowd.end, ms);
    loop_run(crowd.loop);
}

/* Until so many have been told, or for a second; and a little longer, for others. */
static void run_told(unsigned sides)
{
    for (int wait = 0; wait < 500 && crowd.delivered < sides; wait++)
        run_ms(2);
    run_ms(5);
}

static bool turn_spent(struct loop *l)
{
    (void)l;
    return crowd.spent;
}

static void say(int i, const char *bytes)
{
    CHECK(write(crowd.peer[i], bytes, strlen(bytes)) == (ssize_t)strlen(bytes), "written");
}

static void crowd_open(void)
{
    struct addr nobody = {.len = 0};
    memset(&crowd, 0, sizeof crowd);
    nobody.any.sa_family = AF_UNIX;
    CHECK_INT(loop_ev_new(&crowd.loop), ERR_OK);
    crowd.ops = *crowd.loop->ops;
    crowd.ops.turn_spent = turn_spent;
    crowd.loop->ops = &crowd.ops;
    CHECK_INT(conn_env_init(&crowd.env, crowd.loop), ERR_OK);
    timer_init(&crowd.end, crowd.loop, on_end);
    for (int i = 0; i < SIDES; i++) {
        int ends[2];
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
        crowd.peer[i] = ends[1];
        side_init(&crowd.side[i]);
        crowd.side[i].on_bytes = on_bytes;
        CHECK_INT(conn_accept(&crowd.env, ends[0], &nobody, NULL, &side_events, &crowd.side[i],
                              &crowd.side[i].c),
                  ERR_OK);
    }
}

static void crowd_close(void)
{
    for (int i = 0; i < SIDES; i++) {
        side_fini(&crowd.side[i]);
        if (crowd.peer[i] >= 0)
            close(crowd.peer[i]);
    }
    run_ms(1);
    conn_env_fini(&crowd.env);
    loop_free(&crowd.loop);
}

static bool has(int i, const char *bytes)
{
    return span_eq(buf_span(&crowd.side[i].got), span_str(bytes));
}

TEST(gather, is_looked_at_when_all_is_received)
{
    static const char *const said[WORDS] = {"a", "bc", "def", "", "ghij", "k", "lm", "nop"};
    crowd_open();
    for (int i = 0; i < SIDES; i++)
        say(i, said[i % WORDS]);
    run_told(SIDES - SIDES / WORDS);
    CHECK_INT(crowd.unread, SIDES - 1 - SIDES / WORDS); /* not those that nothing was said to */
    for (int i = 0; i < SIDES; i++) {
        CHECK(has(i, said[i % WORDS]), "side %d", i);
        CHECK(!conn_has_unread(crowd.side[i].c), "side %d", i);
        CHECK_INT(conn_received(crowd.side[i].c), strlen(said[i % WORDS]));
    }
    crowd_close();
}

TEST(gather, does_not_wait_where_there_is_little)
{
    crowd_open();
    say(2, "x");
    say(5, "y");
    run_told(2);
    CHECK_INT(crowd.delivered, 2);
    CHECK_INT(crowd.unread, 0);
    crowd_close();
}

static void close_others(struct side *s)
{
    for (int i = 0; i < SIDES; i++)
        if (&crowd.side[i] != s)
            conn_close(&crowd.side[i].c, CONN_END_NOW);
}

TEST(gather, of_one_that_is_closed_meanwhile_is_nobody_s)
{
    crowd_open();
    crowd.first = close_others;
    for (int i = 0; i < SIDES; i++)
        say(i, "bytes");
    run_told(1);
    CHECK_INT(crowd.delivered, 1);
    crowd_close();
}

static void stop_others(struct side *s)
{
    for (int i = 0; i < SIDES; i++)
        if (&crowd.side[i] != s)
            conn_want_read(crowd.side[i].c, false);
}

TEST(gather, of_one_that_has_enough_is_kept_for_it)
{
    crowd_open();
    crowd.first = stop_others;
    for (int i = 0; i < SIDES; i++)
        say(i, "bytes");
    run_told(1);
    CHECK_INT(crowd.delivered, 1);
    for (int i = 0; i < SIDES; i++) {
        CHECK_INT(conn_received(crowd.side[i].c), 5);
        CHECK(has(i, "bytes") != conn_has_unread(crowd.side[i].c), "side %d", i);
        conn_want_read(crowd.side[i].c, true);
    }
    run_told(SIDES);
    for (int i = 0; i < SIDES; i++)
        CHECK(has(i, "bytes"), "side %d", i);
    crowd_close();
}

/* Together they say more than there is place for at a time. */
TEST(gather, ends_where_its_place_is_full)
{
    char large[4000];
    crowd_open();
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < SIDES; i++)
            say(i, large);
        run_ms(2);
    }
    for (int i = 0; i < SIDES; i++) {
        for (int wait = 0; wait < 500 && buf_len(&crowd.side[i].got) < 40 * strlen(large); wait++)
            run_ms(2);
        CHECK_INT(buf_len(&crowd.side[i].got), 40 * strlen(large));
    }
    crowd_close();
}

/* Everybody is told "bytes", a few in each turn. */
static void all_told_since(uint64_t turn)
{
    run_told(SIDES);
    CHECK_INT(crowd.delivered, SIDES);
    CHECK(crowd.loop->turns - turn >= SIDES / 2, "%d turns", (int)(crowd.loop->turns - turn));
    for (int i = 0; i < SIDES; i++)
        CHECK(has(i, "bytes"), "side %d", i);
}

/* Where turns have lasted long enough each takes a few, and everybody has their turn once. */
TEST(turn, that_has_lasted_long_enough_leaves_the_rest_to_the_next)
{
    crowd_open();
    crowd.spent = true;
    for (int i = 0; i < SIDES; i++)
        say(i, "bytes");
    uint64_t before = crowd.loop->turns;
    all_told_since(before);
    crowd_close();
}

/* Of those that wait some are closed, and some are told to stop, before their turn comes. */
TEST(turn, goes_on_without_those_that_have_gone)
{
    crowd_open();
    crowd.spent = true;
    crowd.first = close_others;
    for (int i = 0; i < SIDES; i++)
        say(i, "bytes");
    run_told(1);
    CHECK_INT(crowd.delivered, 1);
    crowd_close();
}

/* One who has many connections holds up those that are theirs, and nobody else for long. */
static void share_with(int one)
{
    crowd_open();
    crowd.spent = true;
    for (int i = 0; i < SIDES; i++) {
        conn_set_party(crowd.side[i].c, i == one ? 1 : 2);
        say(i, i == one ? "one" : "many");
    }
    run_told(SIDES);
    CHECK(crowd.before[one] < SIDES / 2, "%u had been told before", crowd.before[one]);
    for (int i = 0; i < SIDES; i++)
        CHECK(has(i, i == one ? "one" : "many"), "side %d", i);
    crowd_close();
}

/* Whichever of them the kernel tells of first. */
TEST(turn, is_shared_by_those_who_have_many_and_those_who_have_one)
{
    share_with(0);
    share_with(SIDES - 1);
}

/* So it is with what had been received before, and is told when its reader wants it. */
TEST(turn, that_has_lasted_long_enough_leaves_what_was_kept_to_the_next)
{
    crowd_open();
    crowd.first = stop_others;
    for (int i = 0; i < SIDES; i++)
        say(i, "bytes");
    run_told(1);
    crowd.spent = true;
    uint64_t before = crowd.loop->turns;
    for (int i = 0; i < SIDES; i++)
        conn_want_read(crowd.side[i].c, true);
    all_told_since(before);
    crowd_close();
}

/* Many who have much to take, and take nothing, hold no more together than they may. */
TEST(linger, is_bounded_by_bytes)
{
    enum { EACH = MIB(6), STAY = LIMIT_LINGERING_BYTES / EACH };
    struct buf much;
    crowd_open();
    buf_init(&much, 0);
    while (buf_len(&much) < EACH)
        buf_put_str(&much, "0123456789abcdef");
    for (int i = 0; i < STAY + 4; i++) {
        conn_write(crowd.side[i].c, buf_span(&much));
        conn_close(&crowd.side[i].c, CONN_END_FLUSH);
        CHECK(crowd.env.lingering_bytes <= LIMIT_LINGERING_BYTES, "%zu bytes",
              crowd.env.lingering_bytes);
    }
    CHECK(crowd.env.lingering_count >= STAY, "%zu stay", crowd.env.lingering_count);
    for (int i = 0; i < STAY + 4; i++)
        close(crowd.peer[i]), crowd.peer[i] = -1;
    run_ms(50);
    CHECK_INT(crowd.env.lingering_bytes, 0);
    buf_fini(&much);
    crowd_close();
}
