/* forward: what changes in a message on its way through (RFC 9110 section 7.6): forwarding fields,
 * Via, the request's identifier, the Host towards servers. Pure: takes heads and facts, returns
 * heads in the exchange's arena; nothing of the framing passes here (the codecs own it). It must
 * not know connections or endpoints. */
#ifndef MERIDIAN_PROXY_FORWARD_H
#define MERIDIAN_PROXY_FORWARD_H

#include "http/msg.h"
#include "net/addr.h"

/* Where a request comes from, as admission found it. */
struct forward_facts {
    struct span peer;  /* text of the peer's address, without port */
    bool peer_trusted; /* its forwarding fields are kept and continued (H16) */
    bool peer_v6;
    bool forwarded_kept;   /* the trusted header is Forwarded: kept; else X-Forwarded-For is */
    struct span authority; /* what the server shall see; p NULL: as the client sent it */
    struct span id;        /* the request's identifier */
    struct span trace;     /* a traceparent of our own; p NULL: the client's stays */
    bool trace_begun;      /* the trace too: the client's tracestate belongs to another */
};

/* The head for the server: `in` stays as it is, *out is new and shares its spans. */
MUST_CHECK
enum err forward_request(const struct request *in, const struct forward_facts *facts,
                         struct arena *arena, struct request *out);
/* Changes the server's head for the client, in place. */
MUST_CHECK
enum err forward_reply(struct reply *reply, struct arena *arena);

/* The client's own X-Request-Id where it is safe to keep (1..128 of letters, digits and -_.=+/:),
 * else 32 hexadecimal digits from the two numbers. p NULL without memory. */
struct span forward_id(const struct request *in, uint64_t high, uint64_t low, struct arena *arena);

/* The client by the chain of trusted hops (BALANCING.md section 3.1): walks the one configured
 * field from the right, skipping trusted addresses; the first that is not trusted is the client. A
 * malformed element ends the walk at the last good address. At most LIMIT_FORWARDED elements. */
struct forward_trust {
    const struct cidr *from;
    size_t count;
    enum field_id field; /* FIELD_X_FORWARDED_FOR, FIELD_FORWARDED, or FIELD_OTHER: none is read */
};
void forward_client(const struct request *in, const struct forward_trust *trust,
                    const struct addr *peer, struct addr *client);

#endif
