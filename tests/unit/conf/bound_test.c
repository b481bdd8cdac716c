/* RELIABILITY L36: what is too much ends with a message, soon and without much memory. */
#include "check.h"
#include "file.h"

#include <stdio.h>
#include <sys/resource.h>

static void repeat(struct buf *b, const char *piece, size_t times)
{
    for (size_t i = 0; i < times; i++)
        buf_put_str(b, piece);
}

/* Loads and gives back the messages, which must hold `want`. */
static void refuse(const struct buf *text, const char *want)
{
    struct conf *conf = NULL;
    struct buf messages;
    buf_init(&messages, 0);
    CHECK_INT(conf_load_text("test.yaml", buf_span(text), &conf, &messages), ERR_SYNTAX);
    buf_put_char(&messages, '\0');
    CHECK(strstr(messages.p, want) != NULL, "no '%s' in: %s", want, messages.p);
    buf_fini(&messages);
}

TEST(conf_bound, file_of_more_than_four_mebibytes_L36)
{
    struct buf text;
    buf_init(&text, 0);
    repeat(&text, "#234567\n", LIMIT_CONF_BYTES / 8);
    refuse(&text, "the file is empty");
    buf_put_char(&text, '#');
    refuse(&text, "at most 4 MiB");
    buf_fini(&text);
}

TEST(conf_bound, nesting_L36)
{
    static const struct {
        const char *piece;
        size_t times;
    } rows[] = {{"[", 33}, {"[", 16000}, {"{a: ", 4000}, {"- ", 8000}, {"? ", 8000}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf text;
        buf_init(&text, 0);
        repeat(&text, rows[i].piece, rows[i].times);
        refuse(&text, rows[i].piece[0] == '?' ? "a key cannot be" : "nested too deeply");
        buf_fini(&text);
    }
}

TEST(conf_bound, nesting_up_to_the_bound_L36)
{
    for (size_t depth = LIMIT_CONF_DEPTH; depth <= LIMIT_CONF_DEPTH + 1; depth++) {
        struct buf text;
        buf_init(&text, 0);
        repeat(&text, "[", depth);
        repeat(&text, "]", depth);
        refuse(&text, depth == LIMIT_CONF_DEPTH ? "the file is a list" : "nested too deeply");
        buf_fini(&text);
    }
}

TEST(conf_bound, values_and_keys_L36)
{
    struct buf text;
    buf_init(&text, 0);
    repeat(&text, "- a\n", LIMIT_CONF_NODES - 1);
    refuse(&text, "the file is a list");
    repeat(&text, "- a\n", 1);
    refuse(&text, "at most 100000 values and keys");
    buf_fini(&text);
}

/* Ten levels of ten aliases would be 10^10 values. */
TEST(conf_bound, aliases_never_grow_L36)
{
    struct buf text;
    buf_init(&text, 0);
    buf_put_str(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 10; i++) {
        buf_printf(&text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            buf_printf(&text, "*a%d,", i - 1);
        buf_put_str(&text, "]\n");
    }
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    refuse(&text, "an alias (*name) is not allowed");
    getrusage(RUSAGE_SELF, &after);
    CHECK(after.ru_maxrss - before.ru_maxrss < 64 * 1024, "%ld KiB more",
          after.ru_maxrss - before.ru_maxrss);
    buf_fini(&text);
}

/* Look-ups of names grow with n log n: 5 000 routes to 4 000 pools are no work. */
TEST(conf_bound, many_names)
{
    struct buf text;
    buf_init(&text, 0);
    buf_put_str(&text, "listeners: {a: {bind: \"0.0.0.0:1\"}}\npools:\n");
    for (int i = 0; i < 4000; i++)
        buf_printf(&text, "  p%d: {backends: {b: {address: \"127.0.0.1:1\"}}}\n", i);
    buf_put_str(&text, "routes:\n");
    for (int i = 0; i < 5000; i++)
        buf_printf(&text, "  - {match: {path: /%d}, pool: p%d}\n", i, i % 4000);
    struct conf *conf = NULL;
    struct buf messages;
    buf_init(&messages, 0);
    enum err err = conf_load_text("test.yaml", buf_span(&text), &conf, &messages);
    CHECK(err == ERR_OK, "%.*s", SPAN_FMT(buf_span(&messages)));
    CHECK(conf->routes[4999].pool == &conf->pools[999], "wrong pool");
    conf_free(&conf);
    buf_fini(&text);
    buf_fini(&messages);
}
