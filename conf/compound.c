/* compound: types that hold others: maps with known keys, maps from names to maps, and lists. */
#include "conf/reader.h"
#include "conf/text.h"

#include "base/near.h"

#define ADVICE_BYTES 64 /* of a value that advice repeats; it grows by its quotes and escapes */

static const struct schema_field *find_field(const struct schema_map *map, struct span key)
{
    for (size_t i = 0; i < map->count; i++)
        if (span_eq(key, span_str(map->fields[i].key)))
            return &map->fields[i];
    return NULL;
}

static void report_unknown(struct reader *r, const struct schema_map *map, const struct node *key)
{
    if (key->kind == NODE_BAD)
        return;
    char memory[512];
    struct buf allowed;
    buf_fixed(&allowed, memory, sizeof memory);
    struct near near = near_to(key->text);
    for (size_t i = 0; i < map->count; i++) {
        buf_printf(&allowed, "%s%s", i > 0 ? ", " : "", map->fields[i].key);
        near_offer(&near, span_str(map->fields[i].key));
    }
    if (map->count == 0)
        buf_put_str(&allowed, "none");
    near_put(&near, &allowed);
    conf_report(r->m, key->mark, "unknown key '%.*s'%s%s; allowed: %.*s",
                SPAN_FMT(source_clip(key->text)), r->path_n > 0 ? " in " : "", r->path,
                SPAN_FMT(buf_span(&allowed)));
}

/* At most one, or exactly one, of some keys. */
static void check_one_of(struct reader *r, const struct schema_map *map, const struct node *n)
{
    char memory[128];
    struct buf all;
    buf_fixed(&all, memory, sizeof memory);
    const struct node *first = NULL, *second = NULL;
    for (const char *const *key = map->one_of; *key != NULL; key++) {
        buf_printf(&all, "%s%s", key == map->one_of ? "" : key[1] != NULL ? ", " : " or ", *key);
        const struct node *c = node_child(n, *key);
        if (c != NULL && first == NULL)
            first = c;
        else if (c != NULL && second == NULL)
            second = c;
    }
    if (second != NULL)
        reader_report(
            r, second->key->mark, "'%.*s' and '%.*s' exclude each other; only one of %.*s",
            SPAN_FMT(first->key->text), SPAN_FMT(second->key->text), SPAN_FMT(buf_span(&all)));
    else if (first == NULL && map->one_needed)
        reader_report(r, n->mark, "nothing says what to do; exactly one of %.*s is needed",
                      SPAN_FMT(buf_span(&all)));
}

/* What a value of the field must be, in words. */
static const char *allowed_of(const struct schema_field *f)
{
    if (f->check != NULL)
        return f->check(SPAN_NONE);
    return (f->flags & SCHEMA_SINGLE) != 0 ? "one value or a list of them" : f->type->allowed;
}

static void check_required(struct reader *r, const struct schema_map *map, const struct node *n)
{
    /* The whole file's place is no place. */
    struct conf_mark mark = r->path_n > 0 ? n->mark : (struct conf_mark){0};
    for (size_t i = 0; i < map->count; i++) {
        const struct schema_field *f = &map->fields[i];
        if ((f->flags & SCHEMA_REQUIRED) != 0 && node_child(n, f->key) == NULL)
            reader_report(r, mark, "'%s' is missing; it must be %s", f->key, allowed_of(f));
    }
}

/* The value of a duration and its text; false: it was written and is wrong. */
static bool pace_of(const struct schema_map *map, const struct node *n, const void *at,
                    const char *key, int64_t *ms, struct buf *text)
{
    const struct schema_field *f = find_field(map, span_str(key));
    const struct node *c = node_child(n, key);
    memcpy(ms, schema_at(at, f->offset), sizeof *ms);
    if (c != NULL) {
        buf_put_span(text, source_clip(c->text));
        return !c->wrong;
    }
    if (schema_put_default(text, f))
        buf_put_str(text, ", its default");
    return true;
}

/* Of what is wrong itself it is not known how long was meant. */
static void check_pace(struct reader *r, const struct schema_map *map, const struct node *n,
                       const void *at)
{
    char memory[2][96];
    struct buf timeout, interval;
    int64_t timeout_ms, interval_ms;
    buf_fixed(&timeout, memory[0], sizeof memory[0]);
    buf_fixed(&interval, memory[1], sizeof memory[1]);
    if (!pace_of(map, n, at, "timeout", &timeout_ms, &timeout) ||
        !pace_of(map, n, at, "interval", &interval_ms, &interval) || timeout_ms <= interval_ms)
        return;
    const struct node *c = node_child(n, "timeout");
    if (c == NULL)
        c = node_child(n, "interval");
    reader_report(r, c != NULL ? c->mark : n->mark,
                  "timeout (%.*s) is longer than interval (%.*s); it may be as long at most",
                  SPAN_FMT(buf_span(&timeout)), SPAN_FMT(buf_span(&interval)));
}

/* Whether the field's value may be one scalar, as far as its type says. */
static bool takes_scalar(const struct schema_field *f)
{
    return f->type == &type_list
               ? (f->flags & SCHEMA_SINGLE) != 0
               : f->type != &type_named && f->type != &type_map && f->type != &type_location;
}

/* The one key that must be written, of which the value was written in place of the map; *required
 * is how many there are. */
static const struct schema_field *only_required(const struct schema_map *map, size_t *required)
{
    const struct schema_field *only = NULL;
    *required = map->one_needed;
    for (size_t i = 0; i < map->count; i++)
        if ((map->fields[i].flags & SCHEMA_REQUIRED) != 0) {
            only = &map->fields[i];
            ++*required;
        }
    return *required == 1 && only != NULL && takes_scalar(only) ? only : NULL;
}

static bool is_switch(const struct node *n, bool on)
{
    struct span s = n->text;
    return !n->quoted &&
           (span_eq(s, on ? SPAN("true") : SPAN("false")) ||
            span_eq(s, on ? SPAN("yes") : SPAN("no")) || span_eq(s, on ? SPAN("on") : SPAN("off")));
}

/* "key:value" is a text, "key: value" a map. */
static bool lacks_blank(const struct schema_map *map, const struct node *n)
{
    struct span key;
    (void)span_cut(n->text, ':', &key);
    bool text = strpbrk(n->text.p, "\"'{[") != NULL; /* begins behind the key */
    return !n->quoted && key.n < n->text.n && (text || find_field(map, key) != NULL);
}

/* What to write in place of a scalar; nothing where that is not known. */
static void map_advice(struct buf *out, const struct schema_map *map, const struct node *n)
{
    size_t required;
    const struct schema_field *only = only_required(map, &required);
    bool off = is_switch(n, false), value = n->kind == NODE_SCALAR && n->text.n > 0;
    if (!value || n->text.n > ADVICE_BYTES)
        return;
    if (lacks_blank(map, n)) {
        buf_put_str(out, "a blank is missing behind the ':'");
    } else if (is_switch(n, true) || off) {
        if (off && map->optional)
            buf_put_str(out, "leave it out where it is not wanted");
        else if (!off && required == 0)
            buf_put_str(out, "{} is enough");
    } else if (only != NULL) {
        struct writer w = {.out = out};
        buf_printf(out, "write {%s: ", only->key);
        write_text(&w, n->text);
        buf_put_char(out, '}');
    }
}

static void set_head(const struct schema_map *map, const struct node *n, void *at)
{
    struct conf_mark mark = n->key != NULL ? n->key->mark : n->mark;
    struct schema_optional head = {.set = true, .mark = mark};
    if (map->optional)
        memcpy(at, &head, sizeof head);
    if (map->marked)
        memcpy(at, &mark, sizeof mark);
}

void reader_map(struct reader *r, const struct schema_map *map, const struct node *n, void *at)
{
    if (n->kind != NODE_MAP) {
        char memory[2 * ADVICE_BYTES];
        struct buf advice;
        buf_fixed(&advice, memory, sizeof memory);
        map_advice(&advice, map, n);
        reader_advise_buf(r, n, type_map.allowed, &advice);
        return;
    }
    size_t errors = r->m->errors;
    set_head(map, n, at);
    for (struct node *c = n->first; c != NULL; c = c->next) {
        const struct schema_field *f = find_field(map, c->key->text);
        if (f == NULL) {
            report_unknown(r, map, c->key);
            continue;
        }
        size_t before = reader_enter(r, c->key->text), found = r->m->errors;
        if (c->kind != NODE_BAD)
            f->type->read(r, f, c, (char *)at + f->offset);
        c->wrong = c->kind == NODE_BAD || r->m->errors > found;
        reader_leave(r, before);
    }
    if (map->paced)
        check_pace(r, map, n, at);
    if (map->one_of != NULL)
        check_one_of(r, map, n);
    check_required(r, map, n);
    if (map->done != NULL)
        map->done(r, n, at);
    if (map->marked && r->m->errors > errors)
        ((struct conf_mark *)at)->width = 0;
}

static void map_preset(const struct schema_field *f, void *at)
{
    schema_preset(f->map, at);
}

static void map_read(struct reader *r, const struct schema_field *f, const struct node *n, void *at)
{
    reader_map(r, f->map, n, at);
}

static bool map_present(const struct schema_field *f, const void *at)
{
    if (f->map->present != NULL)
        return f->map->present(at);
    return !f->map->optional || ((const struct schema_optional *)at)->set;
}

static void map_write(struct writer *w, const struct schema_field *f, const void *at)
{
    bool any = false;
    for (size_t i = 0; i < f->map->count && !any; i++)
        any = schema_present(w, &f->map->fields[i], at);
    if (!any)
        w->joined = false;
    if (!w->joined)
        buf_put_str(w->out, any ? "\n" : " {}\n");
    w->indent += 2;
    schema_write(w, f->map, at);
    w->indent -= 2;
}

const struct schema_type type_map = {
    .name = "map",
    .allowed = "a map of keys and values",
    .preset = map_preset,
    .read = map_read,
    .present = map_present,
    .write = map_write,
};

/* Maps from names and lists: an array and its count, at the field's two offsets. `at` is where the
 * pointer is. */
static size_t *count_of(const struct schema_field *f, void *at)
{
    return (size_t *)(void *)((char *)at - f->offset + f->count_offset);
}

static size_t count_at(const struct schema_field *f, const void *at)
{
    size_t n;
    memcpy(&n, (const char *)at - f->offset + f->count_offset, sizeof n);
    return n;
}

static const char *items_at(const void *at)
{
    const char *items;
    memcpy(&items, at, sizeof items);
    return items;
}

static bool items_present(const struct schema_field *f, const void *at)
{
    return count_at(f, at) > 0;
}

static void check_name(struct reader *r, const struct node *key)
{
    const char *must = key->kind == NODE_SCALAR ? text_name(key->text) : NULL;
    if (must != NULL)
        reader_report(r, key->mark, "'%.*s' is no name; it must be %s",
                      SPAN_FMT(source_clip(key->text)), must);
}

static void named_read(struct reader *r, const struct schema_field *f, const struct node *n,
                       void *at)
{
    if (n->kind != NODE_MAP || n->count == 0) {
        reader_must_be(r, n,
                       n->kind == NODE_MAP ? "a map with at least one name" : f->type->allowed);
        return;
    }
    char *items = reader_zero(r, n->count, f->element_size);
    if (items == NULL)
        return;
    size_t count = 0;
    for (const struct node *c = n->first; c != NULL; c = c->next) {
        check_name(r, c->key);
        char *item = items + f->element_size * count++;
        schema_preset(f->map, item);
        struct conf_text name = reader_text(r, c->key->text, c->key->mark);
        memcpy(item, &name, sizeof name);
        size_t before = reader_enter(r, c->key->text);
        reader_map(r, f->map, c, item);
        reader_leave(r, before);
    }
    memcpy(at, &items, sizeof items);
    *count_of(f, at) = count;
}

static void named_write(struct writer *w, const struct schema_field *f, const void *at)
{
    const char *items = items_at(at);
    struct schema_field as_map = {.type = &type_map, .map = f->map};
    buf_put_char(w->out, '\n');
    w->indent += 2;
    for (size_t i = 0; i < count_at(f, at); i++) {
        const char *item = items + i * f->element_size;
        write_indent(w);
        write_text(w, ((const struct conf_text *)(const void *)item)->s);
        buf_put_char(w->out, ':');
        map_write(w, &as_map, item);
    }
    w->indent -= 2;
}

const struct schema_type type_named = {
    .name = "map of names",
    .allowed = "a map from names to maps",
    .read = named_read,
    .present = items_present,
    .write = named_write,
};

static void list_read(struct reader *r, const struct schema_field *f, const struct node *n,
                      void *at)
{
    bool single = n->kind == NODE_SCALAR && (f->flags & SCHEMA_SINGLE) != 0;
    if (!single && (n->kind != NODE_LIST || (n->count == 0 && f->least > 0))) {
        const char *allowed = n->kind == NODE_LIST              ? "a list with at least one element"
                              : (f->flags & SCHEMA_SINGLE) != 0 ? "one value or a list of them"
                                                                : f->type->allowed;
        if (takes_scalar(f->element))
            reader_must_be_list(r, n, allowed);
        else
            reader_must_be(r, n, allowed);
        return;
    }
    size_t most = single ? 1 : n->count, count = 0;
    char *items = most > 0 ? reader_zero(r, most, f->element_size) : NULL;
    for (const struct node *c = single ? n : n->first; items != NULL && c != NULL; c = c->next) {
        char *item = items + f->element_size * count;
        if (f->element->type->preset != NULL)
            f->element->type->preset(f->element, item);
        size_t before = single ? r->path_n : reader_enter_index(r, count);
        count++;
        if (c->kind != NODE_BAD)
            f->element->type->read(r, f->element, c, item);
        reader_leave(r, before);
        if (single)
            break;
    }
    memcpy(at, &items, sizeof items);
    *count_of(f, at) = count;
}

static void list_write(struct writer *w, const struct schema_field *f, const void *at)
{
    const char *items = items_at(at);
    buf_put_char(w->out, '\n');
    w->indent += 2;
    for (size_t i = 0; i < count_at(f, at); i++) {
        write_indent(w);
        buf_put_char(w->out, '-');
        w->joined = f->element->type == &type_map;
        f->element->type->write(w, f->element, items + i * f->element_size);
    }
    w->indent -= 2;
}

const struct schema_type type_list = {
    .name = "list",
    .allowed = "a list",
    .read = list_read,
    .present = items_present,
    .write = list_write,
};
