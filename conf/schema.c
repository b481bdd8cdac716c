#include "conf/schema.h"

void schema_preset(const struct schema_map *map, void *at)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct schema_field *f = &map->fields[i];
        if (f->type->preset != NULL)
            f->type->preset(f, (char *)at + f->offset);
    }
}

void schema_inherit(const struct conf *conf, const struct schema_map *map, void *at)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct schema_field *f = &map->fields[i];
        if (f->type == &type_map)
            schema_inherit(conf, f->map, (char *)at + f->offset);
        int64_t value = 0;
        if ((f->flags & SCHEMA_INHERIT) == 0)
            continue;
        memcpy(&value, (char *)at + f->offset, sizeof value);
        if (value == f->initial)
            memcpy((char *)at + f->offset, schema_at(conf, f->inherit), sizeof value);
    }
}

static bool any_present(const struct writer *w, const struct schema_map *map, const void *at)
{
    for (size_t i = 0; i < map->count; i++)
        if (schema_present(w, &map->fields[i], at))
            return true;
    return false;
}

bool schema_present(const struct writer *w, const struct schema_field *f, const void *at)
{
    const void *value = schema_at(at, f->offset);
    if ((f->flags & SCHEMA_INHERIT) != 0)
        return memcmp(value, schema_at(w->conf, f->inherit), sizeof(int64_t)) != 0;
    if (f->type->present != NULL && !f->type->present(f, value))
        return false;
    /* A map with nothing in it says nothing, unless its being there does. */
    bool plain_map = f->type == &type_map && !f->map->optional && f->map->present == NULL;
    return !plain_map || any_present(w, f->map, value);
}

void schema_write(struct writer *w, const struct schema_map *map, const void *at)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct schema_field *f = &map->fields[i];
        if (!schema_present(w, f, at))
            continue;
        write_indent(w);
        buf_put_str(w->out, f->key);
        buf_put_char(w->out, ':');
        f->type->write(w, f, schema_at(at, f->offset));
    }
}

void write_indent(struct writer *w)
{
    for (unsigned i = w->joined ? w->indent - 1 : 0; i < w->indent; i++)
        buf_put_char(w->out, ' ');
    w->joined = false;
}

void write_end(struct writer *w)
{
    buf_put_char(w->out, '\n');
}

static bool plain_character(char c, bool first)
{
    return ascii_alpha(c) || ascii_digit(c) || c == '_' || c == '/' ||
           (!first && (c == '.' || c == '-'));
}

/* Whether every YAML reader takes s for text without quotes: no number, no other word for a value.
 */
static bool plain_is_safe(struct span s)
{
    static const char *const taken[] = {"true", "false", "null", "yes", "no",
                                        "on",   "off",   "y",    "n"};
    bool number = s.n == 0 || ascii_digit(s.p[0]); /* digits, 1e5, 0x1F, 0o17 */
    for (size_t i = 0; i < s.n; i++) {
        if (!plain_character(s.p[i], i == 0))
            return false;
        number = number && (ascii_hex(s.p[i]) >= 0 || strchr(".-_xo", s.p[i]) != NULL);
    }
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (span_eq_nocase(s, span_str(taken[i])))
            return false;
    return !number;
}

void write_text(struct writer *w, struct span s)
{
    if (plain_is_safe(s))
        buf_put_span(w->out, s);
    else
        buf_put_json(w->out, s, SIZE_MAX);
}

void write_value(struct writer *w, struct span s)
{
    buf_put_char(w->out, ' ');
    write_text(w, s);
    write_end(w);
}

bool schema_text_present(const struct schema_field *f, const void *at)
{
    const struct conf_text *text = at;
    return text->s.p != NULL && ((f->flags & SCHEMA_WRITTEN) == 0 || text->mark.line > 0);
}

void schema_text_write(struct writer *w, const struct schema_field *f, const void *at)
{
    const struct conf_text *text = at;
    write_value(w, (f->flags & SCHEMA_SECRET) != 0 ? SPAN("(hidden)") : text->s);
}

void conf_print(const struct conf *conf, struct buf *out)
{
    struct writer w = {.out = out, .conf = conf};
    schema_write(&w, &schema_root, conf);
}
