#include "base/hash.h"
#include "base/limits.h"
#include "check.h"
#include "http/h1_write.h"

static const struct h1_limits limits = {
    .line = LIMIT_REQUEST_LINE, .head = LIMIT_HEAD, .fields = LIMIT_FIELDS, .field = LIMIT_FIELD};

/* H13: framing and connection fields that lie among the fields do not get out. */
TEST(write, framing_is_made_anew_H13)
{
    char memory[1024];
    struct buf out;
    struct field v[] = {
        {SPAN("content-length"), SPAN("9"), FIELD_CONTENT_LENGTH},
        {SPAN("transfer-encoding"), SPAN("x"), FIELD_TRANSFER_ENCODING},
        {SPAN("connection"), SPAN("x"), FIELD_CONNECTION},
        {SPAN("host"), SPAN("evil"), FIELD_HOST},
        {SPAN("expect"), SPAN("100-continue"), FIELD_EXPECT},
        {SPAN("upgrade"), SPAN("h2c"), FIELD_UPGRADE},
        {SPAN("x-a"), SPAN("b"), FIELD_OTHER},
    };
    struct request r = {.method = METHOD_PUT,
                        .method_name = SPAN("PUT"),
                        .authority = SPAN("a:1"),
                        .path = SPAN("/p"),
                        .query = SPAN("q"),
                        .content = CONTENT_LENGTH,
                        .length = 12,
                        .fields = {v, 7, 7}};
    buf_fixed(&out, memory, sizeof(memory));
    h1_write_request(&out, &r);
    CHECK_SPAN(buf_span(&out),
               "PUT /p?q HTTP/1.1\r\nhost: a:1\r\nx-a: b\r\ncontent-length: 12\r\n\r\n");
    buf_clear(&out);
    r.content = CONTENT_NONE;
    r.query = SPAN("");
    h1_write_request(&out, &r);
    CHECK_SPAN(buf_span(&out),
               "PUT /p? HTTP/1.1\r\nhost: a:1\r\nx-a: b\r\ncontent-length: 0\r\n\r\n");
    struct reply reply = {.status = 200, .fields = {v, 7, 7}};
    struct h1_reply_form form = {.coding = H1_CHUNKED, .date = SPAN("now")};
    buf_clear(&out);
    h1_write_reply(&out, &reply, &form);
    CHECK_SPAN(buf_span(&out),
               "HTTP/1.1 200 OK\r\nx-a: b\r\ntransfer-encoding: chunked\r\ndate: now\r\n\r\n");
    buf_clear(&out);
    h1_write_last_chunk(&out, &reply.fields);
    CHECK_SPAN(buf_span(&out), "0\r\nx-a: b\r\n\r\n");
}

TEST(write, what_does_not_fit_fails)
{
    char memory[64];
    struct request r = {
        .method_name = SPAN("GET"), .authority = SPAN("a"), .path = SPAN("/abcdefgh")};
    for (size_t size = 0; size < 40; size++) {
        struct buf out;
        buf_fixed(&out, memory, size);
        h1_write_request(&out, &r);
        CHECK_INT(out.failed, size < 35);
    }
}

static struct span pick(struct rng *g, const char *const *from, size_t n)
{
    return span_str(from[rng_below(g, n)]);
}

static struct span random_text(struct rng *g, struct arena *a, const char *bytes, size_t most)
{
    size_t n = rng_below(g, most), kinds = strlen(bytes);
    char *p = arena_take(a, n + 1);
    CHECK(p != NULL, "memory");
    for (size_t i = 0; i < n; i++) {
        p[i] = bytes[rng_below(g, kinds)];
    }
    return span_trim(span_of(p, n));
}

static void random_fields(struct rng *g, struct arena *a, struct fields *f)
{
    static const char *const names[] = {"accept", "x-a",     "x-b-c", "cookie", "via",
                                        "range",  "x-c-d-e", "date",  "etag",   "user-agent"};
    for (size_t i = rng_below(g, 12); i > 0; i--) {
        struct span name = pick(g, names, sizeof(names) / sizeof(names[0]));
        struct span value = random_text(g, a, "ab \t,;=\"\x80\xff:/09", 40);
        CHECK_INT(fields_add(f, a, field_id_of(name), name, value), ERR_OK);
    }
}

static void same_fields(const struct fields *a, const struct fields *b)
{
    CHECK_INT(a->n, b->n);
    for (size_t i = 0; i < a->n; i++) {
        CHECK(span_eq(a->v[i].name, b->v[i].name) && span_eq(a->v[i].value, b->v[i].value) &&
                  a->v[i].id == b->v[i].id,
              "field %zu", i);
    }
}

static struct request random_request(struct rng *g, struct arena *a)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
    static const char *const hosts[] = {"a", "b.example:80", "[::1]", "[2001:db8::1]:8443"};
    static const char *const paths[] = {"/", "/a/b", "/a//b", "/%2f;x", "/a%20b/", "/~x\\y"};
    struct request r = {.method_name = pick(g, methods, 6), .authority = pick(g, hosts, 4)};
    r.method = method_parse(r.method_name);
    r.path = pick(g, paths, 6);
    r.query = rng_below(g, 2) == 0 ? SPAN_NONE : random_text(g, a, "ab=&?/%+", 30);
    r.content = (enum content)rng_below(g, 3);
    r.length = r.content == CONTENT_LENGTH ? 1 + rng_below(g, 1 << 30) : 0;
    random_fields(g, a, &r.fields);
    return r;
}

TEST(write, random_requests_come_back)
{
    struct rng g;
    struct arena a;
    rng_seed(&g, 1);
    arena_init(&a, NULL, KIB(8), 0);
    for (int i = 0; i < 20000; i++) {
        char memory[KIB(4)];
        struct buf out;
        struct h1_scan s;
        struct h1_head head;
        struct request want = random_request(&g, &a), got;
        buf_fixed(&out, memory, sizeof(memory));
        h1_write_request(&out, &want);
        CHECK(!out.failed, "fits");
        h1_scan_init(&s, H1_REQUEST);
        size_t cut = rng_below(&g, buf_len(&out));
        CHECK_INT(h1_parse_request(&s, &limits, span_of(memory, cut), &a, &got, &head), ERR_AGAIN);
        CHECK(h1_parse_request(&s, &limits, buf_span(&out), &a, &got, &head) == ERR_OK, "%.*s",
              SPAN_FMT(buf_span(&out)));
        CHECK(got.method == want.method && span_eq(got.path, want.path) &&
                  span_eq(got.query, want.query) &&
                  (got.query.p == NULL) == (want.query.p == NULL) &&
                  span_eq(got.authority, want.authority) && got.content == want.content &&
                  got.length == want.length,
              "%.*s", SPAN_FMT(buf_span(&out)));
        same_fields(&got.fields, &want.fields);
        arena_reset(&a);
    }
}

TEST(write, random_replies_come_back)
{
    struct rng g;
    struct arena a;
    rng_seed(&g, 2);
    arena_init(&a, NULL, KIB(8), 0);
    for (int i = 0; i < 20000; i++) {
        char memory[KIB(4)];
        struct buf out;
        struct h1_scan s;
        struct h1_head head;
        struct asked asked = {.method = rng_below(&g, 2) == 0 ? METHOD_GET : METHOD_HEAD};
        struct reply want = {.status = (uint16_t)(200 + rng_below(&g, 400))}, got;
        struct h1_reply_form form = {.coding = (enum h1_coding)rng_below(&g, 4)};
        form.to_head = asked.method == METHOD_HEAD;
        want.has_length = form.coding == H1_LENGTH;
        want.length = want.has_length ? 1 + rng_below(&g, 1000) : 0;
        bool none = form.to_head || want.status == 204 || want.status == 304;
        random_fields(&g, &a, &want.fields);
        buf_fixed(&out, memory, sizeof(memory));
        h1_write_reply(&out, &want, &form);
        h1_scan_init(&s, H1_REPLY);
        CHECK(h1_parse_reply(&s, &limits, buf_span(&out), asked, &a, &got, &head) == ERR_OK, "%.*s",
              SPAN_FMT(buf_span(&out)));
        CHECK_INT(got.status, want.status);
        CHECK_INT(head.coding, none ? H1_NONE : form.coding);
        CHECK(none || got.length == want.length, "length");
        same_fields(&got.fields, &want.fields);
        arena_reset(&a);
    }
}
