/* h2_session_impl: what h2_session.c (the connection), h2_recv.c (frames that come), h2_content.c
 * (content that comes), h2_stream.c (streams, frames that go), h2_expire.c (what has lasted too
 * long) and h2_wire.c (the library) share. Private to the six. */
#ifndef MERIDIAN_HTTP_H2_SESSION_IMPL_H
#define MERIDIAN_HTTP_H2_SESSION_IMPL_H

#include "base/limits.h"
#include "http/h2_guard.h"
#include "http/h2_past.h"
#include "http/h2_scan.h"
#include "http/h2_session.h"

struct h2_session {
    /* set once */
    const struct h2_limits *limits;
    const struct h2_events *events;
    void *user;
    bool server;
    /* the connection */
    nghttp2_session *wire;
    struct conn *conn; /* NULL after its end */
    struct loop *loop;
    struct buf_store *store;
    struct small_store *small;
    struct reserve *reserve;
    struct task later;  /* sends, tells, ends */
    struct timer timer; /* what is bounded in time */
    struct link streams;
    struct link news; /* streams that have something to tell at the end of the turn */
    uint32_t lingering;
    uint32_t begun; /* of the peer's, in this turn */
    uint32_t ahead; /* server: so many more may begin at once: as many have been answered */
    struct h2_scan scan;
    struct h2_guard guard;
    struct h2_past past; /* server */
    uint32_t live;       /* streams whose memory is here */
    size_t waiting;      /* bytes put on all streams that have not left */
    bool crowded;        /* streams wait for room (L18) */
    size_t held;         /* bytes held on all streams */
    /* server: what all of it takes */
    struct allowance allowance;
    size_t window;        /* how wide the connection's window may be */
    size_t window_booked; /* how wide it is, in the allowance */
    size_t epoch_bytes;   /* as a stream's, for its size */
    int64_t epoch_ns;
    int64_t stuck_ns;    /* since when nobody who waits can go on; 0: they can */
    uint64_t stuck_sent; /* what the peer had taken then */
    int64_t turn_ns;     /* since when it has been the same one's turn */
    const struct allowance_waiter *turn;
    unsigned brief; /* client: how many streams in a row needed no more than the least window */
    bool owes;      /* some of them take up the connection's window */
    size_t owed;    /* bytes that are not to open it yet, of all streams */
    int64_t rtt_ns; /* SETTINGS to its acknowledgement; 0: that has not come */
    int64_t born_ns;
    bool spoken;               /* the peer's SETTINGS have come */
    unsigned unsettled;        /* ours that it has not acknowledged */
    int64_t unsettled_ns;      /* since when it owes that; 0: it does not */
    struct h2_stream *latest;  /* whom h2_stream_of has found last; NULL: nobody who lives */
    int32_t newest;            /* server: no stream has a higher number */
    struct h2_stream *coming;  /* whose frame is coming; NULL: nobody's */
    struct h2_stream *heading; /* whose header block is coming; NULL: nobody's who cares */
    struct h2_block block;     /* its */
    size_t decoded;            /* bytes of the present header block, counted as L13 does */
    int64_t block_ns;          /* since when a header block is incomplete; 0: none is */
    bool block_ends;           /* with the present frame */
    bool condemned;            /* GOAWAY for cause: nothing is read any more */
    bool draining, drain_said;
    int64_t drain_ns; /* since when */
    bool goaway;      /* the peer takes no more streams */
    bool wants_h1;    /* for it requires HTTP/1.1 */
    bool full;        /* too much is held for further streams of ours */
    bool eof, ended;
    enum err why;
};

/* h2_session.c */
/* Sends, and tells what is due, at the end of the turn. */
void h2_later(struct h2_session *s);
/* GOAWAY for cause (H12): nothing is read after it. */
void h2_condemn(struct h2_session *s, uint32_t code, enum err why);
/* The second step of a drain. */
void h2_drain_go_on(struct h2_session *s);

/* The peer owes an acknowledgement of SETTINGS, if it does, from now on at the earliest. */
static inline void h2_unsettled_from_now(struct h2_session *s)
{
    if (s->unsettled > 0 && s->spoken && s->unsettled_ns == 0) {
        s->unsettled_ns = loop_now_ns(s->loop);
    }
}

/* RST_STREAM; without memory for it the connection ends: the stream would never (F16). */
static inline void h2_wire_reset(struct h2_session *s, int32_t id, uint32_t code)
{
    if (nghttp2_submit_rst_stream(s->wire, NGHTTP2_FLAG_NONE, id, code) != 0) {
        h2_condemn(s, NGHTTP2_INTERNAL_ERROR, ERR_NO_MEMORY);
    }
}

/* h2_wire.c: false without memory. */
bool h2_wire_new(struct h2_session *s);

/* h2_recv.c */
/* A frame is coming: judged before the library sees it. */
void h2_admit(struct h2_session *s, struct h2_frame f);
void h2_recv_callbacks(nghttp2_session_callbacks *to);

static inline bool h2_stream_hears(const struct h2_stream *st)
{
    return !st->released && !st->silent;
}

/* The stream with that number whom the codec knows, or NULL. Frames of one stream often come and go
 * together: the library need not search for each. */
static inline struct h2_stream *h2_stream_of(struct h2_session *s, int32_t id)
{
    if (s->latest != NULL && s->latest->id == id && s->latest->open) {
        return s->latest;
    }
    if (id <= 0 || (s->server && id > s->newest)) {
        return NULL;
    }
    struct h2_stream *st = nghttp2_session_get_stream_user_data(s->wire, id);
    s->latest = st != NULL ? st : s->latest;
    return st;
}

/* Whose memory it takes; NULL: of one that is alone. */
static inline struct allowance *h2_stream_purse(struct h2_stream *st)
{
    return st->session->server ? &st->session->allowance : st->allowance;
}

/* Brings the allowance up to date with what it holds. */
static inline void h2_stream_book(struct h2_stream *st)
{
    struct allowance *a = h2_stream_purse(st);
    size_t now = st->out.room + st->held.room + st->head_unsent;
    bool less = now < st->booked;
    budget_book(a != NULL ? &a->all : NULL, &st->booked, now);
    if (less) {
        allowance_fell(a);
    }
}

static inline void h2_stream_tell_later(struct h2_stream *st)
{
    if (list_empty(&st->news)) {
        list_append(&st->session->news, &st->news);
    }
    h2_later(st->session);
}

/* h2_content.c */
/* Content has come, or its end. */
void h2_stream_received(struct h2_stream *st, struct span bytes);
void h2_stream_received_end(struct h2_stream *st);
/* What was held, if it is wanted by now, and the end. */
void h2_stream_hand_over(struct h2_stream *st);
void h2_stream_drop_held(struct h2_stream *st);
/* Client: the server knows the stream, and our terms. */
void h2_stream_first_window(struct h2_stream *st);
/* Client: how it waits for the client's allowance. */
void h2_stream_prepare(struct h2_stream *st);
/* Client: the peer may send nothing more. */
void h2_stream_promise_nothing(struct h2_stream *st);
/* At the end of the turn: where less is held by now, others may go on. */
void h2_settle_held(struct h2_session *s);

/* h2_stream.c */
void h2_send_callbacks(nghttp2_session_callbacks *to);
void h2_stream_init(struct h2_session *s, struct h2_stream *st, int32_t id);
/* The wire has forgotten it. */
void h2_stream_closed(struct h2_stream *st, uint32_t code, bool own);
/* At the end of the turn: hands over what was held, or the memory. */
void h2_stream_settle(struct h2_stream *st);
/* It is reset, and its codec hears of it. */
void h2_stream_fail(struct h2_stream *st, uint32_t code);

/* h2_expire.c */
/* L18, L27: streams that hold up others, or that nobody asks for and that do not move. */
void h2_streams_expire(struct h2_session *s, int64_t now_ns);

#endif
