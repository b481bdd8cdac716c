#include "proxy/access_log.h"

#include "base/clock.h"
#include "base/limits.h"
#include "proxy/query_hide.h"

#include <math.h>

/* Of a member of the facts. */
enum value {
    VALUE_NONE,
    VALUE_TEXT,
    VALUE_WORD,
    VALUE_URI,
    VALUE_COUNT,
    VALUE_BYTES,
    VALUE_SECONDS,
    VALUE_DISTANCE,
};

enum { TIME_BYTES = 24, NUMBER_MOST = 20, SECONDS_MOST = NUMBER_MOST + 7 };

/* With one decimal. */
static void put_distance(struct buf *b, float ms)
{
    uint64_t tenths = (uint64_t)lrint((double)ms * 10);
    buf_put_u64(b, tenths / 10);
    buf_put_char(b, '.');
    buf_put_char(b, (char)('0' + tenths % 10));
}

/* Seconds with six decimals at p; behind them. */
static char *print_seconds(char *p, uint64_t ns)
{
    uint64_t us = ns / 1000, whole = us / 1000000;
    unsigned part = (unsigned)(us % 1000000);
    if (whole < 10)
        *p++ = (char)('0' + whole);
    else
        p += u64_print(p, whole);
    *p++ = '.';
    pair_print(p, part / 10000);
    pair_print(p + 2, part / 100 % 100);
    pair_print(p + 4, part % 100);
    return p + 6;
}

static void put_seconds(struct buf *b, int64_t ns)
{
    char memory[SECONDS_MOST];
    if (ns < 0)
        buf_put_char(b, '-');
    else
        buf_put(b, memory, (size_t)(print_seconds(memory, (uint64_t)ns) - memory));
}

/* A member of the object. There is always room for all of key where a name goes, so that it is
 * copied as a whole, whatever its length. */
struct member {
    char key[16]; /* all that stands between the value before and this one */
    uint8_t key_n;
    uint8_t kind; /* enum value */
    uint16_t offset;
};

/* In the order of the line; those of text end in the value's quotation mark. */
#define MEMBER_(kind, key, name)                                                                   \
    {                                                                                              \
        key, sizeof(key) - 1, kind, offsetof(struct access_facts, name)                            \
    }
#define TEXT(key, name)    MEMBER_(VALUE_TEXT, ",\"" key "\":\"", name)
#define WORD(key, name)    MEMBER_(VALUE_WORD, ",\"" key "\":\"", name)
#define COUNT(key, name)   MEMBER_(VALUE_COUNT, ",\"" key "\":", name)
#define BYTES(key, name)   MEMBER_(VALUE_BYTES, ",\"" key "\":", name)
#define SECONDS(key, name) MEMBER_(VALUE_SECONDS, ",\"" key "\":", name)
static const struct member members[] = {
    TEXT("client", client),
    TEXT("peer", peer),
    TEXT("listener", listener),
    TEXT("route", route),
    TEXT("pool", pool),
    TEXT("backend", backend),
    WORD("protocol", protocol),
    TEXT("method", method),
    TEXT("authority", authority),
    MEMBER_(VALUE_URI, ",\"path\":\"", path),
    COUNT("status", status),
    BYTES("bytes_in", bytes_in),
    BYTES("bytes_out", bytes_out),
    SECONDS("queue", queue_ns),
    SECONDS("connect", connect_ns),
    SECONDS("first_byte", first_byte_ns),
    SECONDS("total", total_ns),
    COUNT("attempts", attempts),
    WORD("end", end),
    TEXT("country", country),
    TEXT("site", site),
    MEMBER_(VALUE_DISTANCE, ",\"distance_ms\":", distance_ms),
    WORD("sticky", sticky),
    WORD("hedge", hedge),
    WORD("tls", tls_version),
    TEXT("sni", sni),
    TEXT("request_id", id),
    TEXT("trace", trace),
};

/* A buffer that is written behind its content, which grows when the pen is put down. The code of
 * values that stand for themselves, as nearly all do, is inline; what else there may be is not. */
struct pen {
    struct buf *b;
    char *p, *most; /* here, and where the room ends; there is none in a buffer that has failed */
};

static inline void pen_take(struct pen *w)
{
    w->p = w->b->p + w->b->n;
    w->most = w->b->failed ? w->p : w->b->p + w->b->cap;
}

static inline void pen_put_down(const struct pen *w)
{
    w->b->n = (size_t)(w->p - w->b->p);
}

__attribute__((noinline)) static bool pen_more(struct pen *w, size_t n)
{
    pen_put_down(w);
    bool fine = !w->b->failed && buf_reserve(w->b, n);
    pen_take(w);
    return fine;
}

/* The name, where behind it there is room for a value of so many bytes. */
static inline bool json_begin(struct pen *w, const struct member *m, size_t most)
{
    size_t n = sizeof m->key + most;
    if ((size_t)(w->most - w->p) < n && !pen_more(w, n))
        return false;
    memcpy(w->p, m->key, sizeof m->key);
    w->p += m->key_n;
    return true;
}

__attribute__((noinline)) static void json_escaped(struct pen *w, const struct member *m,
                                                   struct span value, size_t most)
{
    pen_put_down(w);
    buf_put(w->b, m->key, m->key_n - 1U);
    buf_put_json(w->b, value, most);
    pen_take(w);
}

static inline void json_text(struct pen *w, const struct member *m, struct span value)
{
    if (value.n == 0)
        return;
    char *from = w->p;
    if (value.n <= LIMIT_LOG_FIELD && json_begin(w, m, value.n + 1)) {
        from = w->p - m->key_n;
        if (span_copy_quotable(w->p, value)) {
            w->p[value.n] = '"';
            w->p += value.n + 1;
            return;
        }
    }
    w->p = from;
    json_escaped(w, m, value, m->kind == VALUE_URI ? LIMIT_LOG_URI : LIMIT_LOG_FIELD);
}

static inline void json_number(struct pen *w, const struct member *m, uint64_t v)
{
    if (json_begin(w, m, NUMBER_MOST))
        w->p += u64_print(w->p, v);
}

static inline void json_seconds(struct pen *w, const struct member *m, int64_t ns)
{
    if (ns >= 0 && json_begin(w, m, SECONDS_MOST))
        w->p = print_seconds(w->p, (uint64_t)ns);
}

__attribute__((noinline)) static void json_distance(struct pen *w, const struct member *m, float ms)
{
    if (ms < 0)
        return;
    pen_put_down(w);
    buf_put(w->b, m->key, m->key_n);
    put_distance(w->b, ms);
    pen_take(w);
}

__attribute__((noinline)) static struct span whole_uri(const struct access_facts *f, char *memory,
                                                       size_t size)
{
    struct buf uri;
    buf_fixed(&uri, memory, size);
    buf_put_span(&uri, span_sub(f->path, 0, LIMIT_LOG_URI));
    buf_put_char(&uri, '?');
    query_hide(span_sub(f->query, 0, LIMIT_LOG_URI - buf_len(&uri)), &uri);
    return buf_span(&uri);
}

static inline void json_member(struct pen *w, const struct member *m, const struct access_facts *f,
                               struct span uri)
{
    const void *at = (const char *)f + m->offset;
    const char *const *word = at;
    struct span value = uri;
    switch ((enum value)m->kind) {
    case VALUE_TEXT:
        value = *(const struct span *)at;
        break;
    case VALUE_WORD:
        value = span_str(*word);
        break;
    case VALUE_URI:
        break;
    case VALUE_COUNT:
        json_number(w, m, *(const unsigned *)at);
        return;
    case VALUE_BYTES:
        json_number(w, m, *(const uint64_t *)at);
        return;
    case VALUE_SECONDS:
        json_seconds(w, m, *(const int64_t *)at);
        return;
    case VALUE_DISTANCE:
        json_distance(w, m, *(const float *)at);
        return;
    case VALUE_NONE:
        return;
    }
    json_text(w, m, value);
}

/* Last, and left out where the line would be too long with it (L38). */
static void json_decision(struct buf *b, struct span json)
{
    if (json.n == 0 || buf_len(b) + json.n + 16 > LIMIT_LOG_LINE)
        return;
    buf_put_str(b, ",\"decision\":");
    buf_put_span(b, json);
}

void access_json(const struct access_facts *f, struct buf *out)
{
    char memory[LIMIT_LOG_URI + 64];
    struct span uri = f->path;
    struct pen w = {.b = out};
    buf_put(out, "{\"time\":\"", 9);
    buf_put(out, f->time, TIME_BYTES);
    buf_put(out, "\"", 1);
    if (out->failed)
        return;
    if (f->query.p != NULL)
        uri = whole_uri(f, memory, sizeof memory);
    pen_take(&w);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        json_member(&w, &members[i], f, uri);
    pen_put_down(&w);
    json_decision(out, f->decision);
    buf_put(out, "}\n", 2);
}

/* Between quotes in the combined format: quotes, backslashes and bytes outside 0x20..0x7e as \xhh.
 * At most `most` bytes are written (L38): nobody makes a line too long to be kept. */
static void quoted(struct buf *b, struct span s, size_t most)
{
    static const char hex[] = "0123456789abcdef";
    enum { ESCAPED = 4 };
    struct span rest = s;
    for (size_t room = most; rest.n > 0;) {
        size_t plain = span_quotable(span_sub(rest, 0, room));
        buf_put(b, rest.p, plain);
        rest = span_sub(rest, plain, rest.n);
        room -= plain;
        if (rest.n == 0 || room < ESCAPED)
            break;
        unsigned char c = (unsigned char)rest.p[0];
        room -= ESCAPED;
        buf_put_str(b, "\\x");
        buf_put_char(b, hex[c >> 4]);
        buf_put_char(b, hex[c & 15]);
        rest = span_sub(rest, 1, rest.n);
    }
    if (s.n == 0)
        buf_put_char(b, '-');
}

/* The query, with what is secret hidden. */
static void quoted_query(struct buf *out, struct span query, size_t most)
{
    char memory[LIMIT_LOG_URI];
    struct buf shown;
    buf_fixed(&shown, memory, sizeof memory);
    query_hide(span_sub(query, 0, sizeof memory / 2), &shown);
    if (buf_len(&shown) != 0)
        quoted(out, buf_span(&shown), most);
}

static void quoted_uri(struct buf *out, const struct access_facts *f)
{
    size_t from = buf_len(out);
    quoted(out, f->path, LIMIT_LOG_URI - 1);
    if (f->query.p == NULL || out->failed)
        return;
    buf_put_char(out, '?');
    quoted_query(out, f->query, LIMIT_LOG_URI - (buf_len(out) - from));
}

void access_combined(const struct access_facts *f, struct buf *out)
{
    char time[26];
    clock_print_log(time, f->wall_ns);
    buf_put_span(out, f->client.n != 0 ? f->client : SPAN("-"));
    buf_put_str(out, " - - [");
    buf_put(out, time, sizeof time);
    buf_put_str(out, "] \"");
    quoted(out, f->method, LIMIT_LOG_FIELD);
    buf_put_char(out, ' ');
    quoted_uri(out, f);
    buf_put_char(out, ' ');
    buf_put_str(out, f->protocol != NULL ? f->protocol : "-");
    buf_put_str(out, "\" ");
    buf_put_u64(out, f->status);
    buf_put_char(out, ' ');
    buf_put_u64(out, f->bytes_out);
    buf_put_str(out, " \"");
    quoted(out, f->referer, LIMIT_LOG_FIELD);
    buf_put_str(out, "\" \"");
    quoted(out, f->user_agent, LIMIT_LOG_FIELD);
    buf_put_str(out, "\"\n");
}

/* What a name stands for: a member of the facts and its type. */
static const struct {
    enum value kind;
    size_t offset;
} values[TEMPLATE_NAME_COUNT] = {
    [TEMPLATE_HOST] = {VALUE_TEXT, offsetof(struct access_facts, host)},
    [TEMPLATE_AUTHORITY] = {VALUE_TEXT, offsetof(struct access_facts, authority)},
    [TEMPLATE_METHOD] = {VALUE_TEXT, offsetof(struct access_facts, method)},
    [TEMPLATE_SCHEME] = {VALUE_TEXT, offsetof(struct access_facts, scheme)},
    [TEMPLATE_PATH] = {VALUE_TEXT, offsetof(struct access_facts, path)},
    [TEMPLATE_CLIENT_ADDRESS] = {VALUE_TEXT, offsetof(struct access_facts, client)},
    [TEMPLATE_PEER_ADDRESS] = {VALUE_TEXT, offsetof(struct access_facts, peer)},
    [TEMPLATE_GEO_COUNTRY] = {VALUE_TEXT, offsetof(struct access_facts, country)},
    [TEMPLATE_GEO_CONTINENT] = {VALUE_TEXT, offsetof(struct access_facts, continent)},
    [TEMPLATE_GEO_SUBDIVISION] = {VALUE_TEXT, offsetof(struct access_facts, subdivision)},
    [TEMPLATE_REQUEST_ID] = {VALUE_TEXT, offsetof(struct access_facts, id)},
    [TEMPLATE_LISTENER] = {VALUE_TEXT, offsetof(struct access_facts, listener)},
    [TEMPLATE_ROUTE] = {VALUE_TEXT, offsetof(struct access_facts, route)},
    [TEMPLATE_POOL] = {VALUE_TEXT, offsetof(struct access_facts, pool)},
    [TEMPLATE_BACKEND] = {VALUE_TEXT, offsetof(struct access_facts, backend)},
    [TEMPLATE_SITE] = {VALUE_TEXT, offsetof(struct access_facts, site)},
    [TEMPLATE_SNI] = {VALUE_TEXT, offsetof(struct access_facts, sni)},
    [TEMPLATE_TRACE] = {VALUE_TEXT, offsetof(struct access_facts, trace)},
    [TEMPLATE_USER_AGENT] = {VALUE_TEXT, offsetof(struct access_facts, user_agent)},
    [TEMPLATE_REFERER] = {VALUE_TEXT, offsetof(struct access_facts, referer)},
    [TEMPLATE_PROTOCOL] = {VALUE_WORD, offsetof(struct access_facts, protocol)},
    [TEMPLATE_END] = {VALUE_WORD, offsetof(struct access_facts, end)},
    [TEMPLATE_STICKY] = {VALUE_WORD, offsetof(struct access_facts, sticky)},
    [TEMPLATE_HEDGE] = {VALUE_WORD, offsetof(struct access_facts, hedge)},
    [TEMPLATE_TLS] = {VALUE_WORD, offsetof(struct access_facts, tls_version)},
    [TEMPLATE_STATUS] = {VALUE_COUNT, offsetof(struct access_facts, status)},
    [TEMPLATE_ATTEMPTS] = {VALUE_COUNT, offsetof(struct access_facts, attempts)},
    [TEMPLATE_BYTES_IN] = {VALUE_BYTES, offsetof(struct access_facts, bytes_in)},
    [TEMPLATE_BYTES_OUT] = {VALUE_BYTES, offsetof(struct access_facts, bytes_out)},
    [TEMPLATE_QUEUE] = {VALUE_SECONDS, offsetof(struct access_facts, queue_ns)},
    [TEMPLATE_CONNECT] = {VALUE_SECONDS, offsetof(struct access_facts, connect_ns)},
    [TEMPLATE_FIRST_BYTE] = {VALUE_SECONDS, offsetof(struct access_facts, first_byte_ns)},
    [TEMPLATE_TOTAL] = {VALUE_SECONDS, offsetof(struct access_facts, total_ns)},
};

static void put_member(struct buf *b, enum template_name name, const struct access_facts *f)
{
    const void *at = (const char *)f + values[name].offset;
    const char *const *word = at;
    switch (values[name].kind) {
    case VALUE_TEXT:
        quoted(b, *(const struct span *)at,
               name == TEMPLATE_PATH ? LIMIT_LOG_URI : LIMIT_LOG_FIELD);
        break;
    case VALUE_WORD:
        quoted(b, *word != NULL ? span_str(*word) : SPAN_NONE, LIMIT_LOG_FIELD);
        break;
    case VALUE_COUNT:
        buf_put_u64(b, *(const unsigned *)at);
        break;
    case VALUE_BYTES:
        buf_put_u64(b, *(const uint64_t *)at);
        break;
    case VALUE_SECONDS:
        put_seconds(b, *(const int64_t *)at);
        break;
    case VALUE_URI: /* put_value has these */
    case VALUE_DISTANCE:
    case VALUE_NONE:
        buf_put_char(b, '-');
        break;
    }
}

static void put_value(struct buf *b, enum template_name name, const struct access_facts *f)
{
    if (name == TEMPLATE_TIME) {
        buf_put(b, f->time, TIME_BYTES);
    } else if (name == TEMPLATE_DISTANCE_MS && f->distance_ms >= 0) {
        put_distance(b, f->distance_ms);
    } else if (name == TEMPLATE_URI) {
        quoted_uri(b, f);
    } else if (name == TEMPLATE_QUERY && f->query.p != NULL) {
        quoted_query(b, f->query, LIMIT_LOG_URI);
    } else {
        put_member(b, name, f);
    }
}

void access_template(const struct template *t, const struct access_facts *f, struct buf *out)
{
    size_t most = LIMIT_LOG_LINE - 1; /* L38: what is longer is cut */
    for (size_t i = 0; i < t->count && buf_len(out) < most; i++) {
        if (t->pieces[i].name == TEMPLATE_TEXT)
            buf_put_span(out, span_sub(t->pieces[i].text, 0, most - buf_len(out)));
        else
            put_value(out, t->pieces[i].name, f);
    }
    if (buf_len(out) > most)
        buf_cut(out, most);
    buf_put_char(out, '\n');
}
