/* h1_back: HTTP/1.1 towards a server on one connection with a single slot. It knows the connection
 * and whether it may be used again (RELIABILITY H20); it must not know which backend it is or why.
 * Owner thread only. */
#ifndef MERIDIAN_HTTP_H1_BACK_H
#define MERIDIAN_HTTP_H1_BACK_H

#include "http/back_link.h"

/* Takes an open connection. Its slot is free at once; after take its end comes through the stream's
 * events first. ERR_NO_MEMORY: the connection is the caller's still. */
MUST_CHECK
enum err h1_back_new(struct conn *c, const struct back_limits *limits,
                     const struct back_owner *owner, void *owner_user, struct back_link **out);

#endif
