#include "check.h"
#include "proxy/query_hide.h"

struct row {
    const char *written, *shown;
};

static void check(const struct row *row, void (*hide)(struct span, size_t, struct buf *))
{
    char memory[512];
    struct buf out;
    buf_fixed(&out, memory, sizeof memory);
    hide(span_str(row->written), 100, &out);
    CHECK_SPAN(buf_span(&out), row->shown);
}

TEST(query_hide, urls)
{
    static const struct row rows[] = {
        {"", ""},
        {"/", "/"},
        {"https://a/b?c=d", "https://a/b?c=d"},
        {"https://joe:hunter@a/reset?token=T1&x=1&password=T2",
         "https://***@a/reset?token=***&x=1&password=***"},
        {"https://joe@a", "https://***@a"},
        {"https://j@o@e:a@b:80/@c", "https://***@b:80/@c"},
        {"//joe:hunter@a/b", "//***@a/b"},
        {"https://a/@joe/b", "https://a/@joe/b"},
        {"https://a?mail=joe@b", "https://a?mail=joe@b"},
        {"https://a#joe@b", "https://a#joe@b"},
        {"joe@a", "joe@a"},
        {"a-scheme-that-is-longer-than-any-that-is:/x",
         "a-scheme-that-is-longer-than-any-that-is:/x"},
        {"https://a/b?", "https://a/b?"},
        {"a/b?jwt=1&bearer=2&credentials=3&pwd=4&passphrase=5&job=6",
         "a/b?jwt=***&bearer=***&credentials=***&pwd=***&passphrase=***&job=6"},
        {"https://"
         "joe:a-password-of-more-than-a-hundred-bytes-is-hidden-as-a-whole-because-what-counts-"
         "is-what-is-behind-it@a/b",
         "https://***@a/b"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(&rows[i], url_hide);
}

TEST(query_hide, targets)
{
    static const struct row rows[] = {
        {"", ""},
        {"*", "*"},
        {"a:80", "a:80"},
        {"joe:hunter@a:80", "***@a:80"},
        {"http://joe:hun/ter@a/b", "http://***@a/b"},
        {"http://joe:hunter@a/@b", "http://***@b"},
        {"http://a/b", "http://a/b"},
        {"@", "***@"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(&rows[i], target_hide);
}

TEST(query_hide, what_is_shown_is_bounded)
{
    char url[4096], memory[512];
    struct buf out;
    memset(url, 'x', sizeof url);
    memcpy(url, "https://j@", 10);
    buf_fixed(&out, memory, sizeof memory);
    url_hide(span_of(url, sizeof url), 100, &out);
    CHECK_INT(buf_len(&out), strlen("https://***@") + 100);
    buf_clear(&out);
    target_hide(span_of(url, sizeof url), 100, &out);
    CHECK_INT(buf_len(&out), strlen("https://***@") + 100);
}
