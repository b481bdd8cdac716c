/* back: one request as its answering side sees it, whatever version speaks: the second of the two
 * tables. Codecs (h1_back, h2_back), local answers, and later a cache hit and the deferred
 * queue embed struct back and fill ops; the exchange fills events and user. Knows no client, no
 * route, no endpoint. Owner thread only.
 *
 * Life. Whoever hands a back out (connpool, local) gives it to one exchange, which ends with
 * exactly one release in every case, also after on_fail. Released before on_end it is cancelled: an
 * HTTP/1 connection is closed, an HTTP/2 stream reset. No event comes after release, and none from
 * inside an ops call.
 *
 * Request: one send_head (end: no content follows), send_body, send_end. Response: on_interim, then
 * one on_reply (end: no content; no further event comes), on_body, on_end. Response content flows
 * in pieces of the size that want_body names, at first of LIMIT_READ_LEAST; after 0 one more may
 * come.
 */
#ifndef MERIDIAN_HTTP_BACK_H
#define MERIDIAN_HTTP_BACK_H

#include "http/allowance.h"
#include "http/msg.h"
#include "net/conn.h"

struct back;

/* Whether the other side could have acted on the request (docs/architecture.md, law 1). */
enum seen {
    SEEN_NO,    /* no byte of it was written, or the peer said that it was not processed */
    SEEN_MAYBE, /* anything else */
};

struct back_ops {
    /* r and its spans are borrowed for the call. */
    void (*send_head)(struct back *b, const struct request *r, bool end);
    void (*send_body)(struct back *b, struct span bytes);
    void (*send_end)(struct back *b, const struct fields *trailers);
    /* How much content is read from the server at a time; 0: none. */
    void (*want_body)(struct back *b, size_t most);
    size_t (*pending)(const struct back *b);
    /* on_room follows when some of what is pending has left and little is; without this call only
     * after much was. NULL where nothing is ever pending. */
    void (*tell_room)(struct back *b);
    void (*release)(struct back *b);
};

struct back_events {
    void (*on_interim)(void *user, struct reply *r);
    /* r is in the arena given to the back; it lives until release. */
    void (*on_reply)(void *user, struct reply *r, bool end);
    void (*on_body)(void *user, struct span bytes);
    void (*on_end)(void *user, const struct fields *trailers);
    void (*on_room)(void *user);
    void (*on_fail)(void *user, enum err why, enum seen seen);
};

struct back {
    const struct back_ops *ops;
    const struct back_events *events; /* the exchange's */
    void *user;                       /* the exchange */
    struct arena *arena;              /* set by the exchange before send_head: reply memory */
    struct allowance *allowance;      /* likewise: its front's */
    uint32_t age;                     /* and that one's too */
    uint64_t bytes_in, bytes_out;     /* as on the wire, of this request */
    int64_t first_byte_ns;            /* loop time of the response's first byte; 0: none yet */
    int64_t sent_ns;                  /* loop time of the last request byte handed over */
    bool unheard; /* failed: the server's system did not take the request to its end */
    bool reused;  /* the connection had served before; no more once the stream alone has ended */
};

#endif
