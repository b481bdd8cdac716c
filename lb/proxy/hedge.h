/* hedge: when a request that nobody has answered yet is asked for a second time, beside the first:
 * the rules of a pool, and how long its servers take. Which requests may be asked for twice at all
 * is retry.h's. Pure. It knows no exchange, no server and no clock. */
#ifndef MERIDIAN_PROXY_HEDGE_H
#define MERIDIAN_PROXY_HEDGE_H

#include <stdbool.h>
#include <stdint.h>

#define HEDGE_SAMPLES_ENOUGH 64 /* before that a share of them means nothing */
#define HEDGE_STEPS          168

struct hedge_rules {
    bool on;
    int64_t after_ns; /* 0: after the time in which `percent` of the answers have come */
    unsigned percent;
    unsigned budget_percent; /* of the pool's requests of the last ten seconds */
};

/* How long answers took, on one worker: eight steps to each doubling from 64 us to two minutes. All
 * counts are halved now and then, so that it forgets. Owner thread only. */
struct hedge_times {
    uint32_t count;
    uint16_t step[HEDGE_STEPS];
};
/* From the dispatch of the first attempt to the first byte of the answer, whoever gave it. */
void hedge_times_add(struct hedge_times *t, int64_t ns);

/* 0: not at all, because too little is known. */
int64_t hedge_delay_ns(const struct hedge_rules *rules, const struct hedge_times *times);

#endif
