/* shape: types of values that shape traffic: shares of a split, what tells requests apart, pages
 * for errors. */
#include "conf/reader.h"
#include "conf/text.h"

#define SHARES_MOST 64 /* named in type_split.allowed */
#define WEIGHT_MOST 1000000
#define PAGES_MOST  64 /* named in type_pages.allowed */

static bool read_weight(struct reader *r, const struct node *n, int64_t *out)
{
    uint64_t weight = 0;
    bool good = n->kind == NODE_SCALAR && !n->quoted && span_u64(n->text, &weight) == ERR_OK &&
                weight <= WEIGHT_MOST;
    if (!good)
        reader_must_be(r, n, "a weight, 0 to 1000000");
    *out = (int64_t)weight;
    return good;
}

/* The field's struct is conf_route: the shares and their count. */
static void split_read(struct reader *r, const struct schema_field *f, const struct node *n,
                       void *at)
{
    struct conf_route *route = at;
    if (n->kind != NODE_MAP || n->count == 0 || n->count > SHARES_MOST) {
        reader_must_be(r, n, f->type->allowed);
        return;
    }
    int64_t sum = 0;
    bool good = true;
    route->shares = reader_zero(r, n->count, sizeof *route->shares);
    for (const struct node *c = n->first; route->shares != NULL && c != NULL; c = c->next) {
        struct conf_share *share = &route->shares[route->share_count++];
        size_t before = reader_enter(r, c->key->text);
        share->name = reader_text(r, c->key->text, c->key->mark);
        good = read_weight(r, c, &share->weight) && good;
        sum += share->weight;
        reader_leave(r, before);
    }
    if (good && sum == 0)
        reader_report(r, n->mark, "all weights are 0; one at least must be more");
}

static bool split_present(const struct schema_field *f, const void *at)
{
    (void)f;
    return ((const struct conf_route *)at)->share_count > 0;
}

static void split_write(struct writer *w, const struct schema_field *f, const void *at)
{
    (void)f;
    const struct conf_route *route = at;
    buf_put_char(w->out, '\n');
    w->indent += 2;
    for (size_t i = 0; i < route->share_count; i++) {
        write_indent(w);
        write_text(w, route->shares[i].name.s);
        buf_printf(w->out, ": %lld", (long long)route->shares[i].weight);
        write_end(w);
    }
    w->indent -= 2;
}

const struct schema_type type_split = {
    .name = "map of shares",
    .allowed = "a map from 1 to 64 pools to their weights",
    .read = split_read,
    .present = split_present,
    .write = split_write,
};

/* `initial` is the kind where nothing is written. Where that is the client, the route can be one
 * key for all. */
static const char *key_allowed(const struct schema_field *f)
{
    return f->initial == CONF_KEY_CLIENT ? "client, route, \"header NAME\" or \"cookie NAME\""
                                         : f->type->allowed;
}

static void key_preset(const struct schema_field *f, void *at)
{
    struct conf_key key = {.kind = (enum conf_key_kind)f->initial};
    memcpy(at, &key, sizeof key);
}

/* "header NAME", "cookie NAME" or "query NAME": kind NONE where it is none of them. */
static void read_named_key(struct reader *r, const struct node *n, struct span s,
                           struct conf_key *key)
{
    struct span kind, name = span_trim(span_cut(s, ' ', &kind));
    struct node part = *n;
    part.text = name;
    if (!text_is_token(name))
        return;
    if (span_eq(kind, SPAN("header")))
        *key = (struct conf_key){CONF_KEY_HEADER, reader_lower(r, &part)};
    else if (span_eq(kind, SPAN("cookie")))
        *key = (struct conf_key){CONF_KEY_COOKIE, reader_text(r, name, n->mark)};
    else if (span_eq(kind, SPAN("query")))
        *key = (struct conf_key){CONF_KEY_QUERY, reader_text(r, name, n->mark)};
}

static void key_read(struct reader *r, const struct schema_field *f, const struct node *n, void *at)
{
    struct span s;
    struct conf_key key = {0};
    if (!reader_scalar(r, n, key_allowed(f), &s))
        return;
    if (span_eq(s, SPAN("client")))
        key.kind = CONF_KEY_CLIENT;
    else if (span_eq(s, SPAN("route")) && f->initial == CONF_KEY_CLIENT)
        key.kind = CONF_KEY_ROUTE;
    else
        read_named_key(r, n, s, &key);
    if (key.kind == CONF_KEY_NONE || key.kind == CONF_KEY_QUERY)
        reader_must_be(r, n, key_allowed(f));
    else
        memcpy(at, &key, sizeof key);
}

static bool key_present(const struct schema_field *f, const void *at)
{
    (void)f;
    return ((const struct conf_key *)at)->kind != CONF_KEY_NONE;
}

static void key_write(struct writer *w, const struct schema_field *f, const void *at)
{
    static const char *const kinds[] = {"", "client", "route", "header", "cookie", "path", "query"};
    (void)f;
    const struct conf_key *key = at;
    if (key->name.s.n > 0)
        buf_printf(w->out, " \"%s %.*s\"", kinds[key->kind], SPAN_FMT(key->name.s));
    else
        buf_printf(w->out, " %s", kinds[key->kind]);
    write_end(w);
}

const struct schema_type type_key = {
    .name = "key",
    .allowed = "client, \"header NAME\" or \"cookie NAME\"",
    .preset = key_preset,
    .read = key_read,
    .present = key_present,
    .write = key_write,
};

static void hash_key_read(struct reader *r, const struct schema_field *f, const struct node *n,
                          void *at)
{
    struct span s;
    struct conf_key key = {0};
    if (!reader_scalar(r, n, f->type->allowed, &s))
        return;
    if (span_eq(s, SPAN("client")))
        key.kind = CONF_KEY_CLIENT;
    else if (span_eq(s, SPAN("path")))
        key.kind = CONF_KEY_PATH;
    else if (span_eq(s, SPAN("query")))
        key.kind = CONF_KEY_QUERY;
    else
        read_named_key(r, n, s, &key);
    if (key.kind == CONF_KEY_NONE)
        reader_must_be(r, n, f->type->allowed);
    else
        memcpy(at, &key, sizeof key);
}

const struct schema_type type_hash_key = {
    .name = "key",
    .allowed = "client, path, query, \"header NAME\", \"cookie NAME\" or \"query NAME\"",
    .preset = key_preset,
    .read = hash_key_read,
    .present = key_present,
    .write = key_write,
};

static void read_page(struct reader *r, const struct node *n, struct conf_page *page)
{
    struct span path;
    uint64_t status = 0;
    if (span_u64(n->key->text, &status) != ERR_OK || status < 400 || status > 599)
        reader_report(r, n->key->mark, "'%.*s' must be a status of errors, 400 to 599",
                      SPAN_FMT(source_clip(n->key->text)));
    if (!reader_scalar(r, n, "an absolute path, such as /etc/meridian/file", &path))
        return;
    const char *must = text_file(path);
    if (must != NULL)
        reader_must_be(r, n, must);
    page->status = (int64_t)status;
    page->path = reader_text(r, path, n->mark);
}

static void pages_read(struct reader *r, const struct schema_field *f, const struct node *n,
                       void *at)
{
    struct conf_pages pages = {0};
    if (n->kind != NODE_MAP || n->count == 0 || n->count > PAGES_MOST) {
        reader_must_be(r, n, f->type->allowed);
        return;
    }
    pages.v = reader_zero(r, n->count, sizeof *pages.v);
    for (const struct node *c = n->first; pages.v != NULL && c != NULL; c = c->next) {
        size_t before = reader_enter(r, c->key->text);
        read_page(r, c, &pages.v[pages.count++]);
        reader_leave(r, before);
    }
    memcpy(at, &pages, sizeof pages);
}

static bool pages_present(const struct schema_field *f, const void *at)
{
    (void)f;
    return ((const struct conf_pages *)at)->count > 0;
}

static void pages_write(struct writer *w, const struct schema_field *f, const void *at)
{
    (void)f;
    const struct conf_pages *pages = at;
    buf_put_char(w->out, '\n');
    w->indent += 2;
    for (size_t i = 0; i < pages->count; i++) {
        write_indent(w);
        buf_printf(w->out, "%lld: ", (long long)pages->v[i].status);
        write_text(w, pages->v[i].path.s);
        write_end(w);
    }
    w->indent -= 2;
}

const struct schema_type type_pages = {
    .name = "map of pages",
    .allowed = "a map from 1 to 64 statuses, 400 to 599, to files",
    .read = pages_read,
    .present = pages_present,
    .write = pages_write,
};
