/* verdict: what a row of check results says about one endpoint (RELIABILITY B1, B3, L31). Pure:
 * results in, health and the time of the next check out. Knows no socket and no endpoint. */
#ifndef MERIDIAN_HEALTH_VERDICT_H
#define MERIDIAN_HEALTH_VERDICT_H

#include "base/err.h"
#include "base/hash.h"
#include "pick/endpoint.h"

/* Whether and why one contrary result suffices. */
enum verdict_doubt {
    VERDICT_TRUSTED,    /* it does not: fall or rise in a row are needed */
    VERDICT_UNCHECKED,  /* no check has been made yet: the optimism ends with the first (B3) */
    VERDICT_LIVE_FAILS, /* live traffic could not connect: a failed check confirms it, as HARD */
};

struct verdict {
    enum endpoint_health health;
    enum endpoint_health toward; /* where the contrary results point, if run > 0 */
    unsigned run;                /* contrary results in a row */
    enum verdict_doubt doubt;
};

enum verdict_result {
    VERDICT_GOOD,
    VERDICT_SOFT, /* bad answer, time-out */
    VERDICT_HARD, /* refused, unreachable */
    VERDICT_NONE, /* this side's failure: says nothing (B2) */
};

/* What the reason with which a check ended says. */
enum verdict_result verdict_result(enum err why);
void verdict_init(struct verdict *v, enum endpoint_health health, bool checked);
/* True: v->health has changed. */
bool verdict_add(struct verdict *v, enum verdict_result result, unsigned fall, unsigned rise);
/* Live traffic could not connect. True: a check should follow at once. */
bool verdict_live_fails(struct verdict *v);
/* Contrary results are in, but not enough: the next check comes sooner. */
bool verdict_settled(const struct verdict *v);
/* Milliseconds from the beginning of this check to that of the next: the interval, or
 * LIMIT_CHECK_SOON_MS (L31) if that is less, +-20 % (B4). */
int64_t verdict_wait_ms(const struct verdict *v, int64_t interval_ms, struct rng *rng);

#endif
