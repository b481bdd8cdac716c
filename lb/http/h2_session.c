#include "http/h2_session_impl.h"

#include "base/mem.h"

#include <assert.h>

/* The connection: bytes in and out, its terms, its end. */

enum { WATCH_MS = 250, DRAIN_MS = 1000, QUEUE_MOST = 512 };

/* What the library holds for one connection, about. */
enum { WIRE_BYTES = 26 * 1024 };

void h2_later(struct h2_session *s)
{
    task_post(s->loop, &s->later);
}

void h2_condemn(struct h2_session *s, uint32_t code, enum err why)
{
    if (s->condemned || s->ended) {
        return;
    }
    s->condemned = true;
    s->why = why;
    (void)nghttp2_session_terminate_session(s->wire, code);
    h2_later(s);
}

/* The connection is let go; the streams hear of it. */
static void end(struct h2_session *s, enum err why, enum conn_end how)
{
    if (s->ended) {
        return;
    }
    s->ended = true;
    budget_book(&s->allowance.all, &s->window_booked, 0);
    s->why = s->why != ERR_OK ? s->why : why;
    timer_stop(&s->timer);
    list_each (e, &s->streams) {
        h2_stream_closed(container_of(e, struct h2_stream, link), NGHTTP2_CANCEL, false);
    }
    conn_close(&s->conn, how);
    h2_later(s);
}

static enum err reason_of(ssize_t error)
{
    return error == NGHTTP2_ERR_NOMEM     ? ERR_NO_MEMORY
           : error == NGHTTP2_ERR_FLOODED ? ERR_H2_FLOOD
                                          : ERR_H2_PROTOCOL;
}

/* The library cannot go on. */
static void break_off(struct h2_session *s, ssize_t error)
{
    s->why = s->why != ERR_OK ? s->why : reason_of(error);
    s->condemned = true;
}

/* Frames to the connection, as long as it takes them. */
static void pump(struct h2_session *s)
{
    const uint8_t *bytes;
    while (conn_pending(s->conn) <= LIMIT_FLOW_HIGH) {
        ssize_t n = nghttp2_session_mem_send(s->wire, &bytes);
        if (n <= 0) {
            if (n < 0) {
                break_off(s, n);
            }
            return;
        }
        conn_write(s->conn, span_of((const char *)bytes, (size_t)n));
    }
}

/* What must not last for ever: a header block, streams that nobody asks for any more or that hold
 * up others, SETTINGS that are not acknowledged, a drain whose peer does not answer. */
static bool needs_watch(const struct h2_session *s)
{
    bool holds_up = !s->server && s->held > LIMIT_H2_HELD;
    bool waits = s->waiting > 0 || s->allowance.shut || !list_empty(&s->allowance.waiting);
    return s->block_ns != 0 || waits || s->lingering > 0 || holds_up || s->unsettled_ns != 0 ||
           (s->draining && !s->drain_said);
}

/* F11: a peer that breaks the rules is gone within a second of that. */
static enum conn_end way_out(const struct h2_session *s)
{
    return s->why == ERR_H2_FLOOD || s->why == ERR_H2_PROTOCOL ? CONN_END_CUT : CONN_END_FLUSH;
}

static void settle_wire(struct h2_session *s)
{
    pump(s);
    if (s->condemned ||
        (nghttp2_session_want_read(s->wire) == 0 && nghttp2_session_want_write(s->wire) == 0)) {
        end(s, ERR_OK, way_out(s));
        return;
    }
    bool read = nghttp2_session_get_outbound_queue_size(s->wire) < QUEUE_MOST;
    conn_want_read(s->conn, read);
    if (needs_watch(s) && s->timer.due_ns == 0) {
        timer_in_ms(&s->timer, WATCH_MS);
    }
}

static void settle_streams(struct h2_session *s)
{
    while (!list_empty(&s->news)) {
        struct link *first = s->news.next;
        list_remove(first);
        h2_stream_settle(container_of(first, struct h2_stream, news));
    }
}

static void on_later(struct task *t)
{
    struct h2_session *s = container_of(t, struct h2_session, later);
    s->begun = 0;
    allowance_wake(&s->allowance);
    settle_streams(s);
    h2_settle_held(s);
    if (!s->ended) {
        settle_wire(s);
        settle_streams(s); /* what has just ended makes room before the peer asks again (L20) */
    }
    if (!s->ended || s->live > 0) {
        return;
    }
    s->events->on_end_of_session(s->user, s->why);
    task_cancel(&s->later);
    nghttp2_session_del(s->wire);
    assert(s->allowance.all.used == 0);
    mem_free(s);
}

/* The peer has not said that it knows. A head that is not complete is no request; others that run
 * beside it keep the connection. */
static void drain_late(struct h2_session *s)
{
    h2_drain_go_on(s);
    if (s->block_ns != 0 && s->live <= 1) {
        h2_condemn(s, NGHTTP2_NO_ERROR, ERR_SHUTDOWN);
    }
}

static void on_time(struct timer *t)
{
    struct h2_session *s = container_of(t, struct h2_session, timer);
    int64_t now = loop_now_ns(s->loop);
    if (s->block_ns != 0 && now - s->block_ns > s->limits->head_ms * NS_PER_MS) {
        h2_condemn(s, NGHTTP2_ENHANCE_YOUR_CALM, ERR_HEAD_TIMEOUT);
    }
    if (s->unsettled_ns != 0 && now - s->unsettled_ns > LIMIT_H2_SETTINGS_MS * NS_PER_MS) {
        h2_condemn(s, NGHTTP2_SETTINGS_TIMEOUT, ERR_H2_PROTOCOL); /* RFC 9113 section 6.5.3 */
    }
    if (s->draining && now - s->drain_ns >= DRAIN_MS * NS_PER_MS) {
        drain_late(s);
    }
    h2_streams_expire(s, now);
    h2_later(s);
}

/* A header block lasts from its first frame to the end of its last one, for the library ignores
 * some and tells nothing of them. */
static void block_begins(struct h2_session *s, struct h2_frame f)
{
    bool head = f.type == NGHTTP2_HEADERS;
    s->block_ns = head ? loop_now_ns(s->loop) : s->block_ns;
    s->block_ends =
        (head || f.type == NGHTTP2_CONTINUATION) && (f.flags & NGHTTP2_FLAG_END_HEADERS) != 0;
}

static void block_goes_on(struct h2_session *s)
{
    if (s->block_ends && h2_scan_between(&s->scan)) {
        s->block_ends = false;
        s->block_ns = 0;
    }
}

/* P1: whoever asks for much at once waits, so that others are served in between. Who only asks anew
 * for as much as has been answered and taken does not: what comes together leaves together. */
static bool begun_enough(const struct h2_session *s)
{
    return s->begun >= LIMIT_H2_TURN && s->ahead == 0;
}

static size_t on_bytes(void *user, struct conn *c, struct span bytes)
{
    struct h2_session *s = user;
    size_t all = bytes.n;
    h2_later(s);
    while (bytes.n > 0 && !s->condemned && !s->ended) {
        if (begun_enough(s)) {
            conn_yield(c);
            return all - bytes.n;
        }
        struct h2_frame f;
        bool begun;
        size_t n = h2_scan_next(&s->scan, bytes, &f, &begun);
        if (begun) {
            h2_admit(s, f);
            block_begins(s, f);
        }
        ssize_t r =
            s->condemned ? 0 : nghttp2_session_mem_recv(s->wire, (const uint8_t *)bytes.p, n);
        if (r < 0) {
            break_off(s, r);
        }
        block_goes_on(s);
        bytes = span_sub(bytes, n, bytes.n);
    }
    return all;
}

static void on_eof(void *user, struct conn *c, bool clean)
{
    struct h2_session *s = user;
    (void)c;
    (void)clean;
    end(s, s->server ? ERR_CLIENT_CLOSED : ERR_BACKEND_RESET, CONN_END_FLUSH);
}

static void on_fail(void *user, struct conn *c, enum err why)
{
    struct h2_session *s = user;
    (void)c;
    end(s, why, CONN_END_NOW);
}

static void on_room(void *user, struct conn *c)
{
    struct h2_session *s = user;
    (void)c;
    h2_later(s);
}

static void on_open(void *user, struct conn *c)
{
    (void)user;
    (void)c;
}

static const struct conn_events events = {
    .on_open = on_open,
    .on_bytes = on_bytes,
    .on_eof = on_eof,
    .on_room = on_room,
    .on_fail = on_fail,
};

/* L20, L21. */
static bool say_terms(struct h2_session *s)
{
    const nghttp2_settings_entry server[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, s->limits->streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, LIMIT_H2_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)s->limits->head.size},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
    };
    const nghttp2_settings_entry client[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, LIMIT_H2_WINDOW_LEAST},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)s->limits->head.size},
    };
    int r = s->server ? nghttp2_submit_settings(s->wire, NGHTTP2_FLAG_NONE, server,
                                                sizeof(server) / sizeof(server[0]))
                      : nghttp2_submit_settings(s->wire, NGHTTP2_FLAG_NONE, client,
                                                sizeof(client) / sizeof(client[0]));
    s->unsettled = 1;
    return r == 0 && nghttp2_session_set_local_window_size(s->wire, NGHTTP2_FLAG_NONE, 0,
                                                           (int32_t)s->window) == 0;
}

/* L22. What the limit of a head allows fits, however it is coded; a head that passes the limit by
 * less than as much again costs its stream only, not the others their connection. */
static size_t block_most(const struct h2_limits *limits)
{
    size_t twice = 2 * limits->head.size;
    return twice < LIMIT_H2_BLOCK ? LIMIT_H2_BLOCK : twice;
}

static void allowance_changed(void *owner)
{
    h2_later(owner);
}

enum err h2_session_new(struct conn *c, bool server, const struct h2_limits *limits,
                        const struct h2_events *to, void *user, struct h2_session **out)
{
    struct h2_session *s = reserve_alloc(conn_reserve(c), sizeof(*s));
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    *s = (struct h2_session){.limits = limits,
                             .events = to,
                             .user = user,
                             .server = server,
                             .guard.block_most = block_most(limits),
                             .window = server ? LIMIT_H2_WINDOW : LIMIT_H2_WINDOW_CONNECTION,
                             .ahead = LIMIT_H2_AT_ONCE,
                             .conn = c,
                             .loop = conn_loop(c),
                             .store = conn_store(c),
                             .small = conn_small(c),
                             .reserve = conn_reserve(c)};
    allowance_init(&s->allowance, limits->streams, allowance_changed, s);
    if (!h2_wire_new(s) || !say_terms(s)) {
        nghttp2_session_del(s->wire);
        mem_free(s);
        return ERR_NO_MEMORY;
    }
    s->guard.from_client = server;
    s->born_ns = loop_now_ns(s->loop);
    h2_scan_init(&s->scan, server ? NGHTTP2_CLIENT_MAGIC_LEN : 0);
    list_init(&s->streams);
    list_init(&s->news);
    task_init(&s->later, on_later);
    timer_init(&s->timer, s->loop, on_time);
    conn_set_hold_limit(c, KIB(64));
    conn_set_events(c, &events, s);
    h2_later(s);
    *out = s;
    return ERR_OK;
}

void h2_session_drain(struct h2_session *s)
{
    if (s->draining || s->ended) {
        return;
    }
    s->draining = true;
    s->drain_ns = loop_now_ns(s->loop);
    (void)nghttp2_submit_shutdown_notice(s->wire);
    h2_session_ping(s);
}

/* The peer knows by now that no further stream is taken. */
void h2_drain_go_on(struct h2_session *s)
{
    if (s->drain_said || s->ended) {
        return;
    }
    s->drain_said = true;
    (void)nghttp2_submit_goaway(s->wire, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(s->wire), NGHTTP2_NO_ERROR,
                                NULL, 0);
    h2_later(s);
}

void h2_session_kill(struct h2_session *s, enum err why)
{
    if (s->ended) {
        return;
    }
    (void)nghttp2_session_terminate_session(s->wire, NGHTTP2_NO_ERROR);
    pump(s);
    end(s, why, CONN_END_FLUSH);
}

static void narrow(struct h2_session *s, struct h2_stream *st)
{
    if (st->window <= LIMIT_H2_WINDOW || !st->open)
        return;
    st->window = LIMIT_H2_WINDOW;
    (void)nghttp2_session_set_local_window_size(s->wire, NGHTTP2_FLAG_NONE, st->id,
                                                LIMIT_H2_WINDOW);
}

void h2_session_press(struct h2_session *s, bool on)
{
    if (s->ended || s->condemned)
        return;
    uint32_t most = s->limits->streams;
    nghttp2_settings_entry terms = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
                                    on && most > LIMIT_H2_STREAMS_PRESSED ? LIMIT_H2_STREAMS_PRESSED
                                                                          : most};
    if (nghttp2_submit_settings(s->wire, NGHTTP2_FLAG_NONE, &terms, 1) == 0) {
        s->unsettled++;
        h2_unsettled_from_now(s);
    }
    for (struct link *e = s->streams.next; on && e != &s->streams; e = e->next) {
        narrow(s, container_of(e, struct h2_stream, link));
    }
    h2_later(s);
}

size_t h2_session_bytes(const struct h2_session *s)
{
    size_t sum = sizeof *s + WIRE_BYTES + (s->conn != NULL ? conn_bytes(s->conn) : 0);
    for (const struct link *e = s->streams.next; e != &s->streams; e = e->next) {
        const struct h2_stream *st = container_of(e, const struct h2_stream, link);
        sum += sizeof *st + st->held.bytes + st->out.bytes;
        sum += st->arena != NULL ? st->arena->used : 0;
    }
    return sum;
}

uint32_t h2_session_streams(const struct h2_session *s)
{
    return s->live;
}

uint32_t h2_session_room(const struct h2_session *s)
{
    uint32_t most =
        nghttp2_session_get_remote_settings(s->wire, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    most = most < LIMIT_H2_STREAMS ? most : LIMIT_H2_STREAMS;
    bool takes = s->rtt_ns > 0 && !s->full && !h2_session_ending(s) &&
                 nghttp2_session_check_request_allowed(s->wire) != 0;
    return takes && s->live < most ? most - s->live : 0;
}

bool h2_session_wants_h1(const struct h2_session *s)
{
    return s->wants_h1;
}

struct allowance *h2_session_allowance(struct h2_session *s)
{
    return &s->allowance;
}

bool h2_session_connects(const struct h2_session *s)
{
    return nghttp2_session_get_remote_settings(s->wire, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) ==
           1;
}

enum err h2_session_why(const struct h2_session *s)
{
    return s->why;
}

bool h2_session_ending(const struct h2_session *s)
{
    return s->ended || s->condemned || s->draining || s->goaway;
}

void h2_session_ping(struct h2_session *s)
{
    (void)nghttp2_submit_ping(s->wire, NGHTTP2_FLAG_NONE, NULL);
    h2_later(s);
}

struct conn *h2_session_conn(const struct h2_session *s)
{
    return s->conn;
}
