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
            struct span value = span_cut(span_trim(pair), '=', &name);
            if (value.p != NULL && span_eq(name, wanted) && nth-- == 0)
                return value;
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

static struct span header(const struct request *r, struct span name)
{
    const struct field *f = fields_find(&r->fields, name);
    return f != NULL ? f->value : SPAN_NONE;
}

/* Empty: the request does not have it. */
static struct span part_of(const struct key_rule *rule, const struct request *r)
{
    switch (rule->kind) {
    case KEY_HEADER:
        return header(r, rule->name);
    case KEY_COOKIE:
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
    struct span s = part_of(rule, r);
    if (s.n > 0)
        return hash(secret, s);
    return ~hash(secret, client_bytes(client)); /* never what a field of the same bytes has */
}
