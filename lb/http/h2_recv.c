#include "http/h2_session_impl.h"

/* Frames that come. Whatever a callback finds, the session goes on: streams are reset, or the
 * connection is condemned, which stops the reading. */

/* The library forgets closed streams, for its memory's sake. */
static uint32_t check_past(struct h2_session *s, struct h2_frame f)
{
    bool headers = f.type == NGHTTP2_HEADERS;
    bool counts = s->server && (headers || f.type == NGHTTP2_DATA);
    return counts ? h2_past_frame(&s->past, headers, f.stream) : NGHTTP2_NO_ERROR;
}

static bool begins(const struct h2_session *s, struct h2_frame f)
{
    return s->server && f.type == NGHTTP2_HEADERS && f.stream > s->past.last;
}

/* Of a stream that is over, or that we have reset: the library ignores it without a word. Resets of
 * clients are counted as such (L23). */
static bool is_stray(struct h2_session *s, struct h2_frame f)
{
    bool reset = f.type == NGHTTP2_RST_STREAM && !s->server;
    if (f.stream <= 0 || (f.type != NGHTTP2_HEADERS && f.type != NGHTTP2_DATA && !reset)) {
        return false;
    }
    const struct h2_stream *st = h2_stream_of(s, f.stream);
    return st == NULL || st->reset;
}

/* New streams after our last GOAWAY, which the library ignores as well: their clients could not
 * know. */
static bool comes_late(struct h2_session *s, int64_t now_ms)
{
    h2_guard_over(&s->guard, true);
    return h2_guard_refused(&s->guard, now_ms);
}

static bool fits(struct h2_session *s, struct h2_frame f)
{
    int64_t now_ms = loop_now_ms(s->loop);
    if (!h2_guard_received(&s->guard, f, now_ms)) {
        return false;
    }
    if (begins(s, f)) {
        return !s->drain_said || comes_late(s, now_ms);
    }
    return !is_stray(s, f) || h2_guard_stray(&s->guard, now_ms);
}

void h2_admit(struct h2_session *s, struct h2_frame f)
{
    if (!fits(s, f)) {
        h2_condemn(s, NGHTTP2_ENHANCE_YOUR_CALM, ERR_H2_FLOOD);
        return;
    }
    uint32_t code = check_past(s, f);
    if (code != NGHTTP2_NO_ERROR) {
        h2_condemn(s, code, ERR_H2_PROTOCOL);
    }
}

static int on_begin_frame(nghttp2_session *wire, const nghttp2_frame_hd *hd, void *user)
{
    struct h2_session *s = user;
    struct h2_stream *st = h2_stream_of(s, hd->stream_id);
    (void)wire;
    s->coming = st;
    if (st != NULL) {
        st->bytes_in += hd->length + H2_FRAME_HEAD;
    }
    s->decoded = hd->type == NGHTTP2_HEADERS ? 0 : s->decoded;
    return 0;
}

static int refuse(struct h2_session *s, int32_t id)
{
    if (!h2_guard_refused(&s->guard, loop_now_ms(s->loop))) {
        h2_condemn(s, NGHTTP2_ENHANCE_YOUR_CALM, ERR_H2_FLOOD);
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    h2_guard_over(&s->guard, true);
    h2_wire_reset(s, id, NGHTTP2_REFUSED_STREAM);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* L20: what counts are the streams whose exchanges live, not those that the wire knows; nor those
 * that have ended on both sides and whose memory goes at the end of this turn. */
static bool has_room(const struct h2_session *s)
{
    uint32_t most = s->limits->streams, live = s->live;
    if (live < most) {
        return true;
    }
    for (const struct link *e = s->streams.next; live < 2 * most && e != &s->streams; e = e->next) {
        const struct h2_stream *st = container_of(e, const struct h2_stream, link);
        if (st->finished && st->peer_done && live-- == most) {
            return true;
        }
    }
    return false;
}

static int begin_stream(struct h2_session *s, const nghttp2_frame *frame)
{
    int32_t id = frame->hd.stream_id;
    s->begun++;
    s->ahead -= s->ahead > 0;
    bool room = has_room(s) && s->waiting <= LIMIT_H2_WAITING;
    room = room && allowance_admits(&s->allowance);
    struct h2_stream *st = room ? s->events->on_begin(s->user) : NULL;
    if (st == NULL) {
        return refuse(s, id);
    }
    h2_stream_init(s, st, id);
    st->bytes_in = frame->hd.length + 9;
    h2_block_begin(&s->block, st->arena, H2_BLOCK_REQUEST, s->limits->odd_names);
    s->coming = st;
    s->heading = st;
    s->newest = id;
    return nghttp2_session_set_stream_user_data(s->wire, id, st) == 0
               ? 0
               : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_begin_headers(nghttp2_session *wire, const nghttp2_frame *frame, void *user)
{
    struct h2_session *s = user;
    (void)wire;
    s->heading = NULL;
    if (frame->hd.type != NGHTTP2_HEADERS) {
        return 0;
    }
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        return begin_stream(s, frame);
    }
    struct h2_stream *st = s->coming;
    s->heading = st;
    if (st != NULL && !st->released) {
        h2_block_begin(&s->block, st->arena, st->head_final ? H2_BLOCK_TRAILERS : H2_BLOCK_RESPONSE,
                       s->server ? ODD_NAMES_DROP : ODD_NAMES_KEEP);
    }
    return 0;
}

/* F11: a small block that grows by what it refers to costs far more than it did its sender. One
 * that passes its limit by so much is no mistake. */
static int grows(struct h2_session *s, size_t n)
{
    s->decoded += n + LIMIT_FIELD_OVERHEAD;
    if (s->decoded <= LIMIT_H2_GROWTH * s->limits->head.size) {
        return 0;
    }
    h2_condemn(s, NGHTTP2_ENHANCE_YOUR_CALM, ERR_H2_FLOOD);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *wire, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user)
{
    struct h2_session *s = user;
    struct h2_stream *st = s->heading;
    (void)wire;
    (void)frame;
    (void)flags;
    if (st != NULL && !st->released) { /* its arena may have gone */
        h2_block_add(&s->block, st->head_final ? &s->limits->trailers : &s->limits->head,
                     span_of((const char *)name, name_size),
                     value_size > 0 ? span_of((const char *)value, value_size) : SPAN(""));
    }
    return grows(s, name_size + value_size);
}

/* Also one that nobody hears of any more. */
static void break_stream(struct h2_stream *st, uint32_t code)
{
    if (h2_stream_hears(st)) {
        h2_stream_fail(st, code);
    } else {
        h2_stream_reset(st, code);
    }
}

/* The library closes a stream that has ended on both sides before a reset leaves: what was wrong is
 * told here. Without memory for it that is no breach of the peer's. */
static void bad_trailers(struct h2_stream *st, enum err why)
{
    bool ours = why == ERR_NO_MEMORY;
    break_stream(st, ours ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_PROTOCOL_ERROR);
}

/* They are the end. */
static void received_trailers(struct h2_stream *st, struct h2_block *block, bool end)
{
    enum err bad = !end ? ERR_BAD_FIELD : block != NULL ? block->bad : ERR_OK;
    if (bad != ERR_OK || (h2_stream_hears(st) && st->due > 0)) {
        bad_trailers(st, bad);
        return;
    }
    if (block != NULL) {
        fields_keep_trailers(&block->fields);
        st->trailers_in = block->fields;
    }
    h2_stream_received_end(st);
}

static void received_head(struct h2_session *s, struct h2_stream *st, bool end)
{
    struct h2_block *block = st->released ? NULL : &s->block; /* nobody reads it then */
    if (block != NULL) {
        h2_block_finish(block);
    }
    if (st->head_final) {
        received_trailers(st, block, end);
        return;
    }
    bool interim = !s->server && block != NULL && block->status.n > 0 && block->status.p[0] == '1';
    if ((interim && end) || (s->server && block != NULL && block->malformed)) {
        h2_stream_fail(st, NGHTTP2_PROTOCOL_ERROR);
        return;
    }
    st->head_final = !interim;
    st->peer_done = end;
    st->end_told = end && !s->server;
    if (block != NULL && !st->silent) {
        s->events->on_head(st, block, end);
    }
}

/* The first acknowledgement comes one round trip after the connection's beginning. */
static void settled(struct h2_session *s)
{
    s->unsettled--; /* the library has refused one too many */
    s->unsettled_ns = 0;
    h2_unsettled_from_now(s);
    if (s->rtt_ns == 0) {
        s->rtt_ns = loop_now_ns(s->loop) - s->born_ns;
        s->rtt_ns = s->rtt_ns > NS_PER_MS ? s->rtt_ns : NS_PER_MS;
        s->events->on_terms(s->user);
    }
}

static void received_settings(struct h2_session *s, bool ack)
{
    s->spoken = true;
    if (ack) {
        settled(s);
    } else {
        h2_unsettled_from_now(s);
        s->events->on_terms(s->user);
    }
}

static void received_ping(struct h2_session *s, bool ack)
{
    if (ack && s->draining) {
        h2_drain_go_on(s);
    } else if (ack) {
        s->events->on_terms(s->user);
    }
}

/* Padding is nothing. */
static bool worth_its_frame(struct h2_session *s, size_t content)
{
    int64_t now_ms = loop_now_ms(s->loop);
    return content > 0 ? h2_guard_content(&s->guard, content, now_ms)
                       : h2_guard_hollow(&s->guard, now_ms);
}

static void received_data(struct h2_session *s, struct h2_stream *st, const nghttp2_frame *frame,
                          bool end)
{
    size_t n = frame->hd.length;
    if (st != NULL && end && h2_stream_hears(st) && (!st->head_final || st->due > 0)) {
        h2_stream_fail(st, NGHTTP2_PROTOCOL_ERROR);
    } else if (st != NULL && end) {
        h2_stream_received_end(st);
    }
    if (!end && n > 0 && !worth_its_frame(s, n - frame->data.padlen)) {
        h2_condemn(s, NGHTTP2_ENHANCE_YOUR_CALM, ERR_H2_FLOOD);
    }
}

static int on_frame_recv(nghttp2_session *wire, const nghttp2_frame *frame, void *user)
{
    struct h2_session *s = user;
    struct h2_stream *st = s->coming;
    (void)wire;
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch ((int)frame->hd.type) { /* as a number: the others are the library's business */
    case NGHTTP2_HEADERS:
        if (st != NULL) {
            received_head(s, st, end);
        }
        break;
    case NGHTTP2_DATA:
        received_data(s, st, frame, end);
        break;
    case NGHTTP2_RST_STREAM:
        if (st != NULL) {
            st->peer_reset = true;
        }
        break;
    case NGHTTP2_SETTINGS:
        received_settings(s, (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0);
        break;
    case NGHTTP2_PING:
        received_ping(s, (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0);
        break;
    case NGHTTP2_GOAWAY:
        s->goaway = true;
        s->wants_h1 = s->wants_h1 || frame->goaway.error_code == NGHTTP2_HTTP_1_1_REQUIRED;
        s->events->on_terms(s->user);
        break;
    default:
        break;
    }
    return 0;
}

/* H10: content follows a head, and is no more than that has declared. */
static bool may_come(struct h2_stream *st, size_t n)
{
    if (!st->head_final || (st->due >= 0 && n > (uint64_t)st->due)) {
        return false;
    }
    st->due -= st->due >= 0 ? (int64_t)n : 0;
    return true;
}

static int on_data(nghttp2_session *wire, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n,
                   void *user)
{
    struct h2_session *s = user;
    struct h2_stream *st = s->coming;
    (void)wire;
    (void)flags;
    (void)id;
    if (st == NULL || n == 0) {
        return 0;
    }
    if ((h2_stream_hears(st) || st->lingers) && !may_come(st, n)) {
        break_stream(st, NGHTTP2_PROTOCOL_ERROR);
    }
    h2_stream_received(st, span_of((const char *)bytes, n));
    return 0;
}

static int on_stream_close(nghttp2_session *wire, int32_t id, uint32_t code, void *user)
{
    struct h2_session *s = user;
    struct h2_stream *st = h2_stream_of(s, id);
    (void)wire;
    if (st != NULL) {
        if (st->peer_done || st->peer_reset) {
            h2_past_done(&s->past, id);
        }
        h2_guard_over(&s->guard, !st->peer_done && !st->peer_reset);
        h2_stream_closed(st, code, !st->peer_reset);
    }
    return 0;
}

void h2_recv_callbacks(nghttp2_session_callbacks *to)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(to, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(to, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(to, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(to, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(to, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(to, on_stream_close);
}
