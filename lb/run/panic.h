/* panic: notices when so few of a pool's servers pass that requests no longer go by checks and
 * ejections (BALANCING.md section 10), and when they do again: one line in the log for each, and
 * what /metrics and the status show; and when a pool has nobody who passes, panic or not. It
 * decides nothing: workers find it out for themselves, for
 * the sites that a request may use. */
#ifndef MERIDIAN_RUN_PANIC_H
#define MERIDIAN_RUN_PANIC_H

#include "pick/pick.h"

struct balancer;

/* Looks at each pool in which something may have changed. Main thread, once a second. */
void panic_look(struct balancer *b);

/* How the pool chooses, as last seen, where it is worst: over all of its sites, or over those that
 * one of its rules of residency leaves to some clients. PICK_NORMAL where it has nobody. */
static inline enum pick_mode panic_mode(const struct pool_state *pool)
{
    return (enum pick_mode)pool->seen.mode;
}

#endif
