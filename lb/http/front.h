/* front: one request as its receiving side sees it, whatever version speaks: the first of the two
 * tables between codecs and the exchange (docs/architecture.md). A codec (h1_front, h2_front)
 * or an internal caller embeds struct front and fills ops; the exchange fills events and user.
 * Knows no backend, no route. Owner thread only.
 *
 * Life. The codec calls front_owner.on_request once per request. From then on the exchange may call
 * ops and gets events. The exchange ends with exactly one release, in every case, also after
 * on_gone; only then may the codec reuse or free the front, its arena and the request in it. No
 * event comes after release, and none from inside an ops call.
 *
 * Request content: nothing is delivered until want_body(true); then on_body as it comes, then
 * on_end once (also, and at once, for requests without content; for those that ask for an upgrade
 * not before the tunnel's end). want_body(false) stops it; one
 * more piece that was already read may still come, at most KIB(64). Response: any number of
 * reply_interim, one reply_head, reply_body as it comes, one reply_end; or abort at any point.
 * pending tells what the client has not taken; on_room as in net/conn.h. */
#ifndef MERIDIAN_HTTP_FRONT_H
#define MERIDIAN_HTTP_FRONT_H

#include "base/limits.h"
#include "http/allowance.h"
#include "http/msg.h"
#include "net/conn.h"

struct front;

struct front_ops {
    /* 1xx without content (100, 103). Ignored where the client's version has none. */
    void (*reply_interim)(struct front *f, const struct reply *r);
    /* end: no content follows (reply_end must not be called then). After a head with r->upgraded
     * the bodies of both sides are the tunnel's bytes. */
    void (*reply_head)(struct front *f, const struct reply *r, bool end);
    void (*reply_body)(struct front *f, struct span bytes);
    /* trailers may be NULL or empty. */
    void (*reply_end)(struct front *f, const struct fields *trailers);
    void (*want_body)(struct front *f, bool want);
    /* The response cannot be completed: the client must see that (RELIABILITY H19). Before any
     * response byte it is a closed connection or reset stream. */
    void (*abort)(struct front *f, enum err why);
    size_t (*pending)(const struct front *f);
    /* The most that reply_body may be given at a time by now, so that what waits for the client
     * stays bounded over all requests of its connection (L18); 0: nothing more before on_room. */
    size_t (*room)(struct front *f);
    /* keep: whether the connection may serve further requests (false: close after this response).
     * Must be called before reply_head to have effect. */
    void (*keep)(struct front *f, bool keep);
    /* For addresses and TLS facts only. NULL for an internal front, and once the connection has
     * ended, which can be before the exchange does. */
    struct conn *(*conn)(const struct front *f);
    void (*release)(struct front *f);
};

struct front_events {
    void (*on_body)(void *user, struct span bytes);
    /* trailers NULL where there were none. */
    void (*on_end)(void *user, const struct fields *trailers);
    void (*on_room)(void *user);
    /* The client went away, or broke the framing of its content (ERR_BAD_CHUNK,
     * ERR_BODY_TOO_LARGE…: then a response can still be sent if none has begun; `answerable` says
     * so), or makes too much be held (ERR_HELD, L18). */
    void (*on_gone)(void *user, enum err why, bool answerable);
};

struct front {
    const struct front_ops *ops;
    const struct front_events *events; /* the exchange's */
    void *user;                        /* the exchange */
    struct arena *arena;          /* lives until release; request memory, and the exchange's own */
    struct allowance *allowance;  /* of its connection; NULL: it carries one request at a time */
    uint32_t age;                 /* of the requests of it; lower is older */
    uint64_t bytes_in, bytes_out; /* as on the wire, of this request, for the log */
    int64_t begun_ns;             /* first byte of the head (loop time) */
};

/* How one connection is read; set once per listener and snapshot; borrowed until it ends. */
struct front_limits {
    size_t request_line, head, fields, field; /* L12, L13 */
    uint32_t requests;                        /* L11 */
    uint32_t streams;                         /* L20, HTTP/2 only */
    int64_t head_ms, idle_ms, age_ms;         /* L4, L5, L11 */
    int64_t send_ms;                          /* L7 where no exchange looks; HTTP/1 only */
    enum odd_names odd_names;                 /* H3 */
};

/* L11: how old this connection may get: the configured age, plus or minus a tenth, so that clients
 * that came together do not come again together. */
int64_t front_age_ns(const struct front_limits *l, const struct conn *c);

/* How large a request's arena may get (A3): its head as it came, cookies joined, chains of
 * intermediaries continued; and for each attempt lists of fields and a response head. No head that
 * the limits allow fails for want of room. */
static inline size_t front_arena_most(size_t head, size_t fields)
{
    return KIB(512) + 4 * head + KIB(1) * fields;
}

#define FRONT_NOT_IDLE INT64_MAX

/* A connection's codec as the owner of the connection sees it. */
struct front_codec;
struct front_codec_ops {
    /* One request more at most, which may be on its way already: its answer says that it is the
     * last. Idle connections stay for it until drain. */
    void (*last)(struct front_codec *c);
    /* No further request: connections without one close at once, also inside a head, others after
     * their responses; but where one had begun that could not say so any more, a request that
     * follows at once is answered. */
    void (*drain)(struct front_codec *c);
    /* Ends it now, whatever runs (the exchanges get on_gone first). on_closed follows. */
    void (*kill)(struct front_codec *c, enum err why);
    /* Since when (loop time) no request is there, nor the beginning of one; FRONT_NOT_IDLE: one is,
     * or the connection ends already. */
    int64_t (*idle_ns)(const struct front_codec *c);
    /* Memory is short, or is not any more (RELIABILITY section 5): HTTP/1 ends after its next
     * answer, HTTP/2 advertises few streams and narrow windows. */
    void (*press)(struct front_codec *c, bool on);
    /* Memory that the connection holds now, its requests included, roughly. */
    size_t (*bytes)(const struct front_codec *c);
};
struct front_codec {
    const struct front_codec_ops *ops;
};

struct front_owner {
    /* bad: ERR_OK, or why the head was refused; then r holds what could be read (method_name, path
     * and authority may be empty) and the exchange only answers. */
    void (*on_request)(void *owner, struct front *f, struct request *r, enum err bad);
    /* The connection ended (idle close, client left between requests, TLS failure); the codec is
     * freed after this. why names it. */
    void (*on_closed)(void *owner, enum err why);
};

#endif
