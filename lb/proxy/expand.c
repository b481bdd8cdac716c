#include "proxy/expand.h"

#include "base/buf.h"
#include "base/limits.h"

/* `*` is no path that a template could put something before or after. */
static struct span path_of(const struct request *r)
{
    return r->path.n > 0 && r->path.p[0] == '/' ? r->path : SPAN("/");
}

static struct span value_of(enum template_name name, const struct expand_facts *f)
{
    const struct request *r = f->request;
    const struct place *place = f->place;
    switch ((int)name) {
    case TEMPLATE_HOST:
        return r->host;
    case TEMPLATE_AUTHORITY:
        return r->authority;
    case TEMPLATE_METHOD:
        return r->method_name;
    case TEMPLATE_SCHEME:
        return r->scheme;
    case TEMPLATE_PATH:
    case TEMPLATE_URI:
        return path_of(r);
    case TEMPLATE_QUERY:
        return r->query;
    case TEMPLATE_CLIENT_ADDRESS:
        return f->client;
    case TEMPLATE_PEER_ADDRESS:
        return f->peer;
    case TEMPLATE_GEO_COUNTRY:
        return place != NULL ? span_str(place->country) : SPAN_NONE;
    case TEMPLATE_GEO_CONTINENT:
        return place != NULL ? span_str(place->continent) : SPAN_NONE;
    case TEMPLATE_GEO_SUBDIVISION:
        return place != NULL ? span_str(place->subdivision) : SPAN_NONE;
    case TEMPLATE_REQUEST_ID:
        return f->id;
    case TEMPLATE_LISTENER:
        return f->listener;
    case TEMPLATE_ROUTE:
        return f->route;
    case TEMPLATE_DEADLINE:
        return f->left_ms;
    default: /* what only the access log knows is in no other template */
        return SPAN_NONE;
    }
}

static void put_geo(struct buf *out, const struct template_piece *p, const struct expand_facts *f)
{
    char memory[GEO_NUMBER];
    const uint8_t *bytes;
    size_t n = f->address != NULL ? addr_bytes(f->address, &bytes) : 0;
    int family = n == 4 ? AF_INET : AF_INET6;
    if (n == 0)
        return;
    if (p->name == TEMPLATE_GEO_CITY)
        buf_put_span(out, geo_known(f->geo, family, bytes, GEO_CITY, memory));
    else if (p->name == TEMPLATE_GEO_ASN)
        buf_put_span(out, geo_known(f->geo, family, bytes, GEO_ASN, memory));
    else if (p->name == TEMPLATE_GEO_ORGANIZATION)
        buf_put_span(out, geo_known(f->geo, family, bytes, GEO_ORGANIZATION, memory));
    else if (p->name == TEMPLATE_GEO_FIELD)
        buf_put_span(out, geo_field(f->geo, family, bytes, p->text, memory));
}

static void put_name(struct buf *out, const struct template_piece *p, const struct expand_facts *f)
{
    enum template_name name = p->name;
    put_geo(out, p, f);
    buf_put_span(out, value_of(name, f));
    if (name != TEMPLATE_URI || f->request->query.p == NULL)
        return;
    buf_put_char(out, '?');
    buf_put_span(out, f->request->query);
}

static bool has_control(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return true;
    }
    return false;
}

static enum err put_pieces(const struct template *t, const struct expand_facts *f, struct buf *b)
{
    for (size_t i = 0; i < t->count; i++) {
        size_t before = b->n;
        if (t->pieces[i].name == TEMPLATE_TEXT) {
            buf_put_span(b, t->pieces[i].text);
            continue;
        }
        put_name(b, &t->pieces[i], f);
        if (has_control(span_of(b->p + before, b->n - before)))
            return ERR_BAD_FIELD;
    }
    return b->failed ? ERR_HEAD_TOO_LARGE : ERR_OK;
}

enum err expand_template(const struct template *t, const struct expand_facts *facts,
                         struct arena *arena, struct span *out)
{
    char memory[LIMIT_FIELD];
    struct buf b;
    *out = SPAN("");
    if (t->count == 0)
        return ERR_OK;
    if (t->count == 1 && t->pieces[0].name == TEMPLATE_TEXT) {
        *out = t->pieces[0].text;
        return ERR_OK;
    }
    buf_fixed(&b, memory, sizeof memory);
    enum err e = put_pieces(t, facts, &b);
    if (e != ERR_OK)
        return e;
    *out = arena_copy(arena, buf_span(&b));
    return out->p != NULL ? ERR_OK : ERR_NO_MEMORY;
}

static bool names_host(const struct template *t)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->pieces[i].name == TEMPLATE_HOST || t->pieces[i].name == TEMPLATE_AUTHORITY)
            return true;
    }
    return false;
}

/* A path with one slash at its beginning, in place of a run of slashes and backslashes. */
static enum err one_slash(struct arena *arena, struct span *path)
{
    size_t run = 0;
    while (run < path->n && (path->p[run] == '/' || path->p[run] == '\\'))
        run++;
    if (run < 2)
        return ERR_OK;
    char *p = arena_take(arena, path->n - run + 1);
    if (p == NULL)
        return ERR_NO_MEMORY;
    p[0] = '/';
    memcpy(p + 1, path->p + run, path->n - run);
    *path = span_of(p, path->n - run + 1);
    return ERR_OK;
}

enum err expand_location(const struct template *t, const struct expand_facts *facts,
                         struct arena *arena, struct span *out)
{
    if (facts->request->host.n == 0 && names_host(t))
        return ERR_BAD_HOST;
    enum err e = expand_template(t, facts, arena, out);
    return e == ERR_OK && out->n > 0 && out->p[0] == '/' ? one_slash(arena, out) : e;
}
