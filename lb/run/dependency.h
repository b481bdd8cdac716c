/* dependency: what runs on the health thread to learn whether the things that servers depend on
 * work: one probe each (db/probe.h), whose results go to the health layer, to figures that anybody
 * may read, and as news to the main thread. The main thread says which there are. */
#ifndef MERIDIAN_RUN_DEPENDENCY_H
#define MERIDIAN_RUN_DEPENDENCY_H

#include "base/log.h"
#include "db/probe.h"
#include "health/health.h"
#include "run/mailbox.h"

#define DEPENDENCY_NAME 64
#define DEPENDENCY_WHY  200

/* Written by the health thread; read by any. */
struct dependency_facts {
    _Atomic uint64_t good, bad; /* probes that ended */
    _Atomic uint32_t took_us;   /* the last one */
    _Atomic bool down;
    _Atomic int64_t since_ms; /* monotonic: the last change; 0: never probed */
};

struct dependency_wish {
    char name[DEPENDENCY_NAME + 1];
    struct db_probe_plan probe; /* its strings are owned; the call-back is not set */
    unsigned rise;
    struct dependency_facts *facts; /* outlives the health thread */
};

struct dependency_plan {
    struct dependency_wish v[HEALTH_DEPENDENCY_MOST];
    size_t count;
};
void dependency_plan_free(struct dependency_plan **plan);

/* Of one dependency, whenever it begins or ends to fail. */
struct dependency_news {
    char name[DEPENDENCY_NAME + 1], why[DEPENDENCY_WHY];
    bool down;
};

struct dependencies;

/* News go to that mailbox as mail of that kind. ERR_NO_MEMORY. */
MUST_CHECK
enum err dependencies_new(struct loop *loop, struct log *log, struct health *health,
                          struct mailbox *to, int kind, struct dependencies **out);
void dependencies_free(struct dependencies **d);
/* Takes the plan. Whatever is probed as before goes on undisturbed. */
void dependencies_follow(struct dependencies *d, struct dependency_plan **plan);

#endif
