#include "admin/ctl_print.h"
#include "admin/ctl_table.h"

static const char *source_text(struct span source)
{
    if (span_eq(source, SPAN("database"))) {
        return "from the database";
    }
    if (span_eq(source, SPAN("country"))) {
        return "the country's central point";
    }
    return span_eq(source, SPAN("here")) ? "where this balancer stands" : "";
}

static void put_code(struct buf *out, const struct json_value *place, const char *title,
                     const char *name)
{
    struct span code = ctl_cell(place, name);
    if (code.n > 0) {
        buf_printf(out, "%s ", title);
        ctl_put_clean(out, code, false);
        buf_put_str(out, ", ");
    }
}

void ctl_print_place(const struct json_value *place, struct buf *out)
{
    if (!json_get_bool(place, "known")) {
        buf_put_str(out, "unknown place, ");
    }
    put_code(out, place, "country", "country");
    put_code(out, place, "subdivision", "subdivision");
    put_code(out, place, "continent", "continent");
    if (json_get(place, "latitude") == NULL) {
        buf_put_str(out, "no coordinates\n");
        return;
    }
    buf_printf(out, "at %.4g %.4g", json_get_number(place, "latitude"),
               json_get_number(place, "longitude"));
    if (json_get_number(place, "radius_km") > 0) {
        buf_printf(out, " within %.0f km", json_get_number(place, "radius_km"));
    }
    const char *source = source_text(json_get_text(place, "source"));
    buf_printf(out, "%s%s%s\n", source[0] != 0 ? " (" : "", source, source[0] != 0 ? ")" : "");
}

static void print_sites(const struct json_value *reply, size_t width, struct arena *arena,
                        struct buf *out)
{
    static const struct ctl_column columns[] = {
        {"SITE", false, CTL_CUT},     {"VERDICT", false, CTL_WHOLE},
        {"COST", true, CTL_WHOLE},    {"DISTANCE", true, CTL_WHOLE},
        {"LOAD", true, CTL_WHOLE},    {"PREDICTED", true, CTL_WHOLE},
        {"RECENT", true, CTL_SPARE},  {"NORMAL", true, CTL_WHOLE},
        {"SAMPLES", true, CTL_SPARE}, {"RUN", true, CTL_WHOLE},
        {"SEEN", true, CTL_SPARE},    {"USABLE", true, CTL_WHOLE},
    };
    static const char *const times[] = {"cost_ms",      "distance_ms", "load_ms",
                                        "predicted_ms", "recent_ms",   "normal_ms"};
    struct ctl_table t;
    const struct json_value *rows = json_get(reply, "sites");
    ctl_table_init(&t, arena, columns, sizeof columns / sizeof *columns);
    for (const struct json_value *r = rows != NULL ? rows->first : NULL; r != NULL; r = r->next) {
        struct span *cells = ctl_table_row(&t);
        if (cells == NULL) {
            return;
        }
        cells[0] = ctl_cell(r, "site");
        cells[1] = ctl_cell(r, "verdict");
        for (size_t i = 0; i < 6; i++) {
            cells[2 + i] = ctl_cell_unit(arena, r, times[i], 2, "");
        }
        cells[8] = ctl_cell(r, "samples");
        cells[9] = ctl_cell(r, "inflight");
        cells[10] = ctl_cell_unit(arena, r, "inflight_at_dispatch", 1, "");
        cells[11] = ctl_cell(r, "usable");
    }
    buf_printf(out, "\nSites (%s)\n",
               span_eq(json_get_text(reply, "algorithm"), SPAN("nearest"))
                   ? "times in ms; the lowest cost is chosen"
                   : "this algorithm compares backends, not sites");
    ctl_table_print(&t, width, out);
}

static const char *rule_text(struct span algorithm)
{
    if (span_eq(algorithm, SPAN("nearest"))) {
        return "of that site; fewest running per weight is chosen";
    }
    if (span_eq(algorithm, SPAN("round_robin"))) {
        return "whose turn it is in a worker; others have turns of their own";
    }
    return span_eq(algorithm, SPAN("consistent_hash"))
               ? "along the ring from the key; the first one below its share is chosen"
               : "fewest running per weight is chosen";
}

static void print_candidates(const struct json_value *reply, size_t width, struct arena *arena,
                             struct buf *out)
{
    static const struct ctl_column columns[] = {
        {"BACKEND", false, CTL_CUT}, {"ADDRESS", false, CTL_CUT}, {"SITE", false, CTL_CUT},
        {"RUN", true, CTL_WHOLE},    {"WEIGHT", true, CTL_WHOLE}, {"VERDICT", false, CTL_WHOLE},
    };
    static const char *const names[] = {"backend",  "address", "site",
                                        "inflight", "weight",  "verdict"};
    struct ctl_table t;
    const struct json_value *rows = json_get(reply, "candidates");
    if (rows == NULL || rows->count == 0) {
        return;
    }
    ctl_table_init(&t, arena, columns, sizeof columns / sizeof *columns);
    for (const struct json_value *r = rows->first; r != NULL; r = r->next) {
        struct span *cells = ctl_table_row(&t);
        for (size_t i = 0; cells != NULL && i < 6; i++) {
            cells[i] = ctl_cell(r, names[i]);
        }
    }
    buf_printf(out, "\nCandidates (%s)\n", rule_text(json_get_text(reply, "algorithm")));
    ctl_table_print(&t, width, out);
}

static void print_others(const struct json_value *reply, size_t width, struct arena *arena,
                         struct buf *out)
{
    static const struct ctl_column columns[] = {
        {"BACKEND", false, CTL_CUT},   {"ADDRESS", false, CTL_CUT}, {"SITE", false, CTL_CUT},
        {"RUN", true, CTL_WHOLE},      {"WEIGHT", true, CTL_WHOLE}, {"OUT", true, CTL_WHOLE},
        {"WHY NOT", false, CTL_BELOW},
    };
    static const char *const names[] = {"backend", "address", "site", "inflight", "weight"};
    struct ctl_table t;
    const struct json_value *rows = json_get(reply, "others");
    if (rows == NULL || rows->count == 0)
        return;
    ctl_table_init(&t, arena, columns, sizeof columns / sizeof *columns);
    for (const struct json_value *r = rows->first; r != NULL; r = r->next) {
        struct span *cells = ctl_table_row(&t);
        for (size_t i = 0; cells != NULL && i < 5; i++)
            cells[i] = ctl_cell(r, names[i]);
        if (cells == NULL)
            return;
        if (json_get_number(r, "ejected_seconds") > 0)
            cells[5] = ctl_cell_unit(arena, r, "ejected_seconds", 1, " s");
        cells[6] = ctl_cell(r, "why_text");
    }
    buf_put_str(out, "\nOthers\n");
    ctl_table_print(&t, width, out);
    if (json_get_number(reply, "others_left") > 0)
        buf_printf(out, "and %.0f more\n", json_get_number(reply, "others_left"));
}

static void put_fact(struct buf *out, const char *title, struct span value)
{
    if (value.n > 0) {
        buf_printf(out, "%-9s", title);
        ctl_put_clean(out, value, false);
        buf_put_char(out, '\n');
    }
}

static void put_distance(struct buf *out, struct span from, struct span source)
{
    if (from.n == 0)
        return;
    buf_put_str(out, "distance from ");
    ctl_put_clean(out, from, false);
    buf_put_str(out, source.n != 0 ? ", by " : "");
    ctl_put_clean(out, source, false);
    buf_put_char(out, '\n');
}

static void put_fault(struct buf *out, const struct json_value *reply)
{
    if (!json_get_bool(reply, "dependency_down")) {
        return;
    }
    buf_put_str(out, "down     ");
    struct span name = ctl_cell(reply, "dependency");
    ctl_put_clean(out, name.n > 0 ? name : SPAN("something that the servers share"), false);
    buf_put_str(out, " (");
    ctl_put_clean(out, ctl_cell(reply, "dependency_reason"), false);
    buf_put_str(out, "): servers that are not ready stay");
    bool refuses = span_eq(ctl_cell(reply, "on_dependency_down"), SPAN("fail_fast"));
    buf_put_str(out, refuses ? ", requests are refused\n" : "\n");
}

void ctl_print_explain(const struct json_value *reply, size_t width, struct arena *arena,
                       struct buf *out)
{
    buf_put_str(out, "client   ");
    ctl_print_place(json_get(reply, "client"), out);
    put_fact(out, "route", ctl_cell(reply, "route"));
    put_fact(out, "action", ctl_cell(reply, "action"));
    put_fact(out, "pool", ctl_cell(reply, "pool"));
    if (!span_eq(json_get_text(reply, "outcome"), SPAN("ok"))) {
        put_fact(out, "outcome", ctl_cell(reply, "outcome_text"));
    }
    if (json_get_text(reply, "pool").n == 0) {
        return;
    }
    put_fault(out, reply);
    put_fact(out, "to", ctl_cell(reply, "redirect"));
    put_distance(out, ctl_cell(reply, "distance_from"), ctl_cell(reply, "distance_source"));
    put_fact(out, "rule", ctl_cell(reply, "algorithm"));
    /* Of a client who may be served nowhere nothing was chosen in any mode. */
    if (!span_eq(json_get_text(reply, "outcome"), SPAN("residency"))) {
        put_fact(out, "mode", ctl_cell(reply, "mode"));
    }
    put_fact(out, "sticky", ctl_cell(reply, "sticky"));
    if (json_get_bool(reply, "backup")) {
        put_fact(out, "backup", SPAN("yes: nobody else can serve"));
    }
    print_sites(reply, width, arena, out);
    print_candidates(reply, width, arena, out);
    print_others(reply, width, arena, out);
}
