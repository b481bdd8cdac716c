#include "base/limits.h"
#include "base/mem.h"
#include "check.h"
#include "http/h1_parse.h"

#include <stdio.h>
#include <stdlib.h>

static const struct h1_limits limits = {
    .line = LIMIT_REQUEST_LINE, .head = LIMIT_HEAD, .fields = LIMIT_FIELDS, .field = LIMIT_FIELD};

struct parsed {
    enum err e;
    struct request r;
    struct h1_head head;
    struct arena a;
};

static void parse_cut(struct parsed *p, struct span in, size_t cut)
{
    struct h1_scan s;
    arena_init(&p->a, NULL, 4096, 0);
    h1_scan_init(&s, H1_REQUEST);
    p->e = ERR_AGAIN;
    if (cut < in.n) {
        p->e = h1_parse_request(&s, &limits, span_sub(in, 0, cut), &p->a, &p->r, &p->head);
    }
    if (p->e == ERR_AGAIN) {
        p->e = h1_parse_request(&s, &limits, in, &p->a, &p->r, &p->head);
    }
}

static void parse(struct parsed *p, struct span in)
{
    parse_cut(p, in, in.n);
}

#define ROW(text, e)                                                                               \
    {                                                                                              \
        {text, sizeof(text) - 1}, ERR_##e                                                          \
    }
/* A request with one more line, or with another first line. */
#define LINE(text, e)  ROW("GET / HTTP/1.1\r\nHost: a\r\n" text "\r\n\r\n", e)
#define POST(text, e)  ROW("POST / HTTP/1.1\r\nHost: a\r\n" text "\r\n\r\n", e)
#define FIRST(text, e) ROW(text "\r\nHost: a\r\n\r\n", e)
#define HOST(text, e)  ROW("GET / HTTP/1.1\r\nHost:" text "\r\n\r\n", e)
#define V10(text, e)   ROW("GET / HTTP/1.0\r\n" text "\r\n", e)

static const struct {
    struct span in;
    enum err e;
} rows[] = {
    /* H1: line ends and control bytes */
    ROW("GET / HTTP/1.1\nHost: a\n\n", BAD_LINE_END),
    ROW("GET / HTTP/1.1\nHost: a\r\n\r\n", BAD_LINE_END),
    ROW("GET / HTTP/1.1\r\nHost: a\n\r\n", BAD_LINE_END),
    ROW("GET / HTTP/1.1\r\nHost: a\r\n\n", BAD_LINE_END),
    ROW("GET / HTTP/1.1\r\nHost: a\r\r\n", BAD_LINE_END),
    ROW("GET / HTTP/1.1\r\nHost: a\r\n\rx", BAD_LINE_END),
    ROW("GET / HTTP/1.1\r\rHost: a\r\n\r\n", BAD_LINE_END),
    ROW("GET / HTTP/1.1\rHost: a\r\n\r\n", BAD_LINE_END),
    ROW("GET\n/ HTTP/1.1\r\n", BAD_LINE_END),
    ROW("GET /\nHTTP/1.1\r\n", BAD_LINE_END),
    ROW("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BAD_LINE_END),
    ROW("\r\rGET / HTTP/1.1\r\n", BAD_LINE_END),
    ROW("\r\n\nGET / HTTP/1.1\r\n", BAD_LINE_END),
    ROW("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BAD_REQUEST),
    ROW("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", OK),
    LINE("A: b\nC: d", BAD_LINE_END),
    LINE("A: b\rC: d", BAD_LINE_END),
    LINE("A\n: b", BAD_LINE_END),
    LINE("A: \0", BAD_FIELD),
    LINE("A: b\0c", BAD_FIELD),
    LINE("A\0: b", BAD_FIELD),
    LINE("A: \x01", BAD_FIELD),
    LINE("A: \x1b[0m", BAD_FIELD),
    LINE("A: \x7f", BAD_FIELD),
    LINE("A: \x0b", BAD_FIELD),
    LINE("A: \x0c", BAD_FIELD),
    LINE("A: \t b \t", OK),
    LINE("A: \x80\xff", OK),
    LINE("A\x80: b", BAD_FIELD),
    LINE("A:", OK),
    LINE("A:b", OK),
    ROW("\0GET / HTTP/1.1\r\n", BAD_REQUEST),
    ROW("GE\0T / HTTP/1.1\r\n", BAD_REQUEST),
    ROW("\x16\x03\x01\x02\x00\x01", BAD_REQUEST),
    ROW("\x80\x9e\x01", BAD_REQUEST),
    ROW("\r", AGAIN),
    ROW("", AGAIN),
    ROW("G", AGAIN),
    ROW("GET / HTTP/1.1", AGAIN),
    ROW("GET / HTTP/1.1\r\n", AGAIN),
    ROW("GET / HTTP/1.1\r\nHost: a\r\n", AGAIN),
    ROW("GET / HTTP/1.1\r\nHost: a\r\n\r", AGAIN),
    /* request lines and H2: versions, methods */
    FIRST("GET / HTTP/1.1", OK),
    FIRST("GET / HTTP/1.0", OK),
    FIRST("HEAD / HTTP/1.1", OK),
    FIRST("POST / HTTP/1.1", OK),
    FIRST("PUT / HTTP/1.1", OK),
    FIRST("PATCH / HTTP/1.1", OK),
    FIRST("DELETE / HTTP/1.1", OK),
    FIRST("OPTIONS / HTTP/1.1", OK),
    FIRST("CONNECT a:80 HTTP/1.1", BAD_METHOD),
    FIRST("TRACE / HTTP/1.1", BAD_METHOD),
    FIRST("PROPFIND / HTTP/1.1", BAD_METHOD),
    FIRST("get / HTTP/1.1", BAD_METHOD),
    FIRST("Get / HTTP/1.1", BAD_METHOD),
    FIRST("GETX / HTTP/1.1", BAD_METHOD),
    FIRST("GET / HTTP/1.2", BAD_VERSION),
    FIRST("GET / HTTP/2.0", BAD_VERSION),
    FIRST("GET / HTTP/0.9", BAD_VERSION),
    FIRST("GET / HTTP/9.9", BAD_VERSION),
    ROW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD_VERSION),
    FIRST("GET / HTTP/1.11", BAD_REQUEST),
    FIRST("GET / HTTP/01.1", BAD_REQUEST),
    FIRST("GET / HTTP/1", BAD_REQUEST),
    FIRST("GET / HTTP/2", BAD_REQUEST),
    FIRST("GET / http/1.1", BAD_REQUEST),
    FIRST("GET / HTTPS/1.1", BAD_REQUEST),
    FIRST("GET / HTTP/1.x", BAD_REQUEST),
    FIRST("GET / HTTP 1.1", BAD_REQUEST),
    FIRST("GET / HTTP/1.1 ", BAD_REQUEST),
    FIRST("GET / HTTP/1.1\t", BAD_REQUEST),
    FIRST("GET / ", BAD_REQUEST),
    FIRST("GET /", BAD_REQUEST),
    FIRST("GET", BAD_REQUEST),
    FIRST("GET ", BAD_REQUEST),
    FIRST(" GET / HTTP/1.1", BAD_REQUEST),
    FIRST("GET  / HTTP/1.1", BAD_TARGET),
    FIRST("GET /  HTTP/1.1", BAD_REQUEST),
    FIRST("GET\t/ HTTP/1.1", BAD_REQUEST),
    FIRST("GET /\tHTTP/1.1", BAD_TARGET),
    FIRST("GET /a b HTTP/1.1", BAD_REQUEST),
    FIRST("G(T / HTTP/1.1", BAD_REQUEST),
    FIRST("GET: / HTTP/1.1", BAD_REQUEST),
    FIRST("\"GET\" / HTTP/1.1", BAD_REQUEST),
    FIRST("", BAD_REQUEST),
    /* targets, H14 */
    FIRST("GET /a#b HTTP/1.1", BAD_TARGET),
    FIRST("GET /\x80 HTTP/1.1", BAD_TARGET),
    FIRST("GET /\x7f HTTP/1.1", BAD_TARGET),
    FIRST("GET /\x01 HTTP/1.1", BAD_TARGET),
    FIRST("GET /\0 HTTP/1.1", BAD_TARGET),
    FIRST("GET /% HTTP/1.1", BAD_TARGET),
    FIRST("GET /%4 HTTP/1.1", BAD_TARGET),
    FIRST("GET /%zz HTTP/1.1", BAD_TARGET),
    FIRST("GET /%00 HTTP/1.1", BAD_TARGET),
    FIRST("GET /%u002f HTTP/1.1", BAD_TARGET),
    FIRST("GET a HTTP/1.1", BAD_TARGET),
    FIRST("GET a/b HTTP/1.1", BAD_TARGET),
    FIRST("GET ?a HTTP/1.1", BAD_TARGET),
    FIRST("GET ../a HTTP/1.1", BAD_TARGET),
    FIRST("GET a:80 HTTP/1.1", BAD_TARGET),
    FIRST("GET * HTTP/1.1", BAD_TARGET),
    FIRST("POST * HTTP/1.1", BAD_TARGET),
    FIRST("OPTIONS * HTTP/1.1", OK),
    FIRST("OPTIONS *? HTTP/1.1", BAD_TARGET),
    FIRST("OPTIONS ** HTTP/1.1", BAD_TARGET),
    FIRST("OPTIONS http://b HTTP/1.1", OK),
    FIRST("GET http://b/c HTTP/1.1", OK),
    FIRST("GET https://b:8/c?d HTTP/1.1", OK),
    FIRST("GET http://b HTTP/1.1", OK),
    FIRST("GET ftp://b/ HTTP/1.1", BAD_TARGET),
    FIRST("GET http:/b HTTP/1.1", BAD_TARGET),
    FIRST("GET http:b HTTP/1.1", BAD_TARGET),
    FIRST("GET http:// HTTP/1.1", BAD_HOST),
    FIRST("GET http:///a HTTP/1.1", BAD_HOST),
    FIRST("GET http://u@b/ HTTP/1.1", BAD_HOST),
    FIRST("GET http://u:p@b/ HTTP/1.1", BAD_HOST),
    FIRST("GET http://b:99999/ HTTP/1.1", BAD_HOST),
    FIRST("GET http://b,c/ HTTP/1.1", BAD_HOST),
    FIRST("GET http://[::1/ HTTP/1.1", BAD_HOST),
    FIRST("GET http://b\\c/ HTTP/1.1", BAD_HOST),
    FIRST("GET http://b/%0 HTTP/1.1", BAD_TARGET),
    FIRST("GET //b/c HTTP/1.1", OK),
    /* H3: names */
    LINE(": b", BAD_FIELD),
    LINE(" A: b", BAD_FIELD),
    LINE("\tA: b", BAD_FIELD),
    LINE("A : b", BAD_FIELD),
    LINE("A\t: b", BAD_FIELD),
    LINE("A b: c", BAD_FIELD),
    LINE("A", BAD_FIELD),
    LINE("A(: b", BAD_FIELD),
    LINE("A\": b", BAD_FIELD),
    LINE("A/B: c", BAD_FIELD),
    LINE("A@: c", BAD_FIELD),
    LINE("[A]: c", BAD_FIELD),
    LINE("A=b: c", BAD_FIELD),
    LINE("A: b\r\n c", BAD_FIELD),
    LINE("A: b\r\n\tc", BAD_FIELD),
    LINE("A: b\r\n ", BAD_FIELD),
    ROW("GET / HTTP/1.1\r\n Host: a\r\n\r\n", BAD_FIELD),
    ROW("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", BAD_FIELD),
    LINE("A_B: c", OK),
    LINE("A!#$%&'*+.^`|~: c", OK),
    LINE("Content_Length: 5", OK),
    LINE("Transfer.Encoding: chunked", OK),
    /* H4: Content-Length */
    POST("Content-Length: 0", OK),
    POST("Content-Length: 5", OK),
    POST("content-LENGTH:5", OK),
    POST("Content-Length: 0005", OK),
    POST("Content-Length: 9223372036854775807", OK),
    POST("Content-Length: 9223372036854775808", BAD_LENGTH),
    POST("Content-Length: 18446744073709551616", BAD_LENGTH),
    POST("Content-Length: 00000000000000000005", BAD_LENGTH),
    POST("Content-Length:", BAD_LENGTH),
    POST("Content-Length: +5", BAD_LENGTH),
    POST("Content-Length: -5", BAD_LENGTH),
    POST("Content-Length: 5 5", BAD_LENGTH),
    POST("Content-Length: 5,5", BAD_LENGTH),
    POST("Content-Length: 5, 5", BAD_LENGTH),
    POST("Content-Length: 5,", BAD_LENGTH),
    POST("Content-Length: 0x5", BAD_LENGTH),
    POST("Content-Length: 5a", BAD_LENGTH),
    POST("Content-Length: 5;", BAD_LENGTH),
    POST("Content-Length: 5.0", BAD_LENGTH),
    POST("Content-Length: 1e3", BAD_LENGTH),
    POST("Content-Length: \"5\"", BAD_LENGTH),
    POST("Content-Length: 5\0", BAD_FIELD),
    POST("Content-Length : 5", BAD_FIELD),
    POST("Content-Length: 5\r\nContent-Length: 5", BAD_LENGTH),
    POST("Content-Length: 5\r\nContent-Length: 6", BAD_LENGTH),
    POST("Content-Length: 5\r\ncontent-length:", BAD_LENGTH),
    POST("Content-Length: 5\r\n 6", BAD_FIELD),
    LINE("Content-Length: 5", OK),
    /* H5: Transfer-Encoding */
    POST("Transfer-Encoding: chunked", OK),
    POST("transfer-encoding:chunked", OK),
    POST("Transfer-Encoding: Chunked", OK),
    POST("Transfer-Encoding: \tchunked\t", OK),
    POST("Transfer-Encoding: chunked\r\nContent-Length: 5", BAD_FRAMING),
    POST("Content-Length: 5\r\nTransfer-Encoding: chunked", BAD_FRAMING),
    POST("Content-Length: 0\r\nTransfer-Encoding: chunked", BAD_FRAMING),
    POST("Content-Length: x\r\nTransfer-Encoding: x", BAD_FRAMING),
    POST("Content-Length: 5\r\nTransfer-Encoding: identity", BAD_FRAMING),
    POST("Transfer-Encoding: identity", BAD_CODING),
    POST("Transfer-Encoding: gzip", BAD_CODING),
    POST("Transfer-Encoding: gzip, chunked", BAD_CODING),
    POST("Transfer-Encoding: chunked, gzip", BAD_CODING),
    POST("Transfer-Encoding: chunked, chunked", BAD_CODING),
    POST("Transfer-Encoding: chunked,", BAD_CODING),
    POST("Transfer-Encoding: ,chunked", BAD_CODING),
    POST("Transfer-Encoding: chunked;a=b", BAD_CODING),
    POST("Transfer-Encoding: \"chunked\"", BAD_CODING),
    POST("Transfer-Encoding: xchunked", BAD_CODING),
    POST("Transfer-Encoding: chunke", BAD_CODING),
    POST("Transfer-Encoding: chun ked", BAD_CODING),
    POST("Transfer-Encoding:", BAD_CODING),
    POST("Transfer-Encoding: \x0b"
         "chunked",
         BAD_FIELD),
    POST("Transfer-Encoding: chunked\x80", BAD_CODING),
    POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", BAD_CODING),
    POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", BAD_CODING),
    POST("Transfer-Encoding : chunked", BAD_FIELD),
    POST("Transfer-Encoding\0: chunked", BAD_FIELD),
    POST(" Transfer-Encoding: chunked", BAD_FIELD),
    POST("Transfer-Encoding: chunked\r\nConnection: transfer-encoding", OK),
    V10("Transfer-Encoding: chunked\r\n", BAD_FRAMING),
    V10("Transfer-Encoding: identity\r\n", BAD_FRAMING),
    V10("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", BAD_FRAMING),
    V10("Content-Length: 5\r\n", OK),
    /* H7: Expect */
    POST("Content-Length: 5\r\nExpect: 100-continue", OK),
    POST("Content-Length: 5\r\nExpect: 100-CONTINUE", OK),
    POST("Expect: 200-ok", BAD_EXPECT),
    POST("Expect:", BAD_EXPECT),
    POST("Expect: 100-continue, x", BAD_EXPECT),
    POST("Expect: 100-continue\r\nExpect: x", BAD_EXPECT),
    POST("Expect: x\r\nExpect: 100-continue", BAD_EXPECT),
    /* H8: Host */
    ROW("GET / HTTP/1.1\r\n\r\n", BAD_HOST),
    ROW("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", BAD_HOST),
    ROW("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", BAD_HOST),
    ROW("GET http://b/ HTTP/1.1\r\n\r\n", BAD_HOST),
    ROW("GET http://b/ HTTP/1.1\r\nHost: a,b\r\n\r\n", BAD_HOST),
    ROW("GET http://b/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", BAD_HOST),
    HOST(" a", OK),
    HOST(" a:80", OK),
    HOST(" [::1]:80", OK),
    HOST(" 1.2.3.4", OK),
    HOST("", BAD_HOST),
    HOST(" ", BAD_HOST),
    HOST(" a b", BAD_HOST),
    HOST(" a, b", BAD_HOST),
    HOST(" a,b", BAD_HOST),
    HOST(" u@a", BAD_HOST),
    HOST(" a/", BAD_HOST),
    HOST(" http://a", BAD_HOST),
    HOST(" a:", BAD_HOST),
    HOST(" a:x", BAD_HOST),
    HOST(" a:80:80", BAD_HOST),
    HOST(" a:65536", BAD_HOST),
    HOST(" a:-1", BAD_HOST),
    HOST(" [::1", BAD_HOST),
    HOST(" ::1", BAD_HOST),
    HOST(" [a]", BAD_HOST),
    HOST(" a%00b", BAD_HOST),
    HOST(" a?b", BAD_HOST),
    HOST(" a#b", BAD_HOST),
    HOST(" a\\b", BAD_HOST),
    HOST(" \xc3\xa4", BAD_HOST),
    HOST(" a\tb", BAD_HOST),
    HOST(" *", BAD_HOST),
    V10("", OK),
    V10("Host: a\r\n", OK),
    V10("Host: a\r\nHost: a\r\n", BAD_HOST),
    V10("Host: a b\r\n", BAD_HOST),
    /* H15: Connection */
    LINE("Connection: close", OK),
    LINE("Connection: , close ,, keep-alive", OK),
    LINE("Connection:", OK),
    LINE("Connection: a b", BAD_FIELD),
    LINE("Connection: a;b", BAD_FIELD),
    LINE("Connection: \"close\"", BAD_FIELD),
    LINE("Connection: clo\x80se", BAD_FIELD),
    /* H21: upgrades with content */
    ROW("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\nContent-Length: 5\r\n\r\n",
        BAD_UPGRADE),
    ROW("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\nTransfer-Encoding: chunked\r\n\r\n",
        BAD_UPGRADE),
    ROW("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"
        "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        OK),
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))
_Static_assert(ROWS >= 200, "fewer hostile heads than promised");

TEST(request, rows_at_every_cut_H1_to_H8_H14_H15_H21)
{
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t cut = 0; cut <= rows[i].in.n; cut++) {
            struct parsed p;
            parse_cut(&p, rows[i].in, cut);
            CHECK(p.e == rows[i].e, "row %zu cut %zu: %s: %.*s", i, cut, err_name(p.e),
                  SPAN_FMT(rows[i].in));
            CHECK(p.e != ERR_OK || p.head.bytes == rows[i].in.n, "row %zu cut %zu", i, cut);
            arena_reset(&p.a);
        }
    }
}

/* Every byte value in every part of a head: what may stand there and nothing else (H1, H3, H14). */
TEST(request, every_byte_everywhere_H1)
{
    static const char head[] = "GEx /x HTTP/1.1\r\nHost: a\r\nAx: bx\r\n\r\n";
    for (size_t at = 0; at < sizeof(head) - 1; at++) {
        for (int c = 0; c < 256; c++) {
            char copy[sizeof(head)];
            struct parsed p;
            memcpy(copy, head, sizeof(head));
            copy[at] = (char)c;
            parse(&p, span_of(copy, sizeof(head) - 1));
            bool control = (c < 0x20 && c != '\t') || c == 0x7f;
            if (control && c != '\r' && c != '\n') {
                CHECK(p.e != ERR_OK && p.e != ERR_AGAIN && p.e != ERR_BAD_METHOD,
                      "byte %d at %zu: %s", c, at, err_name(p.e));
            }
            arena_reset(&p.a);
        }
    }
}

TEST(request, canonical_form)
{
    struct parsed p;
    parse(&p, SPAN("POST http://B.Example:8080/x/../a%2Fb;c?q=1 HTTP/1.1\r\nHost: other\r\n"
                   "X-One:  1 \r\ncontent-length: 7\r\nConnection: X-Two, keep-alive, host, "
                   "content-length, Authorization, x-forwarded-for\r\n"
                   "X-Two: 2\r\nAuthorization: z\r\nX-Forwarded-For: 1.2.3.4\r\nTE: trailers\r\n"
                   "Keep-Alive: 5\r\nProxy-Connection: x\r\nTrailer: y\r\nUpgrade: h2c\r\n"
                   "HTTP2-Settings: q\r\nExpect: 100-continue\r\nBad_Name: 1\r\nx!: 2\r\n\r\n"));
    CHECK_INT(p.e, ERR_OK);
    CHECK_INT(p.r.method, METHOD_POST);
    CHECK_SPAN(p.r.method_name, "POST");
    CHECK_INT(p.r.version, VERSION_1_1);
    CHECK_SPAN(p.r.authority, "b.example:8080");
    CHECK_SPAN(p.r.host, "b.example");
    CHECK_SPAN(p.r.path, "/a%2Fb;c");
    CHECK_SPAN(p.r.query, "q=1");
    CHECK(p.r.path_odd, "odd");
    CHECK(p.r.expect_continue, "expects");
    CHECK_INT(p.r.content, CONTENT_LENGTH);
    CHECK_INT(p.r.length, 7);
    CHECK_INT(p.head.coding, H1_LENGTH);
    CHECK(p.head.keep_alive, "keeps");
    CHECK_INT(p.r.dropped, 2);
    CHECK_INT(p.r.fields.n, 3);
    CHECK_SPAN(p.r.fields.v[0].name, "x-one");
    CHECK_SPAN(p.r.fields.v[0].value, "1");
    CHECK_INT(p.r.fields.v[1].id, FIELD_AUTHORIZATION);
    CHECK_INT(p.r.fields.v[2].id, FIELD_X_FORWARDED_FOR);
    arena_reset(&p.a);
}

TEST(request, what_else_a_head_says)
{
    static const struct {
        const char *in;
        bool keep, expects;
        enum content content;
        enum upgrade upgrade;
        const char *path, *authority;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, false, CONTENT_NONE, UPGRADE_NONE, "/", "a"},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", false, false, CONTENT_NONE,
         UPGRADE_NONE, "/", "a"},
        {"GET / HTTP/1.0\r\n\r\n", false, false, CONTENT_NONE, UPGRADE_NONE, "/", ""},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, false, CONTENT_NONE,
         UPGRADE_NONE, "/", ""},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false, false, CONTENT_NONE,
         UPGRADE_NONE, "/", ""},
        {"POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", false, false,
         CONTENT_LENGTH, UPGRADE_NONE, "/", ""},
        {"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", true, false, CONTENT_NONE,
         UPGRADE_NONE, "/", "a"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", true, false, CONTENT_NONE,
         UPGRADE_NONE, "/", "a"},
        {"DELETE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", true, false,
         CONTENT_STREAM, UPGRADE_NONE, "/", "a"},
        {"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
         "Sec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n",
         true, false, CONTENT_NONE, UPGRADE_WEBSOCKET, "/ws", "a"},
        {"POST /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
         "Sec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n",
         true, false, CONTENT_NONE, UPGRADE_NONE, "/ws", "a"},
        {"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
         "Sec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n",
         true, false, CONTENT_NONE, UPGRADE_NONE, "/ws", "a"},
        {"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
         "Sec-WebSocket-Version: 13\r\n\r\n",
         true, false, CONTENT_NONE, UPGRADE_NONE, "/ws", "a"},
        {"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, Sec-WebSocket-Key\r\n"
         "Upgrade: websocket\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n",
         true, false, CONTENT_NONE, UPGRADE_NONE, "/ws", "a"},
        {"GET /ws HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
         "Sec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n",
         false, false, CONTENT_NONE, UPGRADE_NONE, "/ws", "a"},
        {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", true, false, CONTENT_NONE, UPGRADE_NONE, "*",
         "a"},
        {"OPTIONS http://B HTTP/1.1\r\nHost: a\r\n\r\n", true, false, CONTENT_NONE, UPGRADE_NONE,
         "*", "b"},
        {"OPTIONS http://B?x HTTP/1.1\r\nHost: a\r\n\r\n", true, false, CONTENT_NONE, UPGRADE_NONE,
         "/", "b"},
        {"GET http://B HTTP/1.1\r\nHost: a\r\n\r\n", true, false, CONTENT_NONE, UPGRADE_NONE, "/",
         "b"},
        {"GET /a/%2E%2e/%2e/b/.. HTTP/1.1\r\nHost: a\r\n\r\n", true, false, CONTENT_NONE,
         UPGRADE_NONE, "/", "a"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct parsed p;
        parse(&p, span_str(cases[i].in));
        CHECK(p.e == ERR_OK, "case %zu: %s", i, err_name(p.e));
        CHECK(p.head.keep_alive == cases[i].keep, "case %zu: keep", i);
        CHECK(p.r.expect_continue == cases[i].expects, "case %zu: expect", i);
        CHECK(p.r.content == cases[i].content, "case %zu: content", i);
        CHECK(p.r.upgrade == cases[i].upgrade, "case %zu: upgrade", i);
        CHECK_SPAN(p.r.path, cases[i].path);
        CHECK_SPAN(p.r.authority, cases[i].authority);
        arena_reset(&p.a);
    }
}

/* Refused heads still say what could be read, for the log. */
TEST(request, refused_heads_are_partly_read)
{
    struct parsed p;
    parse(&p, SPAN("POST /a/b?c HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n"));
    CHECK_INT(p.e, ERR_BAD_FIELD);
    CHECK_SPAN(p.r.method_name, "POST");
    CHECK_SPAN(p.r.path, "/a/b");
    CHECK_INT(p.r.fields.n, 0);
    arena_reset(&p.a);
    parse(&p, SPAN("\x01"));
    CHECK_INT(p.e, ERR_BAD_REQUEST);
    CHECK_INT(p.r.method_name.n, 0);
    CHECK_INT(p.r.method, METHOD_OTHER);
    arena_reset(&p.a);
}

/* printf("GET /%0*d...") with n bytes in the target, and so on. */
static enum err sized(size_t line, size_t name, size_t value, size_t count)
{
    size_t cap = line + count * (name + value + 8) + 64, n = 0;
    char *text = malloc(cap);
    struct parsed p;
    CHECK(text != NULL, "memory");
    n = (size_t)snprintf(text, cap, "GET /%0*d HTTP/1.1\r\nHost: a\r\n", (int)(line - 14), 0);
    for (size_t i = 0; i < count; i++) {
        n += (size_t)snprintf(text + n, cap - n, "%0*d: %0*d\r\n", (int)name, 0, (int)value, 0);
    }
    n += (size_t)snprintf(text + n, cap - n, "\r\n");
    parse(&p, span_of(text, n));
    arena_reset(&p.a);
    free(text);
    return p.e;
}

TEST(request, sizes_L12_L13)
{
    CHECK_INT(sized(LIMIT_REQUEST_LINE, 1, 1, 1), ERR_OK);
    CHECK_INT(sized(LIMIT_REQUEST_LINE + 1, 1, 1, 1), ERR_URI_TOO_LONG);
    CHECK_INT(sized(100, LIMIT_FIELD_NAME, 1, 1), ERR_OK);
    CHECK_INT(sized(100, LIMIT_FIELD_NAME + 1, 1, 1), ERR_HEAD_TOO_LARGE);
    CHECK_INT(sized(100, 1, LIMIT_FIELD - 1, 1), ERR_OK);
    CHECK_INT(sized(100, 1, LIMIT_FIELD, 1), ERR_HEAD_TOO_LARGE);
    CHECK_INT(sized(100, 1, 1, LIMIT_FIELDS - 1), ERR_OK);
    CHECK_INT(sized(100, 1, 1, LIMIT_FIELDS), ERR_HEAD_TOO_LARGE);
    /* Host counts 5 + 32; 8 fields of 4,091 + 1 + ... fill the rest exactly. */
    size_t rest = LIMIT_HEAD - 37 - 8 * 33;
    CHECK_INT(sized(100, 1, rest / 8, 8), ERR_OK);
    CHECK_INT(sized(100, 1, rest / 8 + 1, 8), ERR_HEAD_TOO_LARGE);
}

/* A head without end is refused as soon as it is too large, not when it ends. */
TEST(request, endless_heads_L12_L13)
{
    static const char *const begins[] = {"", "GET /", "GET / HTTP/1.1", "GET / HTTP/1.1\r\n",
                                         "GET / HTTP/1.1\r\nA: "};
    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
        char text[KIB(32)];
        struct parsed p;
        size_t n = strlen(begins[i]);
        memset(text, 'a', sizeof(text));
        memcpy(text, begins[i], n);
        parse(&p, span_of(text, sizeof(text)));
        CHECK(p.e == (i < 3 ? ERR_URI_TOO_LONG : ERR_HEAD_TOO_LARGE), "%zu: %s", i, err_name(p.e));
        arena_reset(&p.a);
    }
}

/* L13: what is left of a head is nothing where fields before have used it up. */
TEST(request, heads_that_are_full_L13)
{
    static const struct h1_limits small = {.line = 100, .head = 80, .fields = 10, .field = 80};
    static const struct {
        const char *more;
        enum err want;
    } cases[] = {{"", ERR_OK},
                 {"B: cc\r\n", ERR_OK},
                 {"B: ccc\r\n", ERR_HEAD_TOO_LARGE},
                 {"BBBBB: c\r\n", ERR_HEAD_TOO_LARGE},
                 {"B: cc\r\nD: e\r\n", ERR_HEAD_TOO_LARGE},
                 {"B: cc\r\nD", ERR_HEAD_TOO_LARGE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        struct h1_scan s;
        int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: abcdefghi\r\n%s\r\n",
                         cases[i].more);
        h1_scan_init(&s, H1_REQUEST);
        CHECK(h1_scan_run(&s, &small, span_of(text, (size_t)n)) == cases[i].want, "%s", text);
    }
}

TEST(request, allocation_fails)
{
    for (uint64_t nth = 1;; nth++) {
        struct parsed p;
        mem_fail_at(nth);
        parse(&p, SPAN("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n"));
        mem_fail_at(0);
        arena_reset(&p.a);
        if (p.e == ERR_OK) {
            CHECK(nth > 1, "no allocation failed");
            return;
        }
        CHECK_INT(p.e, ERR_NO_MEMORY);
    }
}

/* F31: names that Connection lists are looked up in bounded work. */
TEST(request, connection_lists_are_bounded_H15)
{
    char text[1024] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: ";
    size_t n = strlen(text);
    struct parsed p;
    for (int i = 0; i < LIMIT_FIELDS; i++) {
        text[n++] = 'x';
        text[n++] = ',';
    }
    memcpy(text + n - 1, "\r\n\r\n", 4);
    parse(&p, span_of(text, n + 3));
    CHECK_INT(p.e, ERR_OK);
    arena_reset(&p.a);
    memcpy(text + n - 1, ",x\r\n\r\n", 6);
    parse(&p, span_of(text, n + 5));
    CHECK_INT(p.e, ERR_BAD_FIELD);
    arena_reset(&p.a);
    for (size_t size = LIMIT_FIELD_NAME; size <= LIMIT_FIELD_NAME + 1; size++) {
        n = (size_t)snprintf(text, sizeof text,
                             "GET / HTTP/1.1\r\nHost: a\r\nConnection: %0*d\r\n\r\n", (int)size, 0);
        parse(&p, span_of(text, n));
        CHECK_INT(p.e, size == LIMIT_FIELD_NAME ? ERR_OK : ERR_BAD_FIELD);
        arena_reset(&p.a);
    }
}

/* Eight bytes are looked at together: each value of a byte at each place among them must count. */
TEST(request, every_byte_at_every_place_H2_H14)
{
    enum { PLACES = 20 };
    for (unsigned c = 0; c < 256; c++) {
        bool target = c > 0x20 && c < 0x7f && c != '#';
        bool text = c == '\t' || (c >= 0x20 && c != 0x7f);
        for (size_t at = 0; at < PLACES; at++) {
            char in[128];
            struct parsed p;
            int n = snprintf(in, sizeof(in), "GET /%020d HTTP/1.1\r\nHost: a\r\n\r\n", 0);
            in[5 + at] = (char)c;
            parse(&p, span_of(in, (size_t)n));
            CHECK((p.e == ERR_OK) == (target && c != '%'), "target: %u at %zu", c, at);
            arena_reset(&p.a);
            n = snprintf(in, sizeof(in), "GET / HTTP/1.1\r\nHost: a\r\nB: %020d\r\n\r\n", 0);
            in[28 + at] = (char)c;
            parse(&p, span_of(in, (size_t)n));
            CHECK((p.e == ERR_OK) == text, "value: %u at %zu", c, at);
            arena_reset(&p.a);
        }
    }
}
