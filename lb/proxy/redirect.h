/* redirect: where clients of a pool with targets are sent, as text. Targets come from the
 * configuration and the canonical request, never from an unlisted Host (H17). Pure; any thread. */
#ifndef MERIDIAN_PROXY_REDIRECT_H
#define MERIDIAN_PROXY_REDIRECT_H

#include "http/msg.h"
#include "proxy/policy.h"

/* The request's path after its first slash, and after all that a reader may take for further ones,
 * so that no host is read out of it. False: it is no path ("*"). */
bool redirect_path(const struct request *r, struct span *rest);

/* Loop guard: the request is at a URL that the pool sends clients to. Where it tells no port, that
 * is either usual one: a proxy in front may have taken the TLS away. */
bool redirect_arrived(const struct policy_pool *pool, const struct request *r);

/* The target's URL with the request's path and query. ERR_BAD_TARGET: no path; ERR_NO_MEMORY. */
MUST_CHECK
enum err redirect_location(const struct policy_target *t, const struct request *r,
                           struct arena *arena, struct span *out);

#endif
