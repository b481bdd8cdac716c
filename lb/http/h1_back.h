/* h1_back: HTTP/1.1 towards a server on one connection with a single slot. It knows the connection
 * and whether it may be used again (RELIABILITY H20); it must not know which backend it is or why.
 * Owner thread only. */
#ifndef MERIDIAN_HTTP_H1_BACK_H
#define MERIDIAN_HTTP_H1_BACK_H

#include "http/back.h"

struct h1_back_limits {
    size_t head, fields; /* L17 */
    unsigned interim;    /* L17 */
};

struct h1_back;

/* Called never from inside h1_back_new, h1_back_take or an ops call of the stream. */
struct h1_back_owner {
    void (*on_open)(void *owner, struct h1_back *h);
    /* The exchange has released it and it can take another; keep_ms: how long the server keeps idle
     * connections by its own word (Keep-Alive: timeout), 0 where it did not say. */
    void (*on_idle)(void *owner, struct h1_back *h, int64_t keep_ms);
    /* Gone: could not connect, was closed while idle, or is not reusable after its exchange. Freed
     * after this call. */
    void (*on_closed)(void *owner, struct h1_back *h, enum err why);
};

/* Starts connecting. */
MUST_CHECK
enum err h1_back_new(struct conn_env *env, const struct conn_target *to,
                     const struct h1_back_limits *limits, const struct h1_back_owner *owner,
                     void *owner_user, struct h1_back **out);
/* The slot of an open, idle connection; after this its end comes through the stream's events first.
 */
struct back *h1_back_take(struct h1_back *h);
/* Ends an idle or connecting one now; on_closed is not called. */
void h1_back_close(struct h1_back **h);
/* For the owner's lists. */
void *h1_back_user(const struct h1_back *h);
void h1_back_set_user(struct h1_back *h, void *owner_user);

#endif
