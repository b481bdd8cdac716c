#include "base/json_read.h"

#include <math.h>
#include <stdlib.h>

struct reader {
    const char *p, *end;
    struct arena *arena;
};

static enum err read_value(struct reader *r, unsigned depth, struct json_value *v);

static void skip_blank(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r')) {
        r->p++;
    }
}

static char peek(const struct reader *r)
{
    return r->p < r->end ? *r->p : 0;
}

/* After blanks. */
static bool take(struct reader *r, char c)
{
    skip_blank(r);
    if (peek(r) != c) {
        return false;
    }
    r->p++;
    return true;
}

static bool take_word(struct reader *r, struct span word)
{
    if (!span_starts(span_of(r->p, (size_t)(r->end - r->p)), word)) {
        return false;
    }
    r->p += word.n;
    return true;
}

/* The four digits of a \u escape, or -1. */
static long read_unit(struct reader *r)
{
    uint64_t unit;
    if (r->end - r->p < 4 || span_hex_u64(span_of(r->p, 4), &unit) != ERR_OK) {
        return -1;
    }
    r->p += 4;
    return (long)unit;
}

static size_t put_utf8(char *out, long c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* What follows "\u"; 0 where it is refused. Never longer than what it was written with. */
static size_t read_code(struct reader *r, char *out)
{
    long c = read_unit(r);
    if (c >= 0xd800 && c < 0xdc00) {
        long low = take_word(r, SPAN("\\u")) ? read_unit(r) : -1;
        c = low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00) : -1;
    } else if (c >= 0xdc00 && c < 0xe000) {
        c = -1;
    }
    return c > 0 ? put_utf8(out, c) : 0;
}

/* What follows a backslash; 0 where it is refused. */
static size_t read_escape(struct reader *r, char *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = peek(r);
    r->p++;
    if (c == 'u') {
        return read_code(r, out);
    }
    const char *at = c != 0 ? strchr(from, c) : NULL;
    *out = at != NULL ? to[at - from] : 0;
    return at != NULL ? 1 : 0;
}

/* After the opening quote, up to the closing one. */
static enum err read_string(struct reader *r, struct span *s)
{
    const char *close = r->p;
    while (close < r->end && *close != '"') {
        close += *close == '\\' ? 2 : 1;
    }
    if (close >= r->end) {
        return ERR_SYNTAX;
    }
    char *out = arena_take(r->arena, (size_t)(close - r->p) + 1);
    if (out == NULL) {
        return ERR_NO_MEMORY;
    }
    size_t n = 0;
    while (r->p < close) {
        char c = *r->p++;
        if ((unsigned char)c < 0x20) {
            return ERR_SYNTAX;
        }
        if (c != '\\') {
            out[n++] = c;
            continue;
        }
        size_t written = read_escape(r, out + n);
        if (written == 0) {
            return ERR_SYNTAX;
        }
        n += written;
    }
    r->p = close + 1;
    out[n] = 0;
    *s = span_of(out, n);
    return ERR_OK;
}

static size_t read_digits(struct reader *r)
{
    const char *from = r->p;
    while (ascii_digit(peek(r))) {
        r->p++;
    }
    return (size_t)(r->p - from);
}

/* -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)? */
static enum err read_number(struct reader *r, struct json_value *v)
{
    const char *from = r->p;
    r->p += *r->p == '-' ? 1 : 0;
    bool zero = peek(r) == '0';
    size_t digits = read_digits(r);
    if (digits == 0 || (zero && digits > 1)) {
        return ERR_SYNTAX;
    }
    if (peek(r) == '.' && (r->p++, read_digits(r) == 0)) {
        return ERR_SYNTAX;
    }
    if (peek(r) == 'e' || peek(r) == 'E') {
        r->p++;
        r->p += peek(r) == '+' || peek(r) == '-' ? 1 : 0;
        if (read_digits(r) == 0) {
            return ERR_SYNTAX;
        }
    }
    char text[64];
    size_t n = (size_t)(r->p - from);
    if (n >= sizeof text) {
        return ERR_RANGE;
    }
    memcpy(text, from, n);
    text[n] = 0;
    v->type = JSON_NUMBER;
    v->number = strtod(text, NULL);
    if (!isfinite(v->number)) {
        return ERR_RANGE;
    }
    v->text = arena_copy(r->arena, span_of(from, n));
    return v->text.p != NULL ? ERR_OK : ERR_NO_MEMORY;
}

static enum err read_name(struct reader *r, const struct json_value *object, struct json_value *v)
{
    if (!take(r, '"')) {
        return ERR_SYNTAX;
    }
    enum err e = read_string(r, &v->name);
    if (e != ERR_OK) {
        return e;
    }
    for (const struct json_value *m = object->first; m != NULL; m = m->next) {
        if (span_eq(m->name, v->name)) {
            return ERR_SYNTAX;
        }
    }
    return take(r, ':') ? ERR_OK : ERR_SYNTAX;
}

/* After the opening bracket. */
static enum err read_members(struct reader *r, unsigned depth, char close, struct json_value *v)
{
    struct json_value **at = &v->first;
    if (take(r, close)) {
        return ERR_OK;
    }
    do {
        if (v->type == JSON_OBJECT && v->count == JSON_MEMBERS) {
            return ERR_RANGE;
        }
        struct json_value *m = arena_zero(r->arena, sizeof *m);
        if (m == NULL) {
            return ERR_NO_MEMORY;
        }
        enum err e = v->type == JSON_OBJECT ? read_name(r, v, m) : ERR_OK;
        e = e == ERR_OK ? read_value(r, depth, m) : e;
        if (e != ERR_OK) {
            return e;
        }
        *at = m;
        at = &m->next;
        v->count++;
    } while (take(r, ','));
    return take(r, close) ? ERR_OK : ERR_SYNTAX;
}

static enum err read_word(struct reader *r, struct json_value *v)
{
    v->type = JSON_BOOL;
    v->truth = take_word(r, SPAN("true"));
    if (v->truth || take_word(r, SPAN("false"))) {
        return ERR_OK;
    }
    v->type = JSON_NULL;
    return take_word(r, SPAN("null")) ? ERR_OK : ERR_SYNTAX;
}

static enum err read_value(struct reader *r, unsigned depth, struct json_value *v)
{
    skip_blank(r);
    char c = peek(r);
    if (c == '"') {
        r->p++;
        v->type = JSON_STRING;
        return read_string(r, &v->text);
    }
    if (c == '{' || c == '[') {
        if (depth == JSON_DEPTH) {
            return ERR_RANGE;
        }
        r->p++;
        v->type = c == '{' ? JSON_OBJECT : JSON_ARRAY;
        return read_members(r, depth + 1, c == '{' ? '}' : ']', v);
    }
    return c == '-' || ascii_digit(c) ? read_number(r, v) : read_word(r, v);
}

enum err json_read(struct span in, struct arena *a, const struct json_value **out)
{
    struct reader r = {.p = in.p, .end = in.p + in.n, .arena = a};
    struct json_value *v = arena_zero(a, sizeof *v);
    *out = NULL;
    if (v == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = in.n > 0 ? read_value(&r, 0, v) : ERR_SYNTAX;
    if (e != ERR_OK) {
        return e;
    }
    skip_blank(&r);
    if (r.p != r.end) {
        return ERR_SYNTAX;
    }
    *out = v;
    return ERR_OK;
}

const struct json_value *json_get(const struct json_value *v, const char *name)
{
    struct span wanted = span_str(name);
    if (v == NULL || v->type != JSON_OBJECT) {
        return NULL;
    }
    for (const struct json_value *m = v->first; m != NULL; m = m->next) {
        if (span_eq(m->name, wanted)) {
            return m;
        }
    }
    return NULL;
}

struct span json_get_text(const struct json_value *v, const char *name)
{
    const struct json_value *m = json_get(v, name);
    return m != NULL && m->type == JSON_STRING ? m->text : SPAN_NONE;
}

double json_get_number(const struct json_value *v, const char *name)
{
    const struct json_value *m = json_get(v, name);
    return m != NULL && m->type == JSON_NUMBER ? m->number : 0;
}

bool json_get_bool(const struct json_value *v, const char *name)
{
    const struct json_value *m = json_get(v, name);
    return m != NULL && m->type == JSON_BOOL && m->truth;
}
