/* h1_front: HTTP/1.1 towards clients: reads requests from one connection in order, writes their
 * responses, keeps the connection alive between them (RFC 9112). It knows the connection and its
 * own time-outs between requests (head L4, idle L5, age L11); while an exchange runs, time is the
 * exchange's business. It must not know routes or backends. Owner thread only. */
#ifndef MERIDIAN_HTTP_H1_FRONT_H
#define MERIDIAN_HTTP_H1_FRONT_H

#include "http/front.h"

/* The connection's events become this codec's; takes the connection. tls: scheme "https". */
MUST_CHECK
enum err h1_front_new(struct conn *c, bool tls, const struct front_limits *limits,
                      struct arena_cache *cache, const struct front_owner *owner, void *owner_user,
                      struct front_codec **out);

#endif
