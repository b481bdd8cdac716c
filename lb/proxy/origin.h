/* origin: who asks: an address, where it is by the geo databases, and how far that is from the
 * sites of the pool last used. It knows no connection and no request. Owner thread only. */
#ifndef MERIDIAN_PROXY_ORIGIN_H
#define MERIDIAN_PROXY_ORIGIN_H

#include "proxy/connpool.h"
#include "proxy/policy.h"

/* Who asks: an address and where it is, looked up once per address. Requests that run side by side
 * on one connection may come from different ones behind a trusted peer, so each holds its own. */
struct origin {
    unsigned refs;   /* whoever it is a part of has one, which never ends */
    uint8_t country; /* its number (geo/country.h); 0: not known */
    uint8_t text_size;
    uintptr_t site; /* the last one that it was sent to, to tell it from another; 0: none */
    uint64_t geo_generation;   /* of the policy whose database was asked; 0: not yet */
    uint64_t distance_key;     /* which pool of which generation */
    float *distance_ms;        /* by site of one pool, or NULL */
    char text[ADDR_HOST_TEXT]; /* without port */
    struct place place;
    struct addr addr;
};

/* Another address; what was known of the one before is forgotten. */
void origin_set(struct origin *o, const struct addr *a);
struct origin *origin_hold(struct origin *o);
void origin_let_go(struct origin **o);
/* Looks up where it is, once for each generation of the policy. */
void origin_place(struct origin *o, const struct policy *policy);
/* Whom a server is told of: the origin, and where it came in on `front` (NULL: not known) as an
 * address of the same family. */
struct connpool_client origin_announced(const struct origin *o, struct conn *front);
/* Counts the client at the site that a request of it is sent to, where the last one went elsewhere.
 */
void origin_sent_to(struct origin *o, struct site_state *site);
/* Distances from the origin to the pool's sites in ms, weight applied; NULL: use each site's
 * here_ms (BALANCING.md section 3). */
const float *origin_distances(struct origin *o, const struct policy *policy,
                              const struct policy_pool *pool);

#endif
