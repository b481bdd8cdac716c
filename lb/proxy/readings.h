/* readings: whether all who read a path alike or otherwise are led to the same route (RELIABILITY
 * H14). It knows the table of routes and the habits of other readers (http/uri.h); it must not know
 * who asks: a request that is served, or one that is only explained. Any thread. */
#ifndef MERIDIAN_PROXY_READINGS_H
#define MERIDIAN_PROXY_READINGS_H

#include "base/arena.h"
#include "pick/route.h"

/* For a path that uri_is_odd: `chosen` is what the table says of the request as it is. ERR_OK:
 * every other reading leads there too. ERR_BAD_TARGET: one does not. ERR_NO_MEMORY. */
MUST_CHECK
enum err readings_agree(const struct route_table *table, const struct route_request *req,
                        const struct route_match *chosen, struct arena *arena);

#endif
