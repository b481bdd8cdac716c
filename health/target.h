/* target: what health knows of one endpoint between its checks, and when the next one begins. The
 * insides of struct health, shared by health.c (which targets there are), target.c (their checks)
 * and group.c (what they have in common). Owner thread only. */
#ifndef MERIDIAN_HEALTH_TARGET_H
#define MERIDIAN_HEALTH_TARGET_H

#include "health/group.h"
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
    struct verdict verdict; /* whether it lives; where no check asks for more, whether it works */
    struct verdict ready;   /* UP or SOFT: whether it is ready */
    int64_t unready_ns;     /* when the first of the bad results in a row began; 0: none */
    int64_t turned_ms;      /* when `ready` turned to SOFT */
    uint32_t blames;        /* what it said then: bits, as check->depends */
    bool spared;            /* not ready, and not blamed for it */
    struct group *group;    /* NULL: it shares nothing */
    struct link in_group;
    bool lives; /* this round has found that out: what is left is whether it is ready */
    struct timer due;
    struct link link;               /* in health->ready while it waits to begin */
    struct probe probe;             /* the check that runs */
    struct health_plan *probe_plan; /* referenced: what that check is made of; NULL: none runs */
    int64_t began_ns, round_ns;     /* the last check; the first one of its round */
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
    struct link ready;  /* targets whose check is due, in order */
    struct link groups; /* of struct group */
    struct dependency dependencies[HEALTH_DEPENDENCY_MOST];
    size_t dependency_count;
    void (*ask)(void *user, struct span name);
    void *ask_user;
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
/* Puts what is known of it together and tells the endpoint. */
void target_settle(struct target *t, enum err why);
/* Begins checks of those to which live traffic could not connect. */
void targets_poll(struct health *h);

#endif
