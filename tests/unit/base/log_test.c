#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "check.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* A log into a pipe; what it wrote is read back without waiting. */
struct fixture {
    struct log *log;
    int ends[2];
    char text[65536];
};

static void setup(struct fixture *f, enum log_level level, bool json, bool prefix)
{
    memset(f, 0, sizeof *f);
    CHECK(pipe2(f->ends, O_NONBLOCK) == 0, "pipe");
    f->log = log_new(f->ends[1], level, json, prefix);
    CHECK(f->log != NULL, "log");
}

static char *written(struct fixture *f)
{
    ssize_t n = read(f->ends[0], f->text, sizeof f->text - 1);
    f->text[n > 0 ? n : 0] = '\0';
    return f->text;
}

static void teardown(struct fixture *f)
{
    log_free(&f->log);
    CHECK(f->log == NULL, "freed");
    close(f->ends[0]);
    close(f->ends[1]);
}

/* What follows the time of the first line. */
static const char *after_time(const char *line, const char *before)
{
    CHECK(strncmp(line, before, strlen(before)) == 0, "%s", line);
    CHECK(strlen(line) > strlen(before) + 24, "%s", line);
    CHECK_INT(line[strlen(before) + 23], 'Z');
    return line + strlen(before) + 24;
}

TEST(log, text_lines)
{
    struct fixture f;
    setup(&f, LOG_INFO, false, false);
    log_event(f.log, LOG_WARN, "reload-failed", "errors=%d file=%s", 2,
              LOG_QUOTE(SPAN("a\" b=\"c\n")));
    CHECK_STR(after_time(written(&f), "time="),
              " level=warn event=reload-failed errors=2 file=\"a\\\" b=\\\"c\\n\"\n");
    log_event(f.log, LOG_INFO, "multi", "one\ntwo\x1b[0m");
    CHECK_STR(after_time(written(&f), "time="), " level=info event=multi one\\ntwo\\u001b[0m\n");
    log_event(f.log, LOG_INFO, "bare", "%s", "");
    CHECK_STR(after_time(written(&f), "time="), " level=info event=bare\n");
    teardown(&f);
}

TEST(log, json_lines)
{
    struct fixture f;
    setup(&f, LOG_INFO, true, false);
    log_event(f.log, LOG_ERROR, "bind-failed", "address=%s", LOG_QUOTE(SPAN("[::]:80")));
    CHECK_STR(after_time(written(&f), "{\"time\":\""),
              "\",\"level\":\"error\",\"event\":\"bind-failed\",\"address\":\"[::]:80\"}\n");
    teardown(&f);
}

/* A member for each key; what is not made of keys and values is one message. */
TEST(log, json_members)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"n=12 big=1234567890123456 zero=0 padded=007", "\"n\":12,\"big\":\"1234567890123456\","
                                                        "\"zero\":0,\"padded\":\"007\""},
        {"a=x/y b=\"two words\" c=\"q \\\" \\u00e9 \\n\"",
         "\"a\":\"x/y\",\"b\":\"two words\",\"c\":\"q \\\" \\u00e9 \\n\""},
        {"empty= quoted=\"\"", "\"empty\":\"\",\"quoted\":\"\""},
        {"a=\"bad \\x\"", "\"message\":\"a=\\\"bad \\\\x\\\"\""},
        {"a=\"bad \\u12\"", "\"message\":\"a=\\\"bad \\\\u12\\\"\""},
        {"a=\"open", "\"message\":\"a=\\\"open\""},
        {"a=\"x\"y", "\"message\":\"a=\\\"x\\\"y\""},
        {"only words", "\"message\":\"only words\""},
        {"a=1 then words", "\"message\":\"a=1 then words\""},
        {"A=1", "\"message\":\"A=1\""},
        {"a=\x01", "\"a\":\"\\u0001\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        char want[256];
        setup(&f, LOG_INFO, false, false);
        log_set_json(f.log, true);
        log_event(f.log, LOG_INFO, "e", "%s", cases[i].text);
        snprintf(want, sizeof want, "\",\"level\":\"info\",\"event\":\"e\",%s}\n", cases[i].want);
        CHECK_STR(after_time(written(&f), "{\"time\":\""), want);
        log_set_json(f.log, false);
        log_event(f.log, LOG_INFO, "e", "k=v");
        CHECK_STR(after_time(written(&f), "time="), " level=info event=e k=v\n");
        teardown(&f);
    }
}

TEST(log, priorities_for_the_journal)
{
    static const char *const want[] = {"<3>time=", "<4>time=", "<6>time=", "<7>time="};
    struct fixture f;
    setup(&f, LOG_DEBUG, false, true);
    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        log_event(f.log, (enum log_level)level, "x", "k=v");
        after_time(written(&f), want[level]);
    }
    teardown(&f);
}

TEST(log, levels)
{
    struct fixture f;
    enum log_level level = LOG_ERROR;
    setup(&f, LOG_WARN, false, false);
    log_event(f.log, LOG_INFO, "quiet", "k=v");
    CHECK_STR(written(&f), "");
    log_set_level(f.log, LOG_INFO);
    CHECK_INT(log_get_level(f.log), LOG_INFO);
    log_event(f.log, LOG_INFO, "loud", "k=v");
    CHECK(written(&f)[0] != '\0', "now it speaks");
    log_event(NULL, LOG_ERROR, "nowhere", "k=v");
    for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
        CHECK(log_level_parse(span_str(log_level_name((enum log_level)i)), &level), "level %d", i);
        CHECK_INT(level, i);
    }
    CHECK(!log_level_parse(SPAN("warning"), &level) && !log_level_parse(SPAN(""), &level), "none");
    teardown(&f);
}

static unsigned lines_in(const char *text)
{
    unsigned n = 0;
    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

/* L38: a flood is capped and counted, another event is still heard, and the loss is told. The cap
 * is per second of the clock, so the flood may meet two of them, never more than one more. */
TEST(log, floods_are_capped)
{
    struct fixture f;
    setup(&f, LOG_INFO, false, false);
    for (int i = 0; i < 200; i++)
        log_event(f.log, LOG_INFO, "flood", "i=%d", i);
    unsigned lines = lines_in(written(&f));
    CHECK(lines >= 20 && lines <= 40, "%u lines", lines);
    CHECK_INT(log_dropped(f.log), 200 - lines);
    log_event(f.log, LOG_INFO, "another", "k=v");
    CHECK(strstr(written(&f), "event=another") != NULL, "%s", f.text);
    int64_t second = clock_mono_ns() / NS_PER_S;
    while (clock_mono_ns() / NS_PER_S == second)
        usleep(20000);
    log_event(f.log, LOG_INFO, "flood", "again=1");
    CHECK(strstr(written(&f), " again=1 suppressed=") != NULL, "%s", f.text);
    teardown(&f);
}

/* L38: whatever the text, one line, ended, within the limit. */
TEST(log, long_lines_are_cut)
{
    static char text[20000];
    for (int json = 0; json < 2; json++) {
        for (int worst = 0; worst < 2; worst++) {
            struct fixture f;
            memset(text, worst ? '\x01' : 'a', sizeof text - 1);
            setup(&f, LOG_INFO, json != 0, true);
            log_event(f.log, LOG_INFO, "long", "%s", text);
            size_t n = strlen(written(&f));
            CHECK(n > LIMIT_LOG_LINE / 2 && n <= LIMIT_LOG_LINE, "%zu bytes", n);
            CHECK(lines_in(f.text) == 1 && f.text[n - 1] == '\n', "%s", f.text);
            teardown(&f);
        }
    }
}

TEST(log, a_full_pipe_loses_lines_and_counts_them)
{
    struct fixture f;
    setup(&f, LOG_INFO, false, false);
    close(f.ends[1]);
    f.ends[1] = open("/dev/full", O_WRONLY);
    struct log *full = log_new(f.ends[1], LOG_INFO, false, false);
    log_event(full, LOG_INFO, "lost", "k=v");
    CHECK_INT(log_dropped(full), 1);
    log_free(&full);
    mem_fail_at(1);
    CHECK(log_new(1, LOG_INFO, false, false) == NULL, "no memory");
    teardown(&f);
}

TEST(log, quoting_is_cut_and_always_ends)
{
    char out[32], tiny[4];
    CHECK_STR(log_quote(out, sizeof out, SPAN("abcdefghijkl \"\n\"")),
              "\"abcdefghijkl \\\"\\n\\\"\"");
    CHECK_STR(log_quote(out, sizeof out, SPAN("abcdefghijklmnopqrstuvwxyz0123456789")),
              "\"abcdefghijklmnopqrstuvwxyz\xe2\x80\xa6\"");
    CHECK_STR(log_quote(tiny, sizeof tiny, SPAN("abcdefghijkl")), "");
}
