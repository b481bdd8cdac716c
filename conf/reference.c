/* reference: the manual's page of all keys, made from the tables. */
#include "conf/schema.h"

#include "base/template.h"

static const char head[] =
    "# Configuration reference\n"
    "\n"
    "Made from the program's own tables by `scripts/generate-reference.sh`; do not edit.\n"
    "\n"
    "The file is YAML 1.2 and read strictly: unknown or duplicate keys, wrong types, missing "
    "units,\n"
    "anchors, aliases and tags are errors. All errors of the file are shown with their place, and "
    "where\n"
    "it has none those of the files that it names. A file has at most 4 MiB, 32 levels and 100000 "
    "values and keys. Names have 1 to 63 letters, digits, `_`, "
    "`.`\n"
    "or `-`.\n"
    "\n"
    "Units: durations `250ms` `5s` `2m` `12h`; sizes `512B` `16KiB` `1MiB` `1GiB`; rates "
    "`1KiB/s`\n"
    "and `100/s` `30/m` `5/h`; ratios `20%`. Identifiers such as L13 name the limits in "
    "[limits.md](limits.md).\n"
    "\n"
    "`NAME` in a key stands for a name of your choice, `[]` for each element of a list. Keys "
    "marked\n"
    "† are read at the start only; all others take effect on reload.\n";

bool schema_put_default(struct buf *out, const struct schema_field *f)
{
    struct writer w = {.out = out};
    _Alignas(16) char value[sizeof(struct conf)] = {0};
    if ((f->flags & SCHEMA_REQUIRED) != 0 || f->type == &type_map)
        return false;
    if (f->fallback != NULL) {
        buf_put_str(out, f->fallback);
        return true;
    }
    if (f->type->preset != NULL)
        f->type->preset(f, value);
    size_t before = out->n;
    f->type->write(&w, f, value);
    /* The type writes " value\n". */
    if (!out->failed && out->n > before + 2) {
        memmove(out->p + before, out->p + before + 1, out->n - before - 1);
        out->n -= 2;
    }
    return true;
}

static void put_default(struct buf *out, const struct schema_field *f)
{
    bool constant = f->fallback == NULL && f->type != &type_map;
    if ((f->flags & SCHEMA_REQUIRED) != 0) {
        buf_put_str(out, "**required**");
        return;
    }
    if (f->fallback != NULL && f->type == &type_map)
        buf_put_str(out, f->fallback);
    buf_put_str(out, constant ? "`" : "");
    (void)schema_put_default(out, f);
    buf_put_str(out, constant ? "`" : "");
}

static void put_range(struct buf *out, const struct schema_field *f)
{
    const struct schema_type *t = f->type;
    buf_put_str(out, t->name);
    if (t == &type_word || t == &type_words) {
        const char *joint = ": ";
        for (const struct schema_word *w = f->words; w->word != NULL; w++, joint = ", ")
            buf_printf(out, "%s`%s`", joint, w->word);
        return;
    }
    bool number = t == &type_count || t == &type_duration || t == &type_size ||
                  t == &type_byte_rate || t == &type_rate || t == &type_percent || t == &type_real;
    if (!number)
        return;
    struct writer w = {.out = out};
    struct schema_field bound = {.type = t, .initial = f->least};
    _Alignas(16) char value[16];
    for (int i = 0; i < 2; i++, bound.initial = f->most) {
        t->preset(&bound, value);
        buf_put_str(out, i == 0 ? "," : " to");
        t->write(&w, &bound, value);
        out->n -= out->n > 0; /* the line's end */
    }
}

static void put_row(struct buf *out, const char *path, const struct schema_field *f)
{
    buf_printf(out, "| `%s`%s | ", path, (f->flags & SCHEMA_RESTART) != 0 ? " †" : "");
    put_range(out, f);
    buf_put_str(out, " | ");
    put_default(out, f);
    buf_printf(out, " | %s |\n", f->help);
}

/* The rows of a map and of all that is in it. path has room for 256 bytes. */
static void put_rows(struct buf *out, char *path, size_t n, const struct schema_map *map)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct schema_field *f = &map->fields[i];
        struct buf key;
        buf_fixed(&key, path + n, 256 - n);
        buf_printf(&key, "%s%s", n > 0 ? "." : "", f->key);
        buf_put_char(&key, '\0');
        put_row(out, path, f);
        const struct schema_map *inner = f->map;
        size_t end = n + key.n - 1;
        buf_fixed(&key, path + end, 256 - end);
        if (f->type == &type_named)
            buf_put_str(&key, ".NAME");
        if (f->type == &type_list && f->element->map != NULL) {
            buf_put_str(&key, "[]");
            inner = f->element->map;
        }
        if (inner != NULL)
            put_rows(out, path, end + key.n, inner);
    }
}

/* The names that values of type template may have. */
static void put_names(struct buf *out)
{
    buf_put_str(out,
                "\n## Templates\n\n"
                "In values of type template `{name}` stands for what the request has, `{{` for "
                "a brace. Names are\nchecked when the file is read. A value never ends a line or a "
                "field.\n\n| name | stands for |\n|---|---|\n");
    for (unsigned i = TEMPLATE_TEXT + 1; i < TEMPLATE_NAME_COUNT; i++)
        buf_printf(out, "| `{%s}` | %s%s |\n", template_name((enum template_name)i),
                   template_help((enum template_name)i),
                   template_kind((enum template_name)i) == TEMPLATE_LOGGED
                       ? " (`log.access.format` only)"
                       : "");
}

void conf_reference(struct buf *out)
{
    buf_put_str(out, head);
    for (size_t i = 0; i < schema_root.count; i++) {
        struct schema_map one = {.fields = &schema_root.fields[i], .count = 1};
        char path[256] = "";
        buf_printf(out, "\n## %s\n\n| key | value | default | meaning |\n|---|---|---|---|\n",
                   schema_root.fields[i].key);
        put_rows(out, path, 0, &one);
    }
    put_names(out);
}
