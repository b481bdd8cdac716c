/* target: what health knows of one endpoint between its checks, and when the next one begins. The
 * insides of struct health, shared by health.c (which targets there are) and target.c (their
 * checks). Owner thread only. */
#ifndef MERIDIAN_HEALTH_TARGET_H
#define MERIDIAN_HEALTH_TARGET_H

#include "health/plan.h"
#include "health/probe.h"
#include "health/spread.h"
#include "health/verdict.h"

struct target {
    /* set once */
    struct health *health;
    struct endpoint *endpoint; /* referenced */
    /* owner thread */
    const struct plan_target *plan; /* in health->plan */
    struct verdict verdict;
    struct timer due;
    struct link link;               /* in health->ready while it waits to begin */
    struct probe probe;             /* the check that runs */
    struct health_plan *probe_plan; /* referenced: what that check is made of; NULL: none runs */
    int64_t began_ns;               /* the last check */
    uint64_t live_seen;             /* connect_errors at the last alarm from live traffic */
};

struct health {
    /* set once */
    struct log *log;
    struct conn_env env;
    /* owner thread */
    struct rng rng;
    struct health_plan *plan; /* referenced */
    struct target **targets;  /* sorted like the plan's */
    size_t target_count;
    struct link ready; /* targets whose check is due, in order */
    struct spread spread;
    struct timer pump; /* when the next of them may begin */
    struct timer poll; /* looks for failures of live traffic */
    size_t running;
    /* shared, atomic */
    struct health_counts counts;
};

/* NULL without memory. It is not checked before target_plan. */
struct target *target_new(struct health *h, struct endpoint *e);
void target_free(struct target **t);
/* Takes over what the new plan says. The plan must be health->plan. */
void target_plan(struct target *t, const struct plan_target *plan);
/* Begins what is due as far as bounds and rate allow. */
void targets_pump(struct health *h);
/* Begins checks of those to which live traffic could not connect. */
void targets_poll(struct health *h);

#endif
