/* h2_front: HTTP/2 towards clients: requests from the streams of one connection, each a front of
 * its own. It knows the connection's session and the time-outs between requests (idle L5, age L11);
 * while an exchange runs, time is the exchange's business. It must not know routes or backends.
 * Owner thread only. */
#ifndef MERIDIAN_HTTP_H2_FRONT_H
#define MERIDIAN_HTTP_H2_FRONT_H

#include "http/front.h"

/* As h1_front_new. */
MUST_CHECK
enum err h2_front_new(struct conn *c, bool tls, const struct front_limits *limits,
                      struct arena_cache *cache, const struct front_owner *owner, void *owner_user,
                      struct front_codec **out);

#endif
