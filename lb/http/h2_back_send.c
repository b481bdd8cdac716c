#include "http/h2_back_impl.h"
#include "http/h2_nv.h"

/* Requests: the operations of the stream. None of them calls the exchange. */

static struct h2_call *of(struct back *b)
{
    return container_of(b, struct h2_call, stream);
}

/* What cannot be said inside an operation is said at the end of the turn. */
static void fail_later(struct h2_call *q, enum err why, enum seen seen)
{
    q->failed = true;
    q->why = why;
    q->seen = seen;
    if (q->opened) {
        h2_stream_reset(&q->wire, NGHTTP2_INTERNAL_ERROR);
    }
    task_post(q->back->loop, &q->later);
}

static void note_sent(struct h2_call *q)
{
    q->stream.bytes_out = q->wire.bytes_out;
    q->stream.sent_ns = loop_now_ns(q->back->loop);
}

static void unreserve(struct h2_call *q)
{
    if (q->reserved) {
        q->reserved = false;
        q->back->reserved--;
    }
}

/* RFC 8441 section 3: a tunnel is asked for only where the server has said that it takes them. */
static enum err open_stream(struct h2_call *q, const struct request *r, bool end)
{
    enum { TEACH_EVERY = 1024 };
    struct h2_session *s = q->back->session;
    bool tunnel = r->upgrade == UPGRADE_WEBSOCKET;
    struct h2_nv nv;
    if (s == NULL) {
        return ERR_BACKEND_RESET;
    }
    if (tunnel && !h2_session_connects(s)) {
        return ERR_BACKEND_NO_TUNNEL;
    }
    struct arena_mark mark = arena_mark(q->stream.arena);
    enum err e = h2_request_write(r, q->stream.arena, &nv);
    if (e == ERR_OK && q->back->asked++ % TEACH_EVERY == 0) {
        h2_nv_teach(&nv);
    }
    if (e == ERR_OK) {
        q->wire.arena = q->stream.arena;
        q->wire.allowance = q->stream.allowance;
        q->wire.age = q->stream.age;
        e = h2_stream_open(s, &q->wire, nv.v, nv.n, end && !tunnel);
    }
    arena_rewind(q->stream.arena, mark);          /* the library has copied what it needs */
    return e == ERR_FULL ? ERR_BACKEND_RESET : e; /* its terms changed meanwhile */
}

static void send_head(struct back *b, const struct request *r, bool end)
{
    struct h2_call *q = of(b);
    unreserve(q);
    q->asked = (struct asked){.method = r->method, .upgrade = r->upgrade};
    q->counted = r->content == CONTENT_LENGTH;
    q->left = q->counted ? r->length : 0;
    enum err e = open_stream(q, r, end);
    if (e != ERR_OK) {
        fail_later(q, e, SEEN_NO);
        return;
    }
    q->opened = true;
    note_sent(q);
    h2_stream_want(&q->wire, q->wants);
    if (end && q->left > 0) {
        fail_later(q, ERR_INTERNAL, SEEN_MAYBE);
    }
}

static void send_body(struct back *b, struct span bytes)
{
    struct h2_call *q = of(b);
    if (q->failed || !q->opened || bytes.n == 0) {
        return;
    }
    if (q->counted && bytes.n > q->left) {
        fail_later(q, ERR_INTERNAL, SEEN_MAYBE);
        return;
    }
    q->left -= q->counted ? bytes.n : 0;
    h2_stream_put(&q->wire, bytes);
    note_sent(q);
}

static void send_end(struct back *b, const struct fields *trailers)
{
    struct h2_call *q = of(b);
    if (q->failed || !q->opened) {
        return;
    }
    if (q->left > 0) { /* less than was declared must not look complete */
        fail_later(q, ERR_INTERNAL, SEEN_MAYBE);
        return;
    }
    h2_stream_finish(&q->wire, trailers);
    q->stream.sent_ns = loop_now_ns(q->back->loop);
}

static void want_body(struct back *b, size_t most)
{
    struct h2_call *q = of(b);
    q->wants = most;
    if (q->opened && !q->failed) {
        h2_stream_want(&q->wire, q->wants);
    }
}

static size_t pending(const struct back *b)
{
    const struct h2_call *q = container_of(b, const struct h2_call, stream);
    return q->opened ? h2_stream_pending(&q->wire) : 0;
}

static void tell_room(struct back *b)
{
    struct h2_call *q = of(b);
    if (q->opened) {
        h2_stream_tell_room(&q->wire);
    }
}

/* Memory that no stream holds goes at the end of the turn. */
static void release(struct back *b)
{
    struct h2_call *q = of(b);
    unreserve(q);
    q->released = true;
    if (q->opened) {
        task_cancel(&q->later);
        if (q->done) {
            h2_stream_leave(&q->wire);
        } else {
            h2_stream_release(&q->wire);
        }
    } else {
        task_post(q->back->loop, &q->later);
    }
}

const struct back_ops h2_back_ops = {
    .send_head = send_head,
    .send_body = send_body,
    .send_end = send_end,
    .want_body = want_body,
    .pending = pending,
    .tell_room = tell_room,
    .release = release,
};
