/* totals: the counters that are neither a worker's nor a server's: where they are, by the names
 * under which one process hands them to the next. Main thread only. */
#ifndef MERIDIAN_RUN_TOTALS_H
#define MERIDIAN_RUN_TOTALS_H

#include "run/handover.h"
#include "run/log_writer.h"
#include "run/tracer.h"

#define TOTALS_MOST 80

struct balancer;

/* Of what comes and goes with the configuration, and so they outlive it, and of others. */
struct totals {
    struct tracer_counts spans;
    _Atomic uint64_t lines_lost; /* of the access log; totals_lost adds those of a writer */
    struct loop_turns turns;     /* of processes before this one */
};

/* Moves there what the writer has lost; NULL: nothing. */
void totals_lost(struct totals *t, struct log_writer *w);
/* How long turns have lasted, of the workers and of processes before this one. */
void totals_turns(const struct balancer *b, struct loop_turns *sum);
/* Returns how many; the present configuration names some of them. */
size_t totals_of(struct balancer *b, struct handover_total out[TOTALS_MOST]);

#endif
