/* name_set: what is believed about one host name: its addresses, and when to ask again. Pure: it
 * decides, others ask and act. What does not look like an answer changes nothing (RELIABILITY P6,
 * L37); a mass removal is put off until it has been seen for a while (B4). It must not know who
 * uses the addresses. */
#ifndef MERIDIAN_NET_NAME_SET_H
#define MERIDIAN_NET_NAME_SET_H

#include "base/hash.h"
#include "base/limits.h"
#include "net/addr.h"

/* One address of a name, and what the name's SRV records say of it (net/srv_answer.h). */
struct name_address {
    struct addr addr;
    uint16_t weight; /* 1..1000; 0: nothing is said */
    uint8_t rank;    /* 0..LIMIT_RANKS-1; 0: in front */
};

struct name_member {
    struct name_address is;
    int64_t gone_ms; /* since when answers lack it; 0: the last one had it */
};

struct name_set {
    struct name_member members[2 * LIMIT_NAME_ADDRESSES];
    size_t count;      /* at most LIMIT_NAME_ADDRESSES between two calls */
    size_t held;       /* of them, those that answers lack and that are kept by the brake */
    unsigned failures; /* in a row */
    int64_t next_ms;   /* when to ask again */
};

/* What a server said, or did not say. */
struct name_answer {
    enum err result; /* ERR_OK: addrs holds; all others keep the set as it is */
    const struct name_address *addrs;
    size_t count;
    uint32_t ttl_s;
    bool complete; /* false: one address family is unknown, so nothing can be said to be gone */
};

struct name_change {
    size_t added, removed;
    size_t altered; /* others that have another rank or weight than before */
};

/* Takes one answer at now_ms (monotonic) and sets next_ms: after the TTL within 5 to 300 s,
 * jittered downwards by up to 10 %; after a failure sooner, backing off. An empty answer is a
 * failure. */
struct name_change name_set_take(struct name_set *set, const struct name_answer *answer,
                                 int64_t now_ms, struct rng *rng);

#endif
