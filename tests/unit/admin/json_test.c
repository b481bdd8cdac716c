#include "check.h"

#include "admin/json.h"
#include "base/hash.h"
#include "base/json_read.h"
#include "base/mem.h"

#include <math.h>
#include <stdint.h>

TEST(json, writes)
{
    struct buf b;
    struct json j;
    buf_init(&b, 0);
    json_init(&j, &b);
    json_object(&j, NULL);
    json_str(&j, "a", "x\"\\\n\x01<\xc3\xa9");
    json_array(&j, "b");
    json_u64(&j, NULL, UINT64_MAX);
    json_i64(&j, NULL, INT64_MIN);
    json_bool(&j, NULL, true);
    json_str(&j, NULL, NULL);
    json_object(&j, NULL);
    json_object_end(&j);
    json_array(&j, NULL);
    json_array_end(&j);
    json_array_end(&j);
    json_double(&j, "c", 12.5, 3);
    json_double(&j, "d", -0.0004, 3);
    json_double(&j, "e", 100, 0);
    json_double(&j, "f", NAN, 3);
    json_double(&j, "g", INFINITY, 3);
    json_double(&j, "h", 7, 2);
    json_object_end(&j);
    CHECK_SPAN(buf_span(&b),
               "{\"a\":\"x\\\"\\\\\\n\\u0001<\xc3\xa9\",\"b\":[18446744073709551615,"
               "-9223372036854775808,true,null,{},[]],\"c\":12.5,\"d\":-0,\"e\":100,\"f\":null,"
               "\"g\":null,\"h\":7}");
    buf_fini(&b);
}

static enum err reads(const char *text, struct arena *a, const struct json_value **out)
{
    arena_init(a, NULL, 1024, 0);
    return json_read(span_str(text), a, out);
}

TEST(json_read, accepts)
{
    static const char *const good[] = {
        "null",
        " true ",
        "\tfalse\r\n",
        "0",
        "-0",
        "10",
        "1.5",
        "-1.25e+10",
        "0e0",
        "1E-2",
        "\"\"",
        "[]",
        "[ ]",
        "{}",
        "{ }",
        "[1,[2,{\"a\":[]}]]",
        "{\"a\":1,\"b\":{\"a\":2}}",
        "\"\\u0041\"",
        "\"\\ud83d\\ude00\"",
        "\"\\/\\b\\f\\n\\r\\t\\\\\\\"\"",
        "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
    };
    struct arena a;
    const struct json_value *v;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        enum err e = reads(good[i], &a, &v);
        CHECK(e == ERR_OK && v != NULL, "%s: %s", good[i], err_name(e));
        arena_reset(&a);
    }
}

TEST(json_read, refuses)
{
    static const char *const bad[] = {
        "",
        " ",
        "nul",
        "nulll",
        "True",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "-",
        "0x1",
        "\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\n\"",
        "\"\t\"",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{",
        "{1:2}",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{,}",
        "1 2",
        "[] []",
        "{}x",
        "'a'",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]",
        "NaN",
        "Infinity",
        "/**/1",
        "\xef\xbb\xbf"
        "1",
        "1111111111111111111111111111111111111111111111111111111111111111",
    };
    struct arena a;
    const struct json_value *v;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        enum err e = reads(bad[i], &a, &v);
        CHECK((e == ERR_SYNTAX || e == ERR_RANGE) && v == NULL, "%s: %s", bad[i], err_name(e));
        arena_reset(&a);
    }
}

TEST(json_read, values)
{
    struct arena a;
    const struct json_value *v;
    CHECK_INT(reads("{\"s\":\"a\\u00e9\\ud83d\\ude00\\n\",\"n\":-12.5e1,\"t\":true,\"z\":null,"
                    "\"l\":[1,2,3],\"o\":{\"k\":\"v\"}}",
                    &a, &v),
              ERR_OK);
    CHECK_SPAN(json_get_text(v, "s"), "a\xc3\xa9\xf0\x9f\x98\x80\n");
    CHECK(json_get_number(v, "n") == -125, "number");
    CHECK_SPAN(json_get(v, "n")->text, "-12.5e1");
    CHECK(json_get_bool(v, "t") && !json_get_bool(v, "z") && !json_get_bool(v, "no"), "bool");
    CHECK_INT(json_get(v, "l")->count, 3);
    CHECK_SPAN(json_get_text(json_get(v, "o"), "k"), "v");
    CHECK(json_get_text(v, "n").p == NULL && json_get_number(v, "s") == 0, "other types");
    CHECK(json_get(NULL, "a") == NULL && json_get(json_get(v, "l"), "a") == NULL, "no object");
    arena_reset(&a);
}

/* Bounds: members of one object, the arena. */
TEST(json_read, bounds)
{
    struct buf b;
    struct arena a;
    const struct json_value *v;
    for (int members = 64; members <= 65; members++) {
        buf_init(&b, 0);
        for (int i = 0; i < members; i++) {
            buf_printf(&b, "%s\"%d\":0", i == 0 ? "{" : ",", i);
        }
        buf_put_char(&b, '}');
        arena_init(&a, NULL, 1024, 0);
        CHECK_INT(json_read(buf_span(&b), &a, &v), members == 64 ? ERR_OK : ERR_RANGE);
        arena_reset(&a);
        buf_fini(&b);
    }
    buf_init(&b, 0);
    for (int i = 0; i < 10000; i++) {
        buf_put_str(&b, i == 0 ? "[0" : ",0");
    }
    buf_put_char(&b, ']');
    arena_init(&a, NULL, 1024, 64 * 1024);
    CHECK_INT(json_read(buf_span(&b), &a, &v), ERR_NO_MEMORY);
    arena_reset(&a);
    buf_fini(&b);
}

/* What the writer makes of any bytes, the reader accepts; valid text comes back as it was. */
TEST(json, round_trip)
{
    struct rng rng;
    rng_seed(&rng, 77);
    for (int round = 0; round < 3000; round++) {
        char text[40];
        size_t n = rng_below(&rng, sizeof text);
        bool ascii = rng_below(&rng, 2) == 0;
        for (size_t i = 0; i < n; i++) {
            text[i] = (char)(1 + rng_below(&rng, ascii ? 127 : 255));
        }
        struct buf b;
        struct json j;
        struct arena a;
        const struct json_value *v;
        buf_init(&b, 0);
        json_init(&j, &b);
        json_object(&j, NULL);
        json_span(&j, "k", span_of(text, n));
        json_object_end(&j);
        arena_init(&a, NULL, 1024, 0);
        CHECK_INT(json_read(buf_span(&b), &a, &v), ERR_OK);
        CHECK(!ascii || span_eq(json_get_text(v, "k"), span_of(text, n)), "round %d", round);
        CHECK(span_find(buf_span(&b), '\n') == buf_len(&b), "one line");
        arena_reset(&a);
        buf_fini(&b);
    }
}

/* Random bytes and cut or changed valid texts: never a crash, never past the end (ASan). */
TEST(json_read, noise)
{
    static const char seed[] = "{\"a\":[1,-2.5e3,\"x\\u00e9\\n\",true,null],\"b\":{\"c\":{}}}";
    struct rng rng;
    rng_seed(&rng, 5);
    for (int round = 0; round < 5000; round++) {
        size_t n = rng_below(&rng, sizeof seed);
        char *text = mem_alloc(n + 1);
        memcpy(text, seed, n);
        for (int k = 0; n > 0 && k < 3; k++) {
            text[rng_below(&rng, n)] = "{}[]\",:\\u0e-. \x01"[rng_below(&rng, 15)];
        }
        char *exact = mem_copy_str(text, n);
        struct arena a;
        const struct json_value *v;
        arena_init(&a, NULL, 1024, 0);
        enum err e = json_read(span_of(exact, n), &a, &v);
        CHECK((e == ERR_OK) == (v != NULL), "%s", err_name(e));
        arena_reset(&a);
        mem_free(text);
        mem_free(exact);
    }
}

/* F16: wherever memory runs out, reading says so. */
TEST(json_read, without_memory_F16)
{
    static const char text[] = "{\"a\":[1,\"two\",true,null,{\"b\":\"\\u00e4\"}],\"c\":\"d\","
                               "\"e\":[1234567890123456789012345678901234567890]}";
    const struct json_value *v;
    unsigned wants = 0;
    for (size_t pad = 0; pad < 256; pad += 16) {
        for (size_t blocks = 0; blocks < 12; blocks++) {
            struct arena a;
            arena_init(&a, NULL, 256, 1 + blocks * 320);
            (void)!arena_take(&a, pad);
            enum err e = json_read(span_str(text), &a, &v);
            CHECK(e == ERR_OK || e == ERR_NO_MEMORY, "%s", err_name(e));
            CHECK((e == ERR_OK) == (v != NULL), "a tree or none");
            wants += e == ERR_NO_MEMORY;
            arena_reset(&a);
        }
    }
    CHECK(wants > 0, "it runs out");
}

TEST(json_read, members_of_another_kind_are_none)
{
    struct arena a;
    const struct json_value *v;
    arena_init(&a, NULL, 4096, 0);
    CHECK_INT(json_read(SPAN("{\"n\":1,\"s\":\"x\",\"b\":true}"), &a, &v), ERR_OK);
    CHECK(json_get_number(v, "s") == 0 && json_get_number(v, "none") == 0, "no number");
    CHECK(json_get_number(v, "n") == 1, "a number");
    CHECK(!json_get_bool(v, "n") && json_get_bool(v, "b"), "a word");
    CHECK(json_get_text(v, "n").p == NULL && json_get(NULL, "n") == NULL, "no text");
    CHECK_INT(json_read(SPAN("1e999"), &a, &v), ERR_RANGE);
    CHECK_INT(json_read(SPAN("[-1e400]"), &a, &v), ERR_RANGE);
    CHECK_INT(json_read(SPAN("\"\\ud800\\ue000\""), &a, &v), ERR_SYNTAX);
    CHECK_INT(json_read(SPAN("\"\\ud800\\u0041\""), &a, &v), ERR_SYNTAX);
    arena_reset(&a);
}

/* F16: whichever piece of memory cannot be had. */
TEST(json_read, memory_may_run_out_at_numbers_and_names)
{
    struct buf text;
    buf_init(&text, 0);
    for (int i = 0; i < 60; i++)
        buf_printf(&text, "%s{\"%.*s\":%.*s},1%059d", i == 0 ? "[" : ",", 1 + i % 7, "abcdefg",
                   1 + i % 13, "1234567890123", 1);
    buf_put_str(&text, "]");
    for (uint64_t nth = 1;; nth++) {
        struct arena a;
        const struct json_value *v;
        arena_init(&a, NULL, 256, 0);
        mem_fail_at(nth);
        enum err e = json_read(buf_span(&text), &a, &v);
        mem_fail_at(0);
        arena_reset(&a);
        if (e == ERR_OK) {
            CHECK(nth > 20, "%d pieces", (int)nth);
            break;
        }
        CHECK_INT(e, ERR_NO_MEMORY);
    }
    buf_fini(&text);
}
