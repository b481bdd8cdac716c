#include "http/allowance.h"

#include "check.h"

/* As a stream does while its window bounds it. */
static size_t widest(struct allowance *a)
{
    size_t window = LIMIT_H2_WINDOW_LEAST;
    while (window < LIMIT_H2_WINDOW_MOST && allowance_widen(a, window, 2 * window)) {
        window *= 2;
    }
    return window;
}

TEST(allowance, one_that_is_alone_is_not_starved)
{
    struct allowance a = {0};
    allowance_join(&a);
    size_t window = widest(&a);
    CHECK_INT(window, LIMIT_H2_WINDOW_MOST / 2);
    allowance_leave(&a, window);
    CHECK(a.answering == 0 && a.ahead == 0, "all is given back");
    CHECK_INT(widest(NULL), LIMIT_H2_WINDOW_MOST);
}

TEST(allowance, the_sum_of_windows_is_bounded_G11)
{
    struct allowance a = {0};
    size_t windows[LIMIT_H2_STREAMS], sum = 0;
    for (size_t i = 0; i < LIMIT_H2_STREAMS; i++) {
        allowance_join(&a);
        windows[i] = widest(&a);
        sum += windows[i];
    }
    CHECK(sum <= LIMIT_H2_WINDOW_MOST + LIMIT_H2_STREAMS * LIMIT_H2_WINDOW_LEAST, "%zu", sum);
    CHECK(windows[1] >= 2 * LIMIT_H2_WINDOW, "who comes second finds much: %zu", windows[1]);
    for (size_t i = 0; i < LIMIT_H2_STREAMS; i++) {
        allowance_leave(&a, windows[i]);
    }
    CHECK(a.answering == 0 && a.ahead == 0, "all is given back");
}

/* Those that begin together, before any has grown. */
TEST(allowance, shares_are_equal)
{
    struct allowance a = {0};
    enum { MANY = 15 };
    for (int i = 0; i < MANY; i++) {
        allowance_join(&a);
    }
    for (int i = 0; i < MANY; i++) {
        CHECK_INT(widest(&a), LIMIT_H2_WINDOW);
    }
}

/* How many requests with heads of this size come before one is refused. */
static uint32_t admitted(struct allowance *a, size_t head)
{
    while (a->streams < 10000 && allowance_admits(a)) {
        a->streams++;
        a->heads += head;
    }
    return a->streams;
}

TEST(allowance, all_that_are_announced_fit_L20)
{
    static const uint32_t most[] = {1, 100, 300, 1000};
    for (size_t i = 0; i < sizeof most / sizeof most[0]; i++) {
        struct allowance a = {.most = most[i]};
        uint32_t n = admitted(&a, KIB(1));
        CHECK(n >= most[i] && n >= LIMIT_H2_STREAMS, "%u of %u", n, most[i]);
    }
}

/* With the window of the client's connection: the whole of what it can have. */
TEST(allowance, whatever_is_asked_for_the_whole_is_bounded_G11)
{
    struct allowance a = {.most = LIMIT_H2_STREAMS};
    uint32_t n = admitted(&a, KIB(40));
    CHECK(n > 25 && n < 60, "%u large heads", n);
    for (uint32_t i = 0; i < n; i++) {
        allowance_join(&a);
        (void)widest(&a);
        while (allowance_keep(&a, KIB(16))) {
        }
    }
    CHECK_INT(allowance_unsent_most(&a), 0);
    size_t held = n * LIMIT_H2_SHARE + a.heads + a.kept + a.ahead;
    CHECK(held + LIMIT_H2_WINDOW_CONNECTION <= MIB(4) + KIB(40), "%zu", held);
}

TEST(allowance, what_is_kept_leaves_room_for_others)
{
    struct allowance a = {.most = LIMIT_H2_STREAMS};
    while (allowance_keep(&a, KIB(64))) {
    }
    CHECK(a.kept >= KIB(512), "%zu", a.kept);
    CHECK(admitted(&a, KIB(1)) >= LIMIT_H2_STREAMS, "for all other requests");
    size_t left = allowance_left(&a);
    CHECK(!allowance_keep_all(&a, left + 1), "more than is left");
    CHECK(allowance_keep_all(&a, left), "what can only be kept has all of it");
    CHECK_INT(allowance_left(&a), 0);
    allowance_forget(&a, a.kept);
    CHECK_INT(a.kept, 0);
    CHECK(allowance_keep(NULL, KIB(64)), "a request that is alone has a bound of its own");
    allowance_forget(NULL, KIB(64));
}

/* Many servers that take nothing: none is sent more before it has taken what it has. */
TEST(allowance, what_servers_owe_is_bounded_L18)
{
    struct allowance a = {.most = LIMIT_H2_STREAMS};
    CHECK_INT(allowance_unsent_most(NULL), LIMIT_FLOW_HIGH);
    allowance_unsent(NULL, 0, 1);
    size_t owed = 0;
    while (allowance_unsent_most(&a) > 0) {
        allowance_unsent(&a, 0, LIMIT_FLOW_HIGH);
        owed += LIMIT_FLOW_HIGH;
    }
    CHECK(owed <= LIMIT_H2_UNSENT + LIMIT_FLOW_HIGH, "%zu", owed);
    allowance_unsent(&a, owed, 0);
    CHECK_INT(allowance_unsent_most(&a), LIMIT_FLOW_HIGH);
}

TEST(allowance, responses_that_wait_count)
{
    struct allowance a = {.most = LIMIT_H2_STREAMS, .streams = LIMIT_H2_STREAMS};
    size_t before = allowance_left(&a);
    a.waiting = LIMIT_H2_STREAMS * LIMIT_READ_CROWDED;
    CHECK_INT(allowance_left(&a), before);
    a.waiting += KIB(900);
    CHECK_INT(allowance_left(&a), before - KIB(900));
    CHECK(allowance_tight(&a), "little is left");
    a.waiting = MIB(5);
    CHECK_INT(allowance_left(&a), 0);
}
