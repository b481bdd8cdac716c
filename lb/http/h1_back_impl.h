/* h1_back_impl: what h1_back.c (the connection, responses) and h1_back_send.c (requests) share.
 * Private to the two. */
#ifndef MERIDIAN_HTTP_H1_BACK_IMPL_H
#define MERIDIAN_HTTP_H1_BACK_IMPL_H

#include "http/h1_back.h"
#include "http/h1_body.h"
#include "http/websocket.h"

enum h1_back_state {
    BACK_IDLE,  /* no exchange; while `later` waits the owner does not know it yet */
    BACK_BUSY,  /* an exchange has the stream, until release */
    BACK_ENDED, /* closed; the owner learns it at the end of the turn */
};

struct h1_back {
    struct back_link link;
    struct back stream;

    /* set once */
    const struct back_limits *limits;

    /* the connection */
    struct conn *conn;
    struct task later;
    struct allowance_waiter waiter; /* for room to read what has come */
    enum h1_back_state state;
    enum err why;       /* BACK_ENDED: for the owner; BACK_BUSY: what `later` tells the exchange */
    uint64_t exchanges; /* so far, the present one included */

    /* the request */
    struct asked asked;
    uint64_t sent_before; /* conn_sent when the exchange began */
    enum h1_coding coding;
    uint64_t left; /* H1_LENGTH: still to come from the exchange */
    bool head_sent, request_done;
    bool keyed; /* `key` opened the WebSocket, as the client's version has none */
    char key[WEBSOCKET_KEY];

    /* its response */
    struct h1_scan scan;
    struct h1_body body;
    struct reply reply;
    struct fields trailers;
    unsigned interims;
    int64_t keep_ms;
    size_t most;     /* read at a time */
    bool wants;      /* want_body */
    bool waits;      /* for room */
    bool replied;    /* the final head was told */
    bool done;       /* its end was told */
    bool tunnel;     /* it was 101 */
    bool keep_alive; /* by the server's word */
    bool early;      /* it came before the request was sent */
    bool dirty;      /* something came after its end, or the connection ended */
    bool failed;     /* on_fail was called */
};

extern const struct back_ops h1_back_ops;

/* Tells the exchange, once, unless the response is complete. */
void h1_back_fail(struct h1_back *h, enum err why);
/* Reads where the exchange wants it, and there is room. */
void h1_back_watch(struct h1_back *h);
/* The stream's end: idle again, or the end of the connection. */
void h1_back_finish(struct h1_back *h);

#endif
