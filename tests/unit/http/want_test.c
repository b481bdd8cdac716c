#include "base/limits.h"
#include "check.h"
#include "http/h1_parse.h"
#include "http/h2_message.h"

/* F16: wherever an arena runs out, each reader and writer of heads says so, and nothing else
 * happens. Every amount of memory is tried: whole blocks by the limit, what is left of the last one
 * by a piece taken before. */

enum { BLOCK = 256, BLOCKS_MOST = 200, PIECE = 16 };

typedef enum err one_try(struct arena *a);

static void sweep(one_try *try, const char *what)
{
    unsigned wants = 0, fine = 0;
    for (size_t pad = 0; pad < BLOCK; pad += PIECE) {
        for (size_t blocks = 0; blocks < BLOCKS_MOST; blocks++) {
            struct arena a;
            arena_init(&a, NULL, BLOCK, 1 + blocks * (BLOCK + 64));
            (void)!arena_take(&a, pad);
            enum err e = try(&a);
            CHECK(e == ERR_OK || e == ERR_NO_MEMORY, "%s with %zu blocks, %zu: %s", what, blocks,
                  pad, err_name(e));
            wants += e == ERR_NO_MEMORY;
            fine += e == ERR_OK;
            arena_reset(&a);
        }
    }
    CHECK(wants > 0 && fine > 0, "%s: %u, %u", what, wants, fine);
}

static const struct h1_limits h1_limits = {
    .line = LIMIT_REQUEST_LINE, .head = LIMIT_HEAD, .fields = LIMIT_FIELDS, .field = LIMIT_FIELD};

static enum err h1_request(struct arena *a)
{
    static const char head[] =
        "POST /a/../b?c HTTP/1.1\r\nHost: shop.example\r\nConnection: x-a, te\r\nX-A: 1\r\n"
        "TE: trailers\r\nContent-Length: 5\r\n\r\n";
    struct h1_scan s;
    struct request r;
    struct h1_head h;
    h1_scan_init(&s, H1_REQUEST);
    return h1_parse_request(&s, &h1_limits, span_str(head), a, &r, &h);
}

static enum err h1_reply(struct arena *a)
{
    static const char head[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nConnection: close\r\n\r\n";
    struct asked asked = {METHOD_GET, UPGRADE_NONE};
    struct h1_scan s;
    struct reply r;
    struct h1_head h;
    h1_scan_init(&s, H1_REPLY);
    return h1_parse_reply(&s, &h1_limits, span_str(head), asked, a, &r, &h);
}

static enum err h1_trailers(struct arena *a)
{
    static const char lines[] = "X-A: 1\r\nX-B: 2\r\n\r\n";
    struct h1_scan s;
    struct fields fields;
    h1_scan_init(&s, H1_TRAILERS);
    CHECK_INT(h1_scan_run(&s, &h1_limits, span_str(lines)), ERR_OK);
    return h1_parse_trailers(&s, span_str(lines), a, &fields);
}

static const struct h2_block_limits h2_limits = {
    .size = LIMIT_HEAD, .fields = LIMIT_FIELDS, .field = LIMIT_FIELD};

static const char *const request_fields[][2] = {{":method", "POST"},
                                                {":scheme", "https"},
                                                {":authority", "shop.example:8443"},
                                                {":path", "/a/../b?c"},
                                                {"cookie", "a=1"},
                                                {"cookie", "b=2"},
                                                {"x-a", "0123456789012345678901234567890123456789"},
                                                {"te", "trailers"},
                                                {"content-length", "5"}};
static const char *const reply_fields[][2] = {
    {":status", "200"}, {"x-a", "1"}, {"content-length", "5"}};

static void add_all(struct h2_block *b, struct arena *a, enum h2_block_kind kind,
                    const char *const fields[][2], size_t n)
{
    h2_block_begin(b, a, kind, ODD_NAMES_DROP);
    for (size_t i = 0; i < n; i++)
        h2_block_add(b, &h2_limits, span_str(fields[i][0]), span_str(fields[i][1]));
    h2_block_finish(b);
}

static enum err h2_request(struct arena *a)
{
    struct h2_block b;
    struct request r;
    add_all(&b, a, H2_BLOCK_REQUEST, request_fields,
            sizeof request_fields / sizeof *request_fields);
    return h2_request_read(&b, false, LIMIT_REQUEST_LINE, &r);
}

static enum err h2_reply(struct arena *a)
{
    struct asked asked = {.method = METHOD_GET};
    struct h2_block b;
    struct reply r;
    add_all(&b, a, H2_BLOCK_RESPONSE, reply_fields, sizeof reply_fields / sizeof *reply_fields);
    return h2_reply_read(&b, asked, false, &r);
}

static struct field two_fields[] = {{.name = SPAN("x-a"), .value = SPAN("1")},
                                    {.name = SPAN("x-b"), .value = SPAN("2")}};

static enum err h2_request_out(struct arena *a)
{
    struct request r = {.method = METHOD_POST,
                        .method_name = SPAN("POST"),
                        .scheme = SPAN("http"),
                        .authority = SPAN("a"),
                        .path = SPAN("/p"),
                        .query = SPAN("q"),
                        .content = CONTENT_LENGTH,
                        .length = 5,
                        .fields = {.v = two_fields, .n = 2, .cap = 2}};
    struct h2_nv nv;
    return h2_request_write(&r, a, &nv);
}

static enum err h2_reply_out(struct arena *a)
{
    struct reply r = {.status = 200,
                      .content = CONTENT_LENGTH,
                      .has_length = true,
                      .length = 5,
                      .fields = {.v = two_fields, .n = 2, .cap = 2}};
    struct h2_nv nv;
    return h2_reply_write(&r, SPAN("Thu, 01 Jan 1970 00:00:00 GMT"), a, &nv);
}

TEST(want, heads_of_http_1_F16)
{
    sweep(h1_request, "a request");
    sweep(h1_reply, "a reply");
    sweep(h1_trailers, "trailers");
}

TEST(want, heads_of_http_2_F16)
{
    sweep(h2_request, "a request");
    sweep(h2_reply, "a reply");
    sweep(h2_request_out, "a request written");
    sweep(h2_reply_out, "a reply written");
}
