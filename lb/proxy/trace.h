/* trace: W3C Trace Context (traceparent, level 1): what a client sends is passed on as it is where
 * it is well formed; otherwise a trace begins here, and tracestate, which belonged to the other, is
 * dropped. No spans are recorded here, so the parent is never changed and nothing is sampled by us.
 * Pure. */
#ifndef MERIDIAN_PROXY_TRACE_H
#define MERIDIAN_PROXY_TRACE_H

#include "base/hash.h"
#include "http/msg.h"

struct trace {
    struct span parent; /* value of traceparent; p NULL: not yet looked for */
    bool begun;         /* here: not the client's */
};

/* Section 3.2 of the recommendation: a later version may be longer, the first is not. */
bool trace_valid(struct span parent);
/* The 32 digits of the trace; empty where there is none. */
struct span trace_id(const struct trace *t);
/* The request's own, or a new one in the arena. More than one field is none. */
MUST_CHECK
enum err trace_take(const struct request *in, struct rng *rng, struct arena *arena,
                    struct trace *out);

#endif
