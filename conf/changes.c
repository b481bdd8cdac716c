/* changes: what differs between two configurations, in lines for people: what a reload has done.
 * Walks the tables as printing does, so a new key needs nothing here. */
#include "conf/schema.h"

#include "base/mem.h"

#include <stdlib.h>

#define LINES_MOST 40
#define VALUE_MOST 60 /* bytes of a value that are shown; longer ones have only changed */

struct changes {
    struct writer old, new; /* print to `out` of their own */
    struct buf *out;
    size_t lines; /* those beyond LINES_MOST are only counted */
    size_t path_n;
    char path[256];
};

static size_t enter(struct changes *c, struct span key)
{
    size_t before = c->path_n;
    struct buf path;
    buf_fixed(&path, c->path + before, sizeof c->path - before);
    buf_printf(&path, "%s%.*s", before > 0 ? "." : "", SPAN_FMT(key));
    c->path_n = path.failed ? before : before + path.n;
    return before;
}

/* One line: the sign, the path, and what else there is to say. */
static void tell(struct changes *c, char sign, struct span before, struct span after)
{
    if (c->lines++ >= LINES_MOST)
        return;
    buf_printf(c->out, "  %c %.*s", sign, (int)c->path_n, c->path);
    if (before.n > 0 || after.n > 0)
        buf_printf(c->out, ": %.*s -> %.*s", SPAN_FMT(before), SPAN_FMT(after));
    buf_put_char(c->out, '\n');
}

static void tell_name(struct changes *c, char sign, struct span name)
{
    size_t before = enter(c, name);
    tell(c, sign, SPAN_NONE, SPAN_NONE);
    c->path_n = before;
}

/* The value of a field as it is printed, NONE where it is not. */
static struct span print(struct writer *w, const struct schema_field *f, const void *at)
{
    buf_clear(w->out);
    if (schema_present(w, f, at))
        f->type->write(w, f, schema_at(at, f->offset));
    struct span value = buf_span(w->out);
    while (value.n > 0 && value.p[value.n - 1] == '\n')
        value.n--;
    return span_trim(value);
}

static bool can_be_shown(struct span value)
{
    return value.n <= VALUE_MOST && span_find(value, '\n') == value.n;
}

static void compare_value(struct changes *c, const struct schema_field *f, const void *old,
                          const void *new)
{
    struct span before = print(&c->old, f, old), after = print(&c->new, f, new);
    if (span_eq(before, after))
        return;
    if (before.n == 0 || after.n == 0)
        tell(c, before.n == 0 ? '+' : '-', SPAN_NONE, SPAN_NONE);
    else if ((f->flags & SCHEMA_SECRET) != 0 || !can_be_shown(before) || !can_be_shown(after))
        tell(c, '~', SPAN_NONE, SPAN_NONE);
    else
        tell(c, '~', before, after);
}

static void compare_map(struct changes *c, const struct schema_map *map, const void *old,
                        const void *new);

/* Elements that have a name, sorted by it. */
struct names {
    const struct conf_text **v;
    size_t count;
};

static int by_name(const void *x, const void *y)
{
    return span_cmp((*(const struct conf_text *const *)x)->s,
                    (*(const struct conf_text *const *)y)->s);
}

static bool names_of(const struct schema_field *f, size_t name_offset, const void *at,
                     struct names *out)
{
    const char *items;
    memcpy(&items, schema_at(at, f->offset), sizeof items);
    memcpy(&out->count, schema_at(at, f->count_offset), sizeof out->count);
    out->v = mem_array(out->count + 1, sizeof *out->v);
    for (size_t i = 0; out->v != NULL && i < out->count; i++)
        out->v[i] = schema_at(items, i * f->element_size + name_offset);
    if (out->v != NULL)
        qsort(out->v, out->count, sizeof *out->v, by_name);
    return out->v != NULL;
}

static void compare_sorted(struct changes *c, const struct schema_map *map, size_t name_offset,
                           const struct names *old, const struct names *new)
{
    size_t o = 0, n = 0;
    while (o < old->count || n < new->count) {
        int order = o == old->count   ? 1
                    : n == new->count ? -1
                                      : span_cmp(old->v[o]->s, new->v[n]->s);
        if (order == 0) {
            size_t before = enter(c, old->v[o]->s);
            compare_map(c, map, (const char *)old->v[o++] - name_offset,
                        (const char *)new->v[n++] - name_offset);
            c->path_n = before;
        } else if (order < 0) {
            tell_name(c, '-', old->v[o++]->s);
        } else {
            tell_name(c, '+', new->v[n++]->s);
        }
    }
}

static void compare_named(struct changes *c, const struct schema_field *f,
                          const struct schema_map *map, size_t name_offset, const void *old,
                          const void *new)
{
    struct names before = {0}, after = {0};
    if (names_of(f, name_offset, old, &before) && names_of(f, name_offset, new, &after))
        compare_sorted(c, map, name_offset, &before, &after);
    mem_free(before.v);
    mem_free(after.v);
}

static void compare_field(struct changes *c, const struct schema_field *f, const void *old,
                          const void *new)
{
    bool both = schema_present(&c->old, f, old) && schema_present(&c->new, f, new);
    if (f->type == &type_named)
        compare_named(c, f, f->map, 0, old, new);
    else if (f->type == &type_list && f->element->map == &schema_route)
        compare_named(c, f, f->element->map, offsetof(struct conf_route, name), old, new);
    else if (f->type == &type_map && both)
        compare_map(c, f->map, schema_at(old, f->offset), schema_at(new, f->offset));
    else
        compare_value(c, f, old, new);
}

static void compare_map(struct changes *c, const struct schema_map *map, const void *old,
                        const void *new)
{
    for (size_t i = 0; i < map->count; i++) {
        size_t before = enter(c, span_str(map->fields[i].key));
        compare_field(c, &map->fields[i], old, new);
        c->path_n = before;
    }
}

size_t conf_changes(const struct conf *old, const struct conf *new, struct buf *out)
{
    struct buf before, after;
    buf_init(&before, LIMIT_CONF_BYTES * 4);
    buf_init(&after, LIMIT_CONF_BYTES * 4);
    struct changes c = {
        .old = {.out = &before, .conf = old}, .new = {.out = &after, .conf = new}, .out = out};
    compare_map(&c, &schema_root, old, new);
    if (c.lines > LINES_MOST)
        buf_printf(out, "  and %zu more changes\n", c.lines - LINES_MOST);
    if (c.lines == 0)
        buf_put_str(out,
                    "  the settings are the same; certificates and databases were read again\n");
    buf_fini(&before);
    buf_fini(&after);
    return c.lines;
}
