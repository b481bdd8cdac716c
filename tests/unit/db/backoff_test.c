#include "check.h"
#include "db/backoff.h"

TEST(backoff, grows_to_a_bound_with_full_jitter_C6)
{
    struct rng rng;
    int64_t least = BACKOFF_MOST_MS, most = 0;
    rng_seed(&rng, 1);
    for (int i = 0; i < 2000; i++) {
        struct backoff b = {0};
        CHECK(backoff_ms(&b, &rng) <= BACKOFF_FIRST_MS, "the first");
        CHECK(backoff_ms(&b, &rng) <= 2 * BACKOFF_FIRST_MS, "the second");
        b.failures = 1000;
        int64_t late = backoff_ms(&b, &rng);
        least = late < least ? late : least;
        most = late > most ? late : most;
    }
    CHECK(least >= BACKOFF_LEAST_MS && least < 200, "down to %lld", (long long)least);
    CHECK(most <= BACKOFF_MOST_MS && most > BACKOFF_MOST_MS - 200, "up to %lld", (long long)most);
}

TEST(backoff, success_begins_anew)
{
    struct backoff b = {.failures = 9};
    backoff_reset(&b);
    CHECK(b.failures == 0, "none");
}
