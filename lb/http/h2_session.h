/* h2_session: one HTTP/2 connection (RFC 9113) as both codecs, h2_front and h2_back, need it:
 * frames by libnghttp2, streams with their content in both directions, flow control as
 * back-pressure, bounds against floods (RELIABILITY L20-L27, H9-H12), and the connection's end. It
 * knows conn and header blocks; it must not know requests, routes or backends. Owner thread only.
 *
 * Life of a stream. Its memory is the codec's: embedded in an object of the codec, which hands it
 * out in on_begin (peer's streams) or gives it to h2_stream_open (ours). The codec ends its
 * interest with exactly one h2_stream_release, in every case, also after on_reset; what has been
 * put is sent still. on_free, at the end of a turn, gives the memory back.
 *
 * Events never come from inside a function of this module but from the loop; functions may be
 * called from inside events. Nothing is sent before the turn ends, so that what several streams say
 * leaves together.
 *
 * Flow control. The peer's window opens only by bytes that were handed to on_body and still wanted
 * after it. What comes while a stream does not want is held, at most one window. A server's streams
 * serve different clients: how wide each one's window may be is for the client's allowance to say;
 * what one does not take leaves the connection's window open to the others up to LIMIT_H2_HELD;
 * beyond it, those that have not moved for LIMIT_STALLED_MS are reset. A client's connection begins
 * with LIMIT_H2_WINDOW for all; that becomes wider, and opens by what its streams hold, as far as
 * the client's allowance has room for it. Where it stays shut to content that is wanted for
 * LIMIT_H2_SHUT_MS, the youngest of those whose content never was end.
 *
 * Memory. What the library cannot have ends the connection: it is lent (base/reserve.h), so that a
 * failed allocation ends one request and not all. Where nothing is left to lend it ends all the
 * same, as ERR_NO_MEMORY: ours, not the peer's (B2).
 *
 * SETTINGS. A client opens no stream before the server has acknowledged its terms, so that none has
 * a wider window than they say. A peer that has said its own and does not acknowledge ours ends
 * after LIMIT_H2_SETTINGS_MS. */
#ifndef MERIDIAN_HTTP_H2_SESSION_H
#define MERIDIAN_HTTP_H2_SESSION_H

#include "http/allowance.h"
#include "http/h2_block.h"
#include "net/buf_store.h"
#include "net/conn.h"

#include <nghttp2/nghttp2.h>

struct h2_session;

struct h2_stream {
    /* the session's */
    struct h2_session *session;
    struct link link; /* in the session's streams */
    struct link news; /* in its list of those with something to tell */
    int32_t id;
    bool open;          /* the wire knows it */
    bool released;      /* no more events */
    bool silent;        /* no more events but on_free: reset by the codec, or on_reset was told */
    bool peer_reset;    /* the peer sent RST_STREAM */
    bool reset;         /* we did, or have called off a request that had not left */
    bool failed;        /* to be reset by us, and told */
    bool excess;        /* because its client makes us hold too much already */
    bool wanted;        /* its content has been asked for */
    bool lingers;       /* released, and waits for its end */
    bool head_final;    /* what comes next are trailers */
    struct chain held;  /* received and not wanted yet */
    size_t owed;        /* bytes not given back to the peer's windows */
    size_t owed_stream; /* bytes given back to the connection's window, not to the stream's */
    size_t head_unsent; /* client: copies of the head that wait in the library */
    size_t booked;      /* what is held, put and unsent, in the client's allowance */
    size_t promised;    /* client: what the peer may send, likewise */
    struct allowance_waiter waiter; /* client: to let it send more */
    int64_t held_ns;                /* since when what is held does not move */
    size_t epoch_bytes;             /* received since epoch_ns, for the window's size */
    int64_t epoch_ns;
    size_t window;
    size_t wants; /* how much is handed over at a time; 0: nothing */
    int64_t due;  /* bytes of content that are to come still; negative: it says so by its end */
    bool peer_done, end_told;
    struct fields trailers_in; /* what came after it */
    struct chain out;          /* to be sent */
    struct fields trailers;    /* to be sent after it; the values are borrowed until on_free */
    int64_t moved_ns; /* when a head was put, content left, or was put into an empty chain */
    int64_t put_ns;   /* when content was first put */
    uint64_t taken;   /* bytes of it that have left */
    bool finish;      /* nothing more will be put */
    bool finished;    /* and END_STREAM has left */
    bool deferred;    /* the wire waits for content */
    bool above;       /* it waits for room */
    bool room_due;
    /* for the codec to read */
    struct arena *arena;         /* the codec's, set before it hands the stream out */
    struct allowance *allowance; /* client: likewise: whom the server answers */
    uint32_t age;                /* and of that one's requests which */
    uint64_t bytes_in, bytes_out;
    int64_t begun_ns; /* first frame of the stream (loop time) */
};

struct h2_events {
    /* Server: a new stream. NULL refuses it (REFUSED_STREAM). */
    struct h2_stream *(*on_begin)(void *user);
    /* The header block that is not trailers: a request, an interim or a final response. end: no
     * content follows; on_end comes to servers only, where they want. block.bad tells what is wrong
     * with it; the block is borrowed for the call, what it refers to is the stream's arena's. A
     * request that is malformed is reset before (RFC 9113 section 8.1.1). */
    void (*on_head)(struct h2_stream *st, struct h2_block *block, bool end);
    void (*on_body)(struct h2_stream *st, struct span bytes);
    /* trailers NULL where there were none. */
    void (*on_end)(struct h2_stream *st, const struct fields *trailers);
    /* There is room again where h2_stream_room has said that there is none. */
    void (*on_room)(struct h2_stream *st);
    /* Nothing more will come or go; also before on_head. code: the peer's (own false), ours where
     * the peer broke the protocol, NGHTTP2_CANCEL where the connection ended. */
    void (*on_reset)(struct h2_stream *st, uint32_t code, bool own);
    /* Server: what its client makes us hold has no room any more, and of all whose content nobody
     * has asked for this is one of the youngest: its request is to end (L18). */
    void (*on_excess)(struct h2_stream *st);
    void (*on_free)(struct h2_stream *st);
    /* What the peer allows has changed (SETTINGS), or it said GOAWAY. */
    void (*on_terms)(void *user);
    /* The connection has ended and every stream is free; the session is freed after this. */
    void (*on_end_of_session)(void *user, enum err why);
};

struct h2_limits {
    struct h2_block_limits head, trailers;
    uint32_t streams;         /* the peer's at a time (L20); 0 for clients */
    int64_t head_ms;          /* L4, a header block that has begun */
    enum odd_names odd_names; /* of heads of requests; in their trailers they are left out (H3) */
};

/* Takes an open connection; its events become the session's. server: we are. ERR_NO_MEMORY: the
 * connection is the caller's still. */
MUST_CHECK
enum err h2_session_new(struct conn *c, bool server, const struct h2_limits *limits,
                        const struct h2_events *events, void *user, struct h2_session **out);
/* Says in two steps (RFC 9113 section 6.8) that no further stream is taken, and ends when the last
 * one has. */
void h2_session_drain(struct h2_session *s);
/* Ends it now: streams get on_reset, then on_end_of_session when they are free. Not from inside an
 * operation of an exchange. */
void h2_session_kill(struct h2_session *s, enum err why);
/* Streams whose memory is with the session. */
uint32_t h2_session_streams(const struct h2_session *s);
/* Client: how many more streams may be opened now. */
uint32_t h2_session_room(const struct h2_session *s);
/* Client: whether the server's GOAWAY said that it requires HTTP/1.1 (RFC 9113 section 7). */
bool h2_session_wants_h1(const struct h2_session *s);
/* Server: what all its requests make us hold. */
struct allowance *h2_session_allowance(struct h2_session *s);
/* Client: whether the peer takes extended CONNECT (RFC 8441). */
bool h2_session_connects(const struct h2_session *s);
/* Whether new streams are refused or not allowed any more. */
bool h2_session_ending(const struct h2_session *s);
/* What the peer did that ended the connection or will; ERR_OK: nothing so far. */
enum err h2_session_why(const struct h2_session *s);
/* Asks the peer for a sign of life; on_terms follows when it has answered. */
void h2_session_ping(struct h2_session *s);
/* NULL after its end. */
struct conn *h2_session_conn(const struct h2_session *s);
/* Server: memory is short (RELIABILITY section 5): few streams are advertised, windows are narrow
 * again; or no longer. */
void h2_session_press(struct h2_session *s, bool on);
/* Memory that it holds now, its streams included, roughly. */
size_t h2_session_bytes(const struct h2_session *s);

/* Client: begins a stream with its head; nothing of nv is kept. ERR_FULL: no stream is to be had on
 * this connection. ERR_HELD: its window does not fit into the allowance. */
MUST_CHECK
enum err h2_stream_open(struct h2_session *s, struct h2_stream *st, const nghttp2_nv *nv, size_t n,
                        bool end);
/* Server: a response head; interim: more heads follow. */
void h2_stream_head(struct h2_stream *st, const nghttp2_nv *nv, size_t n, bool interim, bool end);
/* Copies. */
void h2_stream_put(struct h2_stream *st, struct span bytes);
/* No more content. trailers may be NULL or empty; names and values are borrowed until on_free. */
void h2_stream_finish(struct h2_stream *st, const struct fields *trailers);
/* From on_head, where the head has declared it: content of this length follows. Where it is another
 * (H10) the stream is reset with PROTOCOL_ERROR. */
static inline void h2_stream_declare(struct h2_stream *st, uint64_t length)
{
    st->due = (int64_t)length;
}
/* How much is handed over at a time; 0, as at first: nothing. */
void h2_stream_want(struct h2_stream *st, size_t most);
/* Bytes put and not handed to the connection. */
size_t h2_stream_pending(const struct h2_stream *st);
/* How much may be put at a time by now (L18); 0: nothing before on_room. */
size_t h2_stream_room(struct h2_stream *st);
/* on_room follows when some of what is pending has left and little is pending. */
void h2_stream_tell_room(struct h2_stream *st);
/* RST_STREAM; what has been put is dropped. No event follows. */
void h2_stream_reset(struct h2_stream *st, uint32_t code);
/* A stream that is neither finished nor ended is reset with CANCEL. */
void h2_stream_release(struct h2_stream *st);
/* Client: the same for one that was told all that matters. Where only its END_STREAM is missing the
 * peer has LIMIT_LINGER_MS for it before the reset, which peers may count as an attack. */
void h2_stream_leave(struct h2_stream *st);

#endif
