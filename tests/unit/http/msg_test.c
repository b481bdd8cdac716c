#include "base/mem.h"
#include "check.h"
#include "http/msg.h"

TEST(msg, fields_keep_their_order)
{
    struct arena a;
    struct fields f = {0};
    arena_init(&a, NULL, 4096, 0);
    for (int i = 0; i < 50; i++) {
        CHECK_INT(fields_add(&f, &a, FIELD_OTHER, SPAN("x-a"), SPAN("1")), ERR_OK);
        CHECK_INT(fields_put(&f, &a, FIELD_VIA, SPAN("2")), ERR_OK);
    }
    CHECK_INT(f.n, 100);
    CHECK_INT(fields_count(&f, FIELD_VIA), 50);
    CHECK_SPAN(fields_get(&f, FIELD_VIA)->name, "via");
    CHECK_SPAN(fields_find(&f, SPAN("x-a"))->value, "1");
    CHECK_SPAN(fields_find(&f, SPAN("via"))->value, "2");
    CHECK(fields_find(&f, SPAN("x-b")) == NULL, "not there");
    CHECK(fields_get(&f, FIELD_HOST) == NULL, "not there");
    fields_remove(&f, FIELD_VIA);
    CHECK_INT(f.n, 50);
    CHECK_INT(fields_count(&f, FIELD_VIA), 0);
    arena_reset(&a);
}

TEST(msg, trailers_that_tell_a_digest)
{
    static const struct {
        const char *trailer;
        bool promised;
    } rows[] = {{"Content-Digest", true}, {"x-a,REPR-DIGEST , x-b", true},      {"digest", true},
                {", ,content-md5", true}, {"content-digests, x-digest", false}, {"", false}};
    struct arena a;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fields f = {0};
        arena_init(&a, NULL, 4096, 0);
        CHECK_INT(fields_put(&f, &a, FIELD_VIA, SPAN("content-digest")), ERR_OK);
        CHECK_INT(fields_put(&f, &a, FIELD_TRAILER, SPAN("x-c")), ERR_OK);
        CHECK_INT(fields_put(&f, &a, FIELD_TRAILER, span_str(rows[i].trailer)), ERR_OK);
        CHECK_INT(fields_promise_digest(&f), rows[i].promised);
        CHECK(!fields_have_digest(&f), "it is named only");
        CHECK_INT(fields_add(&f, &a, FIELD_OTHER, SPAN("x-digest"), SPAN("1")), ERR_OK);
        CHECK(!fields_have_digest(&f), "it sounds like one only");
        CHECK_INT(fields_add(&f, &a, FIELD_OTHER, SPAN("digest"), SPAN("1")), ERR_OK);
        CHECK(fields_have_digest(&f), "one");
        arena_reset(&a);
    }
}

TEST(msg, no_memory)
{
    struct arena a;
    struct fields f = {0};
    arena_init(&a, NULL, 4096, 0);
    mem_fail_at(1);
    CHECK_INT(fields_put(&f, &a, FIELD_VIA, SPAN("x")), ERR_NO_MEMORY);
    CHECK_INT(f.n, 0);
    arena_reset(&a);
}

TEST(msg, methods_H2)
{
    static const struct {
        const char *name;
        enum method method;
        bool idempotent;
    } rows[] = {
        {"GET", METHOD_GET, true},         {"HEAD", METHOD_HEAD, true},
        {"POST", METHOD_POST, false},      {"PUT", METHOD_PUT, true},
        {"PATCH", METHOD_PATCH, false},    {"DELETE", METHOD_DELETE, true},
        {"OPTIONS", METHOD_OPTIONS, true}, {"CONNECT", METHOD_CONNECT, false},
        {"TRACE", METHOD_TRACE, false},    {"get", METHOD_OTHER, false},
        {"PROPFIND", METHOD_OTHER, false}, {"", METHOD_OTHER, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK_INT(method_parse(span_str(rows[i].name)), rows[i].method);
        CHECK_INT(method_idempotent(rows[i].method), rows[i].idempotent);
    }
}

TEST(msg, status_phrases)
{
    CHECK_STR(status_phrase(200), "OK");
    CHECK_STR(status_phrase(431), "Request Header Fields Too Large");
    CHECK_STR(status_phrase(299), "");
}
