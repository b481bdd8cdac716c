/* tracer: sends spans to a collector, OTLP/HTTP in its JSON form, on a thread and a loop of its
 * own: workers hand them over through rings and never wait. One batch is under way at a time; while
 * the collector is away the rings fill, and what does not fit is dropped and counted. It knows an
 * address, not a name, and not what a span says. */
#ifndef MERIDIAN_RUN_TRACER_H
#define MERIDIAN_RUN_TRACER_H

#include "base/log.h"
#include "net/addr.h"

#include <stdatomic.h>

struct tracer;

/* Spans that a collector has taken, and those of batches that it has not. Any thread. */
struct tracer_counts {
    _Atomic uint64_t sent, lost;
};

struct tracer_spec {
    unsigned workers;
    struct log *log;
    struct tracer_counts *counts; /* borrowed */
    struct addr collector;
    struct span host, path, service; /* Host, the request's target, the resource's service.name */
};

/* Starts the thread; one reference. Main thread, like all but tracer_put. */
MUST_CHECK
enum err tracer_new(const struct tracer_spec *spec, struct tracer **out);
/* One more reference where t does what the spec says, else NULL. */
struct tracer *tracer_ref(struct tracer *t, const struct tracer_spec *spec);
/* With the last one the thread ends; spans that have not been sent are lost. */
void tracer_unref(struct tracer **t);
/* One line (span_json.h); false: dropped. Worker i's thread only. */
bool tracer_put(struct tracer *t, unsigned worker, struct span line);

#endif
