/* watchdog: whether every loop still goes round (RELIABILITY C8). The main thread looks: a turn
 * that lasts is a warning that shows where it is, a loop without a sign of life ends the process
 * with a core. Who watches the main thread is the service manager. */
#ifndef MERIDIAN_RUN_WATCHDOG_H
#define MERIDIAN_RUN_WATCHDOG_H

#include "base/limits.h"
#include "net/loop.h"

struct balancer;

struct watchdog {
    struct timer look;
    /* of each worker; the last is the health thread */
    unsigned missed[LIMIT_WORKERS + 1]; /* ticks without a beat */
    int64_t beats[LIMIT_WORKERS + 1];
};

/* Begins to look where turns last. */
void watchdog_begin(struct balancer *b);
/* Each second, while all loops should run. */
void watchdog_tick(struct balancer *b);

#endif
