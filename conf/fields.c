/* fields: types about header fields: maps from their names, and templates for what they say. */
#include "conf/reader.h"
#include "conf/text.h"

#include "base/near.h"
#include "base/template.h"

#define FIELDS_MOST 32 /* named in type_fields.allowed */

/* Where the count belongs to the array at `at`. */
static size_t *count_of(const struct schema_field *f, void *at)
{
    return (size_t *)(void *)((char *)at - f->offset + f->count_offset);
}

static bool good_name(struct reader *r, const struct schema_field *f, const struct node *key)
{
    const char *must = "a field name, which is a token (RFC 9110 section 5.1)";
    if (key->kind == NODE_SCALAR && text_is_token(key->text))
        must = f->check != NULL ? f->check(key->text) : NULL;
    if (must != NULL)
        reader_report(r, key->mark, "'%.*s' must be %s", SPAN_FMT(source_clip(key->text)), must);
    return must == NULL;
}

/* One field and what is said of it, put behind the others. */
static void read_field(struct reader *r, const struct schema_field *f, const struct node *n,
                       struct conf_header *items, size_t *count)
{
    if (!good_name(r, f, n->key))
        return;
    for (size_t i = 0; i < *count; i++) {
        const struct conf_text *other = &items[i].name;
        if (span_eq_nocase(other->s, n->key->text))
            reader_report(r, n->key->mark, "the field is named twice, first at %.*s:%u:%u",
                          SPAN_FMT(source_name(r->m->source, &other->mark)),
                          (unsigned)other->mark.line, (unsigned)other->mark.column);
    }
    struct conf_header *item = &items[(*count)++];
    item->name = reader_lower(r, n->key);
    if (n->kind != NODE_BAD)
        f->element->type->read(r, f->element, n, &item->value);
}

static void fields_read(struct reader *r, const struct schema_field *f, const struct node *n,
                        void *at)
{
    if (n->kind != NODE_MAP || n->count > FIELDS_MOST) {
        reader_must_be(r, n, f->type->allowed);
        return;
    }
    struct conf_header *items = n->count > 0 ? reader_zero(r, n->count, sizeof *items) : NULL;
    size_t count = 0;
    for (const struct node *c = n->first; items != NULL && c != NULL; c = c->next) {
        size_t before = reader_enter(r, c->key->text);
        read_field(r, f, c, items, &count);
        reader_leave(r, before);
    }
    memcpy(at, &items, sizeof items);
    *count_of(f, at) = count;
}

static size_t count_at(const struct schema_field *f, const void *at)
{
    size_t n;
    memcpy(&n, (const char *)at - f->offset + f->count_offset, sizeof n);
    return n;
}

static bool fields_present(const struct schema_field *f, const void *at)
{
    return count_at(f, at) > 0;
}

static void fields_write(struct writer *w, const struct schema_field *f, const void *at)
{
    const struct conf_header *items;
    memcpy(&items, at, sizeof items);
    buf_put_char(w->out, '\n');
    w->indent += 2;
    for (size_t i = 0; i < count_at(f, at); i++) {
        write_indent(w);
        write_text(w, items[i].name.s);
        buf_put_char(w->out, ':');
        f->element->type->write(w, f->element, &items[i].value);
    }
    w->indent -= 2;
}

const struct schema_type type_fields = {
    .name = "map of fields",
    .allowed = "a map of at most 32 field names and their values",
    .read = fields_read,
    .present = fields_present,
    .write = fields_write,
};

static void field_name_read(struct reader *r, const struct schema_field *f, const struct node *n,
                            void *at)
{
    struct span s;
    if (!reader_scalar(r, n, f->type->allowed, &s) || !good_name(r, f, n))
        return;
    struct conf_text text = reader_lower(r, n);
    memcpy(at, &text, sizeof text);
}

const struct schema_type type_field_name = {
    .name = "field name",
    .allowed = "the name of a field",
    .read = field_name_read,
    .present = schema_text_present,
    .write = schema_text_write,
};

/* A name that is known too late for every template but the access log's, or not any more for that.
 */
static bool out_of_place(const struct schema_field *f, enum template_name name)
{
    bool looked_up = name == TEMPLATE_GEO_CITY || name == TEMPLATE_GEO_ASN ||
                     name == TEMPLATE_GEO_ORGANIZATION || name == TEMPLATE_GEO_FIELD;
    return f->type == &type_log_line ? looked_up : template_kind(name) == TEMPLATE_LOGGED;
}

static void refuse_name(struct reader *r, const struct schema_field *f, const struct node *n,
                        struct span bad)
{
    char memory[720];
    struct buf allowed;
    struct near near = near_to(bad);
    if (template_find(bad) != TEMPLATE_TEXT) {
        reader_report(r, n->mark,
                      f->type == &type_log_line
                          ? "'{%.*s}' is looked up for templates of header fields; it is not for "
                            "log.access.format"
                          : "'{%.*s}' is known at the end of a request only; it is for "
                            "log.access.format",
                      SPAN_FMT(bad));
        return;
    }
    if (bad.n > 0 && bad.p[0] == '{') {
        reader_report(r, n->mark, "nothing closes the brace of '%.*s'; write {{ for a brace",
                      SPAN_FMT(source_clip(bad)));
        return;
    }
    buf_fixed(&allowed, memory, sizeof memory);
    for (unsigned i = TEMPLATE_TEXT + 1; i < TEMPLATE_NAME_COUNT; i++) {
        struct span name = span_str(template_name((enum template_name)i));
        if (out_of_place(f, (enum template_name)i))
            continue;
        buf_printf(&allowed, "%s%.*s", i > TEMPLATE_TEXT + 1 ? ", " : "", SPAN_FMT(name));
        near_offer(&near, name);
    }
    if (near.best.n > 0)
        buf_printf(&allowed, "; did you mean '{%.*s}'?", SPAN_FMT(near.best));
    reader_report(r, n->mark, "unknown name '{%.*s}'; {{ is a brace; allowed: %.*s",
                  SPAN_FMT(source_clip(bad)), SPAN_FMT(buf_span(&allowed)));
}

/* The text of a template that parses; false after a message. */
static bool read_template(struct reader *r, const struct schema_field *f, const struct node *n,
                          struct template *out)
{
    struct span s, bad;
    if (!reader_scalar(r, n, f->type->allowed, &s))
        return false;
    const char *must = f->check != NULL ? f->check(s) : NULL;
    if (must != NULL) {
        reader_must_be(r, n, must);
        return false;
    }
    enum err e = template_parse(s, r->arena, out, &bad);
    for (size_t i = 0; e == ERR_OK && i < out->count; i++) {
        if (!out_of_place(f, out->pieces[i].name))
            continue;
        bad = span_str(template_name(out->pieces[i].name));
        e = ERR_SYNTAX;
    }
    if (e == ERR_SYNTAX)
        refuse_name(r, f, n, bad);
    else if (e != ERR_OK)
        r->no_memory = true;
    return e == ERR_OK;
}

static void template_read(struct reader *r, const struct schema_field *f, const struct node *n,
                          void *at)
{
    struct template t;
    if (!read_template(r, f, n, &t))
        return;
    struct conf_text text = reader_text(r, n->text, n->mark);
    memcpy(at, &text, sizeof text);
}

static void redirect_to_read(struct reader *r, const struct schema_field *f, const struct node *n,
                             void *at)
{
    struct template t;
    if (!read_template(r, f, n, &t))
        return;
    if (!template_is_location(&t)) {
        reader_must_be(r, n, f->type->allowed);
        return;
    }
    struct conf_text text = reader_text(r, n->text, n->mark);
    memcpy(at, &text, sizeof text);
}

const struct schema_type type_template = {
    .name = "template",
    .allowed = "text, in which {name} stands for a value",
    .read = template_read,
    .present = schema_text_present,
    .write = schema_text_write,
};

#define LOG_LINE_MOST KIB(2)

static void log_line_preset(const struct schema_field *f, void *at)
{
    struct conf_log_line line = {.template.s = span_str(f->text)};
    memcpy(at, &line, sizeof line);
}

/* A line is one line: no control byte but a tab, and at least one value. */
static bool is_line(const struct template *t, struct span whole)
{
    bool any = false;
    if (whole.n > LOG_LINE_MOST)
        return false;
    for (size_t i = 0; i < t->count; i++) {
        struct span text = t->pieces[i].text;
        any = any || t->pieces[i].name != TEMPLATE_TEXT;
        for (size_t k = 0; k < text.n; k++) {
            if ((unsigned char)text.p[k] < 0x20 && text.p[k] != '\t')
                return false;
        }
    }
    return any;
}

static void refuse_line(struct reader *r, const struct schema_field *f, const struct node *n)
{
    char memory[256];
    struct buf must;
    struct near near = near_to(n->text);
    near_offer(&near, SPAN("json"));
    near_offer(&near, SPAN("combined"));
    buf_fixed(&must, memory, sizeof memory - 1);
    buf_put_str(&must, f->type->allowed);
    near_put(&near, &must);
    memory[must.n] = '\0';
    reader_must_be(r, n, memory);
}

static void log_line_read(struct reader *r, const struct schema_field *f, const struct node *n,
                          void *at)
{
    struct conf_log_line line = {.format = CONF_LOG_TEMPLATE};
    struct template t;
    if (!read_template(r, f, n, &t))
        return;
    if (span_eq(n->text, SPAN("json"))) {
        line.format = CONF_LOG_JSON;
    } else if (span_eq(n->text, SPAN("combined"))) {
        line.format = CONF_LOG_COMBINED;
    } else if (!is_line(&t, n->text)) {
        refuse_line(r, f, n);
        return;
    }
    line.template = reader_text(r, n->text, n->mark);
    memcpy(at, &line, sizeof line);
}

static void log_line_write(struct writer *w, const struct schema_field *f, const void *at)
{
    schema_text_write(w, f, &((const struct conf_log_line *)at)->template);
}

const struct schema_type type_log_line = {
    .name = "json, combined or template",
    .allowed = "json, combined, or one line of at most 2048 bytes with {name} in it, such as "
               "\"{time} {method} {uri} {status}\"",
    .preset = log_line_preset,
    .read = log_line_read,
    .write = log_line_write,
};

const struct schema_type type_redirect_to = {
    .name = "template",
    .allowed = "a path from '/', or an https:// or http:// address with a host that is fixed or "
               "made of names such as {host}",
    .read = redirect_to_read,
    .present = schema_text_present,
    .write = schema_text_write,
};
