#include "base/limits.h"
#include "check.h"
#include "http/h1_parse.h"

static const struct h1_limits limits = {.line = LIMIT_REPLY_HEAD,
                                        .head = LIMIT_REPLY_HEAD,
                                        .fields = LIMIT_REPLY_FIELDS,
                                        .field = LIMIT_REPLY_HEAD};

struct parsed {
    enum err e;
    struct reply r;
    struct h1_head head;
    struct arena a;
};

static void parse_cut(struct parsed *p, struct span in, struct asked asked, size_t cut)
{
    struct h1_scan s;
    arena_init(&p->a, NULL, 4096, 0);
    h1_scan_init(&s, H1_REPLY);
    p->e = ERR_AGAIN;
    if (cut < in.n) {
        p->e = h1_parse_reply(&s, &limits, span_sub(in, 0, cut), asked, &p->a, &p->r, &p->head);
    }
    if (p->e == ERR_AGAIN) {
        p->e = h1_parse_reply(&s, &limits, in, asked, &p->a, &p->r, &p->head);
    }
}

#define GET_                                                                                       \
    {                                                                                              \
        METHOD_GET, UPGRADE_NONE                                                                   \
    }
#define HEAD_                                                                                      \
    {                                                                                              \
        METHOD_HEAD, UPGRADE_NONE                                                                  \
    }
#define WS_                                                                                        \
    {                                                                                              \
        METHOD_GET, UPGRADE_WEBSOCKET                                                              \
    }
#define BAD(text)                                                                                  \
    {                                                                                              \
        {text, sizeof(text) - 1}, GET_, ERR_BACKEND_PROTOCOL, 0, H1_NONE, false                    \
    }
#define BAD_SWITCH(text)                                                                           \
    {                                                                                              \
        {text, sizeof(text) - 1}, WS_, ERR_BACKEND_PROTOCOL, 0, H1_NONE, false                     \
    }
#define OK(text, asked, status, coding, keep)                                                      \
    {                                                                                              \
        {text, sizeof(text) - 1}, asked, ERR_OK, status, coding, keep                              \
    }
#define L "HTTP/1.1 200 OK\r\n"

static const struct {
    struct span in;
    struct asked asked;
    enum err e;
    unsigned status;
    enum h1_coding coding;
    bool keep;
} rows[] = {
    OK(L "Content-Length: 5\r\n\r\n", GET_, 200, H1_LENGTH, true),
    OK(L "Content-Length: 0\r\n\r\n", GET_, 200, H1_NONE, true),
    OK(L "Content-Length: 5\r\n\r\n", HEAD_, 200, H1_NONE, true),
    OK(L "Transfer-Encoding: chunked\r\n\r\n", GET_, 200, H1_CHUNKED, true),
    OK(L "Transfer-Encoding: chunked\r\nTrailer: Digest\r\n\r\n", GET_, 200, H1_CHUNKED, true),
    OK(L "Transfer-Encoding: CHUNKED\r\n\r\n", HEAD_, 200, H1_NONE, true),
    OK(L "\r\n", GET_, 200, H1_CLOSE, false),
    OK(L "\r\n", HEAD_, 200, H1_NONE, true),
    OK(L "Connection: close\r\nContent-Length: 1\r\n\r\n", GET_, 200, H1_LENGTH, false),
    OK("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", GET_, 200, H1_LENGTH, false),
    OK("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n", GET_, 200,
       H1_LENGTH, true),
    OK("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", GET_, 200, H1_CLOSE, false),
    OK("HTTP/1.1 204 No Content\r\n\r\n", GET_, 204, H1_NONE, true),
    OK("HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", GET_, 204, H1_NONE, true),
    OK("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", GET_, 304, H1_NONE, true),
    OK("HTTP/1.1 100 Continue\r\n\r\n", GET_, 100, H1_NONE, true),
    OK("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", GET_, 103, H1_NONE, true),
    OK("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", GET_, 200, H1_NONE, true),
    OK("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", GET_, 200, H1_NONE, true),
    OK("HTTP/1.1 599 \xe4\xf6 \t x\r\nContent-Length: 0\r\n\r\n", GET_, 599, H1_NONE, true),
    OK("HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n", WS_, 101, H1_NONE,
       false),
    OK("HTTP/1.1 426 x\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n", WS_,
       426, H1_NONE, true),
    OK(L "a_b: c\r\nContent-Length: 0\r\n\r\n", GET_, 200, H1_NONE, true),
    /* H18 */
    BAD("HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
    BAD("HTTP/1.1 099 x\r\n\r\n"),
    BAD("HTTP/1.1 600 x\r\n\r\n"),
    BAD("HTTP/1.1 999 x\r\n\r\n"),
    BAD("HTTP/1.1 20 x\r\n\r\n"),
    BAD("HTTP/1.1 2000 x\r\n\r\n"),
    BAD("HTTP/1.1 2x0 x\r\n\r\n"),
    BAD("HTTP/1.1  200 x\r\n\r\n"),
    BAD("HTTP/1.1\t200 x\r\n\r\n"),
    BAD("HTTP/1.1 200OK\r\n\r\n"),
    BAD("HTTP/1.1 -20 x\r\n\r\n"),
    BAD("HTTP/1.1\r\n\r\n"),
    BAD("HTTP/1.2 200 OK\r\n\r\n"),
    BAD("HTTP/2.0 200 OK\r\n\r\n"),
    BAD("HTTP/0.9 200 OK\r\n\r\n"),
    BAD("http/1.1 200 OK\r\n\r\n"),
    BAD("ICY 200 OK\r\n\r\n"),
    BAD("\r\nHTTP/1.1 200 OK\r\n\r\n"),
    BAD(" HTTP/1.1 200 OK\r\n\r\n"),
    BAD("<html>\r\n\r\n"),
    BAD("\x16\x03\x01"),
    BAD("SSH-2.0-x\r\n\r\n"),
    BAD("HTTP/1.1 200 O\0K\r\n\r\n"),
    BAD("HTTP/1.1 200 OK\n\n"),
    BAD(L "A: b\n\r\n"),
    BAD(L "A: b\rC: d\r\n\r\n"),
    BAD(L "A: b\r\n c\r\n\r\n"),
    BAD(L "A : b\r\n\r\n"),
    BAD(L ": b\r\n\r\n"),
    BAD(L "A\r\n\r\n"),
    BAD(L "A: \0\r\n\r\n"),
    BAD(L "A: \x7f\r\n\r\n"),
    BAD(L "Content-Length: x\r\n\r\n"),
    BAD(L "Content-Length: -1\r\n\r\n"),
    BAD(L "Content-Length: 5, 5\r\n\r\n"),
    BAD(L "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
    BAD(L "Content-Length: 9223372036854775808\r\n\r\n"),
    BAD(L "Content-Length:\r\n\r\n"),
    BAD(L "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
    BAD(L "Transfer-Encoding: gzip\r\n\r\n"),
    BAD(L "Transfer-Encoding: gzip, chunked\r\n\r\n"),
    BAD(L "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    BAD(L "Transfer-Encoding: identity\r\n\r\n"),
    BAD("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    BAD(L "Connection: a b\r\n\r\n"),
    BAD_SWITCH("HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n"),
    BAD_SWITCH("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
};

TEST(reply, rows_at_every_cut_H18)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t cut = 0; cut <= rows[i].in.n; cut++) {
            struct parsed p;
            parse_cut(&p, rows[i].in, rows[i].asked, cut);
            CHECK(p.e == rows[i].e, "row %zu cut %zu: %s", i, cut, err_name(p.e));
            if (p.e == ERR_OK) {
                CHECK(p.r.status == rows[i].status, "row %zu: %u", i, p.r.status);
                CHECK(p.head.coding == rows[i].coding, "row %zu: coding", i);
                CHECK(p.head.keep_alive == rows[i].keep, "row %zu: keep", i);
                CHECK(p.head.bytes == rows[i].in.n, "row %zu: bytes", i);
            }
            arena_reset(&p.a);
        }
    }
}

TEST(reply, fields_and_lengths)
{
    struct parsed p;
    struct asked head = HEAD_;
    parse_cut(&p,
              SPAN(L "Server: x\r\nContent-Length: 77\r\nKeep-Alive: max=3, Timeout=12\r\n"
                     "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nSet-Cookie: a\r\n"
                     "Set-Cookie: b\r\nTrailer: c\r\n\r\n"),
              head, 0);
    CHECK_INT(p.e, ERR_OK);
    CHECK_INT(p.r.content, CONTENT_NONE);
    CHECK(p.r.has_length && p.r.length == 77, "the length that GET would have");
    CHECK_INT(p.head.keep_ms, 12000);
    CHECK_INT(p.r.fields.n, 3);
    CHECK_SPAN(p.r.fields.v[0].name, "server");
    CHECK_INT(fields_count(&p.r.fields, FIELD_SET_COOKIE), 2);
    arena_reset(&p.a);
}

TEST(reply, sizes_L17)
{
    static char text[KIB(80)];
    struct asked get = GET_;
    struct parsed p;
    memset(text, 'a', sizeof(text));
    memcpy(text, L "A: ", 20);
    parse_cut(&p, span_of(text, sizeof(text)), get, sizeof(text));
    CHECK_INT(p.e, ERR_BACKEND_HEAD_TOO_LARGE);
    arena_reset(&p.a);
    memcpy(text, "HTTP/1.1 200 ", 13);
    memset(text + 13, 'a', 20);
    parse_cut(&p, span_of(text, sizeof(text)), get, sizeof(text));
    CHECK_INT(p.e, ERR_BACKEND_HEAD_TOO_LARGE);
    arena_reset(&p.a);
    for (size_t count = LIMIT_REPLY_FIELDS; count <= LIMIT_REPLY_FIELDS + 1; count++) {
        size_t n = sizeof(L) - 1;
        memcpy(text, L, n);
        for (size_t i = 0; i < count; i++, n += 5) {
            memcpy(text + n, "a: \r\n", 5);
        }
        memcpy(text + n, "\r\n", 2);
        parse_cut(&p, span_of(text, n + 2), get, 0);
        CHECK_INT(p.e, count == LIMIT_REPLY_FIELDS ? ERR_OK : ERR_BACKEND_HEAD_TOO_LARGE);
        arena_reset(&p.a);
    }
}
