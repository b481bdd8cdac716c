#include "http/h2_session_impl.h"

/* Streams: their life, content that goes, and the frames that carry it. */

void h2_stream_init(struct h2_session *s, struct h2_stream *st, int32_t id)
{
    st->session = s;
    st->id = id;
    st->open = true;
    st->due = -1;
    st->window = s->server ? LIMIT_H2_WINDOW : LIMIT_H2_WINDOW_LEAST;
    st->begun_ns = loop_now_ns(s->loop);
    list_init(&st->news);
    list_init(&st->waiter.link);
    list_append(&s->streams, &st->link);
    s->live++;
    if (s->server) {
        s->allowance.streams++;
        s->allowance.all.used += LIMIT_H2_REQUEST;
    }
}

/* Where the connection is crowded those still go on whose content is taken. */
static void note_room(struct h2_stream *st)
{
    size_t low = st->session->crowded ? 0 : LIMIT_FLOW_LOW;
    if (st->above && st->out.bytes <= low) {
        st->above = false;
        st->room_due = true;
        h2_stream_tell_later(st);
    }
}

/* n bytes less wait on all streams. */
static void waits_no_more(struct h2_session *s, size_t n)
{
    s->waiting -= n;
    if (!s->crowded || s->waiting > LIMIT_H2_WAITING / 2 ||
        (s->server && allowance_tight(&s->allowance))) {
        return;
    }
    s->crowded = false;
    list_each (e, &s->streams) {
        note_room(container_of(e, struct h2_stream, link));
    }
}

static void drop_out(struct h2_stream *st)
{
    size_t n = st->out.bytes;
    chain_clear(&st->out, st->session->store);
    h2_stream_book(st);
    waits_no_more(st->session, n);
}

/* Whether the stream came to its natural end: a response that was sent, or received, in full. */
static bool ended_well(const struct h2_stream *st)
{
    return st->session->server ? st->finished && st->peer_done : st->peer_done;
}

void h2_stream_closed(struct h2_stream *st, uint32_t code, bool own)
{
    struct h2_session *s = st->session;
    bool well = ended_well(st) && (code == NGHTTP2_NO_ERROR || !s->server);
    if (!st->open) {
        return;
    }
    st->open = false;
    s->lingering -= st->lingers;
    st->lingers = false;
    if (s->heading == st) {
        s->heading = NULL;
    }
    if (s->coming == st) {
        s->coming = NULL;
    }
    drop_out(st);
    h2_stream_promise_nothing(st);
    s->ahead += well && s->ahead < LIMIT_H2_AT_ONCE;
    st->session->brief = st->bytes_in > LIMIT_H2_WINDOW_LEAST ? 0 : st->session->brief + 1;
    if (!well && h2_stream_hears(st)) {
        st->silent = true;
        h2_stream_drop_held(st);
        s->events->on_reset(st, code, own);
    }
    h2_stream_tell_later(st);
}

void h2_stream_fail(struct h2_stream *st, uint32_t code)
{
    st->failed = false;
    if (!h2_stream_hears(st)) {
        return;
    }
    h2_stream_reset(st, code);
    h2_stream_drop_held(st);
    st->session->events->on_reset(st, code, true);
}

void h2_stream_settle(struct h2_stream *st)
{
    struct h2_session *s = st->session;
    if (st->failed) {
        h2_stream_fail(st, NGHTTP2_INTERNAL_ERROR);
    }
    h2_stream_hand_over(st);
    if (st->room_due && h2_stream_hears(st)) {
        st->room_due = false;
        s->events->on_room(st);
    }
    if (st->released && !st->open) {
        list_remove(&st->news);
        list_remove(&st->link);
        s->latest = s->latest == st ? NULL : s->latest;
        s->live--;
        if (s->server) {
            s->allowance.streams--;
            s->allowance.all.used -= LIMIT_H2_REQUEST;
        }
        s->events->on_free(st);
    }
}

/* Frames that go. */

/* The wire asks how much of the stream's content the next DATA frame may carry; the bytes are taken
 * by send_data. */
static ssize_t read_content(nghttp2_session *wire, int32_t id, uint8_t *into, size_t most,
                            uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct h2_stream *st = source->ptr;
    size_t n = st->out.bytes < most ? st->out.bytes : most;
    (void)into;
    (void)user;
    if (n == 0 && !st->finish) {
        st->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n < st->out.bytes || !st->finish) {
        return (ssize_t)n;
    }
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (st->trailers.n > 0) {
        nghttp2_nv nv[LIMIT_TRAILER_FIELDS];
        size_t count = 0;
        for (size_t i = 0; i < st->trailers.n && count < LIMIT_TRAILER_FIELDS; i++) {
            const struct field *f = &st->trailers.v[i];
            nv[count++] =
                (nghttp2_nv){(uint8_t *)(uintptr_t)f->name.p, (uint8_t *)(uintptr_t)f->value.p,
                             f->name.n, f->value.n, NGHTTP2_NV_FLAG_NONE};
        }
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (nghttp2_submit_trailer(wire, id, nv, count) != 0) {
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* a reset: its end must show */
        }
    }
    return (ssize_t)n;
}

static int send_data(nghttp2_session *wire, nghttp2_frame *frame, const uint8_t *head, size_t n,
                     nghttp2_data_source *source, void *user)
{
    enum { FRAME_HEAD = 9 };
    struct h2_session *s = user;
    struct h2_stream *st = source->ptr;
    (void)wire;
    (void)frame;
    if (st->silent || st->out.bytes < n) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* it was reset while this frame waited */
    }
    if (conn_pending(s->conn) > LIMIT_FLOW_HIGH) {
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    conn_write(s->conn, span_of((const char *)head, FRAME_HEAD));
    size_t left = n;
    while (left > 0) {
        struct span piece = span_sub(chunk_span(st->out.first), 0, left);
        conn_write(s->conn, piece);
        chain_take(&st->out, s->store, piece.n);
        left -= piece.n;
    }
    h2_stream_book(st);
    waits_no_more(s, n);
    st->moved_ns = loop_now_ns(s->loop);
    st->taken += n;
    note_room(st);
    return 0;
}

/* The library needs its copies no more. */
static void head_has_left(struct h2_stream *st)
{
    st->head_unsent = 0;
    h2_stream_book(st);
}

/* L24: resets that the peer provoked. */
static bool provoked(uint32_t code)
{
    return code != NGHTTP2_NO_ERROR && code != NGHTTP2_CANCEL && code != NGHTTP2_REFUSED_STREAM &&
           code != NGHTTP2_INTERNAL_ERROR && code != NGHTTP2_ENHANCE_YOUR_CALM;
}

/* What we have said GOAWAY for, where the library itself found it. An error of its own is one of
 * our heads that it could not compress, for want of memory. */
static enum err reason_of(uint32_t code)
{
    return code == NGHTTP2_NO_ERROR            ? ERR_OK
           : code == NGHTTP2_ENHANCE_YOUR_CALM ? ERR_H2_FLOOD
           : code == NGHTTP2_INTERNAL_ERROR    ? ERR_NO_MEMORY
                                               : ERR_H2_PROTOCOL;
}

static int on_frame_send(nghttp2_session *wire, const nghttp2_frame *frame, void *user)
{
    struct h2_session *s = user;
    struct h2_stream *st = h2_stream_of(s, frame->hd.stream_id);
    (void)wire;
    bool carries = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (frame->hd.type == NGHTTP2_DATA) {
        h2_guard_data_sent(&s->guard);
    }
    if (st != NULL && frame->hd.type == NGHTTP2_HEADERS) {
        head_has_left(st);
        h2_stream_first_window(st);
    }
    if (frame->hd.type == NGHTTP2_RST_STREAM && provoked(frame->rst_stream.error_code) &&
        !h2_guard_reset(&s->guard, loop_now_ms(s->loop))) {
        h2_condemn(s, NGHTTP2_ENHANCE_YOUR_CALM, ERR_H2_FLOOD);
    }
    if (frame->hd.type == NGHTTP2_GOAWAY && s->why == ERR_OK) {
        s->why = reason_of(frame->goaway.error_code);
    }
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR &&
        s->why == ERR_OK) {
        s->why = ERR_H2_PROTOCOL; /* the library's own finding */
    }
    if (st != NULL && carries && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        st->finished = true;
        if (st->released && s->server && !st->peer_done) {
            h2_stream_reset(st, NGHTTP2_NO_ERROR);
        }
    }
    return 0;
}

/* A request that cannot go out any more, because the peer has said GOAWAY: the wire never knew its
 * stream. */
static int on_frame_not_send(nghttp2_session *wire, const nghttp2_frame *frame, int error,
                             void *user)
{
    struct h2_session *s = user;
    (void)wire;
    (void)error;
    if (s->server || frame->hd.type != NGHTTP2_HEADERS) {
        return 0;
    }
    list_each (e, &s->streams) {
        struct h2_stream *st = container_of(e, struct h2_stream, link);
        if (st->id == frame->hd.stream_id && st->open &&
            nghttp2_session_find_stream(s->wire, st->id) == NULL) {
            h2_stream_closed(st, NGHTTP2_REFUSED_STREAM, true);
        }
    }
    return 0;
}

void h2_send_callbacks(nghttp2_session_callbacks *to)
{
    nghttp2_session_callbacks_set_send_data_callback(to, send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(to, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(to, on_frame_not_send);
}

/* What the codecs ask for. */

static nghttp2_data_provider provider(struct h2_stream *st)
{
    return (nghttp2_data_provider){.source.ptr = st, .read_callback = read_content};
}

static uint64_t size_of(const nghttp2_nv *nv, size_t n)
{
    uint64_t sum = 9;
    for (size_t i = 0; i < n; i++) {
        sum += nv[i].namelen + nv[i].valuelen + 2;
    }
    return sum;
}

enum err h2_stream_open(struct h2_session *s, struct h2_stream *st, const nghttp2_nv *nv, size_t n,
                        bool end)
{
    nghttp2_data_provider content = provider(st);
    uint64_t size = size_of(nv, n);
    if (h2_session_room(s) == 0) {
        return ERR_FULL;
    }
    if (!allowance_fits(st->allowance, LIMIT_H2_SHARE + size)) {
        return ERR_HELD;
    }
    int32_t id = nghttp2_submit_request(s->wire, NULL, nv, n, end ? NULL : &content, st);
    if (id < 0) {
        return id == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE ? ERR_FULL : ERR_NO_MEMORY;
    }
    h2_stream_init(s, st, id);
    allowance_join(st->allowance, st->window);
    st->promised = st->allowance != NULL ? st->window : 0;
    h2_stream_prepare(st);
    st->finish = end;
    st->bytes_out += size;
    st->head_unsent = size;
    h2_stream_book(st);
    h2_later(s);
    return ERR_OK;
}

void h2_stream_head(struct h2_stream *st, const nghttp2_nv *nv, size_t n, bool interim, bool end)
{
    struct h2_session *s = st->session;
    nghttp2_data_provider content = provider(st);
    uint64_t size = size_of(nv, n);
    int r;
    if (!st->open || st->silent || s->ended) {
        return;
    }
    if (interim) {
        r = nghttp2_submit_headers(s->wire, NGHTTP2_FLAG_NONE, st->id, NULL, nv, n, NULL);
    } else {
        r = nghttp2_submit_response(s->wire, st->id, nv, n, end ? NULL : &content);
        st->finish = end;
    }
    st->moved_ns = loop_now_ns(s->loop);
    st->bytes_out += size;
    st->failed = st->failed || r != 0;
    if (r != 0) {
        h2_stream_tell_later(st);
    }
    h2_later(s);
}

static void resume(struct h2_stream *st)
{
    if (st->deferred) {
        st->deferred = false;
        (void)nghttp2_session_resume_data(st->session->wire, st->id);
    }
    h2_later(st->session);
}

void h2_stream_put(struct h2_stream *st, struct span bytes)
{
    struct h2_session *s = st->session;
    if (!st->open || st->silent || st->finish || s->ended || bytes.n == 0) {
        return;
    }
    if (st->out.bytes == 0) {
        st->moved_ns = loop_now_ns(s->loop);
        st->put_ns = st->put_ns != 0 ? st->put_ns : st->moved_ns;
    }
    if (!chain_put(&st->out, s->store, bytes)) {
        st->failed = true;
        h2_stream_tell_later(st);
        return;
    }
    h2_stream_book(st);
    s->waiting += bytes.n;
    st->bytes_out += bytes.n;
    s->crowded = s->crowded ||
                 (s->server && (s->waiting > LIMIT_H2_CROWDED || allowance_tight(&s->allowance)));
    st->above = st->above || st->out.bytes > LIMIT_FLOW_HIGH;
    resume(st);
}

void h2_stream_finish(struct h2_stream *st, const struct fields *trailers)
{
    if (!st->open || st->silent || st->finish || st->session->ended) {
        return;
    }
    st->finish = true;
    if (trailers != NULL) {
        st->trailers = *trailers; /* its owner may go first */
    }
    st->moved_ns = loop_now_ns(st->session->loop);
    resume(st);
}

void h2_stream_want(struct h2_stream *st, size_t most)
{
    bool begins = most > 0 && st->wants == 0;
    st->wants = most;
    st->wanted = st->wanted || most > 0;
    if (begins && h2_stream_hears(st)) {
        h2_stream_tell_later(st);
    }
}

size_t h2_stream_pending(const struct h2_stream *st)
{
    return st->out.bytes;
}

/* Where many share the connection each piece is small, and smaller still beyond the bound: what all
 * of them have asked for comes even when the peer takes nothing more. */
static size_t share_of(const struct h2_stream *st)
{
    const struct h2_session *s = st->session;
    size_t left = allowance_left(&s->allowance);
    size_t free = s->waiting < LIMIT_H2_CROWDED ? LIMIT_H2_CROWDED - s->waiting : 0;
    size_t all = left < free ? left : free;
    size_t share = all / s->live;
    size_t most = st->put_ns != 0 ? LIMIT_READ : LIMIT_READ_FIRST;
    share = share < most ? share : most;
    return share > LIMIT_READ_CROWDED ? share : LIMIT_READ_CROWDED;
}

size_t h2_stream_room(struct h2_stream *st)
{
    const struct h2_session *s = st->session;
    st->above = st->above || st->out.bytes > (s->crowded ? 0 : LIMIT_FLOW_HIGH);
    if (st->above) {
        return 0;
    }
    return s->crowded ? LIMIT_READ_CROWDED : share_of(st);
}

void h2_stream_tell_room(struct h2_stream *st)
{
    st->above = true;
}

void h2_stream_reset(struct h2_stream *st, uint32_t code)
{
    struct h2_session *s = st->session;
    st->silent = true;
    drop_out(st);
    if (st->open && !st->reset && !s->ended) {
        /* Once: of a request that waits in the library the second would be the first that its
         * server hears, and the end of the connection (RFC 9113 section 5.1). */
        st->reset = true;
        h2_wire_reset(s, st->id, code);
        h2_later(s);
    }
}

/* Of the client's requests it is none any more. */
static void leave_allowance(struct h2_stream *st)
{
    struct allowance *a = st->allowance;
    if (st->session->server || a == NULL) {
        return;
    }
    h2_stream_promise_nothing(st);
    budget_book(&a->all, &st->booked, 0);
    st->allowance = NULL;
    allowance_leave(a);
}

/* A server's stream stays until what was put has left. */
void h2_stream_release(struct h2_stream *st)
{
    struct h2_session *s = st->session;
    st->released = true;
    h2_stream_drop_held(st);
    head_has_left(st);
    leave_allowance(st);
    bool over = st->finished && st->peer_done; /* the wire closes it when this event ends */
    if (st->open && !st->silent && !over && !st->lingers) {
        if (!s->server || !st->finish) {
            h2_stream_reset(st, NGHTTP2_CANCEL);
        } else if (st->finished && !st->peer_done) {
            h2_stream_reset(st, NGHTTP2_NO_ERROR);
        }
    }
    h2_stream_tell_later(st);
}

void h2_stream_leave(struct h2_stream *st)
{
    struct h2_session *s = st->session;
    st->lingers = st->open && !st->silent && st->finished && !st->peer_done && !s->ended;
    if (st->lingers) {
        s->lingering++;
        st->moved_ns = loop_now_ns(s->loop);
    }
    h2_stream_release(st);
}
