/* local: answers that Meridian gives itself, and the back that delivers an answer from memory:
 * error answers, fixed responses, redirects, later a cache hit (docs/architecture.md, law 4). It
 * must not know why an answer is given beyond its err, and reflects nothing from the request
 * (RELIABILITY H23). */
#ifndef MERIDIAN_PROXY_LOCAL_H
#define MERIDIAN_PROXY_LOCAL_H

#include "http/back.h"

struct local_answer {
    uint16_t status;
    struct span type; /* Content-Type; empty: no content */
    struct span body;
    struct span location;   /* redirects */
    struct span allow;      /* 405 */
    unsigned retry_after_s; /* 0: none */
    bool no_store;
    bool page;                             /* local_error: the client would rather read a page */
    struct span grpc_status, grpc_message; /* a call that failed; empty: none */
};

struct local {
    struct back back; /* first */
    struct loop *loop;
    struct task deliver;
    struct reply reply;
    struct span body;
    size_t want; /* content at a time */
    bool head_sent, done;
};

/* Error answer by Accept: application/problem+json (RFC 9457) or a short page; id is the request's
 * identifier. A gRPC call is answered as gRPC wants it, with trailers only. ERR_NO_MEMORY. */
MUST_CHECK
enum err local_error(enum err why, const struct request *in, struct span id, struct arena *arena,
                     struct local_answer *out);

/* A back in the arena that answers so to whatever is sent to it. head: the request was HEAD, so no
 * content follows. It delivers from a task at the end of the turn. */
MUST_CHECK
enum err local_new(struct loop *loop, const struct local_answer *answer, bool head,
                   struct arena *arena, struct back **out);

#endif
