#include "http/h2_front_impl.h"

#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"

/* The connection, and the requests that its streams bring. */

enum { ARENA_BLOCK = 8 * 1024 };

static struct h2_request *request_of(struct h2_stream *st)
{
    return container_of(st, struct h2_request, wire);
}

static int64_t now_ns(const struct h2_front *h)
{
    return loop_now_ns(h->timer.loop);
}

static struct h2_stream *on_begin(void *user)
{
    struct h2_front *h = user;
    struct h2_request *q = small_take(h->small, sizeof(*q));
    if (q == NULL) {
        return NULL;
    }
    *q = (struct h2_request){.front = h};
    arena_init(&q->arena, h->cache, ARENA_BLOCK,
               front_arena_most(h->session_limits.head.size, h->limits->fields));
    q->arena.budget = &h2_session_allowance(h->session)->all;
    q->wire.arena = &q->arena;
    timer_rest(&h->timer);
    return &q->wire;
}

static void on_head(struct h2_stream *st, struct h2_block *block, bool end)
{
    struct h2_request *q = request_of(st);
    struct h2_front *h = q->front;
    enum err bad = h2_request_read(block, end, h->limits->request_line, &q->request);
    q->request.scheme = h->tls ? SPAN("https") : SPAN("http");
    q->stream = (struct front){.ops = &h2_front_ops,
                               .arena = &q->arena,
                               .allowance = h2_session_allowance(h->session),
                               .age = (uint32_t)st->id,
                               .bytes_in = st->bytes_in,
                               .begun_ns = st->begun_ns};
    q->told = true;
    q->gone = bad != ERR_OK;
    if (q->request.content == CONTENT_LENGTH) {
        h2_stream_declare(st, q->request.length);
    }
    if (++h->served >= h->limits->requests || now_ns(h) >= h->old_ns) {
        h2_session_drain(h->session);
    }
    h->owner->on_request(h->owner_user, &q->stream, &q->request, bad);
}

static void on_body(struct h2_stream *st, struct span bytes)
{
    struct h2_request *q = request_of(st);
    q->stream.bytes_in = st->bytes_in;
    q->stream.events->on_body(q->stream.user, bytes);
}

static void on_end(struct h2_stream *st, const struct fields *trailers)
{
    struct h2_request *q = request_of(st);
    q->stream.events->on_end(q->stream.user, trailers);
}

static void on_room(struct h2_stream *st)
{
    struct h2_request *q = request_of(st);
    q->stream.events->on_room(q->stream.user);
}

/* What ended the connection counts more than the stream's own end. */
static enum err reason_of(const struct h2_stream *st, uint32_t code, bool own)
{
    enum err why = h2_session_why(st->session);
    if (why == ERR_H2_FLOOD || why == ERR_H2_PROTOCOL || why == ERR_NO_MEMORY) {
        return why;
    }
    if (own && code == NGHTTP2_INTERNAL_ERROR) {
        return st->arena->refused ? ERR_HELD : ERR_NO_MEMORY;
    }
    return own && code != NGHTTP2_CANCEL ? ERR_H2_PROTOCOL : ERR_CLIENT_ABORT;
}

static void on_reset(struct h2_stream *st, uint32_t code, bool own)
{
    struct h2_request *q = request_of(st);
    q->mute = true;
    if (!q->told) {
        h2_stream_release(st); /* nobody knows of it */
    } else if (!q->gone) {
        q->gone = true;
        q->stream.events->on_gone(q->stream.user, reason_of(st, code, own), false);
    }
}

/* As where the content itself is bad: an answer is due, and nobody hears of the rest. */
static void on_excess(struct h2_stream *st)
{
    struct h2_request *q = request_of(st);
    if (q->told && !q->gone) {
        q->gone = true;
        q->stream.events->on_gone(q->stream.user, ERR_HELD, true);
    }
}

static void idle_from_now(struct h2_front *h)
{
    h->idle_ns = now_ns(h);
    int64_t at = h->idle_ns + h->limits->idle_ms * NS_PER_MS;
    timer_aim(&h->timer, at < h->old_ns ? at : h->old_ns);
}

static void on_free(struct h2_stream *st)
{
    struct h2_request *q = request_of(st);
    struct h2_front *h = q->front;
    arena_reset(&q->arena);
    if (h2_session_streams(h->session) == 0 && !h2_session_ending(h->session)) {
        idle_from_now(h);
    }
    small_give(h->small, q);
}

static void on_terms(void *user)
{
    (void)user;
}

static void on_end_of_session(void *user, enum err why)
{
    struct h2_front *h = user;
    timer_stop(&h->timer);
    h->owner->on_closed(h->owner_user, why);
    mem_free(h);
}

static const struct h2_events session_events = {
    .on_begin = on_begin,
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_room = on_room,
    .on_reset = on_reset,
    .on_excess = on_excess,
    .on_free = on_free,
    .on_terms = on_terms,
    .on_end_of_session = on_end_of_session,
};

/* No stream is there: the connection has been idle, or nothing ever came. */
static void on_time(struct timer *t)
{
    struct h2_front *h = container_of(t, struct h2_front, timer);
    if (h2_session_streams(h->session) == 0) {
        h2_session_kill(h->session, h->served > 0 ? ERR_IDLE_TIMEOUT : ERR_HEAD_TIMEOUT);
    }
}

static struct h2_front *codec_of(struct front_codec *c)
{
    return container_of(c, struct h2_front, codec);
}

static void drain(struct front_codec *c)
{
    h2_session_drain(codec_of(c)->session);
}

static void kill(struct front_codec *c, enum err why)
{
    h2_session_kill(codec_of(c)->session, why);
}

static int64_t idle_ns(const struct front_codec *c)
{
    const struct h2_front *h = container_of(c, const struct h2_front, codec);
    bool idle = h2_session_streams(h->session) == 0 && !h2_session_ending(h->session);
    return idle ? h->idle_ns : FRONT_NOT_IDLE;
}

static void press(struct front_codec *c, bool on)
{
    h2_session_press(codec_of(c)->session, on);
}

static size_t bytes(const struct front_codec *c)
{
    const struct h2_front *h = container_of(c, const struct h2_front, codec);
    return sizeof *h + h2_session_bytes(h->session);
}

static const struct front_codec_ops codec_ops = {.last = drain,
                                                 .drain = drain,
                                                 .kill = kill,
                                                 .idle_ns = idle_ns,
                                                 .press = press,
                                                 .bytes = bytes};

static struct h2_limits limits_of(const struct front_limits *l)
{
    return (struct h2_limits){
        .head = {.size = l->head + l->request_line, .fields = l->fields, .field = l->field},
        .trailers = {.size = LIMIT_TRAILERS,
                     .fields = LIMIT_TRAILER_FIELDS,
                     .field = LIMIT_TRAILERS},
        .streams = l->streams,
        .head_ms = l->head_ms,
        .odd_names = l->odd_names,
    };
}

enum err h2_front_new(struct conn *c, bool tls, const struct front_limits *limits,
                      struct arena_cache *cache, const struct front_owner *owner, void *owner_user,
                      struct front_codec **out)
{
    struct h2_front *h = reserve_alloc(conn_reserve(c), sizeof(*h));
    if (h == NULL) {
        return ERR_NO_MEMORY;
    }
    *h = (struct h2_front){.codec.ops = &codec_ops,
                           .limits = limits,
                           .session_limits = limits_of(limits),
                           .owner = owner,
                           .owner_user = owner_user,
                           .cache = cache,
                           .small = conn_small(c),
                           .tls = tls};
    timer_init(&h->timer, conn_loop(c), on_time);
    enum err e = h2_session_new(c, true, &h->session_limits, &session_events, h, &h->session);
    if (e != ERR_OK) {
        mem_free(h);
        return e;
    }
    h->idle_ns = now_ns(h);
    h->old_ns = h->idle_ns + front_age_ns(limits, c);
    timer_in_ms(&h->timer, limits->head_ms);
    *out = &h->codec;
    return ERR_OK;
}
