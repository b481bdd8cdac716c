#include "http/h2_session_impl.h"

/* Content that comes: handed over or held, and the windows that it opens. */

/* By how much a client's window may open, of `taken` bytes; `left` is what is open of it. What can
 * come through it counts as held, and the last that there is room for is not given to it, since all
 * else that is asked for comes first. */
static int64_t let_through(struct h2_session *s, int64_t taken, int64_t left)
{
    bool narrow = allowance_tight(&s->allowance) || conn_pressed(s->conn);
    int64_t most = (int64_t)(narrow ? LIMIT_H2_WINDOW : s->window);
    int64_t asked = taken < most - left ? taken : most - left;
    int64_t room = (int64_t)allowance_room(&s->allowance);
    int64_t n = asked <= room ? asked : room >= LIMIT_H2_FRAME ? room : 0;
    s->allowance.shut = n == 0 && asked > 0 && asked >= left;
    return n;
}

/* The connection's window, by half of what is not held. (The library would wait for half of the
 * window, which is never used up where more than that is held.) All that came and that no stream
 * owes is given back: padding too, and content of streams that are gone, of which only the library
 * knows. */
static void open_connection(struct h2_session *s)
{
    int64_t came = nghttp2_session_get_effective_recv_data_length(s->wire);
    int64_t taken = came - (int64_t)s->owed;
    int64_t left = nghttp2_session_get_local_window_size(s->wire);
    taken = s->server ? let_through(s, taken, left) : taken;
    if (taken > 0 && taken >= left &&
        nghttp2_submit_window_update(s->wire, NGHTTP2_FLAG_NONE, 0, (int32_t)taken) == 0) {
        left += taken;
    }
    if (s->server) {
        budget_book(&s->allowance.all, &s->window_booked, left > 0 ? (size_t)left : 0);
    }
}

/* It owes the connection's window no more; that opens at the end of the turn. */
static void owes_no_more(struct h2_stream *st)
{
    st->session->owed -= st->owed;
    st->owed = 0;
    h2_later(st->session);
}

static void promise(struct h2_stream *st, size_t now)
{
    struct allowance *a = st->allowance;
    budget_book(a != NULL ? &a->all : NULL, &st->promised, now);
}

void h2_stream_promise_nothing(struct h2_stream *st)
{
    promise(st, 0);
    allowance_forget(st->allowance, &st->waiter);
}

static struct h2_stream *waits(struct allowance_waiter *w)
{
    return container_of(w, struct h2_stream, waiter);
}

static void go_on(struct allowance_waiter *w)
{
    h2_stream_tell_later(waits(w));
}

static void give_up(struct allowance_waiter *w)
{
    struct h2_stream *st = waits(w);
    st->failed = st->excess = true;
    h2_stream_tell_later(st);
}

void h2_stream_prepare(struct h2_stream *st)
{
    st->waiter.age = st->age;
    st->waiter.go_on = go_on;
    st->waiter.give_up = give_up;
}

/* Whether the peer may send n bytes more: a server those that its client has room for. */
static bool may_send(struct h2_stream *st, size_t n)
{
    if (st->allowance == NULL || !st->open || st->peer_done || !h2_stream_hears(st)) {
        return true;
    }
    if (2 * n < st->window) {
        return false; /* the library would not say so before half of it */
    }
    if (!allowance_may(st->allowance, &st->waiter, n, 2 * n)) {
        return false;
    }
    promise(st, st->promised + n);
    allowance_forget(st->allowance, &st->waiter);
    return true;
}

/* The stream's part of it stays owed. */
static void open_to_others(struct h2_stream *st)
{
    st->owed_stream += st->owed;
    owes_no_more(st);
}

/* Opens the peer's windows by what has been taken. A stream that the wire has forgotten still owes
 * the connection's window. */
static void give_back(struct h2_stream *st)
{
    struct h2_session *s = st->session;
    size_t n = st->owed + st->owed_stream;
    if (s->ended || n == 0) {
        allowance_forget(st->allowance, &st->waiter);
        return;
    }
    if (!may_send(st, n)) {
        open_to_others(st);
        return;
    }
    (void)nghttp2_session_consume_stream(s->wire, st->id, n);
    st->owed_stream = 0;
    owes_no_more(st);
}

/* Whether the connection's window may open by what this stream holds. A client's requests that wait
 * for a place must not stop those that have one, which would wait for content: what they hold is in
 * the client's allowance, which decides over the whole. */
static bool lends(const struct h2_stream *st)
{
    return st->session->server || st->session->held <= LIMIT_H2_HELD;
}

/* The others' part of what this stream took or holds: the connection's window. */
static void give_back_to_others(struct h2_stream *st)
{
    struct h2_session *s = st->session;
    if (s->ended || st->owed == 0) {
        return;
    }
    if (!lends(st)) {
        s->owes = true;
        return;
    }
    open_to_others(st);
}

void h2_settle_held(struct h2_session *s)
{
    if (s->full && s->held <= LIMIT_H2_HELD / 4) {
        s->full = false;
        s->events->on_terms(s->user);
    }
    if (s->ended) {
        return;
    }
    if (s->owes && (s->server || s->held <= LIMIT_H2_HELD)) {
        s->owes = false;
        list_each (e, &s->streams) {
            give_back_to_others(container_of(e, struct h2_stream, link));
        }
    }
    open_connection(s);
}

/* As far as memory and the client's other streams leave it (L18). */
static bool set_window(struct h2_stream *st, size_t to)
{
    struct h2_session *s = st->session;
    if (conn_pressed(s->conn) || !allowance_widen(st->allowance, st->window, to)) {
        return false;
    }
    st->promised += st->allowance != NULL ? to - st->window : 0;
    st->window = to;
    st->epoch_bytes = 0;
    (void)nghttp2_session_set_local_window_size(s->wire, NGHTTP2_FLAG_NONE, st->id, (int32_t)to);
    return true;
}

/* All begin with the least window, for its sum's sake (L18). One more frame for each request makes
 * it the usual one, but where that is hardly ever needed. */
void h2_stream_first_window(struct h2_stream *st)
{
    enum { BRIEF = 8 };
    struct h2_session *s = st->session;
    bool known = nghttp2_session_find_stream(s->wire, st->id) != NULL;
    if (!s->server && known && h2_stream_hears(st) && st->window < LIMIT_H2_WINDOW &&
        s->brief < BRIEF) {
        (void)set_window(st, LIMIT_H2_WINDOW);
    }
}

/* The window of a client's connection bounds what all of its streams send together. */
static void widen_connection(struct h2_session *s, size_t n)
{
    int64_t now = loop_now_ns(s->loop);
    size_t to = 2 * s->window;
    if (now - s->epoch_ns > s->rtt_ns) {
        s->epoch_ns = now;
        s->epoch_bytes = 0;
    }
    s->epoch_bytes += n;
    if (s->epoch_bytes < s->window / 2 || to > LIMIT_H2_WINDOW_CONNECTION || s->rtt_ns == 0 ||
        conn_pressed(s->conn) || !allowance_opens(&s->allowance, s->window)) {
        return;
    }
    s->window = to;
    s->epoch_bytes = 0;
    (void)nghttp2_session_set_local_window_size(s->wire, NGHTTP2_FLAG_NONE, 0, (int32_t)to);
}

/* L21: a window that is used up within a round trip is what bounds the stream's speed. */
static void widen(struct h2_stream *st, size_t n)
{
    struct h2_session *s = st->session;
    int64_t now = loop_now_ns(s->loop);
    if (s->server) {
        widen_connection(s, n);
    }
    if (now - st->epoch_ns > s->rtt_ns) {
        st->epoch_ns = now;
        st->epoch_bytes = 0;
    }
    st->epoch_bytes += n;
    if (st->epoch_bytes >= st->window / 2 && st->window < LIMIT_H2_WINDOW_MOST && s->rtt_ns > 0 &&
        st->open && !st->peer_done &&
        (st->window >= LIMIT_H2_WINDOW || !set_window(st, LIMIT_H2_WINDOW))) {
        (void)set_window(st, 2 * st->window);
    }
}

static bool hold(struct h2_stream *st, struct span bytes)
{
    struct h2_session *s = st->session;
    bool first = st->held.bytes == 0;
    if (!chain_put(&st->held, s->store, bytes)) {
        return false;
    }
    if (first) {
        st->held_ns = loop_now_ns(s->loop);
    }
    h2_stream_book(st);
    s->held += bytes.n;
    s->full = s->full || s->held > LIMIT_H2_HELD / 2;
    return true;
}

static void holds_no_more(struct h2_stream *st, size_t n)
{
    struct h2_session *s = st->session;
    s->held -= n;
    st->held_ns = loop_now_ns(s->loop);
    h2_later(s);
}

void h2_stream_drop_held(struct h2_stream *st)
{
    holds_no_more(st, st->held.bytes);
    chain_clear(&st->held, st->session->store);
    h2_stream_book(st);
    give_back(st);
}

/* What is wanted of it, in pieces as they are wanted. The rest. */
static struct span hand(struct h2_stream *st, struct span bytes)
{
    while (bytes.n > 0 && st->wants > 0 && st->held.bytes == 0 && h2_stream_hears(st)) {
        struct span piece = span_sub(bytes, 0, st->wants);
        st->session->events->on_body(st, piece);
        bytes = span_sub(bytes, piece.n, bytes.n);
    }
    return bytes;
}

void h2_stream_received(struct h2_stream *st, struct span bytes)
{
    st->owed += bytes.n;
    st->session->owed += bytes.n;
    promise(st, st->promised > bytes.n ? st->promised - bytes.n : 0);
    struct span rest = hand(st, bytes);
    if (!h2_stream_hears(st)) {
        give_back(st);
        return;
    }
    if (rest.n > 0 && !hold(st, rest)) {
        st->failed = true;
        h2_stream_tell_later(st);
        return;
    }
    if (st->wants > 0 && st->held.bytes == 0) {
        widen(st, bytes.n);
        give_back(st);
    } else {
        give_back_to_others(st);
    }
}

static void tell_end(struct h2_stream *st)
{
    if (!h2_stream_hears(st) || st->end_told || !st->peer_done || st->wants == 0 ||
        st->held.bytes > 0) {
        return;
    }
    st->end_told = true;
    st->session->events->on_end(st, st->trailers_in.n > 0 ? &st->trailers_in : NULL);
}

void h2_stream_received_end(struct h2_stream *st)
{
    st->peer_done = true;
    h2_stream_promise_nothing(st);
    tell_end(st);
}

void h2_stream_hand_over(struct h2_stream *st)
{
    struct h2_session *s = st->session;
    while (st->wants > 0 && h2_stream_hears(st) && st->held.bytes > 0) {
        struct span piece = span_sub(chunk_span(st->held.first), 0, st->wants);
        s->events->on_body(st, piece);
        if (st->released) {
            return; /* what was held went with it */
        }
        holds_no_more(st, piece.n);
        chain_take(&st->held, s->store, piece.n);
        h2_stream_book(st);
    }
    if (st->wants > 0 && st->held.bytes == 0) {
        give_back(st);
    } else {
        allowance_forget(st->allowance, &st->waiter); /* it asks again when it wants more */
        give_back_to_others(st);
    }
    tell_end(st);
}
