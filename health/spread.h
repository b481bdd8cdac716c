/* spread: how many checks may run and how soon the next one may begin (RELIABILITY L31, B4). Pure.
 * After an outage, or when this thread was stopped, all checks are due at once; they are let go no
 * faster than twice the normal rate. Knows no check. */
#ifndef MERIDIAN_HEALTH_SPREAD_H
#define MERIDIAN_HEALTH_SPREAD_H

#include <stddef.h>
#include <stdint.h>

struct spread {
    double per_s;    /* checks per second as configured, without jitter */
    double overlap;  /* checks in flight if all took their whole time-out */
    int64_t step_ns; /* between two beginnings, in the long run */
    int64_t free_ns; /* when the next beginning is in step */
    size_t most;     /* in flight */
};

/* Begins anew to add up targets; the place in time stays. */
void spread_clear(struct spread *s);
void spread_add(struct spread *s, int64_t interval_ms, int64_t timeout_ms);
/* After the last spread_add. */
void spread_settle(struct spread *s);
/* When a check may begin: at_ns <= now_ns means now. */
int64_t spread_when_ns(const struct spread *s);
/* A check begins. */
void spread_begin(struct spread *s, int64_t now_ns);

#endif
