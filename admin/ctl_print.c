#include "admin/ctl_print.h"

#include "admin/ctl_table.h"

#define CHECKS_SHOWN  10
#define CHECKS_NARROW 5 /* where the screen has less than 100 columns */

struct print {
    const struct json_value *reply;
    size_t width;
    struct arena *arena;
    struct buf *out;
};

struct span ctl_cell(const struct json_value *row, const char *name)
{
    const struct json_value *v = json_get(row, name);
    if (v == NULL || v->type == JSON_NULL) {
        return SPAN_NONE;
    }
    if (v->type == JSON_BOOL) {
        return v->truth ? SPAN("yes") : SPAN("no");
    }
    return v->text;
}

static struct span text_of(char *p)
{
    return span_str(p != NULL ? p : "");
}

struct span ctl_cell_unit(struct arena *arena, const struct json_value *row, const char *name,
                          int digits, const char *unit)
{
    const struct json_value *v = json_get(row, name);
    if (v == NULL || v->type != JSON_NUMBER) {
        return SPAN_NONE;
    }
    return text_of(arena_printf(arena, "%.*f%s", digits, v->number, unit));
}

/* "3 d 4 h", "2 min 5 s": the two largest units. */
static struct span cell_age(struct arena *arena, const struct json_value *row, const char *name)
{
    static const struct {
        double seconds;
        const char *large, *small;
        double small_seconds;
    } units[] = {
        {86400, "d", "h", 3600},
        {3600, "h", "min", 60},
        {60, "min", "s", 1},
    };
    if (json_get(row, name) == NULL) {
        return SPAN_NONE;
    }
    double s = json_get_number(row, name);
    const char *sign = s < 0 ? "-" : "";
    s = s < 0 ? -s : s;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (s >= units[i].seconds) {
            double large = (double)(uint64_t)(s / units[i].seconds);
            double small = (s - large * units[i].seconds) / units[i].small_seconds;
            return text_of(arena_printf(arena, "%s%.0f %s %.0f %s", sign, large, units[i].large,
                                        (double)(uint64_t)small, units[i].small));
        }
    }
    return text_of(arena_printf(arena, "%s%.1f s", sign, s));
}

/* What an operator has said by hand is marked. */
static struct span cell_forced(struct arena *arena, const struct json_value *row, const char *name,
                               const char *forced)
{
    struct span s = ctl_cell(row, name);
    if (!json_get_bool(row, forced)) {
        return s;
    }
    return text_of(arena_printf(arena, "%.*s*", SPAN_FMT(s)));
}

static const struct json_value *rows_of(const struct print *p, const char *name)
{
    const struct json_value *rows = json_get(p->reply, name);
    return rows != NULL && rows->type == JSON_ARRAY ? rows->first : NULL;
}

static void print_simple(const struct print *p, const char *rows, const struct ctl_column *columns,
                         const char *const *names, size_t count)
{
    struct ctl_table t;
    ctl_table_init(&t, p->arena, columns, count);
    for (const struct json_value *r = rows_of(p, rows); r != NULL; r = r->next) {
        struct span *cells = ctl_table_row(&t);
        for (size_t i = 0; cells != NULL && i < count; i++) {
            cells[i] = ctl_cell(r, names[i]);
        }
    }
    ctl_table_print(&t, p->width, p->out);
}

/* What its servers depend on and lack: "db (probe)". */
static struct span cell_fault(struct arena *arena, const struct json_value *row)
{
    struct span name = ctl_cell(row, "dependency"), why = ctl_cell(row, "dependency_reason");
    if (!json_get_bool(row, "dependency_down") || name.n == 0) {
        return why;
    }
    return text_of(arena_printf(arena, "%.*s (%.*s)", SPAN_FMT(name), SPAN_FMT(why)));
}

static void print_pools(const struct print *p)
{
    static const struct ctl_column columns[] = {
        {"POOL", false, CTL_CUT},      {"ENDPOINTS", true, CTL_WHOLE}, {"USABLE", true, CTL_WHOLE},
        {"SITES", true, CTL_WHOLE},    {"RUNNING", true, CTL_WHOLE},   {"WAITING", true, CTL_WHOLE},
        {"REQUESTS", true, CTL_WHOLE}, {"ERRORS", true, CTL_WHOLE},    {"CHECK", false, CTL_WHOLE},
        {"DOWN", false, CTL_BELOW},
    };
    static const char *const names[] = {"name",    "endpoints", "usable", "sites", "inflight",
                                        "waiting", "requests",  "errors", "probe"};
    struct ctl_table t;
    ctl_table_init(&t, p->arena, columns, sizeof columns / sizeof *columns);
    for (const struct json_value *r = rows_of(p, "pools"); r != NULL; r = r->next) {
        struct span *cells = ctl_table_row(&t);
        for (size_t i = 0; cells != NULL && i < 9; i++) {
            cells[i] = ctl_cell(r, names[i]);
        }
        if (cells != NULL) {
            cells[9] = cell_fault(p->arena, r);
        }
    }
    ctl_table_print(&t, p->width, p->out);
}

static void print_listeners(const struct print *p)
{
    static const struct ctl_column columns[] = {
        {"LISTENER", false, CTL_CUT},     {"ADDRESS", false, CTL_CUT},   {"TLS", false, CTL_WHOLE},
        {"CONNECTIONS", true, CTL_WHOLE}, {"ACCEPTED", true, CTL_WHOLE},
    };
    static const char *const names[] = {"name", "address", "tls", "connections", "accepted"};
    print_simple(p, "listeners", columns, names, 5);
}

static void print_routes(const struct print *p)
{
    static const struct ctl_column columns[] = {
        {"ROUTE", false, CTL_CUT},  {"HOST", false, CTL_CUT},   {"PATH", false, CTL_CUT},
        {"DOES", false, CTL_WHOLE}, {"TARGET", false, CTL_CUT}, {"REQUESTS", true, CTL_WHOLE},
    };
    static const char *const names[] = {"name", "host", "path", "action", "target", "requests"};
    print_simple(p, "routes", columns, names, 6);
}

static void print_line(const struct print *p, const char *title, struct span value)
{
    if (value.n > 0) {
        buf_printf(p->out, "%-12s ", title);
        ctl_put_clean(p->out, value, false);
        buf_put_char(p->out, '\n');
    }
}

static void print_reloads(const struct print *p)
{
    struct span at = ctl_cell(p->reply, "last_reload");
    char *text = arena_printf(
        p->arena, "%.*s, %.*s refused%s%.*s%s", SPAN_FMT(ctl_cell(p->reply, "reloads")),
        SPAN_FMT(ctl_cell(p->reply, "reloads_failed")), at.n > 0 ? "; the last at " : "",
        SPAN_FMT(at), json_get_bool(p->reply, "last_reload_failed") ? " was refused" : "");
    print_line(p, "reloads", text_of(text));
}

/* What is bounded for the process as a whole. */
static void print_loads(const struct print *p)
{
    const struct json_value *r = p->reply;
    double mib = 1024 * 1024;
    print_line(
        p, "memory",
        text_of(arena_printf(p->arena, "%.1f of %.1f MiB", json_get_number(r, "memory_bytes") / mib,
                             json_get_number(r, "memory_limit_bytes") / mib)));
    print_line(p, "descriptors",
               text_of(arena_printf(p->arena, "%.*s of %.*s", SPAN_FMT(ctl_cell(r, "descriptors")),
                                    SPAN_FMT(ctl_cell(r, "descriptors_limit")))));
    print_line(p, "overload", ctl_cell(r, "overload"));
}

static void print_ends(const struct print *p)
{
    static const struct ctl_column columns[] = {
        {"REQUESTS", true, CTL_WHOLE}, {"ENDED", false, CTL_CUT}, {"MEANING", false, CTL_BELOW}};
    static const char *const names[] = {"requests", "reason", "meaning"};
    print_simple(p, "ends", columns, names, 3);
}

static void print_status(const struct print *p)
{
    const struct json_value *r = p->reply;
    char *head = arena_printf(p->arena, "meridian %.*s, process %.*s, up %.*s\n",
                              SPAN_FMT(ctl_cell(r, "version")), SPAN_FMT(ctl_cell(r, "pid")),
                              SPAN_FMT(cell_age(p->arena, r, "uptime_seconds")));
    ctl_put_clean(p->out, text_of(head), true);
    print_line(p, "state",
               json_get_bool(r, "draining") ? SPAN("draining")
               : json_get_bool(r, "ready")  ? SPAN("ready")
                                            : SPAN("not ready"));
    print_line(p, "not ready", ctl_cell(r, "not_ready"));
    print_line(p, "config", ctl_cell(r, "config"));
    print_line(p, "generation", ctl_cell(r, "generation"));
    if (json_get_number(r, "generations_old") > 0)
        print_line(p, "older ones", ctl_cell(r, "generations_old"));
    print_reloads(p);
    print_line(p, "workers", ctl_cell(r, "workers"));
    print_line(p, "connections", ctl_cell(r, "connections"));
    print_line(p, "requests",
               text_of(arena_printf(p->arena, "%.*s, %.*s running",
                                    SPAN_FMT(ctl_cell(r, "requests_total")),
                                    SPAN_FMT(ctl_cell(r, "requests_running")))));
    print_loads(p);
    print_line(p, "log level", ctl_cell(r, "log_level"));
    buf_put_char(p->out, '\n');
    print_listeners(p);
    buf_put_char(p->out, '\n');
    print_pools(p);
    buf_put_char(p->out, '\n');
    print_ends(p);
}

/* Why it gets no traffic; else what is wrong with its checks. */
static struct span cell_reason(const struct json_value *row)
{
    struct span why = ctl_cell(row, "reason_text"), reason = ctl_cell(row, "probe_reason");
    return why.n > 0 || span_eq(reason, SPAN("ok")) ? why : reason;
}

/* Backups say so, those of later groups with their number. */
static struct span cell_state(struct arena *arena, const struct json_value *row)
{
    struct span state = cell_forced(arena, row, "state", "admin_forced");
    double rank = json_get_number(row, "rank");
    if (rank < 1)
        return state;
    return text_of(rank > 1 ? arena_printf(arena, "%.*s backup %.0f", SPAN_FMT(state), rank)
                            : arena_printf(arena, "%.*s backup", SPAN_FMT(state)));
}

static void fill_backend(struct arena *arena, const struct json_value *row, size_t checks,
                         struct span *cells)
{
    struct span history = ctl_cell(row, "history");
    size_t from = history.n > checks ? history.n - checks : 0;
    cells[0] = text_of(arena_printf(arena, "%.*s/%.*s", SPAN_FMT(ctl_cell(row, "pool")),
                                    SPAN_FMT(ctl_cell(row, "name"))));
    cells[1] = ctl_cell(row, "site");
    cells[2] = ctl_cell(row, "address");
    cells[3] = cell_state(arena, row);
    cells[4] = cell_forced(arena, row, "weight", "weight_forced");
    cells[5] = ctl_cell(row, "inflight");
    cells[6] = ctl_cell(row, "requests");
    cells[7] = ctl_cell(row, "errors");
    cells[8] = span_sub(history, from, history.n);
    cells[9] = cell_reason(row);
}

static void print_backends(const struct print *p)
{
    static const struct ctl_column columns[] = {
        {"BACKEND", false, CTL_CUT},   {"SITE", false, CTL_CUT},    {"ADDRESS", false, CTL_CUT},
        {"STATE", false, CTL_WHOLE},   {"WEIGHT", true, CTL_WHOLE}, {"RUN", true, CTL_WHOLE},
        {"REQUESTS", true, CTL_WHOLE}, {"ERRORS", true, CTL_WHOLE}, {"CHECKS", false, CTL_WHOLE},
        {"REASON", false, CTL_BELOW},
    };
    size_t checks = p->width != 0 && p->width < 100 ? CHECKS_NARROW : CHECKS_SHOWN;
    struct ctl_table t;
    ctl_table_init(&t, p->arena, columns, sizeof columns / sizeof *columns);
    for (const struct json_value *r = rows_of(p, "backends"); r != NULL; r = r->next) {
        struct span *cells = ctl_table_row(&t);
        if (cells != NULL) {
            fill_backend(p->arena, r, checks, cells);
        }
    }
    ctl_table_print(&t, p->width, p->out);
}

static void print_connections(const struct print *p)
{
    static const struct ctl_column columns[] = {
        {"CLIENT", false, CTL_CUT},  {"LISTENER", false, CTL_CUT}, {"PROTOCOL", false, CTL_WHOLE},
        {"TLS", false, CTL_WHOLE},   {"STATE", false, CTL_WHOLE},  {"POOL", false, CTL_CUT},
        {"BACKEND", false, CTL_CUT}, {"AGE", true, CTL_WHOLE},     {"REQS", true, CTL_WHOLE},
    };
    static const char *const names[] = {"client", "listener", "protocol", "tls",
                                        "state",  "pool",     "backend"};
    struct ctl_table t;
    ctl_table_init(&t, p->arena, columns, sizeof columns / sizeof *columns);
    for (const struct json_value *r = rows_of(p, "connections"); r != NULL; r = r->next) {
        struct span *cells = ctl_table_row(&t);
        for (size_t i = 0; cells != NULL && i < 7; i++) {
            cells[i] = ctl_cell(r, names[i]);
        }
        if (cells != NULL) {
            cells[7] = cell_age(p->arena, r, "age_seconds");
            cells[8] = ctl_cell(r, "requests");
        }
    }
    ctl_table_print(&t, p->width, p->out);
    const struct json_value *all = json_get(p->reply, "connections"), *total;
    total = json_get(p->reply, "total");
    if (all != NULL && total != NULL && total->number > (double)all->count)
        buf_printf(p->out, "%zu of %.*s connections\n", all->count, SPAN_FMT(total->text));
}

static void print_certificates(const struct print *p)
{
    static const struct ctl_column columns[] = {
        {"LISTENER", false, CTL_CUT}, {"NAMES", false, CTL_CUT}, {"EXPIRES", false, CTL_WHOLE},
        {"LEFT", true, CTL_WHOLE},    {"PATH", false, CTL_CUT},
    };
    struct ctl_table t;
    ctl_table_init(&t, p->arena, columns, sizeof columns / sizeof *columns);
    for (const struct json_value *r = rows_of(p, "certificates"); r != NULL; r = r->next) {
        struct span *cells = ctl_table_row(&t);
        if (cells != NULL) {
            cells[0] = ctl_cell(r, "listener");
            cells[1] = ctl_cell(r, "names");
            cells[2] = span_sub(ctl_cell(r, "expires"), 0, sizeof "2026-01-01" - 1);
            cells[3] = cell_age(p->arena, r, "left_seconds");
            cells[4] = ctl_cell(r, "path");
        }
    }
    ctl_table_print(&t, p->width, p->out);
}

static void print_dependencies(const struct print *p)
{
    static const struct ctl_column columns[] = {
        {"DEPENDENCY", false, CTL_CUT}, {"LEVEL", false, CTL_WHOLE}, {"STATE", false, CTL_WHOLE},
        {"FOR", true, CTL_WHOLE},       {"GOOD", true, CTL_WHOLE},   {"BAD", true, CTL_WHOLE},
        {"REASON", false, CTL_BELOW},
    };
    static const char *const names[] = {"name", "level", "state", "", "good", "bad", "reason"};
    struct ctl_table t;
    if (rows_of(p, "dependencies") == NULL)
        return;
    ctl_table_init(&t, p->arena, columns, sizeof columns / sizeof *columns);
    for (const struct json_value *r = rows_of(p, "dependencies"); r != NULL; r = r->next) {
        struct span *cells = ctl_table_row(&t);
        for (size_t i = 0; cells != NULL && i < sizeof columns / sizeof *columns; i++)
            cells[i] = i == 3 ? cell_age(p->arena, r, "since_seconds") : ctl_cell(r, names[i]);
    }
    ctl_table_print(&t, p->width, p->out);
}

static void print_database(const struct print *p)
{
    const struct json_value *r = p->reply;
    print_dependencies(p);
    if (!json_get_bool(r, "followed")) {
        buf_put_str(p->out, "no pool has a registry\n");
        return;
    }
    print_line(p, "state", json_get_bool(r, "up") ? SPAN("up") : SPAN("away"));
    if (json_get(r, "reason") != NULL)
        print_line(p, "reason", ctl_cell(r, "reason"));
    print_line(p, "last answer", cell_age(p->arena, r, "contact_seconds"));
    print_line(p, "rows from", ctl_cell(r, "origin"));
    static const char *const counts[] = {"rows",     "used",  "skipped", "suspects", "connects",
                                         "failures", "polls", "wakeups", "changes",  "flushes",
                                         "resumes",  "reads", "saves"};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        print_line(p, counts[i], ctl_cell(r, counts[i]));
    static const struct ctl_column columns[] = {
        {"IDLE ROW OF", false, CTL_CUT}, {"ADDRESS", false, CTL_CUT}, {"REASON", false, CTL_BELOW}};
    static const char *const names[] = {"pool", "address", "reason"};
    if (rows_of(p, "idle") != NULL)
        print_simple(p, "idle", columns, names, 3);
}

static void print_map(const struct print *p)
{
    static const struct ctl_column sites[] = {
        {"SITE", false, CTL_CUT},       {"LATITUDE", true, CTL_WHOLE},
        {"LONGITUDE", true, CTL_WHOLE}, {"ENDPOINTS", true, CTL_WHOLE},
        {"USABLE", true, CTL_WHOLE},    {"RUNNING", true, CTL_WHOLE},
    };
    static const char *const site_names[] = {"name",      "latitude", "longitude",
                                             "endpoints", "usable",   "inflight"};
    static const struct ctl_column clients[] = {
        {"COUNTRY", false, CTL_WHOLE}, {"SITE", false, CTL_CUT}, {"CLIENTS", true, CTL_WHOLE}};
    static const char *const client_names[] = {"country", "site", "clients"};
    print_simple(p, "sites", sites, site_names, 6);
    buf_put_char(p->out, '\n');
    print_simple(p, "clients", clients, client_names, 3);
}

static void print_geo(const struct print *p)
{
    ctl_put_clean(p->out, ctl_cell(p->reply, "address"), false);
    buf_put_str(p->out, ": ");
    ctl_print_place(json_get(p->reply, "place"), p->out);
    ctl_print_geo(p->reply, p->width, p->arena, p->out);
}

static void print_explain(const struct print *p)
{
    ctl_print_explain(p->reply, p->width, p->arena, p->out);
}

/* Actions: what was said, or how many endpoints it was done to. */
static void print_done(const struct print *p)
{
    struct span message = json_get_text(p->reply, "message");
    const struct json_value *count = json_get(p->reply, "endpoints");
    if (message.n > 0) {
        ctl_put_clean(p->out, message, true);
        if (!span_ends(message, SPAN("\n"))) {
            buf_put_char(p->out, '\n');
        }
    } else if (count != NULL) {
        buf_printf(p->out, "done, %.*s endpoint%s\n", SPAN_FMT(count->text),
                   count->number > 1 ? "s" : "");
    } else {
        buf_put_str(p->out, "done\n");
    }
    const struct json_value *warnings = json_get(p->reply, "warnings");
    for (const struct json_value *w = warnings != NULL ? warnings->first : NULL; w != NULL;
         w = w->next) {
        buf_put_str(p->out, "warning: ");
        ctl_put_clean(p->out, w->text, false);
        buf_put_char(p->out, '\n');
    }
}

void ctl_print(const struct json_value *reply, struct span command, size_t width,
               struct arena *arena, struct buf *out)
{
    static const struct {
        const char *command;
        void (*print)(const struct print *p);
    } kinds[] = {
        {"status", print_status},           {"pools", print_pools},
        {"backends", print_backends},       {"routes", print_routes},
        {"connections", print_connections}, {"certificates", print_certificates},
        {"explain", print_explain},         {"geo", print_geo},
        {"database", print_database},       {"map", print_map},
    };
    struct print p = {.reply = reply, .width = width, .arena = arena, .out = out};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (span_eq(command, span_str(kinds[i].command))) {
            kinds[i].print(&p);
            return;
        }
    }
    print_done(&p);
}
