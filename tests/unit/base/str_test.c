#include "base/str.h"
#include "check.h"

#include <inttypes.h>

TEST(str, comparing)
{
    CHECK(span_eq(SPAN("a"), span_str("a")), "equal");
    CHECK(!span_eq(SPAN("a"), SPAN("ab")) && !span_eq(SPAN("ab"), SPAN("aB")), "unequal");
    CHECK(span_eq(SPAN_NONE, span_str(NULL)), "none is none");
    CHECK(span_eq_nocase(SPAN("Content-LENGTH"), SPAN("content-length")), "letters");
    CHECK(!span_eq_nocase(SPAN("a["), SPAN("A{")), "only letters have case");
    CHECK(!span_eq_nocase(SPAN("\xc4"), SPAN("\xe4")), "only ASCII letters");
    CHECK(span_cmp(SPAN("a"), SPAN("ab")) < 0 && span_cmp(SPAN("b"), SPAN("ab")) > 0, "order");
    CHECK_INT(span_cmp(SPAN("ab"), SPAN("ab")), 0);
    CHECK_INT(span_cmp(SPAN_NONE, SPAN("")), 0);
    CHECK(span_cmp(SPAN("\xff"), SPAN("a")) > 0, "bytes are unsigned");
}

TEST(str, ends)
{
    CHECK(span_starts(SPAN("abc"), SPAN("ab")) && span_starts(SPAN("abc"), SPAN_NONE), "starts");
    CHECK(!span_starts(SPAN("abc"), SPAN("abcd")) && !span_starts(SPAN("abc"), SPAN("b")), "not");
    CHECK(span_ends(SPAN("abc"), SPAN("bc")) && span_ends(SPAN("abc"), SPAN("")), "ends");
    CHECK(!span_ends(SPAN("abc"), SPAN("zabc")) && !span_ends(SPAN("abc"), SPAN("b")), "not");
}

TEST(str, contains)
{
    CHECK(span_contains(SPAN("abcabd"), SPAN("abd")) && span_contains(SPAN("a"), SPAN("a")), "is");
    CHECK(!span_contains(SPAN("abc"), SPAN("abd")) && !span_contains(SPAN("ab"), SPAN("abc")),
          "no");
    CHECK(span_contains(SPAN("a"), SPAN_NONE) && span_contains(SPAN_NONE, SPAN_NONE), "nothing");
    CHECK(!span_contains(SPAN_NONE, SPAN("a")), "in nothing");
}

TEST(str, pieces)
{
    struct span head, rest;
    CHECK_INT(span_find(SPAN("a,b"), ','), 1);
    CHECK_INT(span_find(SPAN("ab"), ','), 2);
    CHECK_INT(span_find(SPAN_NONE, ','), 0);
    CHECK_SPAN(span_sub(SPAN("abcdef"), 1, 3), "bc");
    CHECK_SPAN(span_sub(SPAN("abc"), 2, 99), "c");
    CHECK_SPAN(span_sub(SPAN("abc"), 7, 99), "");
    CHECK_SPAN(span_sub(SPAN("abc"), 2, 1), "");
    rest = span_cut(SPAN("a,b,c"), ',', &head);
    CHECK_SPAN(head, "a");
    CHECK_SPAN(rest, "b,c");
    rest = span_cut(SPAN("abc"), ',', &head);
    CHECK_SPAN(head, "abc");
    CHECK_SPAN(rest, "");
    rest = span_cut(SPAN("abc,"), ',', &head);
    CHECK_SPAN(head, "abc");
    CHECK_SPAN(rest, "");
    rest = span_cut(SPAN_NONE, ',', &head);
    CHECK_INT(head.n + rest.n, 0);
}

TEST(str, trim_takes_only_ows)
{
    CHECK_SPAN(span_trim(SPAN(" \t a b\t ")), "a b");
    CHECK_SPAN(span_trim(SPAN(" \t ")), "");
    CHECK_SPAN(span_trim(SPAN("\r\na\v")), "\r\na\v");
    CHECK_SPAN(span_trim(SPAN_NONE), "");
}

struct number_row {
    const char *text;
    enum err want;
    uint64_t value;
};

/* A6: checked arithmetic; nothing but digits. */
TEST(str, decimal)
{
    static const struct number_row rows[] = {
        {"0", ERR_OK, 0},
        {"0007", ERR_OK, 7},
        {"9999999999999999999", ERR_OK, 9999999999999999999U},
        {"10000000000000000000", ERR_RANGE, 0},
        {"", ERR_SYNTAX, 0},
        {"+1", ERR_SYNTAX, 0},
        {"-1", ERR_SYNTAX, 0},
        {" 1", ERR_SYNTAX, 0},
        {"1 ", ERR_SYNTAX, 0},
        {"1,1", ERR_SYNTAX, 0},
        {"0x1", ERR_SYNTAX, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t v = 0;
        enum err e = span_u64(span_str(rows[i].text), &v);
        CHECK(e == rows[i].want && v == rows[i].value, "\"%s\": %s %" PRIu64, rows[i].text,
              err_name(e), v);
    }
}

TEST(str, hexadecimal)
{
    static const struct number_row rows[] = {
        {"0", ERR_OK, 0},
        {"fF", ERR_OK, 255},
        {"ffffffffffffffff", ERR_OK, UINT64_MAX},
        {"0ffffffffffffffff", ERR_RANGE, 0},
        {"", ERR_SYNTAX, 0},
        {"g", ERR_SYNTAX, 0},
        {"0x1", ERR_SYNTAX, 0},
        {"-1", ERR_SYNTAX, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t v = 0;
        enum err e = span_hex_u64(span_str(rows[i].text), &v);
        CHECK(e == rows[i].want && v == rows[i].value, "\"%s\": %s %" PRIx64, rows[i].text,
              err_name(e), v);
    }
}

TEST(str, hex_digits)
{
    for (int c = -128; c < 128; c++) {
        const char *all = "0123456789abcdef", *at = NULL;
        if (c > 0)
            at = strchr(all, c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c);
        CHECK_INT(ascii_hex((char)c), at != NULL ? at - all : -1);
    }
}

TEST(str, printing_is_the_inverse_of_parsing)
{
    static const uint64_t values[] = {0, 9, 10, 99, 100, 123456789, 9999999999999999999U};
    char out[20];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        uint64_t v = 0;
        size_t n = u64_print(out, values[i]);
        CHECK(span_u64(span_of(out, n), &v) == ERR_OK && v == values[i], "%" PRIu64, values[i]);
    }
    CHECK_SPAN(span_of(out, u64_print(out, UINT64_MAX)), "18446744073709551615");
}

TEST(str, printing_agrees_with_the_c_library)
{
    char out[20], want[24];
    for (uint64_t power = 1, v = 0; power <= 1000000000000000000; power *= 10) {
        for (unsigned i = 0; i < 2000; i++) {
            v = power * (i / 4 + 1) + i % 4 - 2;
            snprintf(want, sizeof want, "%" PRIu64, v);
            CHECK_SPAN(span_of(out, u64_print(out, v)), want);
        }
    }
    for (unsigned i = 0; i < 100; i++) {
        snprintf(want, sizeof want, "%02u", i);
        pair_print(out, i);
        CHECK_SPAN(span_of(out, 2), want);
    }
}

TEST(str, prints_hex)
{
    static const struct {
        uint64_t v;
        const char *want;
    } rows[] = {
        {0, "0000000000000000"},
        {UINT64_MAX, "ffffffffffffffff"},
        {UINT64_C(0x0123456789abcdef), "0123456789abcdef"},
        {UINT64_C(0xfedcba9876543210), "fedcba9876543210"},
        {UINT64_C(0x900a09f000000001), "900a09f000000001"},
    };
    char out[16];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        u64_print_hex(out, rows[i].v);
        CHECK_SPAN(span_of(out, sizeof out), rows[i].want);
    }
}

/* Against the plain meaning, for every byte at every place of what is looked at eight at once. */
TEST(str, quotable_bytes)
{
    char text[25];
    CHECK_INT(span_quotable(SPAN_NONE), 0);
    for (size_t n = 1; n < sizeof text; n++) {
        for (unsigned c = 0; c < 256 * n; c++) {
            size_t at = c / 256;
            bool good = c % 256 >= 0x20 && c % 256 < 0x7f && c % 256 != '"' && c % 256 != '\\';
            memset(text, 'a', n);
            text[at] = (char)(c % 256);
            CHECK_INT(span_quotable(span_of(text, n)), good ? n : at);
        }
    }
}

/* And copied meanwhile, with nothing beside it touched. */
TEST(str, copies_quotable_bytes)
{
    char text[25], out[sizeof text + 2];
    for (size_t n = 0; n < sizeof text; n++) {
        for (unsigned c = 0; c < 256 * (n + 1); c++) {
            size_t at = c / 256;
            bool good = c % 256 >= 0x20 && c % 256 < 0x7f && c % 256 != '"' && c % 256 != '\\';
            memset(text, 'a', sizeof text);
            if (at < n)
                text[at] = (char)(c % 256);
            memset(out, '~', sizeof out);
            bool all = span_copy_quotable(out + 1, span_of(text, n));
            CHECK(all == (good || at == n), "%u of %zu", c, n);
            CHECK(memcmp(out + 1, text, n) == 0 && out[0] == '~' && out[n + 1] == '~', "%zu", n);
        }
    }
}

TEST(str, copies_any_length)
{
    char text[70], out[sizeof text + 2];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i + 1);
    for (size_t n = 0; n <= sizeof text; n++) {
        memset(out, '~', sizeof out);
        span_copy(out + 1, span_of(n > 0 ? text : NULL, n));
        CHECK(memcmp(out + 1, text, n) == 0 && out[0] == '~' && out[n + 1] == '~', "%zu", n);
    }
}
