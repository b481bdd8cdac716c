/* h1_front_impl: what h1_front.c (the connection, requests), h1_front_between.c (the time between
 * them) and h1_front_reply.c (responses) share. Private to the three. */
#ifndef MERIDIAN_HTTP_H1_FRONT_IMPL_H
#define MERIDIAN_HTTP_H1_FRONT_IMPL_H

#include "http/h1_body.h"
#include "http/h1_front.h"

enum h1_front_state {
    FRONT_HEAD,  /* no exchange: waiting for a head, or inside one */
    FRONT_BUSY,  /* an exchange has the stream, until release */
    FRONT_ENDED, /* closed; the owner learns it at the end of the turn */
};

/* An idle connection holds no more than this (L19); what the next byte and the next request touch
 * comes first. */
struct h1_front {
    struct front_codec codec;
    /* set once */
    const struct front_limits *limits;
    const struct front_owner *owner;
    void *owner_user;
    /* the connection */
    struct conn *conn;
    struct h1_request *request; /* from the first byte of its head to its release; NULL: none */
    enum h1_front_state state;
    uint32_t served;
    bool tls;         /* set once */
    bool closing;     /* no request after this one */
    bool leaving;     /* by the client's own word */
    bool last;        /* nor after the next that is answered: its answer says so */
    bool pressed;     /* the same, for a while */
    bool untold;      /* FRONT_HEAD: the last answer did not say so, as it had begun before */
    bool broken;      /* nothing more can be said on it */
    bool eof;         /* the client has finished sending */
    bool full;        /* FRONT_HEAD: too much of the answers is pending to begin another request */
    enum err why;     /* FRONT_ENDED: for the owner */
    int64_t idle_ns;  /* FRONT_HEAD: since when */
    int64_t moved_ns; /* FRONT_HEAD: when it was last seen that the client took something (L7) */
    uint64_t taken;   /* how much it had taken by then */
    int64_t old_ns;   /* set once; L11: no further request from then on */
    struct arena_cache *arenas; /* set once; for requests */
    struct task later;
};

/* One request, in memory that is lent. */
struct h1_request {
    struct front stream;
    struct h1_front *front;
    struct arena arena;
    struct h1_scan scan; /* of its head */
    /* from FRONT_BUSY on */
    bool wants;    /* want_body */
    bool end_told; /* on_end was called */
    bool gone;     /* on_gone was called, or there is no request to hear of */
    struct request message;
    struct h1_body body;
    /* its response */
    bool begun, done;
    bool tunnel;
    enum h1_coding coding;
    uint64_t left; /* H1_LENGTH: still to come from the exchange */
};

extern const struct front_ops h1_front_ops;

static inline int64_t h1_front_now_ns(const struct h1_front *h)
{
    return loop_now_ns(conn_loop(h->conn));
}

/* h1_front.c */
/* L11: too old for a further request. */
bool h1_front_is_old(const struct h1_front *h);
/* Bytes that were left with the connection are handed over again at the end of the turn. */
void h1_front_redeliver(struct h1_front *h);
/* The stream's end: next request, or the end of the connection. */
void h1_front_finish(struct h1_front *h);
/* For FRONT_HEAD, and at a request's release. The owner hears of it, and the memory goes, at the
 * end of the turn. */
void h1_front_end(struct h1_front *h, enum err why, enum conn_end how);

/* h1_front_between.c; for FRONT_HEAD */
/* Waits for the next head. Where it will be the last one and the client could not be told, it is
 * waited for all the same. */
void h1_front_wait(struct h1_front *h);
/* Too much is pending: the request that is here waits. */
void h1_front_hold_back(struct h1_front *h);
/* What was aimed at has come. */
void h1_front_time_between(struct h1_front *h);
/* A head that is not complete is no request; where one may be on its way it has its time. */
bool h1_front_half_a_head(const struct h1_front *h);

#endif
