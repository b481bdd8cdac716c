/* shared: whether the servers of a pool fail for something that they share (their database), which
 * is no reason to take them out: that would lose requests and mend nothing. Pure: what checks and
 * probes have found in, one state for the pool out. Knows no endpoint and no connection. */
#ifndef MERIDIAN_HEALTH_SHARED_H
#define MERIDIAN_HEALTH_SHARED_H

#include "base/str.h"

#define SHARED_PERCENT   60 /* of at least SHARED_LEAST servers, in SHARED_INTERVALS: no chance */
#define SHARED_LEAST     3
#define SHARED_INTERVALS 3
#define SHARED_BLAMERS   2

enum shared_reason {
    SHARED_NONE,     /* each server answers for itself */
    SHARED_PROBE,    /* what they depend on fails when Meridian asks it, too */
    SHARED_BLAMED,   /* several of them blame it (application/health+json) */
    SHARED_TOGETHER, /* most of them failed at nearly the same time */
};

#define SHARED_MOST 16 /* dependencies of a pool */

struct shared_facts {
    int64_t interval_ms;
    uint32_t down;               /* bits: dependencies whose probe fails */
    size_t servers;              /* of the pool */
    size_t failing, lately;      /* alive and not ready; turned so within SHARED_INTERVALS */
    size_t blamers[SHARED_MOST]; /* failing servers that blame this dependency */
};
/* One server that is alive and not ready since then; blames: bits. */
void shared_add(struct shared_facts *f, int64_t since_ms, uint32_t blames, int64_t now_ms);

struct shared {
    enum shared_reason reason;
    uint32_t dependency; /* index: SHARED_PROBE, SHARED_BLAMED */
    int64_t since_ms;
    int64_t
        unsupported_ms; /* nothing speaks for the state any more since then; 0: something does */
};

/* True: the reason has changed. A state that nothing speaks for any more lasts for
 * SHARED_INTERVALS, so that servers can be checked again, or until none fails. */
bool shared_judge(struct shared *s, const struct shared_facts *f, int64_t now_ms);
/* When to judge again though nothing has happened; 0: never. */
int64_t shared_again_ms(const struct shared *s, int64_t interval_ms);
/* Whether a server that failed at since_ms failed with the others: those that failed longer ago
 * have a reason of their own. */
bool shared_is_part(const struct shared *s, int64_t since_ms, int64_t interval_ms);
const char *
shared_reason_name(enum shared_reason reason); /* "none", "probe", "blamed", "together" */

#endif
