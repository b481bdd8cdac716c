#include "http/h1_fields.h"

#include "base/limits.h"
#include "http/h1_scan.h"

/* [A-Za-z0-9-] in lower case; 0 for all other bytes. */
#define SAME_(c) [c] = (c)
#define LOW_(c)  [c] = (c), [(c) - ('a' - 'A')] = (c)
static const char plain[256] = {
    SAME_('-'), SAME_('0'), SAME_('1'), SAME_('2'), SAME_('3'), SAME_('4'), SAME_('5'), SAME_('6'),
    SAME_('7'), SAME_('8'), SAME_('9'), LOW_('a'),  LOW_('b'),  LOW_('c'),  LOW_('d'),  LOW_('e'),
    LOW_('f'),  LOW_('g'),  LOW_('h'),  LOW_('i'),  LOW_('j'),  LOW_('k'),  LOW_('l'),  LOW_('m'),
    LOW_('n'),  LOW_('o'),  LOW_('p'),  LOW_('q'),  LOW_('r'),  LOW_('s'),  LOW_('t'),  LOW_('u'),
    LOW_('v'),  LOW_('w'),  LOW_('x'),  LOW_('y'),  LOW_('z'),
};
#undef SAME_
#undef LOW_

/* Lower-cases the name that begins the n bytes at p; *colon: how long it is. False where it has
 * bytes outside [A-Za-z0-9-] (H3). */
static bool lower_name(char *p, size_t n, size_t *colon)
{
    bool good = true;
    size_t i = 0;
    for (; i < n && p[i] != ':'; i++) {
        char c = plain[(unsigned char)p[i]];
        if (c != 0) {
            p[i] = c;
        } else {
            good = false;
        }
    }
    *colon = i;
    return good;
}

enum err h1_fields_read(char *block, size_t n, size_t most, enum odd_names odd, struct arena *a,
                        struct fields *out, unsigned *dropped)
{
    /* Room for what forwarding adds, so that the list need not move. */
    enum { SPARE = 10 };
    out->n = 0;
    out->cap = most + SPARE;
    out->v = arena_take(a, out->cap * sizeof(*out->v));
    if (out->v == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t at = 0; at < n;) {
        struct span rest = span_of(block + at, n - at);
        size_t end = span_find(rest, '\r'), colon;
        bool good = lower_name(block + at, end, &colon);
        if (end + 2 > rest.n || colon == end) {
            return ERR_INTERNAL;
        }
        struct span name = span_sub(rest, 0, colon);
        enum err e = good ? ERR_OK : field_judge_odd(odd, name);
        if (e == ERR_OK) {
            struct span value = span_trim(span_sub(rest, colon + 1, end));
            e = fields_add(out, a, field_id_of(name), name, value);
        } else if (e == ERR_AGAIN) {
            ++*dropped;
            e = ERR_OK;
        }
        if (e != ERR_OK) {
            return e;
        }
        at += end + 2;
    }
    return ERR_OK;
}

/* Empties the names of the fields called `lower`, unless they are protected (H15). */
static void unname(struct fields *f, struct span lower)
{
    enum field_id id = field_id_of(lower);
    if (field_is_kept(id)) {
        return;
    }
    for (size_t i = 0; i < f->n; i++) {
        bool same = id != FIELD_OTHER ? f->v[i].id == id
                                      : f->v[i].id == FIELD_OTHER && span_eq(f->v[i].name, lower);
        /* Hop-by-hop ones go anyway, and may be facts still to be read. */
        if (same && !field_is_hop(id)) {
            f->v[i].name.n = 0;
            f->v[i].id = FIELD_OTHER;
        }
    }
}

static enum err connection_option(struct fields *f, struct span option, struct h1_facts *facts)
{
    char lower[LIMIT_FIELD_NAME];
    if (option.n > sizeof(lower)) {
        return ERR_BAD_FIELD;
    }
    for (size_t i = 0; i < option.n; i++) {
        if (!h1_is_token(option.p[i])) {
            return ERR_BAD_FIELD;
        }
        lower[i] = ascii_lower(option.p[i]);
    }
    struct span name = span_of(lower, option.n);
    if (span_eq(name, SPAN("close"))) {
        facts->close = true;
    } else if (span_eq(name, SPAN("keep-alive"))) {
        facts->keep_alive = true;
    } else if (span_eq(name, SPAN("upgrade"))) {
        facts->upgrading = true;
    } else if (name.n > 0) {
        unname(f, name);
    }
    return ERR_OK;
}

static enum err connection_options(struct fields *f, struct span list, size_t *options,
                                   struct h1_facts *facts)
{
    while (list.n > 0) {
        struct span option;
        list = span_cut(list, ',', &option);
        if (++*options > LIMIT_FIELDS) {
            return ERR_BAD_FIELD;
        }
        enum err e = connection_option(f, span_trim(option), facts);
        if (e != ERR_OK) {
            return e;
        }
    }
    return ERR_OK;
}

static void note(struct h1_facts *facts, const struct field *v)
{
    switch ((int)v->id) { /* as a number: all other names say nothing about framing */
    case FIELD_CONTENT_LENGTH:
        facts->length = v;
        facts->lengths++;
        break;
    case FIELD_TRANSFER_ENCODING:
        facts->coding = v;
        facts->codings++;
        break;
    case FIELD_HOST:
        facts->host = v;
        facts->hosts++;
        break;
    case FIELD_EXPECT:
        facts->expect = v;
        break;
    case FIELD_UPGRADE:
        facts->upgrade = v;
        break;
    case FIELD_KEEP_ALIVE:
        facts->keep = v;
        break;
    default:
        break;
    }
}

enum err h1_facts_gather(struct fields *f, struct h1_facts *out)
{
    size_t options = 0;
    *out = (struct h1_facts){0};
    for (size_t i = 0; i < f->n; i++) {
        note(out, &f->v[i]);
        if (f->v[i].id == FIELD_CONNECTION) {
            enum err e = connection_options(f, f->v[i].value, &options, out);
            if (e != ERR_OK) {
                return e;
            }
        }
    }
    return ERR_OK;
}

enum err h1_length(const struct h1_facts *facts, uint64_t *out)
{
    bool one = facts->lengths == 1;
    if (!one || span_u64(facts->length->value, out) != ERR_OK || *out > INT64_MAX) {
        return ERR_BAD_LENGTH;
    }
    return ERR_OK;
}

bool h1_is_chunked(const struct h1_facts *facts)
{
    return facts->codings == 1 && span_eq_nocase(facts->coding->value, SPAN("chunked"));
}
