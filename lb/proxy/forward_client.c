#include "proxy/forward.h"

#include "base/limits.h"

/* The last element of a comma-separated list; *rest is what precedes it. Commas in quoted strings
 * do not part elements (RFC 7239). False: the list is at its end. */
static bool last_element(struct span *rest, struct span *out)
{
    if (rest->p == NULL)
        return false;
    size_t i = rest->n;
    bool quoted = false;
    while (i > 0 && (quoted || rest->p[i - 1] != ',')) {
        if (rest->p[i - 1] == '"')
            quoted = !quoted;
        i--;
    }
    *out = span_trim(span_sub(*rest, i, rest->n));
    *rest = i == 0 ? SPAN_NONE : span_sub(*rest, 0, i - 1);
    return true;
}

/* "1.2.3.4", "1.2.3.4:80", "[::1]:80", "::1". */
static bool node_address(struct span s, struct addr *out)
{
    if (addr_parse_host(s, out) == ERR_OK)
        return true;
    return !span_starts(s, SPAN("unix:")) && addr_parse(s, out) == ERR_OK;
}

/* The parameter at the beginning of an element; *rest is what follows its semicolon. Semicolons in
 * quoted strings do not part parameters. */
static void first_pair(struct span *rest, struct span *out)
{
    bool quoted = false;
    size_t i = 0;
    for (; i < rest->n && (quoted || rest->p[i] != ';'); i++)
        quoted ^= rest->p[i] == '"';
    *out = span_trim(span_sub(*rest, 0, i));
    *rest = span_sub(*rest, i + 1, rest->n);
}

/* The for= parameter of one element of Forwarded, unquoted. An element with two of them is
 * malformed (RFC 7239 section 4): nobody says which one the proxy has written. So is one with a
 * backslash, which no address, name or host has: it may hide the quote at which the walk from the
 * right has taken the inside of a string for an element. */
static bool forwarded_for(struct span element, struct span *out)
{
    bool found = false;
    if (span_find(element, '\\') < element.n)
        return false;
    while (element.n != 0) {
        struct span pair, name;
        first_pair(&element, &pair);
        struct span value = span_cut(pair, '=', &name);
        if (!span_eq_nocase(name, SPAN("for")))
            continue;
        if (found)
            return false;
        if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
            value = span_sub(value, 1, value.n - 1);
        *out = value;
        found = true;
    }
    return found;
}

static bool element_address(enum field_id field, struct span element, struct addr *out)
{
    struct span node = element;
    if (field == FIELD_FORWARDED && !forwarded_for(element, &node))
        return false;
    if (!node_address(node, out))
        return false;
    addr_unmap(out);
    return true;
}

void forward_client(const struct request *in, const struct forward_trust *trust,
                    const struct addr *peer, struct addr *client)
{
    *client = *peer;
    addr_unmap(client);
    if (trust->field == FIELD_OTHER || !cidrs_have(trust->from, trust->count, client))
        return;
    unsigned walked = 0;
    for (size_t i = in->fields.n; i-- > 0;) {
        const struct field *f = &in->fields.v[i];
        struct span rest = f->value, element;
        if (f->id != trust->field)
            continue;
        while (last_element(&rest, &element)) {
            struct addr at;
            if (++walked > LIMIT_FORWARDED || !element_address(trust->field, element, &at))
                return;
            *client = at;
            if (!cidrs_have(trust->from, trust->count, &at))
                return;
        }
    }
}
