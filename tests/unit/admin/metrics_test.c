#include "check.h"

#include "admin/admin_impl.h"
#include "fake_view.h"

#include <math.h>
#include <stdlib.h>

/* A strict reader of the text format, written from its description: families in one piece with
 * HELP, TYPE and samples in this order, names and labels of the grammar, no sample twice. */
struct strict {
    struct span family;
    char type; /* c, g, h; 0 before TYPE */
    struct span families[128];
    size_t family_count, samples;
    struct span series[1024]; /* name and labels */
};

static struct span take_line(struct span *text)
{
    struct span line;
    CHECK(span_find(*text, '\n') < text->n, "the last line has its end");
    *text = span_cut(*text, '\n', &line);
    return line;
}

static bool name_char(char c, bool first)
{
    return ascii_alpha(c) || c == '_' || (!first && ascii_digit(c));
}

static struct span take_name(struct span *s)
{
    size_t n = 0;
    while (n < s->n && name_char(s->p[n], n == 0)) {
        n++;
    }
    CHECK(n > 0, "a name in \"%.*s\"", SPAN_FMT(*s));
    struct span name = span_sub(*s, 0, n);
    *s = span_sub(*s, n, s->n);
    return name;
}

static void take(struct span *s, const char *what)
{
    struct span w = span_str(what);
    CHECK(span_starts(*s, w), "\"%s\" at \"%.*s\"", what, SPAN_FMT(*s));
    *s = span_sub(*s, w.n, s->n);
}

static void take_text(struct span *s, bool quoted)
{
    while (s->n > 0 && !(quoted && s->p[0] == '"')) {
        size_t step = 1;
        if (s->p[0] == '\\') {
            CHECK(s->n > 1 && strchr(quoted ? "\\n\"" : "\\n", s->p[1]) != NULL, "escape");
            step = 2;
        }
        *s = span_sub(*s, step, s->n);
    }
}

static void take_labels(struct span *s, struct span *le)
{
    bool first = true;
    *le = SPAN_NONE;
    while (s->n > 0 && s->p[0] != '}') {
        if (!first) {
            take(s, ",");
        }
        first = false;
        struct span name = take_name(s);
        take(s, "=\"");
        struct span from = *s;
        take_text(s, true);
        if (span_eq(name, SPAN("le"))) {
            *le = span_sub(from, 0, from.n - s->n);
        }
        take(s, "\"");
    }
    CHECK(!first, "no empty braces");
    take(s, "}");
}

static double take_number(struct span s)
{
    char text[64], *end;
    CHECK(s.n > 0 && s.n < sizeof text, "a number");
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    double v = strtod(text, &end);
    CHECK(*end == 0, "a number, not \"%s\"", text);
    return v;
}

static void begin_family(struct strict *p, struct span line)
{
    take(&line, "# HELP ");
    p->family = take_name(&line);
    p->type = 0;
    take(&line, " ");
    CHECK(line.n > 0, "help");
    take_text(&line, false);
    CHECK(span_starts(p->family, SPAN("meridian_")), "prefix");
    for (size_t i = 0; i < p->family_count; i++) {
        CHECK(!span_eq(p->families[i], p->family), "%.*s twice", SPAN_FMT(p->family));
    }
    p->families[p->family_count++] = p->family;
}

static void take_type(struct strict *p, struct span line)
{
    take(&line, "# TYPE ");
    CHECK(span_eq(take_name(&line), p->family) && p->type == 0, "TYPE follows HELP");
    p->type = line.p[1];
    CHECK(span_eq(line, SPAN(" counter")) || span_eq(line, SPAN(" gauge")) ||
              span_eq(line, SPAN(" histogram")),
          "type");
    CHECK((p->type == 'c') == span_ends(p->family, SPAN("_total")), "%.*s", SPAN_FMT(p->family));
}

static void take_sample(struct strict *p, struct span line)
{
    struct span rest = line, le = SPAN_NONE, name = take_name(&rest);
    CHECK(p->type != 0, "a sample after TYPE");
    CHECK(span_starts(name, p->family), "%.*s in its family", SPAN_FMT(name));
    struct span suffix = span_sub(name, p->family.n, name.n);
    if (rest.n > 0 && rest.p[0] == '{') {
        take(&rest, "{");
        take_labels(&rest, &le);
    }
    if (p->type == 'h') {
        CHECK(span_eq(suffix, SPAN("_sum")) || span_eq(suffix, SPAN("_count")) ||
                  (span_eq(suffix, SPAN("_bucket")) && le.p != NULL),
              "a histogram's suffix");
    } else {
        CHECK(suffix.n == 0 && le.p == NULL, "no suffix");
    }
    struct span series = span_sub(line, 0, line.n - rest.n);
    for (size_t i = 0; i < p->samples; i++) {
        CHECK(!span_eq(p->series[i], series), "%.*s twice", SPAN_FMT(series));
    }
    p->series[p->samples++] = series;
    take(&rest, " ");
    double v = take_number(rest);
    CHECK(p->type == 'g' || v >= 0, "counts are not negative");
}

static void parse(struct strict *p, struct span text)
{
    memset(p, 0, sizeof *p);
    while (text.n > 0) {
        struct span line = take_line(&text);
        if (span_starts(line, SPAN("# HELP "))) {
            begin_family(p, line);
        } else if (span_starts(line, SPAN("#"))) {
            take_type(p, line);
        } else {
            take_sample(p, line);
        }
    }
}

static bool has_line(const struct buf *b, const char *line)
{
    struct span text = buf_span(b), one;
    while (text.n > 0) {
        text = span_cut(text, '\n', &one);
        if (span_eq(one, span_str(line))) {
            return true;
        }
    }
    return false;
}

static struct strict parsed;

TEST(metrics, families)
{
    struct fake_view f;
    struct admin a;
    struct buf b;
    fake_view_init(&f);
    a = (struct admin){.ops = &f.ops, .ctx = &f};
    buf_init(&b, 0);
    families_write(&a, &b);
    parse(&parsed, buf_span(&b));
    CHECK(parsed.family_count > 25 && parsed.samples > 50, "%zu, %zu", parsed.family_count,
          parsed.samples);
    static const char *const lines[] = {
        "meridian_build_info{version=\"0.1.0\"} 1",
        "meridian_reloads_total{result=\"ok\"} 2",
        "meridian_ready 1",
        "meridian_uptime_seconds 3725",
        "meridian_pool_endpoints_usable{pool=\"api\"} 1",
        "meridian_pool_panic{pool=\"api\"} 1",
        "meridian_pool_panic{pool=\"o\\\"d\\\\d\\n\"} 0",
        "meridian_pool_endpoints{pool=\"o\\\"d\\\\d\\n\"} 1",
        "meridian_backend_up{pool=\"api\",backend=\"fra-1\",address=\"10.1.0.11:8080\",site="
        "\"fra\"} "
        "1",
        "meridian_backend_probe_duration_seconds{pool=\"api\",backend=\"fra-1\",address=\"10.1.0."
        "11:"
        "8080\",site=\"fra\"} 0.0015",
        "meridian_cert_expiry_seconds{listener=\"public\",path=\"/etc/tls/a.pem\"} -86400",
        "meridian_request_seconds_bucket{route=\"r\\\"1\\\\\\n\",le=\"0.001\"} 5",
        "meridian_request_seconds_bucket{route=\"r\\\"1\\\\\\n\",le=\"0.01\"} 8",
        "meridian_request_seconds_bucket{route=\"r\\\"1\\\\\\n\",le=\"0.1\"} 8",
        "meridian_request_seconds_bucket{route=\"r\\\"1\\\\\\n\",le=\"+Inf\"} 10",
        "meridian_request_seconds_sum{route=\"r\\\"1\\\\\\n\"} 1.25",
        "meridian_request_seconds_count{route=\"r\\\"1\\\\\\n\"} 10",
        "# HELP meridian_request_seconds Durations,\\nand \\\\more.",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        CHECK(has_line(&b, lines[i]), "%s is missing", lines[i]);
    }
    buf_fini(&b);
}

TEST(metrics, without_views)
{
    struct admin_ops none = {0};
    struct admin a = {.ops = &none};
    struct buf b;
    buf_init(&b, 0);
    families_write(&a, &b);
    CHECK_INT(buf_len(&b), 0);
    buf_fini(&b);
}

TEST(metrics, values)
{
    struct metrics m;
    struct buf b;
    buf_init(&b, 0);
    metrics_init(&m, &b);
    metrics_family(&m, "x", METRIC_GAUGE, "X.");
    metrics_double(&m, NULL, 0, NAN);
    metrics_double(&m, NULL, 0, -INFINITY);
    metrics_double(&m, NULL, 0, 0.1);
    metrics_u64(&m, NULL, 0, UINT64_MAX);
    CHECK_SPAN(buf_span(&b), "# HELP meridian_x X.\n# TYPE meridian_x gauge\nmeridian_x NaN\n"
                             "meridian_x -Inf\nmeridian_x 0.1\nmeridian_x 18446744073709551615\n");
    buf_fini(&b);
}
