#include "http/h2_back_impl.h"

#include "base/limits.h"
#include "base/mem.h"

/* The connection, its slots, and what the server says. */

static struct h2_call *call_of(struct h2_stream *st)
{
    return container_of(st, struct h2_call, wire);
}

static void tell_end(struct h2_call *q, const struct fields *trailers)
{
    q->done = true;
    q->stream.events->on_end(q->stream.user, trailers);
}

/* From events only. */
static void fail(struct h2_call *q, enum err why, enum seen seen)
{
    if (q->failed || q->done) {
        return;
    }
    q->failed = true;
    q->stream.events->on_fail(q->stream.user, why, seen);
}

static void refuse_reply(struct h2_call *q, enum err why)
{
    bool ours = why == ERR_NO_MEMORY; /* does not count as the server's breach (L24) */
    h2_stream_reset(&q->wire, ours ? NGHTTP2_CANCEL : NGHTTP2_PROTOCOL_ERROR);
    fail(q, why, SEEN_MAYBE);
}

static void interim(struct h2_call *q)
{
    unsigned status = q->reply.status;
    if (++q->interims > q->back->limits->interim) {
        refuse_reply(q, ERR_BACKEND_HEAD_TOO_LARGE);
    } else if (status == 100 || status == 103) { /* H18: no others are passed on */
        q->stream.events->on_interim(q->stream.user, &q->reply);
    }
}

/* A response without content is whole with its head: what comes of its stream after that takes
 * nothing from it and holds up nobody (RFC 9113 section 8.1). A tunnel's end is told apart from its
 * beginning. */
static void final(struct h2_call *q, bool end)
{
    bool tunnel = q->reply.upgraded;
    q->done = q->reply.content == CONTENT_NONE && !tunnel;
    if (q->done || q->reply.content == CONTENT_LENGTH) {
        h2_stream_declare(&q->wire, q->done ? 0 : q->reply.length);
    }
    q->stream.events->on_reply(q->stream.user, &q->reply, q->done);
    if (end && tunnel && !q->released && !q->failed) {
        tell_end(q, NULL);
    }
}

static void on_head(struct h2_stream *st, struct h2_block *block, bool end)
{
    struct h2_call *q = call_of(st);
    q->stream.bytes_in = st->bytes_in;
    if (q->stream.first_byte_ns == 0) {
        q->stream.first_byte_ns = loop_now_ns(q->back->loop);
    }
    enum err e = h2_reply_read(block, q->asked, end, &q->reply);
    if (e != ERR_OK) {
        refuse_reply(q, e);
    } else if (q->reply.status < 200) {
        interim(q);
    } else {
        final(q, end);
    }
}

static void on_body(struct h2_stream *st, struct span bytes)
{
    struct h2_call *q = call_of(st);
    q->stream.bytes_in = st->bytes_in;
    q->stream.events->on_body(q->stream.user, bytes);
}

static void on_end(struct h2_stream *st, const struct fields *trailers)
{
    struct h2_call *q = call_of(st);
    q->stream.bytes_in = st->bytes_in;
    if (!q->done) {
        tell_end(q, trailers);
    }
}

static void on_room(struct h2_stream *st)
{
    struct h2_call *q = call_of(st);
    q->stream.events->on_room(q->stream.user);
}

static bool broken(enum err why)
{
    return why == ERR_H2_PROTOCOL || why == ERR_H2_FLOOD;
}

static enum err reason_of(const struct h2_stream *st, uint32_t code, bool own)
{
    if (st->excess) {
        return ERR_HELD;
    }
    enum err ended = h2_session_why(st->session);
    if (code == NGHTTP2_CANCEL && broken(ended)) {
        return ERR_BACKEND_PROTOCOL;
    }
    /* Ours, not the server's (B2): the connection broke, or the library could not send the head. */
    bool unsent = own && code == NGHTTP2_REFUSED_STREAM && !h2_session_ending(st->session);
    if (unsent || (code == NGHTTP2_CANCEL && ended == ERR_NO_MEMORY)) {
        return ERR_NO_MEMORY;
    }
    if (own && code == NGHTTP2_ENHANCE_YOUR_CALM) {
        return ERR_SEND_TIMEOUT; /* the client's fault: it held up others */
    }
    bool left_out = code == NGHTTP2_REFUSED_STREAM || code == NGHTTP2_CANCEL;
    if ((!own && code == NGHTTP2_HTTP_1_1_REQUIRED) ||
        (left_out && h2_session_wants_h1(st->session))) {
        return ERR_BACKEND_WANTS_H1;
    }
    if (!own || code == NGHTTP2_CANCEL || code == NGHTTP2_REFUSED_STREAM) {
        return ERR_BACKEND_RESET;
    }
    return code == NGHTTP2_INTERNAL_ERROR ? ERR_NO_MEMORY : ERR_BACKEND_PROTOCOL;
}

/* The owner may close the link. */
static void tell_wants_h1(struct h2_back *h)
{
    h->told_h1 = true;
    if (!h->closed) {
        h->link.owner->on_wants_h1(h->link.owner_user);
    }
}

/* RFC 9113 section 8.7: what was refused, or lies above GOAWAY's last stream, was not processed. */
static void on_reset(struct h2_stream *st, uint32_t code, bool own)
{
    struct h2_back *h = call_of(st)->back;
    enum seen seen = code == NGHTTP2_REFUSED_STREAM ? SEEN_NO : SEEN_MAYBE;
    enum err why = reason_of(st, code, own);
    if (!h2_session_ending(st->session)) {
        call_of(st)->stream.reused = false; /* the stream ended, and not the connection under it */
    }
    if (why == ERR_BACKEND_WANTS_H1) {
        tell_wants_h1(h);
    }
    fail(call_of(st), why, seen);
}

void h2_call_free(struct h2_call *q)
{
    struct h2_back *h = q->back;
    task_cancel(&q->later);
    h->busy--;
    small_give(h->small, q);
    task_post(h->loop, &h->later);
}

static void on_free(struct h2_stream *st)
{
    h2_call_free(call_of(st));
}

static void on_terms(void *user)
{
    struct h2_back *h = user;
    h->known = true;
    h->wants_h1 = h->session != NULL && h2_session_wants_h1(h->session);
    task_post(h->loop, &h->later);
}

/* Why the connection ended, in the server's names: a GOAWAY that leaves everybody served is none,
 * one before the first stream turns away. */
static enum err as_backend(const struct h2_back *h, enum err why)
{
    if (broken(why) || (why == ERR_OK && !h->known)) {
        return ERR_BACKEND_PROTOCOL;
    }
    if (h->wants_h1 && !h->served) {
        return ERR_BACKEND_WANTS_H1;
    }
    return why == ERR_OK && !h->served ? ERR_BACKEND_RESET : why;
}

static void on_end_of_session(void *user, enum err why)
{
    struct h2_back *h = user;
    h->why = as_backend(h, why);
    h->session = NULL;
    task_post(h->loop, &h->later);
}

static const struct h2_events session_events = {
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_room = on_room,
    .on_reset = on_reset,
    .on_free = on_free,
    .on_terms = on_terms,
    .on_end_of_session = on_end_of_session,
};

static void back_free(struct h2_back *h)
{
    task_cancel(&h->later);
    mem_free(h);
}

static void on_later(struct task *t)
{
    struct h2_back *h = container_of(t, struct h2_back, later);
    if (h->wants_h1 && !h->told_h1) {
        tell_wants_h1(h);
    }
    if (h->session != NULL) {
        if (!h->closed) {
            h->link.owner->on_slots(h->link.owner_user, 0); /* which may close it */
        }
        return;
    }
    if (h->busy > 0) {
        return; /* until the last has let go */
    }
    if (!h->closed) {
        h->link.owner->on_closed(h->link.owner_user, h->why);
    }
    back_free(h);
}

static struct h2_back *of(struct back_link *l)
{
    return container_of(l, struct h2_back, link);
}

static uint32_t slots(const struct back_link *l)
{
    const struct h2_back *h = container_of(l, const struct h2_back, link);
    if (h->session == NULL || !h->known) {
        return 0;
    }
    uint32_t room = h2_session_room(h->session);
    return room > h->reserved ? room - h->reserved : 0;
}

static uint32_t busy(const struct back_link *l)
{
    return container_of(l, const struct h2_back, link)->busy;
}

static void on_call_later(struct task *t)
{
    struct h2_call *q = container_of(t, struct h2_call, later);
    if (q->released) {
        h2_call_free(q);
    } else {
        q->stream.events->on_fail(q->stream.user, q->why, q->seen);
    }
}

static struct back *take(struct back_link *l)
{
    struct h2_back *h = of(l);
    struct h2_call *q = slots(l) > 0 ? small_take(h->small, sizeof(*q)) : NULL;
    if (q == NULL) {
        return NULL;
    }
    *q = (struct h2_call){.back = h,
                          .stream = {.ops = &h2_back_ops, .reused = h->served},
                          .reserved = true,
                          .wants = LIMIT_READ_LEAST};
    task_init(&q->later, on_call_later);
    h->served = true;
    h->reserved++;
    h->busy++;
    return &q->stream;
}

/* One that has just ended does not answer either: on_closed follows in this turn. */
static void check(struct back_link *l)
{
    if (of(l)->session != NULL) {
        h2_session_ping(of(l)->session);
    }
}

static void close_link(struct back_link *l)
{
    struct h2_back *h = of(l);
    h->closed = true;
    if (h->session != NULL) {
        h2_session_kill(h->session, ERR_OK);
    }
}

static const struct back_link_ops link_ops = {
    .take = take, .slots = slots, .busy = busy, .check = check, .close = close_link};

static struct h2_limits limits_of(const struct back_limits *l)
{
    return (struct h2_limits){
        .head = {.size = l->head, .fields = l->fields, .field = l->head},
        .trailers = {.size = LIMIT_TRAILERS,
                     .fields = LIMIT_TRAILER_FIELDS,
                     .field = LIMIT_TRAILERS},
        .head_ms = LIMIT_REQUEST_HEAD_MS,
    };
}

enum err h2_back_new(struct conn *c, const struct back_limits *limits,
                     const struct back_owner *owner, void *owner_user, struct back_link **out)
{
    struct h2_back *h = reserve_alloc(conn_reserve(c), sizeof(*h));
    if (h == NULL) {
        return ERR_NO_MEMORY;
    }
    *h = (struct h2_back){
        .link = {.ops = &link_ops, .owner = owner, .owner_user = owner_user},
        .limits = limits,
        .session_limits = limits_of(limits),
        .loop = conn_loop(c),
        .small = conn_small(c),
    };
    task_init(&h->later, on_later);
    enum err e = h2_session_new(c, false, &h->session_limits, &session_events, h, &h->session);
    if (e != ERR_OK) {
        mem_free(h);
        return e;
    }
    *out = &h->link;
    return ERR_OK;
}
