#include "base/near.h"
#include "check.h"

TEST(near, distance)
{
    static const struct {
        const char *a, *b;
        size_t want;
    } rows[] = {
        {"", "", 0},
        {"pools", "pools", 0},
        {"pool", "pools", 1},
        {"", "abc", 3},
        {"kitten", "sitting", 3},
        {"interval", "intreval", 1},
        {"tls", "tsl", 1},
        {"bind", "ibdn", 2},
        {"ab", "ba", 1},
        {"aab", "aba", 1},
        {"abcdef", "uvwxyz", 5 /* the cap */},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct span a = span_str(rows[i].a), b = span_str(rows[i].b);
        CHECK_INT(near_distance(a, b, 5), rows[i].want);
        CHECK_INT(near_distance(b, a, 5), rows[i].want);
    }
    char longer[200];
    memset(longer, 'x', sizeof longer);
    CHECK_INT(near_distance(span_of(longer, 200), SPAN("x"), 4), 4);
    CHECK_INT(near_distance(SPAN("x"), span_of(longer, 200), 4), 4);
    CHECK_INT(near_distance(span_of(longer, 200), span_of(longer, 200), 4), 0);
}

TEST(near, meant)
{
    static const struct {
        const char *wanted, *said;
    } rows[] = {
        {"log-levle", "; did you mean 'log-level'?"},
        {"dbug", "; did you mean 'debug'?"},
        {"eror", "; did you mean 'error'?"},
        {"wran", "; did you mean 'warn'?"},
        {"xyz", ""},
        {"", ""},
        {"a-name-that-is-longer-than-any-of-these-and-longer-than-what-is-looked-at", ""},
    };
    static const char *const names[] = {"log-level", "debug", "error", "warn", ""};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char memory[64];
        struct buf said;
        struct near near = near_to(span_str(rows[i].wanted));
        for (size_t k = 0; k < sizeof names / sizeof *names; k++)
            near_offer(&near, span_str(names[k]));
        buf_fixed(&said, memory, sizeof memory);
        near_put(&near, &said);
        CHECK_SPAN(buf_span(&said), rows[i].said);
    }
}
