/* h1_front_impl: what h1_front.c (the connection, requests) and h1_front_reply.c (responses) share.
 * Private to the two. */
#ifndef MERIDIAN_HTTP_H1_FRONT_IMPL_H
#define MERIDIAN_HTTP_H1_FRONT_IMPL_H

#include "http/h1_body.h"
#include "http/h1_front.h"

enum h1_front_state {
    FRONT_HEAD,  /* no exchange: waiting for a head, or inside one */
    FRONT_BUSY,  /* an exchange has the stream, until release */
    FRONT_ENDED, /* closed; the owner learns it at the end of the turn */
};

struct h1_front {
    struct front_codec codec;
    struct front stream;

    /* set once */
    const struct front_limits *limits;
    const struct front_owner *owner;
    void *owner_user;
    int64_t old_ns; /* L11: no further request from then on */
    bool tls;

    /* the connection */
    struct conn *conn;
    struct arena arena;
    struct timer timer; /* while FRONT_HEAD: L4 or L5; else it runs out without effect */
    struct task later;
    enum h1_front_state state;
    enum err why; /* FRONT_ENDED: for the owner */
    uint32_t served;
    int64_t idle_ns; /* FRONT_HEAD: since when */
    bool closing;    /* no request after this one */
    bool leaving;    /* by the client's own word */
    bool last;       /* nor after the next that is answered: its answer says so */
    bool pressed;    /* the same, for a while */
    bool untold;     /* FRONT_HEAD: the last answer did not say so, as it had begun before */
    bool broken;     /* nothing more can be said on it */
    bool eof;        /* the client has finished sending */

    /* the request */
    struct h1_scan scan;
    struct request request;
    struct h1_body body;
    bool wants;    /* want_body */
    bool end_told; /* on_end was called */
    bool gone;     /* on_gone was called, or there is no request to hear of */

    /* its response */
    enum h1_coding coding;
    uint64_t left; /* H1_LENGTH: still to come from the exchange */
    bool begun, done;
    bool tunnel;
};

extern const struct front_ops h1_front_ops;

/* L11: too old for a further request. */
bool h1_front_is_old(const struct h1_front *h);
/* Bytes that were left with the connection are handed over again at the end of the turn. */
void h1_front_redeliver(struct h1_front *h);
/* The stream's end: next request, or the end of the connection. */
void h1_front_finish(struct h1_front *h);

#endif
