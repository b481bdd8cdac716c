#include "http/h2_front_impl.h"

#include "base/clock.h"

/* Responses: the operations of the stream. None of them calls the exchange. */

static struct h2_request *of(struct front *f)
{
    return container_of(f, struct h2_request, stream);
}

/* What cannot be said to the end must not look complete (H19). */
static void give_up(struct h2_request *q, uint32_t code)
{
    if (!q->mute) {
        q->mute = true;
        h2_stream_reset(&q->wire, code);
    }
}

static void put_head(struct h2_request *q, const struct reply *r, struct span date, bool end)
{
    struct h2_nv nv;
    struct arena_mark mark = arena_mark(&q->arena);
    if (h2_reply_write(r, date, &q->arena, &nv) != ERR_OK) {
        give_up(q, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    h2_stream_head(&q->wire, nv.v, nv.n, r->status < 200 && !r->upgraded, end);
    arena_rewind(&q->arena, mark); /* the library has copied what it needs */
    q->stream.bytes_out = q->wire.bytes_out;
}

static void reply_interim(struct front *f, const struct reply *r)
{
    struct h2_request *q = of(f);
    if (!q->mute && !q->begun && r->status < 200) {
        put_head(q, r, SPAN_NONE, false);
    }
}

static bool never_has_content(const struct h2_request *q, const struct reply *r)
{
    return q->request.method == METHOD_HEAD || r->status == 204 || r->status == 304;
}

/* To a request for a tunnel 2xx says that it has begun (RFC 8441 section 5): not of a server that
 * began none. */
static bool feigns_tunnel(const struct h2_request *q, const struct reply *r)
{
    return q->request.upgrade != UPGRADE_NONE && !r->upgraded && r->status / 100 == 2;
}

static void reply_head(struct front *f, const struct reply *r, bool end)
{
    static const struct reply no_tunnel = {.status = 502};
    struct h2_request *q = of(f);
    if (q->mute || q->begun) {
        return;
    }
    if (feigns_tunnel(q, r)) {
        r = &no_tunnel;
        end = true;
    }
    bool none = !r->upgraded && (end || never_has_content(q, r));
    q->begun = true;
    q->tunnel = r->upgraded;
    q->done = none;
    q->counted = !none && r->content == CONTENT_LENGTH;
    q->left = q->counted ? r->length : 0;
    put_head(q, r, loop_date(q->front->timer.loop), none);
}

static void reply_body(struct front *f, struct span bytes)
{
    struct h2_request *q = of(f);
    if (q->mute || !q->begun || q->done) {
        return;
    }
    if (q->counted && bytes.n > q->left) {
        give_up(q, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    q->left -= q->counted ? bytes.n : 0;
    h2_stream_put(&q->wire, bytes);
    q->stream.bytes_out = q->wire.bytes_out;
}

static void reply_end(struct front *f, const struct fields *trailers)
{
    struct h2_request *q = of(f);
    if (q->mute || !q->begun || q->done) {
        return;
    }
    q->done = true;
    if (q->left > 0) {
        give_up(q, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    h2_stream_finish(&q->wire, trailers);
}

static void want_body(struct front *f, bool want)
{
    struct h2_request *q = of(f);
    if (!q->mute && !q->gone) {
        h2_stream_want(&q->wire, want ? LIMIT_H2_FRAME : 0);
    }
}

/* A tunnel that breaks is a reset connection: CANCEL (RFC 8441 section 5). */
static uint32_t code_of(const struct h2_request *q, enum err why)
{
    return q->tunnel || why == ERR_CLIENT_ABORT ? NGHTTP2_CANCEL : NGHTTP2_INTERNAL_ERROR;
}

static void abort_reply(struct front *f, enum err why)
{
    give_up(of(f), code_of(of(f), why));
}

static size_t pending(const struct front *f)
{
    return h2_stream_pending(&container_of(f, const struct h2_request, stream)->wire);
}

static size_t room(struct front *f)
{
    return h2_stream_room(&of(f)->wire);
}

static void keep(struct front *f, bool on)
{
    if (!on) {
        h2_session_drain(of(f)->front->session);
    }
}

static struct conn *connection(const struct front *f)
{
    return h2_session_conn(container_of(f, const struct h2_request, stream)->front->session);
}

static void release(struct front *f)
{
    struct h2_request *q = of(f);
    if (!q->done) {
        give_up(q, NGHTTP2_INTERNAL_ERROR);
    }
    h2_stream_release(&q->wire);
}

const struct front_ops h2_front_ops = {
    .reply_interim = reply_interim,
    .reply_head = reply_head,
    .reply_body = reply_body,
    .reply_end = reply_end,
    .want_body = want_body,
    .abort = abort_reply,
    .pending = pending,
    .room = room,
    .keep = keep,
    .conn = connection,
    .release = release,
};
