#include "proxy/stats.h"

#include <assert.h>

/* No line of a worker's counters is another's too. */
static_assert(_Alignof(struct route_stats) == 64 && sizeof(struct route_stats) % 64 == 0,
              "whole lines");
static_assert(_Alignof(struct worker_stats) == 64 && sizeof(struct worker_stats) % 64 == 0,
              "whole lines");

const uint32_t stats_bucket_us[STATS_BUCKETS - 1] = {
    500,    1000,   2500,    5000,    10000,   25000,    50000,    100000,
    250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000,
};

void histogram_add(struct histogram *h, int64_t us)
{
    unsigned i = 0;
    while (i < STATS_BUCKETS - 1 && us > (int64_t)stats_bucket_us[i])
        i++;
    counter_add(&h->bucket[i], 1);
    counter_add(&h->sum_us, us > 0 ? (uint64_t)us : 0);
}
