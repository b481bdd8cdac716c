#include "base/limits.h"
#include "check.h"
#include "http/h1_body.h"

#include <stdio.h>
#include <stdlib.h>

struct outcome {
    enum err e;
    bool done;
    size_t taken;
    char content[64];
    size_t n;
    struct fields trailers;
};

/* Bytes up to n are there; what is not taken is handed over again. */
static bool feed(struct h1_body *b, struct span in, size_t n, struct outcome *o)
{
    while (!h1_body_done(b)) {
        size_t used = 0;
        struct span piece;
        o->e = h1_body_step(b, span_sub(in, o->taken, n), &used, &piece);
        o->taken += used;
        for (size_t i = 0; i < piece.n && o->n < sizeof(o->content) - 1; i++) {
            o->content[o->n++] = piece.p[i];
        }
        if (o->e != ERR_OK) {
            return o->e == ERR_AGAIN;
        }
    }
    o->done = true;
    return false;
}

static struct outcome decode(struct span in, size_t cut, struct arena *a)
{
    struct outcome o = {.e = ERR_AGAIN};
    struct h1_body b;
    h1_body_init(&b, H1_CHUNKED, 0, a, &o.trailers);
    if (feed(&b, in, cut, &o)) {
        feed(&b, in, in.n, &o);
    }
    return o;
}

static const struct {
    const char *in;
    enum err e; /* ERR_OK: complete */
    const char *content;
    size_t taken; /* 0: all */
} rows[] = {
    {"0\r\n\r\n", ERR_OK, "", 0},
    {"5\r\nhello\r\n0\r\n\r\n", ERR_OK, "hello", 0},
    {"5\r\nhello\r\n0\r\n\r\nGET", ERR_OK, "hello", 15},
    {"0a\r\n0123456789\r\n1\r\nx\r\n0000\r\n\r\n", ERR_OK, "0123456789x", 0},
    {"A\r\n0123456789\r\n0\r\n\r\n", ERR_OK, "0123456789", 0},
    {"000000000000000A\r\n0123456789\r\n0\r\n\r\n", ERR_OK, "0123456789", 0},
    {"1;a\r\nx\r\n0\r\n\r\n", ERR_OK, "x", 0},
    {"1;a=b\r\nx\r\n0;c\r\n\r\n", ERR_OK, "x", 0},
    {"1 ; a = b ; c\r\nx\r\n0\r\n\r\n", ERR_OK, "x", 0},
    {"1\t;\ta=\"b \\\" ; \xff\"\r\nx\r\n0\r\n\r\n", ERR_OK, "x", 0},
    {"1;a=\"\";b=\"\\\\\"\r\nx\r\n0\r\n\r\n", ERR_OK, "x", 0},
    {"0\r\nX-A: b\r\n\r\n", ERR_OK, "", 0},
    {"0\r\nx_a: \xff\r\nb:\r\n\r\n", ERR_OK, "", 0},
    /* H1: line ends */
    {"1\nx\n0\n\n", ERR_BAD_LINE_END, "", 2},
    {"1\r\rx", ERR_BAD_LINE_END, "", 3},
    {"1\rx", ERR_BAD_LINE_END, "", 3},
    {"1\r\nx\n0\r\n\r\n", ERR_BAD_LINE_END, "x", 5},
    {"1\r\nx\rx", ERR_BAD_LINE_END, "x", 6},
    {"1;a\nx", ERR_BAD_LINE_END, "", 4},
    {"1;a=b\nx", ERR_BAD_LINE_END, "", 6},
    {"1;a=\"b\n", ERR_BAD_LINE_END, "", 7},
    {"0\r\n\n", ERR_BAD_LINE_END, "", 3},
    {"0\r\nA: b\n\r\n", ERR_BAD_LINE_END, "", 3},
    {"0\r\n\rx", ERR_BAD_LINE_END, "", 3},
    {"\n", ERR_BAD_LINE_END, "", 1},
    /* H6: sizes and extensions */
    {"\r\n", ERR_BAD_CHUNK, "", 1},
    {"g\r\n", ERR_BAD_CHUNK, "", 1},
    {"-1\r\n", ERR_BAD_CHUNK, "", 1},
    {"+1\r\n", ERR_BAD_CHUNK, "", 1},
    {"0x1\r\n", ERR_BAD_CHUNK, "", 2},
    {" 1\r\n", ERR_BAD_CHUNK, "", 1},
    {"1 \r\nx", ERR_BAD_CHUNK, "", 3},
    {"1 x\r\n", ERR_BAD_CHUNK, "", 3},
    {"1,1\r\n", ERR_BAD_CHUNK, "", 2},
    {"1;\r\nx", ERR_BAD_CHUNK, "", 3},
    {"1;;a\r\n", ERR_BAD_CHUNK, "", 3},
    {"1;=a\r\n", ERR_BAD_CHUNK, "", 3},
    {"1;a=\r\n", ERR_BAD_CHUNK, "", 5},
    {"1;a=;b\r\n", ERR_BAD_CHUNK, "", 5},
    {"1;a b\r\n", ERR_BAD_CHUNK, "", 5},
    {"1;a \r\n", ERR_BAD_CHUNK, "", 5},
    {"1;a=b \r\n", ERR_BAD_CHUNK, "", 7},
    {"1;a=b=c\r\n", ERR_BAD_CHUNK, "", 6},
    {"1;a=\"b\"c\r\n", ERR_BAD_CHUNK, "", 8},
    {"1;a=\"b\x01\"\r\n", ERR_BAD_CHUNK, "", 7},
    {"1;a=\"b\\\x7f\"\r\n", ERR_BAD_CHUNK, "", 8},
    {"1;a@b\r\n", ERR_BAD_CHUNK, "", 4},
    {"1\r\nxy\r\n", ERR_BAD_CHUNK, "x", 5},
    {"2\r\nx\r\n0\r\n\r\n", ERR_BAD_LINE_END, "x\r", 6},
    {"1\r\nx0\r\n", ERR_BAD_CHUNK, "x", 5},
    /* L15 */
    {"00000000000000001\r\nx\r\n", ERR_BAD_CHUNK, "", 17},
    {"8000000000000000\r\n", ERR_BAD_CHUNK, "", 16},
    {"ffffffffffffffff\r\n", ERR_BAD_CHUNK, "", 16},
    /* trailers */
    {"0\r\n A: b\r\n\r\n", ERR_BAD_CHUNK, "", 3},
    {"0\r\nA : b\r\n\r\n", ERR_BAD_CHUNK, "", 3},
    {"0\r\nA\r\n\r\n", ERR_BAD_CHUNK, "", 3},
    {"0\r\nA: \x01\r\n\r\n", ERR_BAD_CHUNK, "", 3},
    {"0\r\n: b\r\n\r\n", ERR_BAD_CHUNK, "", 3},
    /* more is needed */
    {"", ERR_AGAIN, "", 0},
    {"5", ERR_AGAIN, "", 0},
    {"5\r\nhel", ERR_AGAIN, "hel", 0},
    {"0\r\n", ERR_AGAIN, "", 0},
    {"7fffffffffffffff\r\nx", ERR_AGAIN, "x", 0},
};

TEST(body, chunked_rows_at_every_cut_H1_H6_L15)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct span in = span_str(rows[i].in);
        for (size_t cut = 0; cut <= in.n; cut++) {
            struct arena a;
            arena_init(&a, NULL, 4096, 0);
            struct outcome o = decode(in, cut, &a);
            CHECK(o.e == rows[i].e, "row %zu cut %zu: %s", i, cut, err_name(o.e));
            CHECK(o.done == (rows[i].e == ERR_OK), "row %zu cut %zu", i, cut);
            CHECK_STR(o.content, rows[i].content);
            if (rows[i].e != ERR_AGAIN || rows[i].taken != 0) {
                size_t want = rows[i].taken != 0 ? rows[i].taken : in.n;
                CHECK(o.taken == want, "row %zu cut %zu: %zu taken", i, cut, o.taken);
            }
            arena_reset(&a);
        }
    }
}

static enum err run_all(const char *p, size_t n, struct h1_body *b)
{
    struct span in = span_of(p, n);
    enum err e = ERR_OK;
    while (e == ERR_OK && !h1_body_done(b)) {
        size_t used = 0;
        struct span piece;
        e = h1_body_step(b, in, &used, &piece);
        in = span_sub(in, used, in.n);
    }
    return e;
}

TEST(body, chunk_line_limit_L15)
{
    for (size_t extra = 250; extra <= 260; extra++) {
        char text[400];
        struct h1_body b;
        int n = snprintf(text, sizeof(text), "1;%0*d\r\nx\r\n0\r\n\r\n", (int)extra, 0);
        h1_body_init(&b, H1_CHUNKED, 0, NULL, NULL);
        CHECK_INT(run_all(text, (size_t)n, &b),
                  extra + 2 <= LIMIT_CHUNK_LINE ? ERR_OK : ERR_CHUNK_OVERHEAD);
    }
}

TEST(body, chunk_overhead_L15)
{
    char one[] = "1;aaaaaaaaaaaaaaaaaaaa\r\nx\r\n"; /* 26 bytes of framing for one of content */
    struct h1_body b;
    enum err e = ERR_AGAIN;
    size_t chunks = 0;
    h1_body_init(&b, H1_CHUNKED, 0, NULL, NULL);
    while (e == ERR_AGAIN && chunks < 10000) {
        e = run_all(one, sizeof(one) - 1, &b);
        chunks++;
    }
    CHECK_INT(e, ERR_CHUNK_OVERHEAD);
    CHECK(chunks > 600 && chunks < 700, "%zu chunks", chunks);
}

TEST(body, trailer_limits_L14)
{
    static const struct {
        int count, size;
        enum err e;
    } cases[] = {{16, 10, ERR_OK},
                 {17, 10, ERR_TRAILERS_TOO_LARGE},
                 {1, 4000, ERR_OK},
                 {1, 4100, ERR_TRAILERS_TOO_LARGE},
                 {4, 1100, ERR_TRAILERS_TOO_LARGE}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[8192] = "0\r\n";
        size_t n = 3;
        struct h1_body b;
        for (int f = 0; f < cases[i].count; f++) {
            n += (size_t)snprintf(text + n, sizeof(text) - n, "x: %0*d\r\n", cases[i].size, 0);
        }
        n += (size_t)snprintf(text + n, sizeof(text) - n, "\r\n");
        h1_body_init(&b, H1_CHUNKED, 0, NULL, NULL);
        CHECK(run_all(text, n, &b) == cases[i].e, "case %zu", i);
    }
}

TEST(body, trailers_kept_are_harmless)
{
    struct arena a;
    struct outcome o;
    arena_init(&a, NULL, 4096, 0);
    o = decode(
        SPAN("0\r\nGRPC-Status: 0\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: a\r\n"
             "Authorization: z\r\nSet-Cookie: a\r\nContent-Type: b\r\nConnection: c\r\n"
             "X-Sum: \t1 \r\n\r\n"),
        0, &a);
    CHECK_INT(o.done, true);
    CHECK_INT(o.trailers.n, 2);
    CHECK_SPAN(o.trailers.v[0].name, "grpc-status");
    CHECK_SPAN(o.trailers.v[1].value, "1");
    arena_reset(&a);
}

TEST(body, length_and_close)
{
    struct h1_body b;
    size_t used = 0;
    struct span piece;
    h1_body_init(&b, H1_LENGTH, 5, NULL, NULL);
    CHECK_INT(h1_body_step(&b, SPAN("hel"), &used, &piece), ERR_OK);
    CHECK(used == 3 && !h1_body_done(&b), "three of five");
    CHECK_INT(h1_body_step(&b, SPAN("loGET"), &used, &piece), ERR_OK);
    CHECK_SPAN(piece, "lo");
    CHECK(used == 2 && h1_body_done(&b), "all five");
    CHECK_INT(h1_body_step(&b, SPAN("GET"), &used, &piece), ERR_OK);
    CHECK(used == 0 && piece.n == 0, "nothing after the end");
    h1_body_init(&b, H1_LENGTH, 0, NULL, NULL);
    CHECK(h1_body_done(&b), "empty");
    h1_body_init(&b, H1_NONE, 7, NULL, NULL);
    CHECK(h1_body_done(&b), "none");
    h1_body_init(&b, H1_CLOSE, 0, NULL, NULL);
    CHECK_INT(h1_body_step(&b, SPAN("any"), &used, &piece), ERR_OK);
    CHECK(used == 3 && !h1_body_done(&b), "until close");
}

TEST(body, spaces_and_tabs_of_extensions)
{
    static const struct {
        const char *line;
        enum err want;
    } cases[] = {{"1 ;a", ERR_OK},
                 {"1  \t;a", ERR_OK},
                 {"1\t;a", ERR_OK},
                 {"1 ", ERR_BAD_CHUNK},
                 {"1 x", ERR_BAD_CHUNK},
                 {"1;a=\"\t \"", ERR_OK},
                 {"1;a=\"\x01\"", ERR_BAD_CHUNK},
                 {"1;a=\"\x7f\"", ERR_BAD_CHUNK},
                 {"1;a=\"\n\"", ERR_BAD_LINE_END}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        struct h1_body b;
        int n = snprintf(text, sizeof text, "%s\r\nx\r\n0\r\n\r\n", cases[i].line);
        h1_body_init(&b, H1_CHUNKED, 0, NULL, NULL);
        CHECK(run_all(text, (size_t)n, &b) == cases[i].want, "%s", cases[i].line);
    }
}

TEST(body, chunk_lines)
{
    static const uint64_t sizes[] = {1, 9, 10, 15, 16, 255, 4096, 65535, UINT64_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char want[32], got[H1_CHUNK_LINE];
        int n = snprintf(want, sizeof(want), "%llx\r\n", (unsigned long long)sizes[i]);
        CHECK_INT(h1_chunk_line(got, sizes[i]), n);
        CHECK(memcmp(got, want, (size_t)n) == 0, "%s", want);
    }
}
