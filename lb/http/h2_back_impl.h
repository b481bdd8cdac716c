/* h2_back_impl: what h2_back.c (the connection, responses) and h2_back_send.c (requests) share.
 * Private to the two. */
#ifndef MERIDIAN_HTTP_H2_BACK_IMPL_H
#define MERIDIAN_HTTP_H2_BACK_IMPL_H

#include "http/h2_back.h"
#include "http/h2_message.h"
#include "http/h2_session.h"

struct h2_back {
    struct back_link link;
    /* set once */
    const struct back_limits *limits;
    struct h2_limits session_limits;
    struct loop *loop;
    struct small_store *small; /* the memory of calls */
    /* the connection */
    struct h2_session *session; /* NULL after its end */
    struct task later;          /* tells the owner */
    uint32_t busy;              /* taken, and their memory not back yet */
    uint32_t reserved;          /* taken, and their heads not sent yet */
    bool known;                 /* the server's SETTINGS have come */
    bool wants_h1, told_h1;     /* its GOAWAY said so; the owner knows */
    bool served;                /* a stream has been taken before */
    unsigned asked;             /* requests, for h2_nv_teach */
    bool closed;                /* by the owner, who hears no more */
    enum err why;               /* it ended */
};

/* One request and its response. */
struct h2_call {
    struct h2_stream wire;
    struct back stream;
    struct h2_back *back;
    struct task later;
    /* the request */
    struct asked asked;
    uint64_t left; /* content still to come from the exchange */
    bool counted;  /* its length is known */
    bool reserved, opened, released;
    /* its response */
    struct reply reply;
    unsigned interims;
    size_t wants;
    bool done;   /* its end was told */
    bool failed; /* on_fail was called, or will be by `later` */
    enum err why;
    enum seen seen;
};

extern const struct back_ops h2_back_ops;

/* The memory; the owner hears of the slot. */
void h2_call_free(struct h2_call *q);

#endif
