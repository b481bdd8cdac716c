/* backoff: how long to wait before the next try: exponential with full jitter, so that many
 * balancers do not come back to a database at the same moment. Pure; knows no clock. */
#ifndef MERIDIAN_DB_BACKOFF_H
#define MERIDIAN_DB_BACKOFF_H

#include "base/hash.h"

struct backoff {
    unsigned failures; /* in a row */
};

/* The wait after one more failure: uniform in [BACKOFF_LEAST_MS, the bound], where the bound
 * doubles with each failure up to BACKOFF_MOST_MS. */
int64_t backoff_ms(struct backoff *b, struct rng *rng);
/* It worked. */
void backoff_reset(struct backoff *b);

#define BACKOFF_LEAST_MS 20
#define BACKOFF_FIRST_MS 500 /* RELIABILITY C6 */
#define BACKOFF_MOST_MS  30000

#endif
