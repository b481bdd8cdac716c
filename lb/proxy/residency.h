/* residency: which sites of a pool may serve a client, by where it is (BALANCING.md section 4).
 * Hard: whoever picks gets a mask of sites and never goes beyond it. Immutable, part of a policy.
 * Knows no request and no endpoint. */
#ifndef MERIDIAN_PROXY_RESIDENCY_H
#define MERIDIAN_PROXY_RESIDENCY_H

#include "geo/geo.h"
#include "proxy/access.h"

/* A rule that names no place at all is for everybody. What it names is united. */
struct residency_rule {
    struct access_countries countries;
    uint32_t continents;       /* bits of residency_continent */
    struct span *subdivisions; /* "US-CA" */
    uint32_t subdivision_count;
    bool unknown; /* clients whose country is not known */
    bool everybody;
    uint64_t sites;   /* bit i: site i of the pool may serve; 0 where it is refused */
    enum err refusal; /* ERR_OK: the sites serve */
};

struct residency {
    struct residency_rule *rules; /* in order; the first that matches decides */
    uint32_t count;
    bool unknown_allowed; /* an unknown client that no rule matches may go anywhere; else nowhere */
};

/* One bit, 0 for what is no continent. */
uint32_t residency_continent(const char *code);
/* Adds the countries of "eu" or "eea", or the one country that the name is. */
void residency_add_group(struct access_countries *set, struct span name);

/* The sites that may serve. ERR_RESIDENCY or ERR_FORBIDDEN: none may, and the request is refused.
 */
MUST_CHECK
enum err residency_sites(const struct residency *r, const struct place *place, uint64_t *sites);

#endif
