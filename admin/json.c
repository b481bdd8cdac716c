#include "admin/json.h"

#include "base/limits.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define STRING_MOST MIB(1)

void json_init(struct json *j, struct buf *out)
{
    *j = (struct json){.out = out};
}

static void lead(struct json *j, const char *key)
{
    if (j->comma) {
        buf_put_char(j->out, ',');
    }
    j->comma = true;
    if (key != NULL) {
        buf_put_json(j->out, span_str(key), STRING_MOST);
        buf_put_char(j->out, ':');
    }
}

static void bracket(struct json *j, const char *key, char c)
{
    lead(j, key);
    buf_put_char(j->out, c);
    j->comma = false;
}

static void bracket_end(struct json *j, char c)
{
    buf_put_char(j->out, c);
    j->comma = true;
}

void json_object(struct json *j, const char *key)
{
    bracket(j, key, '{');
}

void json_object_end(struct json *j)
{
    bracket_end(j, '}');
}

void json_array(struct json *j, const char *key)
{
    bracket(j, key, '[');
}

void json_array_end(struct json *j)
{
    bracket_end(j, ']');
}

void json_span(struct json *j, const char *key, struct span s)
{
    lead(j, key);
    buf_put_json(j->out, s, STRING_MOST);
}

void json_str(struct json *j, const char *key, const char *s)
{
    if (s != NULL) {
        json_span(j, key, span_str(s));
        return;
    }
    lead(j, key);
    buf_put_str(j->out, "null");
}

void json_bool(struct json *j, const char *key, bool v)
{
    lead(j, key);
    buf_put_str(j->out, v ? "true" : "false");
}

void json_u64(struct json *j, const char *key, uint64_t v)
{
    lead(j, key);
    buf_put_u64(j->out, v);
}

void json_i64(struct json *j, const char *key, int64_t v)
{
    lead(j, key);
    buf_printf(j->out, "%" PRId64, v);
}

/* "12.500" as "12.5", "3.000" as "3". */
static int trimmed(const char *text, int n)
{
    while (text[n - 1] == '0') {
        n--;
    }
    return text[n - 1] == '.' ? n - 1 : n;
}

void json_double(struct json *j, const char *key, double v, int digits)
{
    char text[352]; /* the largest double has 309 digits before its point */
    if (!isfinite(v)) {
        json_str(j, key, NULL);
        return;
    }
    int n = snprintf(text, sizeof text, "%.*f", digits < 12 ? digits : 12, v);
    lead(j, key);
    buf_put(j->out, text, (size_t)(digits > 0 ? trimmed(text, n) : n));
}
