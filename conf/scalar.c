/* scalar: types of one value: switches, numbers with their units, words and text. Numbers are held
 * in the unit that the struct's field names: ms, bytes, bytes per second, requests per hour,
 * percent. */
#include "conf/scalar.h"
#include "conf/reader.h"

#include <stdio.h>

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit duration_units[] = {
    {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {0}};
static const struct unit size_units[] = {
    {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {0}};
static const struct unit rate_units[] = {
    {"GiB/s", 1 << 30}, {"MiB/s", 1 << 20}, {"KiB/s", 1 << 10}, {"B/s", 1}, {0}};
static const struct unit count_rate_units[] = {{"/s", 3600}, {"/m", 60}, {"/h", 1}, {0}};
static const struct unit percent_units[] = {{"%", 1}, {0}};
static const struct unit no_units[] = {{"", 1}, {0}};

static const struct unit *units_of(const struct schema_field *f)
{
    if (f->type == &type_duration)
        return duration_units;
    if (f->type == &type_size)
        return size_units;
    if (f->type == &type_byte_rate)
        return rate_units;
    if (f->type == &type_rate)
        return count_rate_units;
    return f->type == &type_percent ? percent_units : no_units;
}

static void put_number(struct buf *out, const struct schema_field *f, int64_t value)
{
    if (value == 0 && f->text != NULL) {
        buf_put_str(out, f->text);
        return;
    }
    const struct unit *u = units_of(f);
    while (u[1].name != NULL && (value == 0 || value % u->factor != 0))
        u++;
    if (value == 0 && f->type == &type_duration)
        u--; /* "0s" reads better than "0ms" */
    buf_printf(out, "%lld%s", (long long)(value / u->factor), u->name);
}

static void number_preset(const struct schema_field *f, void *at)
{
    memcpy(at, &f->initial, sizeof f->initial);
}

/* Digits and a unit. ERR_SYNTAX: not that; ERR_RANGE: beyond any bound. */
static enum err parse_number(struct span s, const struct unit *units, int64_t *out)
{
    size_t digits = 0;
    while (digits < s.n && ascii_digit(s.p[digits]))
        digits++;
    struct span unit = span_sub(s, digits, s.n);
    uint64_t value = 0;
    enum err err = digits > 0 ? span_u64(span_sub(s, 0, digits), &value) : ERR_SYNTAX;
    for (; err != ERR_SYNTAX && units->name != NULL; units++) {
        if (!span_eq(unit, span_str(units->name)))
            continue;
        if (err == ERR_OK && value > (uint64_t)(INT64_MAX / units->factor))
            err = ERR_RANGE;
        if (err == ERR_OK)
            *out = (int64_t)value * units->factor;
        return err;
    }
    return ERR_SYNTAX;
}

/* Several units, or parts of one: "1h30m", "0.5s". False: not that, or no whole number of the
 * smallest. */
static bool parse_parts(struct span s, const struct unit *units, int64_t *out)
{
    double sum = 0, value;
    while (s.n > 0) {
        size_t digits = 0, end;
        while (digits < s.n && (ascii_digit(s.p[digits]) || s.p[digits] == '.'))
            digits++;
        for (end = digits; end < s.n && !ascii_digit(s.p[end]);)
            end++;
        const struct unit *u = units;
        while (u->name != NULL && !span_eq(span_sub(s, digits, end), span_str(u->name)))
            u++;
        if (u->name == NULL || end == digits || !scalar_real(span_sub(s, 0, digits), &value))
            return false;
        sum += value * (double)u->factor;
        s = span_sub(s, end, s.n);
    }
    *out = (int64_t)sum;
    return sum >= 1 && sum < 1e15 && (double)*out >= sum && (double)*out <= sum;
}

/* Reports what is no number with its unit. */
static void refuse_form(struct reader *r, const struct schema_field *f, const struct node *n,
                        const char *allowed)
{
    char advice[96];
    struct buf whole;
    int64_t value;
    buf_fixed(&whole, advice, sizeof advice - 1);
    if (n->kind == NODE_SCALAR && parse_parts(n->text, units_of(f), &value)) {
        buf_put_str(&whole, "it is a whole number of one unit: ");
        put_number(&whole, f, value);
    }
    advice[whole.n] = '\0';
    reader_advise(r, n, allowed, whole.n > 0 ? advice : NULL);
}

/* Reports a number that is outside of its range. */
static void refuse_range(struct reader *r, const struct schema_field *f, const struct node *n)
{
    char memory[96];
    struct buf range;
    struct schema_field bound = *f;
    bound.text = NULL;
    buf_fixed(&range, memory, sizeof memory);
    put_number(&range, &bound, f->least);
    buf_put_str(&range, " to ");
    put_number(&range, &bound, f->most);
    const char *more = f->for_zero != NULL && span_eq(n->text, SPAN("0")) ? f->for_zero : NULL;
    conf_report(r->m, n->mark, "%s is %.*s; allowed: %.*s%s%s", r->path,
                SPAN_FMT(source_clip(n->text)), SPAN_FMT(buf_span(&range)),
                more != NULL ? "; " : "", more != NULL ? more : "");
}

static void number_read(struct reader *r, const struct schema_field *f, const struct node *n,
                        void *at)
{
    char allowed[160];
    snprintf(allowed, sizeof allowed, "%s%s%s", f->type->allowed, f->text != NULL ? ", or " : "",
             f->text != NULL ? f->text : "");
    struct span s;
    if (!reader_scalar(r, n, allowed, &s))
        return;
    int64_t value = 0;
    enum err err = ERR_OK;
    bool is_word = f->text != NULL && span_eq(s, span_str(f->text));
    if (!is_word)
        err =
            n->quoted && f->type == &type_count ? ERR_SYNTAX : parse_number(s, units_of(f), &value);
    if (err == ERR_SYNTAX)
        refuse_form(r, f, n, allowed);
    else if (err != ERR_OK || (!is_word && (value < f->least || value > f->most)))
        refuse_range(r, f, n);
    else
        memcpy(at, &value, sizeof value);
}

static void number_write(struct writer *w, const struct schema_field *f, const void *at)
{
    int64_t value;
    memcpy(&value, at, sizeof value);
    buf_put_char(w->out, ' ');
    put_number(w->out, f, value);
    write_end(w);
}

#define NUMBER_TYPE(name_, allowed_)                                                               \
    {                                                                                              \
        .name = (name_), .allowed = (allowed_), .preset = number_preset, .read = number_read,      \
        .write = number_write                                                                      \
    }

const struct schema_type type_count = NUMBER_TYPE("number", "a whole number");
const struct schema_type type_duration =
    NUMBER_TYPE("duration", "a duration with its unit, such as 250ms, 5s, 2m or 12h");
const struct schema_type type_size =
    NUMBER_TYPE("size", "a size with its unit, such as 512B, 16KiB or 1MiB");
const struct schema_type type_byte_rate =
    NUMBER_TYPE("byte rate", "a size per second, such as 1KiB/s");
const struct schema_type type_rate = NUMBER_TYPE("rate", "a rate, such as 100/s, 30/m or 5/h");
const struct schema_type type_percent = NUMBER_TYPE("ratio", "a whole percentage, such as 20%");

bool scalar_real(struct span s, double *out)
{
    static const double tens[] = {1, 10, 100, 1000, 10000, 100000, 1000000};
    struct span whole, rest = s;
    bool negative = span_starts(s, SPAN("-"));
    if (negative)
        rest = span_sub(s, 1, s.n);
    bool point = span_find(rest, '.') < rest.n;
    struct span fraction = span_cut(rest, '.', &whole);
    uint64_t w = 0, f = 0;
    if (fraction.n > 6 || whole.n > 6 || span_u64(whole, &w) != ERR_OK)
        return false;
    if (point && span_u64(fraction, &f) != ERR_OK)
        return false;
    double value = ((double)w * tens[fraction.n] + (double)f) / tens[fraction.n];
    *out = negative ? -value : value;
    return true;
}

void scalar_put_real(struct buf *out, double value)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%.6f", value);
    while (n > 0 && text[n - 1] == '0' && text[n - 2] != '.')
        n--;
    buf_put(out, text, n > 0 ? (size_t)n : 0);
}

static void real_preset(const struct schema_field *f, void *at)
{
    double value = (double)f->initial / 1000;
    memcpy(at, &value, sizeof value);
}

static void real_read(struct reader *r, const struct schema_field *f, const struct node *n,
                      void *at)
{
    struct span s;
    double value;
    if (!reader_scalar(r, n, f->type->allowed, &s))
        return;
    if (n->quoted || !scalar_real(s, &value))
        reader_must_be(r, n, f->type->allowed);
    else if (value * 1000 < (double)f->least || value * 1000 > (double)f->most)
        conf_report(r->m, n->mark, "%s is %.*s; allowed: %g to %g", r->path, SPAN_FMT(s),
                    (double)f->least / 1000, (double)f->most / 1000);
    else
        memcpy(at, &value, sizeof value);
}

static void real_write(struct writer *w, const struct schema_field *f, const void *at)
{
    (void)f;
    double value;
    memcpy(&value, at, sizeof value);
    buf_put_char(w->out, ' ');
    scalar_put_real(w->out, value);
    write_end(w);
}

const struct schema_type type_real = {
    .name = "decimal",
    .allowed = "a number with at most six decimals, such as 1.5",
    .preset = real_preset,
    .read = real_read,
    .write = real_write,
};
