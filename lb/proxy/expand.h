/* expand: what the names of templates stand for in one request. Pure: takes facts, returns text in
 * the exchange's arena. No value ends a line or a field: one with a control byte is refused. */
#ifndef MERIDIAN_PROXY_EXPAND_H
#define MERIDIAN_PROXY_EXPAND_H

#include "base/template.h"
#include "geo/geo.h"
#include "http/msg.h"
#include "net/addr.h"

struct expand_facts {
    const struct request *request;
    const struct place *place;   /* NULL: not known */
    const struct geo_db *geo;    /* for the other fields; NULL: none */
    const struct addr *address;  /* the client's; NULL: not known */
    struct span client, peer;    /* addresses as text */
    struct span listener, route; /* names */
    struct span id;              /* the request's identifier */
    struct span left_ms;         /* until its deadline, as digits; empty: it has none */
};

/* ERR_BAD_FIELD for a control byte; ERR_HEAD_TOO_LARGE above LIMIT_FIELD (L13); ERR_NO_MEMORY. A
 * template without names costs nothing where it is one piece. */
MUST_CHECK
enum err expand_template(const struct template *t, const struct expand_facts *facts,
                         struct arena *arena, struct span *out);

/* The same for Location (RELIABILITY H17): a path that begins with more than one slash, or with a
 * slash and a backslash, loses them. ERR_BAD_HOST where the template names the host and the request
 * has none. */
MUST_CHECK
enum err expand_location(const struct template *t, const struct expand_facts *facts,
                         struct arena *arena, struct span *out);

#endif
