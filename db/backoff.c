#include "db/backoff.h"

int64_t backoff_ms(struct backoff *b, struct rng *rng)
{
    int64_t bound = BACKOFF_FIRST_MS;
    for (unsigned i = 0; i < b->failures && bound < BACKOFF_MOST_MS; i++)
        bound *= 2;
    if (bound > BACKOFF_MOST_MS)
        bound = BACKOFF_MOST_MS;
    b->failures++;
    return BACKOFF_LEAST_MS + (int64_t)rng_below(rng, (uint64_t)(bound - BACKOFF_LEAST_MS + 1));
}

void backoff_reset(struct backoff *b)
{
    b->failures = 0;
}
