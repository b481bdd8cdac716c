/* plan: the insides of struct health_plan (health.h): checks and targets with the memory that their
 * text lives in. Built on one thread, then given to the health thread, where a check that still
 * runs holds the plan that it began under. */
#ifndef MERIDIAN_HEALTH_PLAN_H
#define MERIDIAN_HEALTH_PLAN_H

#include "base/arena.h"
#include "health/health.h"

struct plan_check {
    struct link link;
    size_t index;
    struct health_check what; /* text is in the plan's arena; tls is owned */
};

struct plan_target {
    struct endpoint *endpoint; /* referenced */
    struct addr addr;
    struct span server_name;          /* in the plan's arena */
    const struct health_check *check; /* in the same plan */
    struct site_state *site;          /* referenced; NULL: nobody wants to know */
    uint32_t members; /* of the site, whose samples the checks are; 0: they are not */
};

struct health_plan {
    struct arena arena;
    struct link checks; /* of struct plan_check, the newest first */
    size_t check_count;
    struct plan_target *targets;
    size_t target_count, target_cap;
    unsigned refs; /* owner thread */
};

struct health_plan *plan_ref(struct health_plan *plan);
void plan_unref(struct health_plan **plan);
/* By the endpoint's address in memory, so that two plans can be walked side by side. */
void plan_sort(struct health_plan *plan);

#endif
