/* health_thread: the thread that runs the health layer, the look-up of host names, the session with
 * the central database and the probes of dependencies: its loop and its mailbox. It knows no probe,
 * name or statement. */
#ifndef MERIDIAN_RUN_HEALTH_THREAD_H
#define MERIDIAN_RUN_HEALTH_THREAD_H

#include "db/session.h"
#include "health/health.h"
#include "run/dependency.h"
#include "run/discovery.h"
#include "run/stall.h"

struct health_thread;

/* News of names and of dependencies go to that mailbox as mail of those kinds (discovery.h,
 * dependency.h). */
struct health_news {
    struct mailbox *to;
    int names, dependencies;
};
MUST_CHECK
enum err health_thread_new(struct log *log, const struct health_news *news,
                           struct health_thread **out);
/* Ends and joins it. */
void health_thread_free(struct health_thread **h);
/* Takes the plan in every case. Main thread. */
MUST_CHECK
enum err health_thread_plan(struct health_thread *h, struct health_plan **plan);
/* The session with the database is to be as the plan says: the one that runs, where that is about
 * the same place, or another; where.conninfo NULL: none. The plan is copied. Main thread. */
MUST_CHECK
enum err health_thread_session(struct health_thread *h, const struct session_plan *plan);
/* The same for which names are to be looked up. */
MUST_CHECK
enum err health_thread_names(struct health_thread *h, struct name_plan **plan);
/* The same for what servers depend on. */
MUST_CHECK
enum err health_thread_dependencies(struct health_thread *h, struct dependency_plan **plan);
struct name_counts *health_thread_name_counts(const struct health_thread *h);
struct health_counts *health_thread_counts(const struct health_thread *h);
/* Main thread. */
struct stall *health_thread_stall(struct health_thread *h);
/* As worker_beat_ns. */
int64_t health_thread_beat_ns(const struct health_thread *h);

#endif
