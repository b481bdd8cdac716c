/* group: the endpoints of one pool whose servers depend on something together. It holds back what
 * `ready` checks say of one server until it is clear whether all suffer from the same thing
 * (health/shared.h), and tells the pool. Knows no check. Health thread only. */
#ifndef MERIDIAN_HEALTH_GROUP_H
#define MERIDIAN_HEALTH_GROUP_H

#include "base/list.h"
#include "health/health.h"
#include "health/shared.h"

#define DEPENDENCY_NAME_MOST 64

/* What was found of one dependency, by whoever probes it. */
struct dependency {
    char name[DEPENDENCY_NAME_MOST];
    size_t name_n;
    int64_t began_ns; /* the last probe that has ended */
    bool down;
    unsigned run; /* good ones in a row while it is down */
};

struct target;

struct group {
    /* set once */
    struct health *health;
    struct pool_state *pool; /* the members' endpoints keep it alive */
    struct link link;        /* in health->groups */
    /* owner thread */
    const struct health_check *check; /* in the present plan */
    struct link members;              /* of struct target */
    struct shared shared;
    struct timer again;
};

/* Puts the target into the group of its pool, or takes it out of its group where its check depends
 * on nothing. Without memory it shares nothing. */
void group_join(struct target *t);
/* A group without members is gone. */
void group_leave(struct target *t);
/* One of the members may be not ready: it is time to ask what they depend on. */
void group_doubt(struct group *g);
/* A member is ready or alive, or is so no more; or a dependency has been asked. */
void group_judge(struct group *g);

#endif
