/* readings: whether all who read a path alike or otherwise are led to the same route, and what that
 * route says of paths that are not in their one form (RELIABILITY H14). It knows the table of
 * routes and the habits of other readers (http/uri.h); it must not know who asks: a request that is
 * served, or one that is only explained. Any thread. */
#ifndef MERIDIAN_PROXY_READINGS_H
#define MERIDIAN_PROXY_READINGS_H

#include "http/msg.h"
#include "pick/route.h"

/* route_find for a path that uri_is_odd; also ERR_BAD_TARGET: it would take more than
 * LIMIT_READINGS to try all readings of the path, or another reading does not
 * lead there; ERR_NO_MEMORY. */
MUST_CHECK
enum err readings_find(const struct route_table *table, const struct route_request *req,
                       struct arena *arena, struct route_match *match);

/* What a route does with such paths. However it is, the route was found by the path without dot
 * segments, and a path that another reader takes for one of another route is refused. */
enum path_rule {
    PATHS_RESOLVE,   /* dot segments are removed, the rest goes on as it came */
    PATHS_KEEP,      /* it goes on as it came (path_sent), where those readings agree too */
    PATHS_NORMALISE, /* the request's path becomes uri_canonical from here on */
    PATHS_REJECT,    /* refused where uri_canonical is another path, or it has "\" */
};

/* Holds the request, whose route was found by req, to the rule of that route. ERR_BAD_TARGET: it is
 * refused; ERR_NO_MEMORY. */
MUST_CHECK
enum err readings_rule(enum path_rule rule, const struct route_table *table,
                       const struct route_request *req, const struct route_match *chosen,
                       struct request *r, struct arena *arena);

#endif
