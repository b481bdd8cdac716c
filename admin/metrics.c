#include "admin/metrics.h"

#include <math.h>

void metrics_init(struct metrics *m, struct buf *out)
{
    *m = (struct metrics){.out = out};
}

/* HELP text escapes backslash and line feed, label values also the quote. */
static void put_escaped(struct buf *out, struct span s, bool quote)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '\n') {
            buf_put_str(out, "\\n");
            continue;
        }
        if (c == '\\' || (quote && c == '"')) {
            buf_put_char(out, '\\');
        }
        buf_put_char(out, c);
    }
}

static void put_name(struct metrics *m, const char *suffix)
{
    buf_put_str(m->out, "meridian_");
    buf_put_str(m->out, m->family);
    buf_put_str(m->out, suffix);
}

void metrics_family(struct metrics *m, const char *name, enum metric_type type, const char *help)
{
    static const char *const types[] = {
        [METRIC_COUNTER] = "counter",
        [METRIC_GAUGE] = "gauge",
        [METRIC_HISTOGRAM] = "histogram",
    };
    m->family = name;
    m->type = type;
    buf_put_str(m->out, "# HELP ");
    put_name(m, " ");
    put_escaped(m->out, span_str(help), false);
    buf_put_str(m->out, "\n# TYPE ");
    put_name(m, " ");
    buf_put_str(m->out, types[type]);
    buf_put_char(m->out, '\n');
}

static void put_value(struct buf *out, double v)
{
    if (isnan(v)) {
        buf_put_str(out, "NaN");
    } else if (isinf(v)) {
        buf_put_str(out, v > 0 ? "+Inf" : "-Inf");
    } else {
        buf_printf(out, "%.15g", v);
    }
}

static void put_label(struct buf *out, size_t i, const char *name, struct span value)
{
    buf_put_char(out, i == 0 ? '{' : ',');
    buf_put_str(out, name);
    buf_put_str(out, "=\"");
    put_escaped(out, value, true);
    buf_put_char(out, '"');
}

/* Name and labels of one sample, with a blank behind; le is set for a histogram's bucket. */
static void put_series(struct metrics *m, const char *suffix, const struct metric_label *labels,
                       size_t n, const char *le)
{
    put_name(m, suffix);
    for (size_t i = 0; i < n; i++) {
        put_label(m->out, i, labels[i].name, labels[i].value);
    }
    if (le != NULL) {
        put_label(m->out, n, "le", span_str(le));
    }
    buf_put_str(m->out, n > 0 || le != NULL ? "} " : " ");
}

void metrics_u64(struct metrics *m, const struct metric_label *labels, size_t n, uint64_t value)
{
    put_series(m, "", labels, n, NULL);
    buf_put_u64(m->out, value);
    buf_put_char(m->out, '\n');
}

void metrics_double(struct metrics *m, const struct metric_label *labels, size_t n, double value)
{
    put_series(m, "", labels, n, NULL);
    put_value(m->out, value);
    buf_put_char(m->out, '\n');
}

void metrics_histogram(struct metrics *m, const struct metric_label *labels, size_t n,
                       const double *bounds, size_t bound_count, const uint64_t *counts, double sum)
{
    uint64_t total = 0;
    for (size_t i = 0; i <= bound_count; i++) {
        char le[40];
        struct buf text;
        buf_fixed(&text, le, sizeof le);
        put_value(&text, i < bound_count ? bounds[i] : (double)INFINITY);
        buf_put_char(&text, 0);
        total += counts[i];
        put_series(m, "_bucket", labels, n, le);
        buf_put_u64(m->out, total);
        buf_put_char(m->out, '\n');
    }
    put_series(m, "_sum", labels, n, NULL);
    put_value(m->out, sum);
    buf_put_char(m->out, '\n');
    put_series(m, "_count", labels, n, NULL);
    buf_put_u64(m->out, total);
    buf_put_char(m->out, '\n');
}
