/* json_schema: the tables as a JSON Schema (draft-07), with which editors complete and check keys
 * while one types. It is no stricter than the program, and leaves to it what needs more than one
 * value. */
#include "conf/schema.h"

#define NAME_PATTERN "^[A-Za-z0-9_.-]{1,63}$"
#define SCALAR       "\"type\": [\"string\", \"number\", \"boolean\"]"

struct json {
    struct buf *out;
    unsigned depth;
};

/* What a value of a type looks like, for types without parts or bounds of their own. A type that is
 * not here may be anything. */
static const struct {
    const struct schema_type *type;
    const char *json;
} plain[] = {
    {&type_flag, "\"type\": \"boolean\""},
    {&type_duration, "\"type\": \"string\", \"pattern\": \"^[0-9]+(ms|s|m|h)$\""},
    {&type_size, "\"type\": \"string\", \"pattern\": \"^[0-9]+(B|KiB|MiB|GiB)$\""},
    {&type_byte_rate, "\"type\": \"string\", \"pattern\": \"^[0-9]+(B|KiB|MiB|GiB)/s$\""},
    {&type_rate, "\"type\": \"string\", \"pattern\": \"^[0-9]+/[smh]$\""},
    {&type_percent, "\"type\": \"string\", \"pattern\": \"^[0-9]+%$\""},
    {&type_after, "\"type\": \"string\", \"pattern\": \"^[0-9]+(ms|s|m|%)$\""},
    {&type_text, SCALAR},
    {&type_template, SCALAR},
    {&type_log_line, "\"type\": \"string\""},
    {&type_redirect_to, "\"type\": \"string\""},
    {&type_field_name, "\"type\": \"string\""},
    {&type_bind, "\"type\": \"string\""},
    {&type_backend_address, "\"type\": \"string\""},
    {&type_name_server, "\"type\": \"string\""},
    {&type_admin_http, "\"type\": [\"string\", \"boolean\"]"},
    {&type_cidr, "\"type\": \"string\""},
    {&type_host, "\"type\": \"string\""},
    {&type_pool_host, "\"type\": \"string\""},
    {&type_key, "\"type\": \"string\""},
    {&type_hash_key, "\"type\": \"string\""},
    {&type_probe_off, "\"const\": true"},
    {&type_statuses, "\"type\": [\"integer\", \"string\", \"array\"]"},
    {&type_location, "\"type\": \"array\", \"items\": {\"type\": \"number\"}, \"minItems\": 2, "
                     "\"maxItems\": 2"},
    {&type_path, "\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"object\", \"required\": "
                 "[\"exact\"], \"properties\": {\"exact\": {\"type\": \"string\"}}, "
                 "\"additionalProperties\": false}]"},
    {&type_fields,
     "\"type\": \"object\", \"maxProperties\": 32, \"additionalProperties\": {" SCALAR "}"},
    {&type_split, "\"type\": \"object\", \"minProperties\": 1, \"maxProperties\": 64, "
                  "\"additionalProperties\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": "
                  "1000000}"},
    {&type_pages, "\"type\": \"object\", \"minProperties\": 1, \"maxProperties\": 64, "
                  "\"propertyNames\": {\"pattern\": \"^[45][0-9][0-9]$\"}, "
                  "\"additionalProperties\": {\"type\": \"string\"}"},
};

static void put_line(struct json *j)
{
    buf_put_char(j->out, '\n');
    for (unsigned i = 0; i < j->depth; i++)
        buf_put_char(j->out, ' ');
}

static void put_text(struct json *j, const char *s)
{
    buf_put_json(j->out, span_str(s), SIZE_MAX);
}

static void put_map(struct json *j, const struct schema_map *map);
static void put_value(struct json *j, const struct schema_field *f);

/* A word such as 502, 1.2 or true is no string where it is not in quotes. */
static bool is_bare(const char *word)
{
    return word[strspn(word, "0123456789.")] == '\0' || strcmp(word, "true") == 0 ||
           strcmp(word, "false") == 0;
}

static void put_words(struct json *j, const struct schema_word *words)
{
    buf_put_str(j->out, "\"enum\": [");
    for (const struct schema_word *w = words; w->word != NULL; w++) {
        buf_put_str(j->out, w == words ? "" : ", ");
        put_text(j, w->word);
        if (is_bare(w->word))
            buf_printf(j->out, ", %s", w->word);
    }
    buf_put_char(j->out, ']');
}

static void put_count(struct json *j, const struct schema_field *f)
{
    buf_printf(j->out, "\"type\": \"integer\", \"minimum\": %lld, \"maximum\": %lld",
               (long long)f->least, (long long)f->most);
}

static void put_list(struct json *j, const struct schema_field *f)
{
    bool single = (f->flags & SCHEMA_SINGLE) != 0;
    if (single) {
        buf_put_str(j->out, "\"anyOf\": [{");
        put_value(j, f->element);
        buf_put_str(j->out, "}, {");
    }
    buf_printf(j->out, "\"type\": \"array\", \"minItems\": %d, \"items\": {", f->least > 0);
    put_value(j, f->element);
    buf_put_str(j->out, single ? "}}]" : "}");
}

static void put_plain(struct json *j, const struct schema_type *type)
{
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (plain[i].type == type)
            buf_put_str(j->out, plain[i].json);
}

static void put_known(struct json *j, const struct schema_field *f)
{
    if (f->type == &type_map) {
        put_map(j, f->map);
    } else if (f->type == &type_named) {
        buf_put_str(j->out, "\"type\": \"object\", \"minProperties\": 1, \"propertyNames\": "
                            "{\"pattern\": \"" NAME_PATTERN "\"}, \"additionalProperties\": {");
        put_map(j, f->map);
        buf_put_char(j->out, '}');
    } else if (f->type == &type_list) {
        put_list(j, f);
    } else if (f->type == &type_word) {
        put_words(j, f->words);
    } else if (f->type == &type_words) {
        buf_printf(j->out, "\"type\": \"array\", \"minItems\": %d, \"items\": {", f->least > 0);
        put_words(j, f->words);
        buf_put_char(j->out, '}');
    } else if (f->type == &type_count) {
        put_count(j, f);
    } else if (f->type == &type_real) {
        buf_printf(j->out, "\"type\": \"number\", \"minimum\": %g, \"maximum\": %g",
                   (double)f->least / 1000, (double)f->most / 1000);
    } else {
        put_plain(j, f->type);
    }
}

/* What stands between the braces of a value's schema. */
static void put_value(struct json *j, const struct schema_field *f)
{
    bool number = f->type == &type_count || f->type == &type_duration || f->type == &type_size ||
                  f->type == &type_byte_rate || f->type == &type_rate;
    if (!number || f->text == NULL) {
        put_known(j, f);
        return;
    }
    buf_put_str(j->out, "\"anyOf\": [{\"const\": ");
    put_text(j, f->text);
    buf_put_str(j->out, "}, {");
    put_known(j, f);
    buf_put_str(j->out, "}]");
}

static void put_description(struct json *j, const struct schema_field *f)
{
    struct buf text;
    buf_init(&text, KIB(8));
    buf_put_str(&text, f->help);
    buf_put_str(&text, " Default: ");
    if (schema_put_default(&text, f))
        buf_put_char(&text, '.');
    else
        text.n -= text.failed ? 0 : sizeof " Default: " - 1;
    buf_put_str(j->out, "\"description\": ");
    buf_put_json(j->out, buf_span(&text), SIZE_MAX);
    buf_put_str(j->out, ", ");
    buf_fini(&text);
}

static void put_required(struct json *j, const struct schema_map *map)
{
    const char *joint = "[";
    for (size_t i = 0; i < map->count; i++) {
        /* What the whole file needs may stand in any part of it. */
        if ((map->fields[i].flags & SCHEMA_REQUIRED) == 0 || map == &schema_root)
            continue;
        buf_printf(j->out, "%s\"%s\"", joint[0] == '[' ? ", \"required\": [" : joint,
                   map->fields[i].key);
        joint = ", ";
    }
    if (joint[0] == ',')
        buf_put_char(j->out, ']');
}

/* Exactly one of the keys, or where none is needed at most one. */
static void put_one_of(struct json *j, const struct schema_map *map)
{
    buf_put_str(j->out, ", \"oneOf\": [");
    for (size_t i = 0; map->one_of[i] != NULL; i++)
        buf_printf(j->out, "%s{\"required\": [\"%s\"]}", i > 0 ? ", " : "", map->one_of[i]);
    if (!map->one_needed) {
        buf_put_str(j->out, ", {\"not\": {\"anyOf\": [");
        for (size_t i = 0; map->one_of[i] != NULL; i++)
            buf_printf(j->out, "%s{\"required\": [\"%s\"]}", i > 0 ? ", " : "", map->one_of[i]);
        buf_put_str(j->out, "]}}");
    }
    buf_put_char(j->out, ']');
}

static void put_map(struct json *j, const struct schema_map *map)
{
    buf_put_str(j->out, "\"type\": \"object\", \"properties\": {");
    j->depth++;
    for (size_t i = 0; i < map->count; i++) {
        const struct schema_field *f = &map->fields[i];
        buf_put_str(j->out, i > 0 ? "," : "");
        put_line(j);
        put_text(j, f->key);
        buf_put_str(j->out, ": {");
        put_description(j, f);
        put_value(j, f);
        buf_put_char(j->out, '}');
    }
    j->depth--;
    buf_put_char(j->out, '}');
    put_required(j, map);
    if (map->one_of != NULL)
        put_one_of(j, map);
    buf_put_str(j->out, ", \"additionalProperties\": false");
}

void conf_json_schema(struct buf *out)
{
    struct json j = {.out = out};
    buf_put_str(out, "{\"$schema\": \"http://json-schema.org/draft-07/schema#\",\n"
                     " \"title\": \"Configuration of Meridian\", ");
    put_map(&j, &schema_root);
    buf_put_str(out, "}\n");
}
