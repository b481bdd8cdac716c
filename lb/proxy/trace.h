/* trace: W3C Trace Context (traceparent, level 1): what a client sends is passed on as it is where
 * it is well formed; otherwise a trace begins here, and tracestate, which belonged to the other, is
 * dropped. Where a span is recorded (a sampled trace, and tracing is on) the server's parent is
 * that span. Pure. */
#ifndef MERIDIAN_PROXY_TRACE_H
#define MERIDIAN_PROXY_TRACE_H

#include "base/hash.h"
#include "http/msg.h"

struct trace {
    struct span parent; /* value of traceparent for the server; p NULL: not yet looked for */
    struct span caller; /* the client's own span; empty: the trace begins here */
    bool begun;         /* here: not the client's */
    bool sampled;       /* a span is recorded, and parent names it */
};

#define TRACE_OFF (-1)

/* Section 3.2 of the recommendation: a later version may be longer, the first is not. */
bool trace_valid(struct span parent);
/* The 32 digits of the trace; empty where there is none. */
struct span trace_id(const struct trace *t);
/* Of the span that parent names. */
struct span trace_span(const struct trace *t);
/* The request's own, or a new one in the arena. More than one field is none. percent: of the traces
 * that begin here, those that are sampled; the client's word holds for its own. TRACE_OFF: nothing
 * is recorded. */
MUST_CHECK
enum err trace_take(const struct request *in, int percent, struct rng *rng, struct arena *arena,
                    struct trace *out);

#endif
