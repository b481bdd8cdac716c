/* Forwarding fields (RELIABILITY H15, H16), Via, the request's identifier, and the walk along the
 * chain of trusted hops (BALANCING.md section 3.1). */
#include "proxy/forward.h"

#include "base/buf.h"
#include "base/limits.h"
#include "check.h"

static struct arena arena;

static struct request request_of(const char *const fields[][2], size_t n)
{
    struct request r = {.method = METHOD_GET,
                        .version = VERSION_1_1,
                        .scheme = SPAN("https"),
                        .authority = SPAN("shop.example:8443"),
                        .path = SPAN("/")};
    for (size_t i = 0; i < n; i++) {
        struct span name = span_str(fields[i][0]);
        CHECK_INT(fields_add(&r.fields, &arena, field_id_of(name), name, span_str(fields[i][1])),
                  ERR_OK);
    }
    return r;
}

static struct span value(const struct fields *f, const char *name)
{
    const struct field *found = fields_find(f, span_str(name));
    return found != NULL ? found->value : SPAN_NONE;
}

static const char *const claims[][2] = {
    {"x-forwarded-for", "198.51.100.7"},
    {"x-forwarded-proto", "gopher"},
    {"x-forwarded-host", "evil.example"},
    {"x-forwarded-port", "1"},
    {"forwarded", "for=198.51.100.7"},
    {"x-real-ip", "198.51.100.7"},
    {"accept", "text/plain"},
    {"x-forwarded-for", "198.51.100.8"},
    {"via", "1.0 fred"},
    {"cookie", "a=b"},
};
#define CLAIMS (sizeof claims / sizeof *claims)

static struct request forwarded(const struct request *in, const struct forward_facts *facts)
{
    struct request out;
    CHECK_INT(forward_request(in, facts, &arena, &out), ERR_OK);
    return out;
}

TEST(forward, what_a_stranger_claims_is_replaced)
{
    arena_init(&arena, NULL, 4096, 0);
    struct request in = request_of(claims, CLAIMS);
    struct forward_facts facts = {.peer = SPAN("192.0.2.1"), .id = SPAN("id")};
    struct request out = forwarded(&in, &facts);
    CHECK_SPAN(value(&out.fields, "x-forwarded-for"), "192.0.2.1");
    CHECK_SPAN(value(&out.fields, "x-forwarded-proto"), "https");
    CHECK_SPAN(value(&out.fields, "x-forwarded-host"), "shop.example:8443");
    CHECK_SPAN(value(&out.fields, "forwarded"),
               "for=192.0.2.1;host=\"shop.example:8443\";proto=https");
    CHECK(value(&out.fields, "x-real-ip").p == NULL, "X-Real-IP");
    CHECK(value(&out.fields, "x-forwarded-port").p == NULL, "X-Forwarded-Port");
    CHECK_SPAN(value(&out.fields, "via"), "1.0 fred, 1.1 meridian");
    CHECK_SPAN(value(&out.fields, "x-request-id"), "id");
    CHECK_SPAN(value(&out.fields, "cookie"), "a=b");
    CHECK_SPAN(value(&out.fields, "accept"), "text/plain");
    static const enum field_id once[] = {FIELD_X_FORWARDED_FOR,
                                         FIELD_X_FORWARDED_PROTO,
                                         FIELD_X_FORWARDED_HOST,
                                         FIELD_FORWARDED,
                                         FIELD_VIA,
                                         FIELD_X_REQUEST_ID};
    for (size_t i = 0; i < sizeof once / sizeof *once; i++)
        CHECK_INT(fields_count(&out.fields, once[i]), 1);
    CHECK_INT(in.fields.n, CLAIMS); /* the canonical request stays as it is (H13) */
    CHECK_SPAN(value(&in.fields, "x-forwarded-for"), "198.51.100.7");
    arena_reset(&arena);
}

TEST(forward, a_trusted_peer_is_continued)
{
    arena_init(&arena, NULL, 4096, 0);
    struct request in = request_of(claims, CLAIMS);
    struct forward_facts facts = {
        .peer = SPAN("192.0.2.1"), .peer_trusted = true, .id = SPAN("id")};
    struct request out = forwarded(&in, &facts);
    CHECK_SPAN(value(&out.fields, "x-forwarded-for"), "198.51.100.7, 198.51.100.8, 192.0.2.1");
    CHECK_SPAN(value(&out.fields, "x-forwarded-proto"), "gopher");
    CHECK_SPAN(value(&out.fields, "x-forwarded-host"), "evil.example");
    CHECK_SPAN(value(&out.fields, "forwarded"),
               "for=192.0.2.1;host=\"shop.example:8443\";proto=https");
    CHECK(value(&out.fields, "x-real-ip").p == NULL, "nobody is asked for X-Real-IP");
    facts.forwarded_kept = true;
    out = forwarded(&in, &facts);
    CHECK_SPAN(value(&out.fields, "x-forwarded-for"), "192.0.2.1");
    CHECK_SPAN(value(&out.fields, "forwarded"),
               "for=198.51.100.7, for=192.0.2.1;host=\"shop.example:8443\";proto=https");
    CHECK_INT(fields_count(&out.fields, FIELD_FORWARDED), 1);
    arena_reset(&arena);
}

TEST(forward, a_trusted_peer_that_says_nothing_is_the_first)
{
    arena_init(&arena, NULL, 4096, 0);
    struct request in = request_of(NULL, 0);
    struct forward_facts facts = {
        .peer = SPAN("2001:db8::1"), .peer_v6 = true, .peer_trusted = true, .id = SPAN("id")};
    in.authority = SPAN_NONE; /* HTTP/1.0 */
    in.version = VERSION_1_0;
    struct request out = forwarded(&in, &facts);
    CHECK_SPAN(value(&out.fields, "x-forwarded-for"), "2001:db8::1");
    CHECK_SPAN(value(&out.fields, "x-forwarded-proto"), "https");
    CHECK(value(&out.fields, "x-forwarded-host").p == NULL, "there was none");
    CHECK_SPAN(value(&out.fields, "forwarded"), "for=\"[2001:db8::1]\";proto=https");
    facts = (struct forward_facts){.peer = SPAN("unix:"), .id = SPAN("id")};
    out = forwarded(&in, &facts);
    CHECK_SPAN(value(&out.fields, "forwarded"), "for=unknown;proto=https");
    CHECK_SPAN(value(&out.fields, "via"), "1.0 meridian");
    arena_reset(&arena);
}

TEST(forward, the_authority_is_the_policys)
{
    arena_init(&arena, NULL, 4096, 0);
    struct request in = request_of(NULL, 0);
    struct forward_facts facts = {.peer = SPAN("192.0.2.1"), .id = SPAN("id")};
    CHECK_SPAN(forwarded(&in, &facts).authority, "shop.example:8443");
    facts.authority = SPAN("inner:80");
    struct request out = forwarded(&in, &facts);
    CHECK_SPAN(out.authority, "inner:80");
    CHECK_SPAN(value(&out.fields, "x-forwarded-host"), "shop.example:8443");
    arena_reset(&arena);
}

TEST(forward, without_memory_it_says_so)
{
    for (size_t limit = 1; limit < 2; limit++) {
        struct arena none;
        arena_init(&arena, NULL, 4096, 0);
        arena_init(&none, NULL, 16, limit);
        struct request in = request_of(claims, CLAIMS), out;
        struct forward_facts facts = {.peer = SPAN("192.0.2.1"), .id = SPAN("id")};
        struct reply r = {.version = VERSION_1_1};
        CHECK_INT(forward_request(&in, &facts, &none, &out), ERR_NO_MEMORY);
        CHECK_INT(forward_reply(&r, &none), ERR_NO_MEMORY);
        CHECK(forward_id(&in, 1, 2, &none).p == NULL, "no identifier");
        arena_reset(&none);
        arena_reset(&arena);
    }
}

TEST(forward, via_of_the_reply_is_one_list)
{
    arena_init(&arena, NULL, 4096, 0);
    struct reply r = {.status = 200, .version = VERSION_1_0};
    CHECK_INT(forward_reply(&r, &arena), ERR_OK);
    CHECK_SPAN(value(&r.fields, "via"), "1.0 meridian");
    r.version = VERSION_1_1;
    CHECK_INT(forward_reply(&r, &arena), ERR_OK);
    CHECK_SPAN(value(&r.fields, "via"), "1.0 meridian, 1.1 meridian");
    CHECK_INT(fields_count(&r.fields, FIELD_VIA), 1);
    arena_reset(&arena);
}

TEST(forward, identifiers_are_kept_only_where_harmless)
{
    static const struct {
        const char *own;
        bool kept;
    } rows[] = {
        {"a", true},
        {"0123456789abcdefABCDEF-_.=+/:", true},
        {"", false},
        {"with space", false},
        {"semi;colon", false},
        {"quote\"", false},
        {"\xc3\xa4", false},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890"
         "123456789012345678901234567890123456789012345678",
         true}, /* 128 */
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890"
         "1234567890123456789012345678901234567890123456789",
         false}, /* 129 */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        arena_init(&arena, NULL, 4096, 0);
        const char *const own[][2] = {{"x-request-id", rows[i].own}};
        struct request in = request_of(own, 1);
        struct span id = forward_id(&in, 0x0123456789abcdefULL, 0xfedcba9876543210ULL, &arena);
        CHECK_SPAN(id, rows[i].kept ? rows[i].own : "0123456789abcdeffedcba9876543210");
        arena_reset(&arena);
    }
}

/* --- the client behind trusted hops: 10.0.0.0/8 and fd00::/8 are trusted, 10.0.0.1 asks --- */

struct walk {
    const char *first, *second; /* field values; NULL: no such field */
    const char *client;
};

static void check_walks(const struct walk *rows, size_t n, enum field_id field, const char *name)
{
    struct cidr trusted[2];
    CHECK_INT(cidr_parse(SPAN("10.0.0.0/8"), &trusted[0]), ERR_OK);
    CHECK_INT(cidr_parse(SPAN("fd00::/8"), &trusted[1]), ERR_OK);
    for (size_t i = 0; i < n; i++) {
        struct forward_trust trust = {trusted, 2, field};
        struct addr peer, client;
        char text[ADDR_TEXT];
        const char *fields[2][2] = {{name, rows[i].first}, {name, rows[i].second}};
        arena_init(&arena, NULL, 4096, 0);
        struct request in =
            request_of((const char *const(*)[2])fields, rows[i].first == NULL    ? 0
                                                        : rows[i].second == NULL ? 1
                                                                                 : 2);
        CHECK_INT(addr_parse(SPAN("10.0.0.1:5000"), &peer), ERR_OK);
        forward_client(&in, &trust, &peer, &client);
        size_t size = addr_print_host(&client, text);
        CHECK(span_eq(span_of(text, size), span_str(rows[i].client)), "row %d: %.*s, want %s",
              (int)i, (int)size, text, rows[i].client);
        arena_reset(&arena);
    }
}

TEST(forward, walks_x_forwarded_for_from_the_right)
{
    static const struct walk rows[] = {
        {NULL, NULL, "10.0.0.1"},
        {"198.51.100.7", NULL, "198.51.100.7"},
        {"203.0.113.9, 198.51.100.7", NULL, "198.51.100.7"}, /* what it claims is not believed */
        {"198.51.100.7, 10.1.1.1", NULL, "198.51.100.7"},
        {"198.51.100.7,10.1.1.1,10.2.2.2", NULL, "198.51.100.7"},
        {"198.51.100.7", "10.1.1.1", "198.51.100.7"}, /* two fields are one list */
        {"203.0.113.9", "198.51.100.7", "198.51.100.7"},
        {"10.3.3.3, 10.1.1.1", NULL, "10.3.3.3"}, /* all trusted: the farthest */
        {"198.51.100.7:4711", NULL, "198.51.100.7"},
        {"2001:db8::7", NULL, "2001:db8::7"},
        {"[2001:db8::7]:443", NULL, "2001:db8::7"},
        {"[2001:db8::7]", NULL, "2001:db8::7"},
        {"2001:db8::7, fd00::1", NULL, "2001:db8::7"},
        {"::ffff:198.51.100.7, ::ffff:10.1.1.1", NULL, "198.51.100.7"},
        {"unknown", NULL, "10.0.0.1"},
        {"198.51.100.7, nonsense", NULL, "10.0.0.1"},
        {"198.51.100.7, nonsense, 10.1.1.1", NULL, "10.1.1.1"},
        {"198.51.100.7,", NULL, "10.0.0.1"},
        {"", NULL, "10.0.0.1"},
        {"198.51.100.7, , 10.1.1.1", NULL, "10.1.1.1"},
        {"198.51.100.256", NULL, "10.0.0.1"},
        {"unix:/tmp/x", NULL, "10.0.0.1"},
        {"198.51.100.7 10.1.1.1", NULL, "10.0.0.1"},
    };
    check_walks(rows, sizeof rows / sizeof *rows, FIELD_X_FORWARDED_FOR, "x-forwarded-for");
}

TEST(forward, walks_forwarded_from_the_right)
{
    static const struct walk rows[] = {
        {"for=198.51.100.7", NULL, "198.51.100.7"},
        {"For=198.51.100.7;proto=http", NULL, "198.51.100.7"},
        {"proto=http;for=198.51.100.7", NULL, "198.51.100.7"},
        {"proto=http; for=198.51.100.7", NULL, "198.51.100.7"},
        {"for=\"198.51.100.7:80\"", NULL, "198.51.100.7"},
        {"for=\"[2001:db8::7]:80\"", NULL, "2001:db8::7"},
        {"for=\"[2001:db8::7]\", for=10.1.1.1", NULL, "2001:db8::7"},
        {"for=203.0.113.9, for=198.51.100.7", NULL, "198.51.100.7"},
        {"for=198.51.100.7;host=\"a,b\", for=10.1.1.1", NULL, "198.51.100.7"},
        {"for=198.51.100.7;host=\"a,for=203.0.113.9\"", NULL, "198.51.100.7"},
        {"for=198.51.100.7", "for=10.1.1.1", "198.51.100.7"},
        {"for=unknown", NULL, "10.0.0.1"},
        {"for=_hidden, for=10.1.1.1", NULL, "10.1.1.1"},
        {"proto=http", NULL, "10.0.0.1"},
        {"for=198.51.100.7, proto=http", NULL, "10.0.0.1"},
        {"for=\"198.51.100.7", NULL, "10.0.0.1"},
        {"for=203.0.113.9;for=198.51.100.7", NULL, "10.0.0.1"},
        {"for=198.51.100.7; FOR=198.51.100.7", NULL, "10.0.0.1"},
        {"for=203.0.113.9;for=198.51.100.7, for=10.1.1.1", NULL, "10.1.1.1"},
        {"host=\"a;for=203.0.113.9;x\";for=198.51.100.7", NULL, "198.51.100.7"},
        {"for=198.51.100.7;host=\"a\\\",for=203.0.113.9;x=\\\"\"", NULL, "10.0.0.1"},
        {"for=203.0.113.9;x=\"\\\"\", for=198.51.100.7", NULL, "198.51.100.7"},
        {"for=\"", NULL, "10.0.0.1"},
        {"for", NULL, "10.0.0.1"},
        {"198.51.100.7", NULL, "10.0.0.1"},
    };
    check_walks(rows, sizeof rows / sizeof *rows, FIELD_FORWARDED, "forwarded");
}

TEST(forward, only_the_configured_field_is_read)
{
    static const struct walk rows[] = {{"198.51.100.7", NULL, "10.0.0.1"}};
    check_walks(rows, 1, FIELD_FORWARDED, "x-forwarded-for");
    check_walks(rows, 1, FIELD_OTHER, "x-forwarded-for");
}

TEST(forward, a_stranger_is_itself)
{
    struct cidr trusted;
    struct addr peer, client;
    const char *const own[][2] = {{"x-forwarded-for", "198.51.100.7"}};
    arena_init(&arena, NULL, 4096, 0);
    struct request in = request_of(own, 1);
    CHECK_INT(cidr_parse(SPAN("10.0.0.0/8"), &trusted), ERR_OK);
    CHECK_INT(addr_parse(SPAN("192.0.2.1:5000"), &peer), ERR_OK);
    struct forward_trust trust = {&trusted, 1, FIELD_X_FORWARDED_FOR};
    forward_client(&in, &trust, &peer, &client);
    CHECK(addr_eq(&client, &peer), "not trusted, not asked");
    arena_reset(&arena);
}

/* H16: of 32 elements the farthest counts, what lies beyond is never looked at. */
TEST(forward, the_walk_is_bounded)
{
    struct cidr trusted;
    struct addr peer, client, last;
    struct buf text;
    char memory[4096];
    CHECK_INT(cidr_parse(SPAN("10.0.0.0/8"), &trusted), ERR_OK);
    CHECK_INT(addr_parse(SPAN("10.0.0.1:5000"), &peer), ERR_OK);
    for (int hops = LIMIT_FORWARDED - 1; hops <= LIMIT_FORWARDED; hops++) {
        buf_fixed(&text, memory, sizeof memory);
        buf_put_str(&text, "198.51.100.7");
        for (int i = 0; i < hops; i++)
            buf_printf(&text, ", 10.0.1.%d", i);
        buf_put_char(&text, '\0');
        const char *const own[][2] = {{"x-forwarded-for", memory}};
        arena_init(&arena, NULL, 4096, 0);
        struct request in = request_of(own, 1);
        struct forward_trust trust = {&trusted, 1, FIELD_X_FORWARDED_FOR};
        forward_client(&in, &trust, &peer, &client);
        CHECK_INT(addr_parse_host(hops < LIMIT_FORWARDED ? SPAN("198.51.100.7") : SPAN("10.0.1.0"),
                                  &last),
                  ERR_OK);
        CHECK(addr_eq(&client, &last), "%d hops", hops);
        arena_reset(&arena);
    }
}
