#include "base/buf.h"
#include "base/mem.h"
#include "check.h"

TEST(buf, grows_and_keeps_the_order)
{
    struct buf b;
    buf_init(&b, 0);
    for (unsigned i = 0; i < 5000; i++)
        buf_put_char(&b, (char)('a' + i % 26));
    CHECK_INT(buf_len(&b), 5000);
    for (unsigned i = 0; i < 5000; i++)
        CHECK_INT(buf_span(&b).p[i], 'a' + i % 26);
    buf_fini(&b);
}

TEST(buf, kinds_of_content)
{
    struct buf b;
    buf_init(&b, 100);
    buf_put_span(&b, SPAN("a"));
    buf_put_span(&b, SPAN_NONE);
    buf_put_str(&b, "bc");
    buf_put_u64(&b, 1200);
    buf_printf(&b, "%c%s%%", '-', "x");
    CHECK_SPAN(buf_span(&b), "abc1200-x%");
    CHECK(!b.failed, "all fits");
    buf_fini(&b);
}

/* A6: the bound holds, what does not fit changes nothing, and nothing is appended behind the gap.
 */
TEST(buf, the_limit_holds)
{
    struct buf b;
    buf_init(&b, 300);
    for (int i = 0; i < 30; i++)
        buf_put_str(&b, "0123456789");
    CHECK(buf_len(&b) == 300 && !b.failed && b.cap <= 300, "cap %zu", b.cap);
    buf_take(&b, 5);
    buf_put_str(&b, "123456");
    CHECK(b.failed && buf_len(&b) == 295, "six do not fit");
    buf_put_char(&b, 'x');
    CHECK_INT(buf_len(&b), 295);
    buf_clear(&b);
    buf_put_char(&b, 'x');
    CHECK_SPAN(buf_span(&b), "x");
    CHECK(!buf_reserve(&b, SIZE_MAX) && !buf_reserve(&b, SIZE_MAX - 1), "no wrap");
    buf_fini(&b);
}

TEST(buf, taken_bytes_are_room_again)
{
    struct buf b;
    char memory[10];
    buf_fixed(&b, memory, sizeof memory);
    buf_put_str(&b, "0123456789");
    buf_take(&b, 4);
    buf_put_str(&b, "abcd");
    CHECK_SPAN(buf_span(&b), "456789abcd");
    buf_take(&b, 99);
    CHECK(buf_len(&b) == 0 && b.at == 0, "all taken");
    CHECK(buf_reserve(&b, 10) && !buf_reserve(&b, 11), "fixed memory is never grown");
    buf_fini(&b);
}

TEST(buf, printf_fills_fixed_memory_to_the_last_but_one)
{
    struct buf b;
    char memory[8];
    buf_fixed(&b, memory, sizeof memory);
    buf_printf(&b, "%s", "1234567");
    CHECK(!b.failed && buf_len(&b) == 7, "seven and the NUL");
    buf_clear(&b);
    buf_printf(&b, "%s", "12345678");
    CHECK(b.failed && buf_len(&b) == 0, "eight are too many");
}

/* A2 */
TEST(buf, a_failing_allocation_keeps_the_content)
{
    struct buf b;
    buf_init(&b, 0);
    buf_put_str(&b, "kept");
    mem_fail_at(1);
    CHECK(!buf_reserve(&b, 10000), "refused");
    CHECK_SPAN(buf_span(&b), "kept");
    CHECK(b.failed, "and said");
    buf_fini(&b);
}

/* H23: nothing of a value can end the string, the line, or command a terminal. */
TEST(buf, json_strings)
{
    static const struct {
        const char *in, *want;
    } rows[] = {
        {"", "\"\""},
        {"plain /path?x=1", "\"plain /path?x=1\""},
        {"a\"b\\c", "\"a\\\"b\\\\c\""},
        {"\r\n\t\x01\x1b", "\"\\r\\n\\t\\u0001\\u001b\""},
        {"\x7f", "\"\\u007f\""},
        {"\xc2\x9b", "\"\\u009b\""},                      /* a terminal's CSI */
        {"gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\""}, /* two bytes */
        {"\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"\xff", "\"\\u00ff\""},
        {"\xc3", "\"\\u00c3\""},                                  /* cut short */
        {"\xc0\xaf", "\"\\u00c0\\u00af\""},                       /* overlong */
        {"\xe0\x80\xaf", "\"\\u00e0\\u0080\\u00af\""},            /* overlong */
        {"\xed\xa0\x80", "\"\\u00ed\\u00a0\\u0080\""},            /* surrogate */
        {"\xf4\x90\x80\x80", "\"\\u00f4\\u0090\\u0080\\u0080\""}, /* beyond U+10FFFF */
        {"\xc3(", "\"\\u00c3(\""},
    };
    struct buf b;
    buf_init(&b, 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_clear(&b);
        buf_put_json(&b, span_str(rows[i].in), 100);
        CHECK_SPAN(buf_span(&b), rows[i].want);
    }
    buf_clear(&b);
    buf_put_json(&b, span_of("a\0b", 3), 100);
    CHECK_SPAN(buf_span(&b), "\"a\\u0000b\"");
    buf_fini(&b);
}

TEST(buf, json_is_cut_between_letters)
{
    struct buf b;
    buf_init(&b, 0);
    buf_put_json(&b, SPAN("abcdef"), 3);
    CHECK_SPAN(buf_span(&b), "\"abc\xe2\x80\xa6\"");
    buf_clear(&b);
    buf_put_json(&b, SPAN("ab\xe2\x82\xac"), 4);
    CHECK_SPAN(buf_span(&b), "\"ab\xe2\x80\xa6\"");
    buf_clear(&b);
    buf_put_json(&b, SPAN("abc"), 3);
    CHECK_SPAN(buf_span(&b), "\"abc\"");
    buf_fini(&b);
}

/* L38: what is written is bounded, however much of it is escapes; an escape is whole or not there.
 */
TEST(buf, json_is_cut_by_what_it_writes)
{
    struct buf b;
    buf_init(&b, 0);
    buf_put_json(&b, SPAN("\x01\x01\x01"), 18);
    CHECK_SPAN(buf_span(&b), "\"\\u0001\\u0001\\u0001\"");
    buf_clear(&b);
    buf_put_json(&b, SPAN("\x01\x01\x01"), 17);
    CHECK_SPAN(buf_span(&b), "\"\\u0001\\u0001\xe2\x80\xa6\"");
    buf_clear(&b);
    buf_put_json(&b, SPAN("a\"b"), 2);
    CHECK_SPAN(buf_span(&b), "\"a\xe2\x80\xa6\"");
    buf_fini(&b);
}

TEST(buf, json_is_all_or_nothing)
{
    struct buf b;
    char memory[8];
    buf_fixed(&b, memory, sizeof memory);
    buf_put_char(&b, '[');
    buf_put_json(&b, SPAN("1234567"), 100);
    CHECK(b.failed, "does not fit");
    CHECK_SPAN(buf_span(&b), "[");
}

TEST(buf, text_keeps_quotes_but_no_line_end)
{
    struct buf b;
    buf_init(&b, 0);
    buf_put_text(&b, SPAN("a=\"b\\\" c\nd"), 100);
    CHECK_SPAN(buf_span(&b), "a=\"b\\\" c\\nd");
    buf_fini(&b);
}
