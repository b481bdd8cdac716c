/* sticky: the cookie that brings a client back to the endpoint that served it before. What it says
 * is signed (HMAC-SHA-256), names no endpoint in clear, and is for one pool; whoever has the same
 * key and the same pool reads it: another worker, the process after a restart, another balancer.
 * Pure; part of a policy. It must not know whether that endpoint may serve: the pick does. */
#ifndef MERIDIAN_PROXY_STICKY_H
#define MERIDIAN_PROXY_STICKY_H

#include "base/arena.h"
#include "http/msg.h"
#include "net/digest.h"
#include "pick/pool.h"

struct sticky_mark {
    uint64_t id; /* of the endpoint, by the key */
    uint32_t member;
};

struct sticky {
    struct span cookie, pool; /* names */
    struct span key;
    int64_t ttl_s;
    struct sticky_mark *marks; /* one for each member, by id */
    uint32_t count;
};

/* Fills marks, which have room for all members. */
void sticky_mark_members(struct sticky *s, const struct pick_pool *pool);

struct sticky_found {
    const struct pool_member *member; /* NULL: no cookie, not ours, too old, or it is gone */
    bool ageing;                      /* more than half of its time has passed */
};
struct sticky_found sticky_find(const struct sticky *s, const struct pick_pool *pool,
                                const struct request *r, int64_t now_s);

/* The value of a Set-Cookie field for this endpoint. SPAN_NONE without memory. */
struct span sticky_cookie(const struct sticky *s, const struct endpoint *e, bool secure,
                          int64_t now_s, struct arena *arena);

#endif
