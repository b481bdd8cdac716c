#include "base/log.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

/* Lines per second and bucket of event names; a flood of one event leaves the others their voice.
 */
enum { BUCKETS = 32, BUCKET_LINES = 20 };

struct log {
    /* set once */
    int fd;
    bool prefix;
    /* shared, atomic */
    _Atomic bool json;
    _Atomic int level;
    _Atomic uint64_t dropped;
    _Atomic uint64_t buckets[BUCKETS]; /* second << 32 | lines wanted within it */
};

struct level_entry {
    const char *name;
    char priority; /* of syslog, RFC 5424 section 6.2.1 */
};

static const struct level_entry levels[] = {
    [LOG_ERROR] = {"error", '3'},
    [LOG_WARN] = {"warn", '4'},
    [LOG_INFO] = {"info", '6'},
    [LOG_DEBUG] = {"debug", '7'},
};

bool log_level_parse(struct span s, enum log_level *out)
{
    for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
        if (span_eq(s, span_str(levels[i].name))) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

const char *log_level_name(enum log_level level)
{
    return levels[level].name;
}

struct log *log_new(int fd, enum log_level level, bool json, bool prefix)
{
    struct log *log = mem_alloc(sizeof *log);
    if (log == NULL)
        return NULL;
    log->fd = fd;
    log->prefix = prefix;
    atomic_init(&log->json, json);
    atomic_init(&log->level, (int)level);
    return log;
}

void log_free(struct log **log)
{
    mem_free(*log);
    *log = NULL;
}

void log_set_json(struct log *log, bool json)
{
    atomic_store_explicit(&log->json, json, memory_order_relaxed);
}

void log_set_level(struct log *log, enum log_level level)
{
    atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

enum log_level log_get_level(const struct log *log)
{
    return (enum log_level)atomic_load_explicit(&log->level, memory_order_relaxed);
}

uint64_t log_dropped(const struct log *log)
{
    return atomic_load_explicit(&log->dropped, memory_order_relaxed);
}

static void count_dropped(struct log *log)
{
    atomic_fetch_add_explicit(&log->dropped, 1, memory_order_relaxed);
}

/* True where the event's bucket has room in this second; *suppressed is how many lines the bucket
 * lost in the last second in which it was used, told to the first caller after it. */
static bool admit(struct log *log, const char *event, uint32_t *suppressed)
{
    _Atomic uint64_t *bucket = &log->buckets[hash_plain(span_str(event)) % BUCKETS];
    uint64_t second = (uint64_t)(clock_mono_ns() / NS_PER_S) << 32;
    uint64_t old = atomic_load_explicit(bucket, memory_order_relaxed), next;
    do
        next = (old & ~(uint64_t)UINT32_MAX) == second ? old + 1 : second | 1;
    while (!atomic_compare_exchange_weak_explicit(bucket, &old, next, memory_order_relaxed,
                                                  memory_order_relaxed));
    uint32_t before = (uint32_t)old, lines = (uint32_t)next;
    *suppressed = lines == 1 && before > BUCKET_LINES ? before - BUCKET_LINES : 0;
    if (lines > BUCKET_LINES)
        count_dropped(log);
    return lines <= BUCKET_LINES;
}

struct line {
    bool json;
    bool whole; /* the text is one message, whatever it is made of */
    enum log_level level;
    const char *event;
    char time[24];
    uint32_t suppressed;
    struct span text;
};

enum { TEXT_MOST = LIMIT_LOG_LINE / 2 }; /* of the text, escaped: the rest is shorter */

static void put_text_line(struct buf *b, const struct line *l)
{
    buf_printf(b, "time=%.*s level=%s event=%s", (int)sizeof l->time, l->time,
               levels[l->level].name, l->event);
    if (l->text.n > 0) {
        buf_put_char(b, ' ');
        buf_put_text(b, l->text, TEXT_MOST);
    }
    if (l->suppressed > 0)
        buf_printf(b, " suppressed=%u", l->suppressed);
}

/* What follows a backslash in a JSON string; 0: none does so. */
static size_t escape_bytes(struct span s)
{
    if (s.n == 0)
        return 0;
    if (s.p[0] != 'u')
        return memchr("\"\\/bfnrt", s.p[0], 8) != NULL ? 1 : 0;
    for (size_t i = 1; i <= 4; i++)
        if (i >= s.n || ascii_hex(s.p[i]) < 0)
            return 0;
    return 5;
}

/* The bytes of a quoted value with its quotes; 0: it is none. */
static size_t quoted_bytes(struct span s)
{
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == '"')
            return i + 1;
        size_t more = s.p[i] == '\\' ? escape_bytes(span_sub(s, i + 1, s.n)) : 0;
        if (s.p[i] == '\\' && more == 0)
            return 0;
        i += more;
    }
    return 0;
}

static bool is_number(struct span s)
{
    if (s.n == 0 || s.n > 15 || (s.p[0] == '0' && s.n > 1))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return true;
}

/* "key=value", the value up to the next blank or a JSON string. False: it is neither. */
static bool cut_field(struct span *text, struct span *key, struct span *value)
{
    struct span rest = span_cut(*text, '=', key);
    if (key->n == 0 || key->n == text->n)
        return false;
    for (size_t i = 0; i < key->n; i++)
        if (key->p[i] != '_' && (key->p[i] < 'a' || key->p[i] > 'z'))
            return false;
    bool quoted = rest.n != 0 && rest.p[0] == '"';
    size_t n = quoted ? quoted_bytes(rest) : 0;
    if (!quoted)
        while (n < rest.n && rest.p[n] != ' ')
            n++;
    if ((quoted && n == 0) || (n < rest.n && rest.p[n] != ' '))
        return false;
    *value = span_sub(rest, 0, n);
    *text = n < rest.n ? span_sub(rest, n + 1, rest.n) : SPAN("");
    return true;
}

static void put_json_value(struct buf *b, struct span value)
{
    if (value.n != 0 && value.p[0] == '"')
        buf_put_text(b, value, LIMIT_LOG_LINE);
    else if (is_number(value))
        buf_put_span(b, value);
    else
        buf_put_json(b, value, LIMIT_LOG_LINE);
}

/* A member for each key; false: the text is not made of keys and values. */
static bool put_json_fields(struct buf *b, struct span text)
{
    struct span key, value;
    while (text.n != 0) {
        if (!cut_field(&text, &key, &value))
            return false;
        buf_printf(b, ",\"%.*s\":", SPAN_FMT(key));
        put_json_value(b, value);
    }
    return true;
}

static void put_json_line(struct buf *b, const struct line *l)
{
    buf_printf(b, "{\"time\":\"%.*s\",\"level\":\"%s\",\"event\":", (int)sizeof l->time, l->time,
               levels[l->level].name);
    buf_put_json(b, span_str(l->event), LIMIT_LOG_FIELD);
    size_t before = buf_len(b);
    if (l->whole || !put_json_fields(b, l->text)) {
        buf_cut(b, before);
        buf_put_str(b, ",\"message\":");
        buf_put_json(b, l->text, TEXT_MOST);
    }
    if (l->suppressed > 0)
        buf_printf(b, ",\"suppressed\":%u", l->suppressed);
    buf_put_char(b, '}');
}

static void put_line(const struct log *log, struct buf *b, const struct line *l)
{
    if (log->prefix) {
        char prefix[] = {'<', levels[l->level].priority, '>'};
        buf_put(b, prefix, sizeof prefix);
    }
    if (l->json)
        put_json_line(b, l);
    else
        put_text_line(b, l);
    buf_put_char(b, '\n');
}

/* One write: lines of several threads do not mix (POSIX for pipes up to PIPE_BUF, O_APPEND for
 * files). What cannot be written is lost and counted: there is nowhere left to say it. */
static void write_line(struct log *log, struct span line)
{
    ssize_t wrote;
    do
        wrote = write(log->fd, line.p, line.n);
    while (wrote < 0 && errno == EINTR);
    if (wrote != (ssize_t)line.n)
        count_dropped(log);
}

void log_event(struct log *log, enum log_level level, const char *event, const char *format, ...)
{
    char text[TEXT_MOST + 1], memory[LIMIT_LOG_LINE];
    struct line line = {.level = level, .event = event};
    struct buf out;
    va_list ap;
    if (log == NULL || level > log_get_level(log) || !admit(log, event, &line.suppressed))
        return;
    va_start(ap, format);
    int n = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    line.json = atomic_load_explicit(&log->json, memory_order_relaxed);
    line.text = span_of(text, n < 0 ? 0 : n > TEXT_MOST ? TEXT_MOST : (size_t)n);
    clock_print_rfc3339(line.time, clock_wall_ns());
    buf_fixed(&out, memory, sizeof memory);
    put_line(log, &out, &line);
    if (out.failed) { /* the marks of its members take too much */
        buf_clear(&out);
        line.whole = true;
        put_line(log, &out, &line);
    }
    write_line(log, buf_span(&out));
}

enum { QUOTE_ROOM = 6 }; /* quotes, a NUL, and the sign that something is missing */

const char *log_quote(char *out, size_t size, struct span s)
{
    struct buf b;
    buf_fixed(&b, out, size);
    buf_put_json(&b, s, size > QUOTE_ROOM ? size - QUOTE_ROOM : 0);
    buf_put_char(&b, '\0');
    if (b.failed && size > 0)
        out[0] = '\0';
    return out;
}
