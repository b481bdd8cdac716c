#include "check.h"
#include "http/allowance.h"

enum { WAITERS = 4, ROUNDING = 4096 };

struct scene {
    struct allowance all;
    int changed;
    struct allowance_waiter w[WAITERS];
    char log[64];
};

static struct scene *scene; /* of the test that runs */

static void note(const struct allowance_waiter *w, char what)
{
    size_t n = strlen(scene->log);
    scene->log[n] = what;
    scene->log[n + 1] = (char)('0' + w->age);
    scene->log[n + 2] = '\0';
}

static void go_on(struct allowance_waiter *w)
{
    note(w, '+');
}

static void give_up(struct allowance_waiter *w)
{
    note(w, '-');
}

static void changed(void *owner)
{
    ((struct scene *)owner)->changed++;
}

static void begin(struct scene *s, uint32_t most)
{
    *s = (struct scene){0};
    scene = s;
    allowance_init(&s->all, most, changed, s);
    for (uint32_t i = 0; i < WAITERS; i++) {
        s->w[i] = (struct allowance_waiter){.age = i, .go_on = go_on, .give_up = give_up};
        list_init(&s->w[i].link);
    }
}

static size_t widest(struct allowance *a)
{
    size_t window = LIMIT_H2_WINDOW_LEAST;
    while (window < LIMIT_H2_WINDOW_MOST && allowance_widen(a, window, 2 * window)) {
        window *= 2;
    }
    return window;
}

TEST(allowance, a_stream_that_is_alone_has_a_wide_window_L21)
{
    struct scene s;
    begin(&s, 0);
    s.all.streams = 1;
    allowance_join(&s.all, LIMIT_H2_WINDOW_LEAST);
    CHECK_INT(widest(&s.all), KIB(512));
    CHECK_INT(s.all.all.used, KIB(512) + ROUNDING);
    s.all.all.used -= KIB(512);
    allowance_leave(&s.all);
    CHECK_INT(s.all.all.used, 0);
    CHECK_INT(widest(NULL), LIMIT_H2_WINDOW_MOST);
}

/* However wide the first ones' windows are: 100 ordinary requests find room, and no window makes it
 * more than the bound. */
TEST(allowance, the_sum_of_windows_is_bounded_G11)
{
    struct scene s;
    begin(&s, LIMIT_H2_STREAMS);
    for (size_t i = 0; i < LIMIT_H2_STREAMS; i++) {
        CHECK(allowance_admits(&s.all), "%zu", i);
        s.all.streams++;
        s.all.all.used += LIMIT_H2_SHARE - LIMIT_H2_WINDOW_LEAST - ROUNDING;
        allowance_join(&s.all, LIMIT_H2_WINDOW_LEAST);
        (void)widest(&s.all);
    }
    CHECK(s.all.all.used <= LIMIT_H2_HOLDS_SOFT, "%zu", s.all.all.used);
}

TEST(allowance, requests_are_admitted_as_long_as_there_is_room_L18)
{
    struct scene s;
    begin(&s, LIMIT_H2_STREAMS);
    s.all.all.used = LIMIT_H2_HOLDS_SOFT - LIMIT_H2_SHARE;
    CHECK(allowance_admits(&s.all), "at the bound");
    CHECK(allowance_tight(&s.all), "in small pieces");
    s.all.all.used++;
    CHECK(!allowance_admits(&s.all), "above");
    s.all.all.used = LIMIT_H2_HOLDS_SOFT - LIMIT_H2_SPARE;
    CHECK(!allowance_tight(&s.all), "enough is left");
    s.all.all.used = LIMIT_H2_HOLDS - 10;
    CHECK(allowance_fits(&s.all, 10) && !allowance_fits(&s.all, 11), "the last bytes");
    CHECK_INT(allowance_left(&s.all), 0);
    begin(&s, LIMIT_H2_STREAMS + 10);
    CHECK_INT(s.all.all.most, LIMIT_H2_HOLDS + 10 * LIMIT_H2_SHARE);
}

TEST(allowance, what_can_be_done_without_leaves_the_shares_to_others_L18)
{
    struct scene s;
    begin(&s, LIMIT_H2_STREAMS);
    size_t left = LIMIT_H2_HOLDS_SOFT - LIMIT_H2_STREAMS * LIMIT_H2_SHARE - LIMIT_H2_SPARE;
    CHECK(allowance_spares(&s.all, left) && !allowance_spares(&s.all, left + 1), "at first");
    CHECK_INT(allowance_unsent_most(&s.all), LIMIT_FLOW_HIGH);
    s.all.all.used = left + 1;
    CHECK_INT(allowance_unsent_most(&s.all), 0);
    CHECK(allowance_spares(NULL, left + 1), "one that is alone has a bound of its own");
    CHECK_INT(allowance_unsent_most(NULL), LIMIT_FLOW_HIGH);
}

/* Who is served first leaves room to those whose servers are still being connected. */
TEST(allowance, some_room_is_for_those_whose_server_is_waited_for_L18)
{
    struct scene s;
    begin(&s, LIMIT_H2_STREAMS);
    s.all.streams = LIMIT_H2_STREAMS;
    for (int i = 0; i < 20; i++)
        allowance_expect(&s.all);
    size_t kept = 16 * LIMIT_H2_SHARE;
    s.all.all.used = LIMIT_H2_HOLDS_SOFT - LIMIT_H2_SPARE - kept - 100;
    CHECK(allowance_may(&s.all, &s.w[0], 100, 200), "as much as leaves that");
    CHECK(!allowance_spares(&s.all, 0), "nor does anybody's window grow");
    s.all.all.used = LIMIT_H2_HOLDS - kept - 200;
    CHECK(allowance_may(&s.all, &s.w[0], 101, 200), "in turn");
    CHECK(!allowance_may(&s.all, &s.w[0], 101, 201), "not beyond it");
    for (int i = 0; i < 20; i++)
        allowance_expect_no_more(&s.all);
    CHECK(s.changed > 0, "its owner hears of it");
    CHECK(allowance_may(&s.all, &s.w[0], 101, 201), "all have theirs");
    allowance_forget(&s.all, &s.w[0]);
    CHECK_INT(s.all.unserved, 0);
    allowance_expect(NULL);
    allowance_expect_no_more(NULL);
}

/* Below the bound everybody goes on, beyond it the oldest, one after the other. */
TEST(allowance, the_oldest_goes_on_L18)
{
    struct scene s;
    begin(&s, LIMIT_H2_STREAMS);
    s.all.all.used = LIMIT_H2_HOLDS_SOFT - LIMIT_H2_SPARE - 100;
    CHECK_INT(allowance_room(&s.all), 100);
    CHECK(allowance_may(&s.all, &s.w[3], 100, 1000), "it fits");
    s.all.all.used++;
    CHECK(allowance_may(&s.all, &s.w[2], 100, 1000), "nobody older waits: its turn");
    CHECK(!allowance_may(&s.all, &s.w[3], 100, 1000), "it is another one's");
    CHECK(!allowance_may(&s.all, &s.w[1], 100, 1000), "also for older ones");
    CHECK(allowance_may(&s.all, &s.w[2], 100, 1000), "still its turn");
    allowance_wake(&s.all);
    CHECK_STR(s.log, "");
    allowance_forget(&s.all, &s.w[2]);
    CHECK(s.changed > 0, "its owner hears of it");
    allowance_wake(&s.all);
    CHECK_STR(s.log, "+1");
    CHECK(allowance_may(&s.all, &s.w[1], 100, 1000), "it was told so");
    allowance_next_turn(&s.all);
    allowance_wake(&s.all);
    CHECK_STR(s.log, "+1+3");
    allowance_forget(&s.all, &s.w[3]);
    allowance_forget(&s.all, &s.w[3]);
    CHECK(allowance_may(NULL, &s.w[0], MIB(9), MIB(9)), "one that is alone");
}

TEST(allowance, all_go_on_where_there_is_room_again_L18)
{
    struct scene s;
    begin(&s, LIMIT_H2_STREAMS);
    s.all.all.used = LIMIT_H2_HOLDS - 10;
    for (int i = 0; i < WAITERS; i++) {
        CHECK(!allowance_may(&s.all, &s.w[WAITERS - 1 - i], 100, 100), "%d", i);
    }
    CHECK(allowance_stuck(&s.all), "for none there is room");
    s.all.all.used = 0;
    CHECK(!allowance_stuck(&s.all), "there is");
    allowance_wake(&s.all);
    CHECK_STR(s.log, "+0+1+2+3");
}

/* The youngest end; one that needs less than older ones goes on before them. */
TEST(allowance, where_nobody_fits_the_youngest_end_G11)
{
    struct scene s;
    begin(&s, LIMIT_H2_STREAMS);
    s.all.all.used = LIMIT_H2_HOLDS - 10;
    for (int i = 0; i < WAITERS; i++) {
        CHECK(!allowance_may(&s.all, &s.w[i], 100, i == 2 ? 50 : 100), "%d", i);
    }
    s.all.all.used = LIMIT_H2_HOLDS - 60;
    allowance_make_room(&s.all);
    CHECK_STR(s.log, "+2");
    s.all.all.used = LIMIT_H2_HOLDS - 10;
    CHECK(!allowance_may(&s.all, &s.w[2], 100, 50), "its turn has passed");
    allowance_make_room(&s.all);
    CHECK_STR(s.log, "+2-3-2-1-0");
    CHECK(!allowance_stuck(&s.all), "nobody waits");
}
