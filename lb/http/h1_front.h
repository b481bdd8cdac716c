/* h1_front: HTTP/1.1 towards clients: reads requests from one connection in order, writes their
 * responses, keeps the connection alive between them (RFC 9112). It knows the connection and its
 * own time-outs between requests (head L4, idle L5, age L11); while an exchange runs, time is the
 * exchange's business. It must not know routes or backends. Owner thread only. */
#ifndef MERIDIAN_HTTP_H1_FRONT_H
#define MERIDIAN_HTTP_H1_FRONT_H

#include "http/front.h"

/* Set once per listener and snapshot; borrowed until the connection ends. */
struct h1_front_limits {
    size_t request_line, head, fields, field; /* L12, L13 */
    uint32_t requests;                        /* L11 */
    int64_t head_ms, idle_ms, age_ms;         /* L4, L5, L11 */
};

struct h1_front;

/* The connection's events become this codec's; takes the connection. tls: scheme "https". */
MUST_CHECK
enum err h1_front_new(struct conn *c, bool tls, const struct h1_front_limits *limits,
                      struct arena_cache *cache, const struct front_owner *owner, void *owner_user,
                      struct h1_front **out);
/* No further request: idle connections close at once, others after their response (drain). */
void h1_front_drain(struct h1_front *h);
/* Ends it now, whatever runs (the exchange gets on_gone first). on_closed follows. */
void h1_front_kill(struct h1_front *h, enum err why);
bool h1_front_idle(const struct h1_front *h);

#endif
