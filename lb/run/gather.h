/* gather: asks every worker what its connections look like and answers who wants to know when all
 * have said so. The workers are asked by mail and answer by mail, so that nobody waits; what one
 * worker can say is bounded. It knows no command. Main thread, except gather_fill. */
#ifndef MERIDIAN_RUN_GATHER_H
#define MERIDIAN_RUN_GATHER_H

#include "admin/admin.h"
#include "proxy/sight.h"
#include "run/worker.h"

#define GATHER_ROWS 512 /* of one worker */
#define GATHER_JOBS 16  /* who ask meanwhile are answered together */

/* What one worker says. Owned by the main thread, filled by the worker between two mails. */
struct look {
    unsigned worker;
    size_t count;
    uint64_t total;
    struct sight rows[GATHER_ROWS];
};

struct gather {
    struct admin_job *jobs[GATHER_JOBS];
    unsigned job_count, waiting;
    struct look *looks[LIMIT_WORKERS]; /* asked, or answered */
    bool pending[LIMIT_WORKERS], gone[LIMIT_WORKERS];
};

/* Answers the job, at once or later. */
void gather_begin(struct gather *g, struct worker **workers, unsigned count, struct admin_job *job);
/* A worker has answered, or ended: it answers no more. */
void gather_answered(struct gather *g, struct look *l);
void gather_worker_gone(struct gather *g, unsigned worker);
/* When no worker runs any more. Jobs belong to the admin layer. */
void gather_fini(struct gather *g);
/* The worker's part, on its thread. */
void gather_fill(struct look *l, const struct proxy *p);

#endif
