#include "check.h"

#include "base/hash.h"
#include "db/keep.h"
#include "rows.h"

TEST(keep, comes_back_as_it_was)
{
    struct row_set *set = rows_of("a 10.0.0.1:80 100 fra active 1000 f f\n"
                                  "a [::1]:80 0 so\"me\\ drain 0 f f\n");
    struct row_set *back;
    struct buf text;
    buf_init(&text, 0);
    set->server = SPAN("7/00000001/g/5");
    set->read_s = 1700000000;
    keep_print(set, &text);
    CHECK(keep_read(buf_span(&text), &back) == ERR_OK, "read");
    CHECK(row_set_same(set, back) && back->skipped == 0, "the same");
    CHECK(span_eq(back->server, set->server) && back->read_s == set->read_s, "whose, and when");
    row_set_free(&back);
    row_set_free(&set);
    buf_fini(&text);
}

TEST(keep, of_a_database_that_does_not_say_who_it_is)
{
    struct row_set *set = rows_of(""), *back;
    struct buf text;
    buf_init(&text, 0);
    keep_print(set, &text);
    CHECK(keep_read(buf_span(&text), &back) == ERR_OK, "read");
    CHECK(back->count == 0 && back->server.n == 0 && back->read_s == 0, "nothing");
    row_set_free(&back);
    row_set_free(&set);
    buf_fini(&text);
}

TEST(keep, every_flipped_byte_and_every_cut_is_seen)
{
    struct row_set *set = rows_of("a 10.0.0.1:80 100 fra active 1000 f f\n");
    struct row_set *back;
    struct buf text;
    buf_init(&text, 0);
    keep_print(set, &text);
    size_t n = buf_len(&text);
    for (size_t i = 0; i < n; i++) {
        CHECK(keep_read(span_of(text.p, i), &back) == ERR_CORRUPT && back == NULL, "cut %zu", i);
        text.p[i] ^= 1;
        CHECK(keep_read(buf_span(&text), &back) != ERR_OK && back == NULL, "flipped %zu", i);
        text.p[i] ^= 1;
    }
    row_set_free(&set);
    buf_fini(&text);
}

/* What somebody has written by hand, with the right checksum. */
static enum err read_body(const char *body, size_t *rows, size_t *skipped)
{
    char text[1024];
    struct row_set *set;
    int n = snprintf(text, sizeof text, "{\"schema\": 3, \"checksum\": \"%016llx\",\n%s",
                     (unsigned long long)hash_plain(span_str(body)), body);
    enum err e = keep_read(span_of(text, (size_t)n), &set);
    *rows = set != NULL ? set->count : 0;
    *skipped = set != NULL ? set->skipped : 0;
    row_set_free(&set);
    return e;
}

#define ROW                                                                                        \
    "{\"pool\": \"a\", \"address\": \"10.0.0.1:80\", \"weight\": 1, \"site\": \"\", \"desired\": " \
    "\"active\"}"

TEST(keep, of_another_shape)
{
    static const char *const bad[] = {
        "",
        "}",
        "\"server\": \"\", \"read_at\": 1, \"rows\": []} x",
        "\"server\": \"\", \"read_at\": -1, \"rows\": []}",
        "\"server\": \"\", \"read_at\": \"now\", \"rows\": []}",
        "\"server\": \"\", \"rows\": []}",
        "\"server\": \"\", \"read_at\": 1, \"rows\": {}}",
        "\"server\": \"\", \"read_at\": 1}",
        "\"schema\": 3, \"read_at\": 1, \"rows\": []}",
    };
    size_t rows, skipped;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(read_body(bad[i], &rows, &skipped) == ERR_CORRUPT, "%s", bad[i]);
    CHECK(read_body("\"read_at\": 1, \"rows\": [" ROW "], \"more\": {}}", &rows, &skipped) ==
                  ERR_OK &&
              rows == 1 && skipped == 0,
          "what is not known is passed over");
    CHECK(read_body("\"read_at\": 1, \"rows\": [" ROW ", {}, 1, {\"pool\": \"a\", \"weight\": "
                    "\"1\"}]}",
                    &rows, &skipped) == ERR_OK &&
              rows == 1 && skipped == 3,
          "rows that make no sense are left out");
}
