/* readings: whether all who read a path alike or otherwise are led to the same route (RELIABILITY
 * H14). It knows the table of routes and the habits of other readers (http/uri.h); it must not know
 * who asks: a request that is served, or one that is only explained. Any thread. */
#ifndef MERIDIAN_PROXY_READINGS_H
#define MERIDIAN_PROXY_READINGS_H

#include "base/arena.h"
#include "pick/route.h"

/* route_find for a path that uri_is_odd; also ERR_BAD_TARGET: another reading of the path does not
 * lead there; ERR_NO_MEMORY. */
MUST_CHECK
enum err readings_find(const struct route_table *table, const struct route_request *req,
                       struct arena *arena, struct route_match *match);

#endif
