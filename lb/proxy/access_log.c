#include "proxy/access_log.h"

#include "base/clock.h"
#include "base/limits.h"

#include <math.h>

/* A member's name with all that is put around it. */
#define KEY(name) SPAN(",\"" name "\":")

/* Nearly all values stand for themselves: one look at them and at the room, two copies. */
static void text(struct buf *b, struct span key, struct span value, size_t most)
{
    size_t need = key.n + value.n + 2;
    if (value.n == 0)
        return;
    if (value.n > most || span_quotable(value) < value.n || b->failed || !buf_reserve(b, need)) {
        buf_put_span(b, key);
        buf_put_json(b, value, most);
        return;
    }
    char *p = b->p + b->n;
    memcpy(p, key.p, key.n);
    p[key.n] = '"';
    memcpy(p + key.n + 1, value.p, value.n);
    p[need - 1] = '"';
    b->n += need;
}

static void word(struct buf *b, struct span key, const char *value)
{
    if (value != NULL)
        text(b, key, span_str(value), LIMIT_LOG_FIELD);
}

static void number(struct buf *b, struct span key, uint64_t v)
{
    buf_put_span(b, key);
    buf_put_u64(b, v);
}

/* With one decimal. */
static void put_distance(struct buf *b, float ms)
{
    uint64_t tenths = (uint64_t)lrint((double)ms * 10);
    buf_put_u64(b, tenths / 10);
    buf_put_char(b, '.');
    buf_put_char(b, (char)('0' + tenths % 10));
}

/* Seconds with six decimals, without printf: this runs once per request. */
static void put_seconds(struct buf *b, int64_t ns)
{
    if (ns < 0) {
        buf_put_char(b, '-');
        return;
    }
    uint64_t us = (uint64_t)ns / 1000, part = us % 1000000;
    char digits[6];
    buf_put_u64(b, us / 1000000);
    for (int i = 5; i >= 0; i--) {
        digits[i] = (char)('0' + part % 10);
        part /= 10;
    }
    buf_put_char(b, '.');
    buf_put(b, digits, sizeof digits);
}

static void seconds(struct buf *b, struct span key, int64_t ns)
{
    if (ns < 0)
        return;
    buf_put_span(b, key);
    put_seconds(b, ns);
}

/* Percent escapes decoded, as far as out reaches: a name is secret however it is spelled. */
static struct span decoded(struct span name, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < name.n && n < size; i++) {
        int high = i + 2 < name.n && name.p[i] == '%' ? ascii_hex(name.p[i + 1]) : -1;
        int low = high >= 0 ? ascii_hex(name.p[i + 2]) : -1;
        out[n++] = low >= 0 ? (char)(high * 16 + low) : name.p[i];
        i += low >= 0 ? 2 : 0;
    }
    return span_of(out, n);
}

static bool secret(struct span written)
{
    static const char *const words[] = {"token", "secret", "password", "passwd", "key",
                                        "auth",  "sig",    "code",     "session"};
    char memory[256];
    struct span name = decoded(written, memory, sizeof memory);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct span w = span_str(words[i]);
        for (size_t at = 0; at + w.n <= name.n; at++) {
            if (span_eq_nocase(span_sub(name, at, at + w.n), w))
                return true;
        }
    }
    return false;
}

/* The query with the values of parameters that sound secret replaced; false: nothing to hide. */
static bool hide_secrets(struct span query, struct buf *out)
{
    bool hidden = false;
    struct span rest = query, pair, name;
    for (bool first = true; rest.n != 0; first = false) {
        rest = span_cut(rest, '&', &pair);
        struct span value = span_cut(pair, '=', &name);
        if (!first)
            buf_put_char(out, '&');
        buf_put_span(out, name);
        if (name.n < pair.n)
            buf_put_char(out, '=');
        if (value.n != 0 && secret(name)) {
            hidden = true;
            buf_put_str(out, "***");
        } else {
            buf_put_span(out, value);
        }
    }
    return hidden;
}

static void put_path(struct buf *b, const struct access_facts *f)
{
    char memory[LIMIT_LOG_URI + 64];
    struct buf uri;
    if (f->query.p == NULL) {
        text(b, KEY("path"), f->path, LIMIT_LOG_URI);
        return;
    }
    buf_fixed(&uri, memory, sizeof memory);
    buf_put_span(&uri, span_sub(f->path, 0, LIMIT_LOG_URI));
    buf_put_char(&uri, '?');
    (void)hide_secrets(span_sub(f->query, 0, LIMIT_LOG_URI - buf_len(&uri)), &uri);
    text(b, KEY("path"), buf_span(&uri), LIMIT_LOG_URI);
}

/* Last, and left out where the line would be too long with it (L38). */
static void decision(struct buf *b, struct span json)
{
    if (json.n == 0 || buf_len(b) + json.n + 16 > LIMIT_LOG_LINE)
        return;
    buf_put_str(b, ",\"decision\":");
    buf_put_span(b, json);
}

void access_json(const struct access_facts *f, struct buf *out)
{
    char time[24];
    clock_print_rfc3339(time, f->wall_ns);
    buf_put_str(out, "{\"time\":\"");
    buf_put(out, time, sizeof time);
    buf_put_char(out, '"');
    text(out, KEY("client"), f->client, LIMIT_LOG_FIELD);
    text(out, KEY("peer"), f->peer, LIMIT_LOG_FIELD);
    text(out, KEY("listener"), f->listener, LIMIT_LOG_FIELD);
    text(out, KEY("route"), f->route, LIMIT_LOG_FIELD);
    text(out, KEY("pool"), f->pool, LIMIT_LOG_FIELD);
    text(out, KEY("backend"), f->backend, LIMIT_LOG_FIELD);
    word(out, KEY("protocol"), f->protocol);
    text(out, KEY("method"), f->method, LIMIT_LOG_FIELD);
    text(out, KEY("authority"), f->authority, LIMIT_LOG_FIELD);
    put_path(out, f);
    number(out, KEY("status"), f->status);
    number(out, KEY("bytes_in"), f->bytes_in);
    number(out, KEY("bytes_out"), f->bytes_out);
    seconds(out, KEY("queue"), f->queue_ns);
    seconds(out, KEY("connect"), f->connect_ns);
    seconds(out, KEY("first_byte"), f->first_byte_ns);
    seconds(out, KEY("total"), f->total_ns);
    number(out, KEY("attempts"), f->attempts);
    word(out, KEY("end"), f->end);
    text(out, KEY("country"), f->country, LIMIT_LOG_FIELD);
    text(out, KEY("site"), f->site, LIMIT_LOG_FIELD);
    if (f->distance_ms >= 0) {
        buf_put_span(out, KEY("distance_ms"));
        put_distance(out, f->distance_ms);
    }
    word(out, KEY("sticky"), f->sticky);
    word(out, KEY("hedge"), f->hedge);
    word(out, KEY("tls"), f->tls_version);
    text(out, KEY("sni"), f->sni, LIMIT_LOG_FIELD);
    text(out, KEY("request_id"), f->id, LIMIT_LOG_FIELD);
    text(out, KEY("trace"), f->trace, LIMIT_LOG_FIELD);
    decision(out, f->decision);
    buf_put_str(out, "}\n");
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
    (void)hide_secrets(span_sub(query, 0, sizeof memory / 2), &shown);
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
enum value { VALUE_NONE, VALUE_TEXT, VALUE_WORD, VALUE_COUNT, VALUE_BYTES, VALUE_SECONDS };
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
    case VALUE_NONE:
        buf_put_char(b, '-');
        break;
    }
}

static void put_value(struct buf *b, enum template_name name, const struct access_facts *f)
{
    char time[24];
    if (name == TEMPLATE_TIME) {
        clock_print_rfc3339(time, f->wall_ns);
        buf_put(b, time, sizeof time);
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
