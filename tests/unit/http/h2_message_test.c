#include "base/buf.h"
#include "base/limits.h"
#include "check.h"
#include "http/h2_message.h"
#include "http/h2_nv.h"

#include <stdio.h>

/* Header blocks to messages and back. A block is written as lines "name: value". */

struct reading {
    struct arena arena;
    struct h2_block block;
    struct request request;
    struct reply reply;
};

static const struct h2_block_limits limits = {
    .size = LIMIT_HEAD, .fields = LIMIT_FIELDS, .field = LIMIT_FIELD};

static void block_of(struct reading *g, const char *lines, enum h2_block_kind kind,
                     enum odd_names odd)
{
    struct span rest = span_str(lines);
    h2_block_begin(&g->block, &g->arena, kind, odd);
    while (rest.n > 0) {
        struct span line;
        rest = span_cut(rest, '\n', &line);
        size_t colon = 1 + span_find(span_sub(line, 1, line.n), ':');
        h2_block_add(&g->block, &limits, span_sub(line, 0, colon),
                     colon + 2 < line.n ? span_sub(line, colon + 2, line.n) : SPAN(""));
    }
    h2_block_finish(&g->block);
}

static void block(struct reading *g, const char *lines, enum odd_names odd)
{
    block_of(g, lines, H2_BLOCK_REQUEST, odd);
}

static enum err request(struct reading *g, const char *lines, bool end)
{
    arena_reset(&g->arena);
    block(g, lines, ODD_NAMES_DROP);
    return h2_request_read(&g->block, end, LIMIT_REQUEST_LINE, &g->request);
}

#define HEAD(method, path)                                                                         \
    ":method: " method "\n:scheme: https\n:authority: Example.com:8443\n:path: " path "\n"
#define GET HEAD("GET", "/")

static void reading_open(struct reading *g)
{
    *g = (struct reading){0};
    arena_init(&g->arena, NULL, 4096, 0);
}

/* RFC 9113 section 8.2.1, at each place of values of each length. */
TEST(h2_message, no_byte_of_a_value_is_left_unseen_H9)
{
    enum { LONGEST = 27 };
    struct reading g;
    reading_open(&g);
    for (size_t n = 1; n <= LONGEST; n++) {
        for (size_t at = 0; at < n; at++) {
            for (const char *c = "\t\x01\x1f\x7f~\xff"; *c != '\0'; c++) {
                char value[LONGEST];
                bool inside = at > 0 && at + 1 < n;
                bool good = (unsigned char)*c > 0x7f || *c == '~' || (*c == '\t' && inside);
                memset(value, 'v', n);
                value[at] = *c;
                h2_block_begin(&g.block, &g.arena, H2_BLOCK_REQUEST, ODD_NAMES_DROP);
                h2_block_add(&g.block, &limits, SPAN("x-a"), span_of(value, n));
                CHECK(g.block.bad == (good ? ERR_OK : ERR_BAD_FIELD), "%#x at %zu of %zu",
                      (unsigned char)*c, at, n);
            }
        }
    }
    arena_reset(&g.arena);
}

/* RFC 9113 section 8.1.1: what is no message is for the stream's end, the rest for an answer. */
TEST(h2_message, what_is_malformed_and_what_is_merely_bad_H9)
{
    static const struct {
        const char *lines;
        enum h2_block_kind kind;
        bool malformed;
    } cases[] = {
        {GET, H2_BLOCK_REQUEST, false},
        {GET "x: \x01\n", H2_BLOCK_REQUEST, false},
        {GET "a b: c\n", H2_BLOCK_REQUEST, false},
        {GET "X: c\n", H2_BLOCK_REQUEST, true},
        {GET "a B: c\n", H2_BLOCK_REQUEST, true},
        {GET "Content-Length: 1\n", H2_BLOCK_REQUEST, true},
        {GET ":path: /\n", H2_BLOCK_REQUEST, true},
        {GET ":status: 200\n", H2_BLOCK_REQUEST, true},
        {GET ":x: 1\n", H2_BLOCK_REQUEST, true},
        {GET "x: 1\n:protocol: websocket\n", H2_BLOCK_REQUEST, true},
        {GET ":protocol: websocket\n", H2_BLOCK_REQUEST, true},
        {GET "te: gzip\n", H2_BLOCK_REQUEST, true},
        {GET "connection: x\n", H2_BLOCK_REQUEST, true},
        {HEAD("", "/"), H2_BLOCK_REQUEST, true},
        {HEAD("G T", "/"), H2_BLOCK_REQUEST, true},
        {HEAD("GET", ""), H2_BLOCK_REQUEST, true},
        {":scheme: https\n:authority: a\n:path: /\n", H2_BLOCK_REQUEST, true},
        {":method: GET\n:authority: a\n:path: /\n", H2_BLOCK_REQUEST, true},
        {":method: GET\n:scheme: https\n:authority: a\n", H2_BLOCK_REQUEST, true},
        {":method: GET\n:scheme: https\n:path: /\n", H2_BLOCK_REQUEST, false},
        {":method: GET\n:scheme: https\n:authority: \n:path: /\n", H2_BLOCK_REQUEST, true},
        {":method: CONNECT\n:authority: a:1\n", H2_BLOCK_REQUEST, false},
        {":method: CONNECT\n", H2_BLOCK_REQUEST, true},
        {":method: CONNECT\n:authority: a:1\n:path: /\n", H2_BLOCK_REQUEST, true},
        {":method: CONNECT\n:authority: a:1\n:scheme: https\n", H2_BLOCK_REQUEST, true},
        {":method: GET\nx_a: 1\n:path: /\n", H2_BLOCK_REQUEST, true},
        {HEAD("CONNECT", "/") ":protocol: websocket\n", H2_BLOCK_REQUEST, false},
        {":method: CONNECT\n:scheme: https\n:path: /\n:protocol: websocket\nhost: a\n",
         H2_BLOCK_REQUEST, true},
        {":method: G T\nx: \x01\n", H2_BLOCK_REQUEST, true},
        {"x: 1\n", H2_BLOCK_REQUEST, true},
        {":status: 200\n", H2_BLOCK_RESPONSE, false},
        {":status: 200\n:status: 200\n", H2_BLOCK_RESPONSE, true},
        {":status: 200\n:path: /\n", H2_BLOCK_RESPONSE, true},
        {"x: 1\n", H2_BLOCK_RESPONSE, true},
        {"", H2_BLOCK_RESPONSE, true},
        {"x: 1\n", H2_BLOCK_TRAILERS, false},
        {"", H2_BLOCK_TRAILERS, false},
        {":status: 200\n", H2_BLOCK_TRAILERS, true},
        {":path: /\n", H2_BLOCK_TRAILERS, true},
    };
    struct reading g;
    reading_open(&g);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        block_of(&g, cases[i].lines, cases[i].kind, ODD_NAMES_DROP);
        CHECK(g.block.malformed == cases[i].malformed, "case %zu: %s", i, cases[i].lines);
        CHECK(!g.block.malformed || g.block.bad == ERR_BAD_FIELD, "case %zu", i);
        arena_reset(&g.arena);
    }
}

TEST(h2_message, odd_names_H3)
{
    static const char lines[] =
        GET "x_id: 1\nx_forwarded_for: 1.2.3.4\ncontent.length: 5\nx-b: 2\n";
    struct reading g;
    reading_open(&g);
    block(&g, lines, ODD_NAMES_ALLOW);
    CHECK_INT(g.block.bad, ERR_OK);
    CHECK_INT(g.block.dropped, 2);
    CHECK_INT(g.block.fields.n, 2);
    CHECK_SPAN(g.block.fields.v[0].name, "x_id");
    arena_reset(&g.arena);
    block(&g, lines, ODD_NAMES_REJECT);
    CHECK_INT(g.block.bad, ERR_BAD_FIELD);
    arena_reset(&g.arena);
    block(&g, lines, ODD_NAMES_KEEP);
    CHECK_INT(g.block.bad, ERR_OK);
    CHECK_INT(g.block.fields.n, 4);
    arena_reset(&g.arena);
    block(&g, GET "X_id: 1\n", ODD_NAMES_ALLOW);
    CHECK_INT(g.block.bad, ERR_BAD_FIELD);
    arena_reset(&g.arena);
}

TEST(h2_message, a_request_means_what_it_would_over_http_1)
{
    struct reading g;
    reading_open(&g);
    CHECK_INT(
        request(&g,
                HEAD("POST",
                     "/a/../b%2ec?x=1") "cookie: a=1\nx-a: b\ncookie: c=2\ncookie: \nte: trailers\n"
                                        "content-length: 5\nx_odd: 1\n",
                false),
        ERR_OK);
    CHECK_SPAN(g.request.method_name, "POST");
    CHECK_SPAN(g.request.path, "/b%2ec");
    CHECK_SPAN(g.request.query, "x=1");
    CHECK_SPAN(g.request.authority, "example.com:8443");
    CHECK_SPAN(g.request.host, "example.com");
    CHECK_INT(g.request.content, CONTENT_LENGTH);
    CHECK_INT(g.request.length, 5);
    CHECK_INT(g.request.dropped, 1);
    CHECK(g.request.trailers && g.request.path_odd, "facts");
    CHECK_INT(g.request.fields.n, 2);
    CHECK_SPAN(fields_get(&g.request.fields, FIELD_COOKIE)->value, "a=1; c=2");
    arena_reset(&g.arena);
}

TEST(h2_message, what_is_refused)
{
    static const struct {
        const char *lines;
        enum err want;
    } rows[] = {
        {GET "connection: close\n", ERR_BAD_FIELD},
        {GET "transfer-encoding: chunked\n", ERR_BAD_FIELD},
        {GET "upgrade: h2c\n", ERR_BAD_FIELD},
        {GET "keep-alive: 5\n", ERR_BAD_FIELD},
        {GET "proxy-connection: x\n", ERR_BAD_FIELD},
        {GET "te: gzip\n", ERR_BAD_FIELD},
        {GET "X-Upper: 1\n", ERR_BAD_FIELD},
        {GET "x-a: b \n", ERR_BAD_FIELD},
        {GET "x-a: b\rc\n", ERR_BAD_FIELD},
        {GET "x a: b\n", ERR_BAD_FIELD},
        {GET "x-a: 1\n:path: /b\n", ERR_BAD_FIELD},
        {GET ":path: /b\n", ERR_BAD_FIELD},
        {GET ":status: 200\n:foo: 1\n", ERR_BAD_FIELD},
        {GET "host: other\n", ERR_BAD_HOST},
        {":method: GET\n:scheme: https\n:path: /\n", ERR_BAD_HOST},
        {":method: GET\n:scheme: https\n:path: /\n:authority: a,b\n", ERR_BAD_HOST},
        {":method: GET\n:scheme: https\n:path: /\n:authority: u@a\n", ERR_BAD_HOST},
        {":method: GET\n:scheme: ftp\n:path: /\n:authority: a\n", ERR_BAD_REQUEST},
        {":method: GET\n:scheme: https\n:authority: a\n", ERR_BAD_FIELD},
        {":scheme: https\n:path: /\n:authority: a\n", ERR_BAD_FIELD},
        {HEAD("GET", ""), ERR_BAD_FIELD},
        {HEAD("GET", "*"), ERR_BAD_TARGET},
        {HEAD("GET", "http://b/"), ERR_BAD_TARGET},
        {HEAD("GET", "/a b"), ERR_BAD_TARGET},
        {HEAD("GET", "/%00"), ERR_BAD_TARGET},
        {HEAD("TRACE", "/"), ERR_BAD_METHOD},
        {HEAD("CONNECT", "/"), ERR_BAD_FIELD},
        {":method: CONNECT\n:authority: a:1\n", ERR_BAD_METHOD},
        {HEAD("BREW", "/"), ERR_BAD_METHOD},
        {GET "content-length: 5\n", ERR_BAD_LENGTH},
        {GET "content-length: x\n", ERR_BAD_LENGTH},
        {GET "content-length: 0\ncontent-length: 0\n", ERR_BAD_LENGTH},
        {GET "expect: more\n", ERR_BAD_EXPECT},
        {GET ":protocol: websocket\n", ERR_BAD_FIELD},
        {HEAD("CONNECT", "/") ":protocol: foo\nsec-websocket-version: 13\n", ERR_BAD_UPGRADE},
    };
    struct reading g;
    reading_open(&g);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK_INT(request(&g, rows[i].lines, true), rows[i].want);
    }
    arena_reset(&g.arena);
}

TEST(h2_message, sizes_count_what_compression_hid)
{
    struct reading g;
    char value[4096];
    reading_open(&g);
    block(&g, GET, ODD_NAMES_DROP);
    memset(value, 'a', sizeof(value));
    for (unsigned i = 0; g.block.bad == ERR_OK; i++) {
        CHECK(i < 9, "32 KiB");
        h2_block_add(&g.block, &limits, SPAN("cookie"), span_of(value, sizeof(value)));
    }
    CHECK_INT(g.block.bad, ERR_HEAD_TOO_LARGE);
    CHECK_INT(h2_request_read(&g.block, true, LIMIT_REQUEST_LINE, &g.request), ERR_HEAD_TOO_LARGE);
    CHECK_SPAN(g.request.path, "/");
    arena_reset(&g.arena);
    block(&g, GET, ODD_NAMES_DROP);
    for (unsigned i = 0; g.block.bad == ERR_OK; i++) {
        CHECK(i <= LIMIT_FIELDS, "fields");
        h2_block_add(&g.block, &limits, SPAN("a"), SPAN(""));
    }
    CHECK_INT(g.block.bad, ERR_HEAD_TOO_LARGE);
    arena_reset(&g.arena);
}

TEST(h2_message, h21_a_websocket_opens_with_extended_connect)
{
    struct reading g;
    reading_open(&g);
    CHECK_INT(request(&g,
                      HEAD("CONNECT", "/chat") ":protocol: websocket\nsec-websocket-version: 13\n",
                      false),
              ERR_OK);
    CHECK_INT(g.request.method, METHOD_GET);
    CHECK_INT(g.request.upgrade, UPGRADE_WEBSOCKET);
    CHECK_INT(g.request.content, CONTENT_NONE);
    CHECK_INT(request(&g,
                      HEAD("CONNECT", "/chat") ":protocol: websocket\nsec-websocket-version: 13\n"
                                               "expect: 100-continue\n",
                      false),
              ERR_OK);
    CHECK(!g.request.expect_continue, "it has no content to go on with");
    CHECK_INT(request(&g,
                      HEAD("CONNECT", "/chat") ":protocol: websocket\nsec-websocket-version: 13\n"
                                               "expect: more\n",
                      false),
              ERR_BAD_EXPECT);
    arena_reset(&g.arena);
}

static const char *text_of(struct reading *g, const struct h2_nv *nv)
{
    struct buf out;
    char *memory = arena_take(&g->arena, 4096);
    CHECK(memory != NULL, "memory");
    buf_fixed(&out, memory, 4095);
    for (size_t i = 0; i < nv->n; i++) {
        buf_printf(&out, "%.*s=%.*s;", (int)nv->v[i].namelen, (const char *)nv->v[i].name,
                   (int)nv->v[i].valuelen, (const char *)nv->v[i].value);
    }
    memory[buf_len(&out)] = '\0';
    return memory;
}

TEST(h2_message, requests_are_written_without_what_belongs_to_a_connection)
{
    struct reading g;
    struct h2_nv nv;
    reading_open(&g);
    struct request r = {.method = METHOD_POST,
                        .method_name = SPAN("POST"),
                        .content = CONTENT_LENGTH,
                        .length = 7,
                        .trailers = true,
                        .scheme = SPAN("https"),
                        .authority = SPAN("a"),
                        .path = SPAN("/p"),
                        .query = SPAN("q")};
    CHECK_INT(fields_put(&r.fields, &g.arena, FIELD_CONNECTION, SPAN("close")), ERR_OK);
    CHECK_INT(fields_put(&r.fields, &g.arena, FIELD_ACCEPT, SPAN("*/*")), ERR_OK);
    CHECK_INT(h2_request_write(&r, &g.arena, &nv), ERR_OK);
    CHECK_STR(text_of(&g, &nv), ":method=POST;:scheme=https;:authority=a;:path=/p?q;accept=*/*;"
                                "te=trailers;content-length=7;");
    r = (struct request){.method = METHOD_GET,
                         .method_name = SPAN("GET"),
                         .upgrade = UPGRADE_WEBSOCKET,
                         .scheme = SPAN("http"),
                         .authority = SPAN("a"),
                         .path = SPAN("/")};
    CHECK_INT(fields_put(&r.fields, &g.arena, FIELD_SEC_WEBSOCKET_KEY, SPAN("k")), ERR_OK);
    CHECK_INT(h2_request_write(&r, &g.arena, &nv), ERR_OK);
    CHECK_STR(text_of(&g, &nv),
              ":method=CONNECT;:protocol=websocket;:scheme=http;:authority=a;:path=/;");
    arena_reset(&g.arena);
}

static enum err reply(struct reading *g, const char *lines, struct asked asked, bool end)
{
    arena_reset(&g->arena);
    block_of(g, lines, H2_BLOCK_RESPONSE, ODD_NAMES_KEEP);
    return h2_reply_read(&g->block, asked, end, &g->reply);
}

TEST(h2_message, lengths_and_expectations_H7_H10)
{
    struct reading g;
    reading_open(&g);
    CHECK_INT(request(&g, GET "content-length: 9223372036854775808\n", false), ERR_BAD_LENGTH);
    CHECK_INT(request(&g, GET "content-length: 9223372036854775807\n", false), ERR_OK);
    CHECK_INT(request(&g, GET "content-length: x\n", false), ERR_BAD_LENGTH);
    CHECK_INT(request(&g, GET "expect: 100-continue\n", true), ERR_OK);
    CHECK(!g.request.expect_continue, "there is nothing to go on with");
    CHECK_INT(request(&g, GET "expect: 100-continue\n", false), ERR_OK);
    CHECK(g.request.expect_continue, "there is");
    arena_reset(&g.arena);
}

TEST(h2_message, replies_are_read)
{
    struct reading g;
    struct asked get = {.method = METHOD_GET}, head = {.method = METHOD_HEAD},
                 socket = {.method = METHOD_GET, .upgrade = UPGRADE_WEBSOCKET};
    reading_open(&g);
    CHECK_INT(reply(&g, ":status: 200\ncontent-length: 3\nx_a: 1\n", get, false), ERR_OK);
    CHECK_INT(g.reply.content, CONTENT_LENGTH);
    CHECK_INT(g.reply.fields.n, 1);
    CHECK_INT(reply(&g, ":status: 200\ntrailer: x-a, repr-digest\n", get, false), ERR_OK);
    CHECK(g.reply.digest_follows && g.reply.fields.n == 0, "a digest");
    CHECK_INT(reply(&g, ":status: 200\n", get, false), ERR_OK);
    CHECK(!g.reply.digest_follows, "none");
    CHECK_INT(g.reply.content, CONTENT_STREAM);
    CHECK_INT(reply(&g, ":status: 200\ncontent-length: 3\n", head, true), ERR_OK);
    CHECK(g.reply.content == CONTENT_NONE && g.reply.has_length && g.reply.length == 3, "HEAD");
    CHECK_INT(reply(&g, ":status: 200\ncontent-length: 3\n", head, false), ERR_OK);
    CHECK_INT(g.reply.content, CONTENT_NONE);
    CHECK_INT(reply(&g, ":status: 200\n", socket, false), ERR_OK);
    CHECK(g.reply.upgraded, "RFC 8441");
    CHECK_INT(reply(&g, ":status: 403\n", socket, false), ERR_OK);
    CHECK(!g.reply.upgraded, "refused");
    CHECK_INT(reply(&g, ":status: 103\n", socket, false), ERR_OK);
    CHECK(!g.reply.upgraded && g.reply.content == CONTENT_NONE, "not yet");
    for (size_t i = 0; i < 2; i++) {
        CHECK_INT(reply(&g, i == 0 ? ":status: 204\n" : ":status: 304\n", get, false), ERR_OK);
        CHECK_INT(g.reply.content, CONTENT_NONE);
    }
    CHECK_INT(reply(&g, ":status: 101\n", socket, false), ERR_BACKEND_PROTOCOL);
    static const char *const lengths[] = {"x", "", "9223372036854775808", "1\ncontent-length: 1"};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        char text[96];
        snprintf(text, sizeof(text), ":status: 200\ncontent-length: %s\n", lengths[i]);
        CHECK_INT(reply(&g, text, get, false), ERR_BACKEND_PROTOCOL);
    }
    static const char *const statuses[] = {"20", "2000", "2x0", "099", "600", "999"};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++) {
        char text[32];
        snprintf(text, sizeof(text), ":status: %s\n", statuses[i]);
        CHECK_INT(reply(&g, text, get, false), ERR_BACKEND_PROTOCOL);
    }
    CHECK_INT(reply(&g, ":status: 599\n", get, false), ERR_OK);
    CHECK_INT(reply(&g, ":status: 200\ncontent-length: 1\n", get, true), ERR_BACKEND_PROTOCOL);
    CHECK_INT(reply(&g, ":status: 200\ncontent-length: 0\n", get, true), ERR_OK);
    CHECK_INT(reply(&g, ":status: 304\ncontent-length: 1\n", get, true), ERR_OK);
    CHECK_INT(reply(&g, ":status: 103\ncontent-length: 0\n", get, false), ERR_BACKEND_PROTOCOL);
    CHECK_INT(reply(&g, ":status: 204\ncontent-length: 1\n", get, true), ERR_BACKEND_PROTOCOL);
    CHECK_INT(reply(&g, ":status: 204\ncontent-length: 0\n", get, true), ERR_OK);
    CHECK(!g.reply.has_length, "nothing has a length there");
    CHECK_INT(reply(&g, ":status: 200\ncontent-length: 9\n", socket, false), ERR_OK);
    CHECK(g.reply.upgraded && !g.reply.has_length, "a tunnel has none");
    CHECK_INT(reply(&g, "x: y\n", get, false), ERR_BACKEND_PROTOCOL);
    CHECK_INT(reply(&g, ":status: 200\nconnection: close\n", get, false), ERR_BACKEND_PROTOCOL);
    arena_reset(&g.arena);
}

/* What never comes again would push out what does. */
TEST(h2_message, the_table_of_the_compression_is_kept_for_values_that_come_again)
{
    static const struct {
        enum field_id id;
        bool kept_out;
    } rows[] = {{FIELD_X_REQUEST_ID, true},      {FIELD_TRACEPARENT, true},
                {FIELD_TRACESTATE, true},        {FIELD_IDEMPOTENCY_KEY, true},
                {FIELD_USER_AGENT, false},       {FIELD_X_FORWARDED_FOR, false},
                {FIELD_X_FORWARDED_PROTO, false}};
    enum { COUNT = sizeof(rows) / sizeof(rows[0]) };
    struct reading g;
    struct h2_nv nv;
    struct reply r = {.status = 204};
    reading_open(&g);
    CHECK_INT(fields_add(&r.fields, &g.arena, FIELD_OTHER, SPAN("x-own"), SPAN("1")), ERR_OK);
    for (size_t i = 0; i < COUNT; i++) {
        CHECK_INT(fields_put(&r.fields, &g.arena, rows[i].id, SPAN("1")), ERR_OK);
    }
    CHECK_INT(h2_reply_write(&r, SPAN_NONE, &g.arena, &nv), ERR_OK);
    CHECK_INT(nv.n, COUNT + 2); /* :status, x-own */
    CHECK_INT(nv.v[1].flags, NGHTTP2_NV_FLAG_NONE);
    for (size_t i = 0; i < COUNT; i++) {
        CHECK_INT((nv.v[i + 2].flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0, rows[i].kept_out);
    }
    h2_nv_teach(&nv); /* the names that come each time */
    for (size_t i = 0; i < COUNT; i++) {
        CHECK_INT((nv.v[i + 2].flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0, rows[i].kept_out && i > 1);
    }
    arena_reset(&g.arena);
}

TEST(h2_message, replies_are_written)
{
    struct reading g;
    struct h2_nv nv;
    struct reply r = {.status = 200, .content = CONTENT_LENGTH, .length = 5, .has_length = true};
    reading_open(&g);
    CHECK_INT(fields_put(&r.fields, &g.arena, FIELD_KEEP_ALIVE, SPAN("1")), ERR_OK);
    CHECK_INT(h2_reply_write(&r, SPAN("now"), &g.arena, &nv), ERR_OK);
    CHECK_STR(text_of(&g, &nv), ":status=200;date=now;content-length=5;");
    r = (struct reply){.status = 103};
    CHECK_INT(h2_reply_write(&r, SPAN("now"), &g.arena, &nv), ERR_OK);
    CHECK_STR(text_of(&g, &nv), ":status=103;");
    r = (struct reply){.status = 101, .upgraded = true};
    CHECK_INT(fields_put(&r.fields, &g.arena, FIELD_SEC_WEBSOCKET_ACCEPT, SPAN("1")), ERR_OK);
    CHECK_INT(h2_reply_write(&r, SPAN_NONE, &g.arena, &nv), ERR_OK);
    CHECK_STR(text_of(&g, &nv), ":status=200;");
    r = (struct reply){.status = 200, .content = CONTENT_STREAM};
    CHECK_INT(h2_reply_write(&r, SPAN_NONE, &g.arena, &nv), ERR_OK);
    CHECK_STR(text_of(&g, &nv), ":status=200;");
    r = (struct reply){.status = 200, .content = CONTENT_LENGTH, .length = 7};
    CHECK_INT(h2_reply_write(&r, SPAN_NONE, &g.arena, &nv), ERR_OK);
    CHECK_STR(text_of(&g, &nv), ":status=200;content-length=7;");
    r = (struct reply){.status = 204, .has_length = true};
    CHECK_INT(h2_reply_write(&r, SPAN_NONE, &g.arena, &nv), ERR_OK);
    CHECK_STR(text_of(&g, &nv), ":status=204;");
    arena_reset(&g.arena);
}
