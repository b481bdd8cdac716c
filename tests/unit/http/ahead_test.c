#include "http/ahead.h"

#include "base/limits.h"
#include "check.h"

/* As a stream does while its window bounds it. */
static size_t widest(struct ahead *a)
{
    size_t window = LIMIT_H2_WINDOW_LEAST;
    while (window < LIMIT_H2_WINDOW_MOST && ahead_widen(a, window, 2 * window)) {
        window *= 2;
    }
    return window;
}

TEST(ahead, one_that_is_alone_is_not_starved)
{
    struct ahead a = {0};
    ahead_join(&a);
    size_t window = widest(&a);
    CHECK_INT(window, LIMIT_H2_WINDOW_MOST / 2);
    ahead_leave(&a, window);
    CHECK(a.streams == 0 && a.extra == 0, "all is given back");
    CHECK_INT(widest(NULL), LIMIT_H2_WINDOW_MOST);
}

TEST(ahead, the_sum_is_bounded_G11)
{
    struct ahead a = {0};
    size_t windows[LIMIT_H2_STREAMS], sum = 0;
    for (size_t i = 0; i < LIMIT_H2_STREAMS; i++) {
        ahead_join(&a);
        windows[i] = widest(&a);
        sum += windows[i];
    }
    CHECK(sum <= LIMIT_H2_WINDOW_MOST + LIMIT_H2_STREAMS * LIMIT_H2_WINDOW_LEAST, "%zu", sum);
    CHECK(windows[1] >= 2 * LIMIT_H2_WINDOW, "who comes second finds much: %zu", windows[1]);
    for (size_t i = 0; i < LIMIT_H2_STREAMS; i++) {
        ahead_leave(&a, windows[i]);
    }
    CHECK(a.streams == 0 && a.extra == 0, "all is given back");
}

/* Those that begin together, before any has grown. */
TEST(ahead, shares_are_equal)
{
    struct ahead a = {0};
    enum { MANY = 15 };
    for (int i = 0; i < MANY; i++) {
        ahead_join(&a);
    }
    for (int i = 0; i < MANY; i++) {
        CHECK_INT(widest(&a), LIMIT_H2_WINDOW);
    }
}
