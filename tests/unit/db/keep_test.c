#include "check.h"
#include "db/keep.h"
#include "rows.h"

TEST(keep, comes_back_as_it_was)
{
    struct row_set *set = rows_of("a 10.0.0.1:80 100 fra active 1000 f f\n"
                                  "a [::1]:80 0  drain 0 f f\n");
    struct row_set *back;
    struct buf text;
    buf_init(&text, 0);
    keep_print(set, &text);
    CHECK(keep_read(buf_span(&text), &back) == ERR_OK, "read");
    CHECK(row_set_same(set, back) && back->skipped == 0, "the same");
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
