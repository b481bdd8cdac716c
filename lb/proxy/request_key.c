#include "proxy/request_key.h"

/* RFC 6265 section 4.2: "a=1; b=2"; fields may be many (RFC 9113 section 8.2.3). */
struct span request_cookie(const struct request *r, struct span wanted, unsigned nth)
{
    for (size_t i = 0; i < r->fields.n; i++) {
        struct span rest = r->fields.v[i].value, pair, name;
        if (r->fields.v[i].id != FIELD_COOKIE)
            continue;
        while (rest.n > 0) {
            rest = span_cut(rest, ';', &pair);
            struct span value = span_cut(pair, '=', &name);
            if (value.p != NULL && span_eq(span_trim(name), wanted) && nth-- == 0)
                return span_trim(value); /* blanks around them are nothing to some servers */
        }
    }
    return SPAN_NONE;
}

static struct span parameter(struct span query, struct span wanted)
{
    struct span pair, name;
    while (query.n > 0) {
        query = span_cut(query, '&', &pair);
        struct span value = span_cut(pair, '=', &name);
        if (span_eq(name, wanted))
            return value;
    }
    return SPAN_NONE;
}

static struct span header(const struct request *r, struct span name, bool once)
{
    const struct field *f = fields_find(&r->fields, name);
    for (const struct field *g = f; once && g != NULL && ++g < r->fields.v + r->fields.n;)
        if (span_eq(g->name, name))
            return SPAN_NONE;
    return f != NULL ? f->value : SPAN_NONE;
}

/* Empty: the request does not have it, or, with `once`, more than one of its name: a server may
 * take the last one, and whoever sent it could make up another first one for each request. */
static struct span part_of(const struct key_rule *rule, const struct request *r, bool once)
{
    switch (rule->kind) {
    case KEY_HEADER:
        return header(r, rule->name, once);
    case KEY_COOKIE:
        if (once && request_cookie(r, rule->name, 1).p != NULL)
            return SPAN_NONE;
        return request_cookie(r, rule->name, 0);
    case KEY_PATH:
        return r->path;
    case KEY_QUERY:
        return rule->name.n > 0 ? parameter(r->query, rule->name) : r->query;
    case KEY_NONE:
    case KEY_CLIENT:
        break;
    }
    return SPAN_NONE;
}

static struct span client_bytes(const struct addr *client)
{
    const uint8_t *bytes = NULL;
    size_t n = client != NULL ? addr_bytes(client, &bytes) : 0;
    return span_of((const char *)bytes, n == 16 ? 8 : n);
}

static uint64_t hash(const struct hash_key *secret, struct span s)
{
    return secret != NULL ? hash_keyed(secret, s) : hash_plain(s);
}

uint64_t request_key(const struct key_rule *rule, const struct request *r,
                     const struct addr *client, const struct hash_key *secret)
{
    if (rule->kind == KEY_NONE)
        return 0;
    struct span s = part_of(rule, r, secret != NULL);
    if (s.n > 0)
        return hash(secret, s);
    return ~hash(secret, client_bytes(client)); /* never what a field of the same bytes has */
}
