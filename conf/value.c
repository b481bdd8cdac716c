/* value: types of values with a form of their own: places, status sets, what routes match. */
#include "conf/reader.h"
#include "conf/scalar.h"
#include "conf/text.h"

#include "base/near.h"

/* One of the two numbers of a location. */
static bool read_degrees(struct reader *r, const struct node *n, double most, double *out)
{
    bool good = n->kind == NODE_SCALAR && !n->quoted && scalar_real(n->text, out) &&
                *out >= -most && *out <= most;
    if (!good)
        reader_must_be(
            r, n, most > 90 ? "a longitude, -180 to 180 degrees" : "a latitude, -90 to 90 degrees");
    return good;
}

static void location_read(struct reader *r, const struct schema_field *f, const struct node *n,
                          void *at)
{
    struct conf_location l = {.set = true, .mark = n->mark};
    if (n->kind != NODE_LIST || n->count != 2)
        reader_must_be(r, n, f->type->allowed);
    else if (read_degrees(r, n->first, 90, &l.latitude) &&
             read_degrees(r, n->last, 180, &l.longitude))
        memcpy(at, &l, sizeof l);
}

static bool location_present(const struct schema_field *f, const void *at)
{
    (void)f;
    return ((const struct conf_location *)at)->set;
}

static void location_write(struct writer *w, const struct schema_field *f, const void *at)
{
    (void)f;
    const struct conf_location *l = at;
    buf_put_str(w->out, " [");
    scalar_put_real(w->out, l->latitude);
    buf_put_str(w->out, ", ");
    scalar_put_real(w->out, l->longitude);
    buf_put_char(w->out, ']');
    write_end(w);
}

const struct schema_type type_location = {
    .name = "location",
    .allowed = "[latitude, longitude] in degrees, such as [50.11, 8.68]",
    .read = location_read,
    .present = location_present,
    .write = location_write,
};

/* "200" or "200-399" into the set. */
static bool add_statuses(struct conf_statuses *set, struct span s)
{
    struct span low;
    struct span high = span_cut(s, '-', &low);
    uint64_t from = 0, to = 0;
    if (span_u64(low, &from) != ERR_OK)
        return false;
    if (low.n == s.n)
        to = from;
    else if (span_u64(high, &to) != ERR_OK)
        return false;
    if (from < 100 || to > 599 || from > to)
        return false;
    for (uint64_t i = from; i <= to; i++)
        set->bits[i / 64] |= (uint64_t)1 << (i % 64);
    return true;
}

static void statuses_preset(const struct schema_field *f, void *at)
{
    struct conf_statuses set = {0};
    if (add_statuses(&set, span_str(f->text)))
        memcpy(at, &set, sizeof set);
}

static void statuses_read(struct reader *r, const struct schema_field *f, const struct node *n,
                          void *at)
{
    struct conf_statuses set = {0};
    bool good = n->kind == NODE_SCALAR ? add_statuses(&set, n->text) : n->count > 0;
    if (n->kind == NODE_MAP || !good) {
        reader_must_be(r, n, f->type->allowed);
        return;
    }
    for (const struct node *c = n->kind == NODE_LIST ? n->first : NULL; c != NULL; c = c->next)
        if (c->kind != NODE_SCALAR || !add_statuses(&set, c->text))
            reader_must_be(r, c, "a status 100 to 599, or a range such as 200-399");
    memcpy(at, &set, sizeof set);
}

static void statuses_write(struct writer *w, const struct schema_field *f, const void *at)
{
    (void)f;
    const char *joint = " [";
    for (int from = 100; from < 600; from++) {
        if (!conf_statuses_has(at, from))
            continue;
        int to = from;
        while (conf_statuses_has(at, to + 1))
            to++;
        if (to > from)
            buf_printf(w->out, "%s\"%d-%d\"", joint, from, to);
        else
            buf_printf(w->out, "%s%d", joint, from);
        joint = ", ";
        from = to;
    }
    buf_put_char(w->out, ']');
    write_end(w);
}

const struct schema_type type_statuses = {
    .name = "statuses",
    .allowed = "a status, a range such as 200-399, or a list of them",
    .preset = statuses_preset,
    .read = statuses_read,
    .write = statuses_write,
};

static void host_read(struct reader *r, const struct schema_field *f, const struct node *n,
                      void *at)
{
    struct span s;
    if (!reader_scalar(r, n, f->type->allowed, &s))
        return;
    struct span name = span_starts(s, SPAN("*.")) ? span_sub(s, 2, s.n) : s;
    if (name.n < s.n ? !text_is_host_name(name) : text_host(name) != NULL) {
        reader_must_be(r, n, f->type->allowed);
        return;
    }
    struct conf_text text = reader_lower(r, n);
    memcpy(at, &text, sizeof text);
}

const struct schema_type type_host = {
    .name = "host",
    .allowed = "a host name without port, such as api.example.com or \"*.example.com\"",
    .read = host_read,
    .present = schema_text_present,
    .write = schema_text_write,
};

/* The field's struct is conf_match: the path and whether it is exact. */
static void path_preset(const struct schema_field *f, void *at)
{
    ((struct conf_match *)at)->path.s = span_str(f->text);
}

/* A map that is not {exact: …}: names the first key that should not be there. */
static void refuse_path_map(struct reader *r, const struct node *n, const char *allowed)
{
    char memory[64];
    struct buf meant;
    const struct node *c = n->first;
    while (c != NULL && span_eq(c->key->text, SPAN("exact")))
        c = c->next;
    if (c == NULL) {
        reader_must_be(r, n, allowed);
        return;
    }
    struct near near = near_to(c->key->text);
    near_offer(&near, SPAN("exact"));
    buf_fixed(&meant, memory, sizeof memory);
    near_put(&near, &meant);
    reader_report(r, c->key->mark, "unknown key '%.*s'; it must be %s%.*s",
                  SPAN_FMT(source_clip(c->key->text)), allowed, SPAN_FMT(buf_span(&meant)));
}

static void path_read(struct reader *r, const struct schema_field *f, const struct node *n,
                      void *at)
{
    struct conf_match *match = at;
    const struct node *value = n;
    if (n->kind == NODE_MAP) {
        value = n->count == 1 ? node_child(n, "exact") : NULL;
        if (value == NULL) {
            refuse_path_map(r, n, f->type->allowed);
            return;
        }
    }
    struct span s;
    if (!reader_scalar(r, value, f->type->allowed, &s))
        return;
    const char *must = text_route_path(s);
    struct conf_text text = reader_text(r, s, value->mark);
    if (must == NULL && text.s.p != NULL) {
        char *p = (char *)(uintptr_t)text.s.p;
        text.s.n = text_settle_path(p, text.s.n);
        p[text.s.n] = '\0';
        must = text_route_path(text.s); /* dots may have been escaped */
    }
    if (must != NULL) {
        reader_must_be(r, value, must);
        return;
    }
    match->exact = value != n;
    match->path = text;
}

static void path_write(struct writer *w, const struct schema_field *f, const void *at)
{
    (void)f;
    const struct conf_match *match = at;
    buf_put_str(w->out, match->exact ? " {exact: " : " ");
    write_text(w, match->path.s);
    buf_put_str(w->out, match->exact ? "}" : "");
    write_end(w);
}

const struct schema_type type_path = {
    .name = "path",
    .allowed = "a path prefix such as /v1/, or {exact: /path}",
    .preset = path_preset,
    .read = path_read,
    .write = path_write,
};

/* The field's struct is conf_pool: the choice and the name. */
static void pool_host_read(struct reader *r, const struct schema_field *f, const struct node *n,
                           void *at)
{
    struct conf_pool *pool = at;
    struct span s;
    if (!reader_scalar(r, n, f->type->allowed, &s))
        return;
    if (span_eq(s, SPAN("preserve")) || span_eq(s, SPAN("backend"))) {
        pool->host = s.p[0] == 'p' ? CONF_HOST_PRESERVE : CONF_HOST_BACKEND;
        return;
    }
    if (!text_is_authority(s)) {
        reader_must_be(r, n, f->type->allowed);
        return;
    }
    pool->host = CONF_HOST_NAME;
    pool->host_name = reader_text(r, s, n->mark);
}

static void pool_host_write(struct writer *w, const struct schema_field *f, const void *at)
{
    (void)f;
    const struct conf_pool *pool = at;
    write_value(w, pool->host == CONF_HOST_NAME      ? pool->host_name.s
                   : pool->host == CONF_HOST_BACKEND ? SPAN("backend")
                                                     : SPAN("preserve"));
}

const struct schema_type type_pool_host = {
    .name = "host",
    .allowed = "preserve, backend, or the host to send, with a port or without",
    .read = pool_host_read,
    .write = pool_host_write,
};

/* The field's struct is conf_health. */
static void probe_off_read(struct reader *r, const struct schema_field *f, const struct node *n,
                           void *at)
{
    struct conf_health *health = at;
    if (n->kind == NODE_SCALAR && !n->quoted && span_eq(n->text, SPAN("true")))
        health->probe = CONF_PROBE_OFF;
    else
        reader_must_be(r, n, f->type->allowed);
}

static bool probe_off_present(const struct schema_field *f, const void *at)
{
    (void)f;
    return ((const struct conf_health *)at)->probe == CONF_PROBE_OFF;
}

static void probe_off_write(struct writer *w, const struct schema_field *f, const void *at)
{
    (void)f;
    (void)at;
    buf_put_str(w->out, " true");
    write_end(w);
}

const struct schema_type type_probe_off = {
    .name = "switch",
    .allowed = "true, or leave it out",
    .read = probe_off_read,
    .present = probe_off_present,
    .write = probe_off_write,
};
