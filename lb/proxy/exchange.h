/* exchange: one request and its one outcome (RELIABILITY P3): admitted, routed, picked, sent,
 * relayed, accounted. It joins a front and a back through their two tables and knows no protocol
 * version, no socket and no kind of back. One mover changes its state, one function ends it. Owner
 * thread only. */
#ifndef MERIDIAN_PROXY_EXCHANGE_H
#define MERIDIAN_PROXY_EXCHANGE_H

#include "http/front.h"
#include "proxy/proxy.h"

/* X(constant, "name"): HEAD, then ADMIT … RELAY, DONE; FAILING once Meridian itself answers. */
#define EXCHANGE_STATES(X)                                                                         \
    X(HEAD, "head")                                                                                \
    X(ADMIT, "admit")                                                                              \
    X(WAIT, "wait")                                                                                \
    X(CONNECT, "connect")                                                                          \
    X(SENDING, "sending")                                                                          \
    X(REPLY_HEAD, "reply-head")                                                                    \
    X(RELAY, "relay")                                                                              \
    X(TUNNEL, "tunnel")                                                                            \
    X(FAILING, "failing")                                                                          \
    X(DONE, "done")

enum exchange_state {
#define EXCHANGE_ENUM_(id, name) EXCHANGE_##id,
    EXCHANGE_STATES(EXCHANGE_ENUM_)
#undef EXCHANGE_ENUM_
        EXCHANGE_STATE_COUNT
};
const char *exchange_state_name(enum exchange_state s);

struct exchange;
struct client;
struct origin;

/* Takes the front. bad: why its head was refused, or ERR_OK. client may be NULL (an internal
 * front): the request then counts as coming from this process, trusted, at no place. */
void exchange_begin(struct proxy *p, struct client *client, struct front *front,
                    struct request *request, enum err bad);
/* What an internal request is about where it does not come by its own head: it takes this route of
 * this edition, for this client. All is borrowed until it has ended but the edition, which is held.
 */
struct errand {
    struct edition *edition;
    const struct policy_route *route;
    struct origin *origin; /* whose place and distances count; NULL: nobody's */
    struct span id;        /* request identifier */
};
void exchange_begin_errand(struct proxy *p, struct front *front, struct request *request,
                           const struct errand *errand);
/* Ends it as why: an answer where one is still possible, else a visible abort. */
void exchange_kill(struct exchange *x, enum err why);
/* Whether it may last for as long as a tunnel: it is one, or its answer streams (L10, L41). */
bool exchange_lasts(const struct exchange *x);
/* A slot of the pool may be free: tries once more. Only in WAIT. */
void exchange_retry_pick(struct exchange *x);

#endif
