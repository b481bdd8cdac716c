/* h2_front_impl: what h2_front.c (the connection, requests) and h2_front_reply.c (responses) share.
 * Private to the two. */
#ifndef MERIDIAN_HTTP_H2_FRONT_IMPL_H
#define MERIDIAN_HTTP_H2_FRONT_IMPL_H

#include "http/h2_front.h"
#include "http/h2_message.h"
#include "http/h2_session.h"

struct h2_front {
    struct front_codec codec;
    /* set once */
    const struct front_limits *limits;
    struct h2_limits session_limits;
    const struct front_owner *owner;
    void *owner_user;
    struct arena_cache *cache;
    struct small_store *small; /* the memory of requests */
    bool tls;
    int64_t old_ns;  /* L11: no further request from then on */
    int64_t idle_ns; /* while no stream is there: since when */
    /* the connection */
    struct h2_session *session;
    struct timer timer; /* L4 for the first request, then L5 while no stream is there */
    uint32_t served;
};

/* One request. */
struct h2_request {
    struct h2_stream wire;
    struct front stream;
    struct h2_front *front;
    struct arena arena;
    struct request request;
    uint64_t left; /* content still to come from the exchange, where the length is known */
    bool counted;  /* it is */
    bool tunnel;   /* the answer has begun one */
    bool told;     /* on_request was called */
    bool gone;     /* on_gone was called, or there is no request to hear of */
    bool begun, done, mute;
};

extern const struct front_ops h2_front_ops;

#endif
