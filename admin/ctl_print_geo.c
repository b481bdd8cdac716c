/* What `geo` says below the place: the databases, and the order of each pool's sites. */
#include "admin/ctl_print.h"
#include "admin/ctl_table.h"

static const struct json_value *first_of(const struct json_value *reply, const char *name)
{
    const struct json_value *rows = json_get(reply, name);
    return rows != NULL ? rows->first : NULL;
}

static void put_known(const struct json_value *reply, const char *name, struct buf *out)
{
    struct span text = json_get_text(reply, name);
    if (text.n > 0) {
        buf_printf(out, "%-13s", name);
        ctl_put_clean(out, text, false);
        buf_put_char(out, '\n');
    }
}

static struct span place_cell(struct arena *arena, const struct json_value *place)
{
    struct span country = ctl_cell(place, "country"), part = ctl_cell(place, "subdivision");
    char *text =
        part.n > 0 ? arena_printf(arena, "%.*s-%.*s", SPAN_FMT(country), SPAN_FMT(part)) : NULL;
    return text != NULL ? span_str(text) : country;
}

static struct span location_cell(struct arena *arena, const struct json_value *place)
{
    if (json_get(place, "latitude") == NULL)
        return SPAN_NONE;
    char *text = arena_printf(arena, "%.4g %.4g", json_get_number(place, "latitude"),
                              json_get_number(place, "longitude"));
    return text != NULL ? span_str(text) : SPAN_NONE;
}

static void print_databases(const struct json_value *reply, size_t width, struct arena *arena,
                            struct buf *out)
{
    static const struct ctl_column columns[] = {
        {"DATABASE", false, CTL_CUT}, {"NETWORK", false, CTL_WHOLE}, {"PLACE", false, CTL_WHOLE},
        {"AT", false, CTL_WHOLE},     {"CITY", false, CTL_CUT},      {"ASN", true, CTL_WHOLE},
    };
    struct ctl_table t;
    if (first_of(reply, "databases") == NULL) {
        buf_put_str(out, "\nno database is set: geo.databases names them\n");
        return;
    }
    ctl_table_init(&t, arena, columns, sizeof columns / sizeof *columns);
    for (const struct json_value *r = first_of(reply, "databases"); r != NULL; r = r->next) {
        struct span *cells = ctl_table_row(&t);
        if (cells == NULL)
            return;
        const struct json_value *place = json_get(r, "place");
        cells[0] = ctl_cell(r, "path");
        cells[1] = ctl_cell(r, "network");
        cells[2] = place != NULL ? place_cell(arena, place) : SPAN("no record");
        cells[3] = place != NULL ? location_cell(arena, place) : SPAN_NONE;
        cells[4] = ctl_cell(r, "city");
        cells[5] = ctl_cell(r, "asn");
    }
    buf_put_char(out, '\n');
    ctl_table_print(&t, width, out);
}

/* "fra 8.0, iad 103.1; not sin" */
static struct span sites_cell(struct arena *arena, const struct json_value *pool)
{
    struct buf text;
    char memory[4096];
    buf_fixed(&text, memory, sizeof memory);
    bool refused = false;
    for (const struct json_value *s = first_of(pool, "sites"); s != NULL; s = s->next) {
        const char *joint = buf_len(&text) == 0 ? "" : ", ";
        if (!json_get_bool(s, "allowed") && !refused) {
            joint = buf_len(&text) == 0 ? "not " : "; not ";
            refused = true;
        }
        buf_put_str(&text, joint);
        buf_put_span(&text, ctl_cell(s, "site"));
        if (!refused)
            buf_printf(&text, " %.1f", json_get_number(s, "distance_ms"));
    }
    return arena_copy(arena, buf_span(&text));
}

void ctl_print_geo(const struct json_value *reply, size_t width, struct arena *arena,
                   struct buf *out)
{
    static const struct ctl_column columns[] = {{"POOL", false, CTL_CUT},
                                                {"FROM", false, CTL_WHOLE},
                                                {"SITES (ms), NEAREST FIRST", false, CTL_BELOW}};
    struct ctl_table t;
    put_known(reply, "city", out);
    put_known(reply, "asn", out);
    put_known(reply, "organization", out);
    print_databases(reply, width, arena, out);
    ctl_table_init(&t, arena, columns, 3);
    for (const struct json_value *r = first_of(reply, "pools"); r != NULL; r = r->next) {
        struct span *cells = ctl_table_row(&t);
        if (cells == NULL)
            return;
        bool served = span_eq(json_get_text(r, "outcome"), SPAN("ok"));
        cells[0] = ctl_cell(r, "pool");
        cells[1] = ctl_cell(r, "distance_from");
        cells[2] = served ? sites_cell(arena, r) : ctl_cell(r, "outcome");
    }
    buf_put_char(out, '\n');
    ctl_table_print(&t, width, out);
}
