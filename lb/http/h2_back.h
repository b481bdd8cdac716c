/* h2_back: HTTP/2 towards a server: one connection whose streams are a back each, as many as the
 * server allows. It knows the connection's session; it must not know which backend it is or why.
 * Owner thread only. */
#ifndef MERIDIAN_HTTP_H2_BACK_H
#define MERIDIAN_HTTP_H2_BACK_H

#include "http/back_link.h"

/* Takes an open connection. Slots are free when on_slots says so: not before the server has sent
 * its SETTINGS, so that it is known that it speaks HTTP/2, how many streams it takes, and whether
 * it takes tunnels. ERR_NO_MEMORY: the connection is the caller's still. */
MUST_CHECK
enum err h2_back_new(struct conn *c, const struct back_limits *limits,
                     const struct back_owner *owner, void *owner_user, struct back_link **out);

#endif
