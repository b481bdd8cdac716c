#include "http/h1_front_impl.h"

#include "base/limits.h"
#include "base/mem.h"

/* Requests from one connection, one after the other; the connection's end. Nothing of this is
 * called from inside an operation of the stream. */

enum { ARENA_BLOCK = 8 * 1024 };

/* What a client's system mostly takes at once, however slowly the client reads. */
enum { LAST_MOST = 16 * 1024 };

bool h1_front_is_old(const struct h1_front *h)
{
    return h1_front_now_ns(h) >= h->old_ns;
}

static size_t hold_limit(const struct front_limits *l)
{
    enum { LINE_EXTRA = 6 }; /* colon, spaces, CR LF */
    size_t head = l->request_line + l->head + l->fields * LINE_EXTRA + LIMIT_FIELD_NAME;
    return head > KIB(64) ? head : KIB(64);
}

/* The memory of a request, from the first byte of its head on. Until it is known where that ends it
 * is lent: what follows on the connection would end with it (F16). */
static bool borrow_request(struct h1_front *h)
{
    const struct front_limits *l = h->limits;
    struct reserve *reserve = conn_reserve(h->conn);
    struct h1_request *q = small_take_lent(conn_small(h->conn), reserve, sizeof(*q));
    if (q == NULL) {
        return false;
    }
    q->stream =
        (struct front){.ops = &h1_front_ops, .arena = &q->arena, .begun_ns = h1_front_now_ns(h)};
    q->front = h;
    arena_init(&q->arena, h->arenas, ARENA_BLOCK, front_arena_most(hold_limit(l), l->fields));
    q->arena.reserve = reserve;
    h1_scan_init(&q->scan, H1_REQUEST);
    h->request = q;
    return true;
}

static void return_request(struct h1_front *h)
{
    struct h1_request *q = h->request;
    h->request = NULL;
    if (q != NULL) {
        arena_reset(&q->arena);
        small_give(conn_small(h->conn), q);
    }
}

void h1_front_end(struct h1_front *h, enum err why, enum conn_end how)
{
    struct loop *l = conn_loop(h->conn);
    return_request(h);
    h->state = FRONT_ENDED;
    h->why = why;
    conn_close(&h->conn, how);
    task_post(l, &h->later);
}

/* The exchange hears once that nothing more will come from the client. */
static void tell_gone(struct h1_front *h, enum err why, bool answerable)
{
    struct h1_request *q = h->request;
    if (q->gone) {
        return;
    }
    q->gone = true;
    h->closing = true;
    q->stream.events->on_gone(q->stream.user, why, answerable);
}

static bool may_hear(const struct h1_front *h)
{
    const struct h1_request *q = h->request;
    return h->state == FRONT_BUSY && !q->gone && !q->end_told && q->wants;
}

static void tell_end(struct h1_request *q)
{
    q->end_told = true;
    q->stream.events->on_end(q->stream.user, NULL);
}

/* The content's end, where it has been reached: by its framing or, in a tunnel, by the client's
 * end. Elsewhere the client's end before that of the content is an abort. */
static void settle_input(struct h1_front *h)
{
    if (!may_hear(h)) {
        return;
    }
    struct h1_request *q = h->request;
    bool over = h->eof && !conn_has_unread(h->conn);
    if (q->tunnel ? over : h1_body_done(&q->body) && q->message.upgrade == UPGRADE_NONE) {
        tell_end(q);
    } else if (over && !h1_body_done(&q->body)) {
        tell_gone(h, ERR_CLIENT_ABORT, false);
    }
}

/* A new exchange; bad: it only answers. */
static void begin(struct h1_front *h, enum err bad, enum h1_coding coding, size_t head_bytes)
{
    struct h1_request *q = h->request;
    h->state = FRONT_BUSY;
    h->served++;
    q->arena.reserve = NULL;
    h->closing = h->closing || bad != ERR_OK || h->served >= h->limits->requests;
    q->message.scheme = h->tls ? SPAN("https") : SPAN("http");
    q->wants = q->end_told = q->begun = q->done = q->tunnel = false;
    q->gone = bad != ERR_OK;
    q->coding = H1_NONE;
    q->left = 0;
    h1_body_init(&q->body, coding, q->message.length, NULL, NULL);
    if (q->message.upgrade != UPGRADE_NONE) {
        conn_set_hold_limit(h->conn, LIMIT_UPGRADE_HELD);
    }
    q->stream.bytes_in = head_bytes;
    h->owner->on_request(h->owner_user, &q->stream, &q->message, bad);
}

/* L4: the first head has its time from accept, the others from their first byte. A reload may have
 * raised its limits since the connection began to wait: what is held of it must not end before. */
static void head_goes_on(struct h1_front *h, bool first)
{
    conn_set_hold_limit(h->conn, hold_limit(h->limits));
    if (h->eof) {
        h1_front_end(h, ERR_CLIENT_ABORT, CONN_END_FLUSH);
    } else if (first && h->served > 0) {
        conn_aim(h->conn, h->request->stream.begun_ns + h->limits->head_ms * NS_PER_MS);
    }
}

static size_t read_head(struct h1_front *h, struct span bytes)
{
    const struct front_limits *l = h->limits;
    struct h1_limits limits = {.line = l->request_line,
                               .head = l->head,
                               .fields = l->fields,
                               .field = l->field,
                               .odd_names = l->odd_names};
    struct h1_head head;
    bool first = h->request == NULL;
    if (first && conn_pending(h->conn) > LIMIT_FLOW_HIGH) {
        h1_front_hold_back(h);
        return 0;
    }
    if (first && !borrow_request(h)) {
        h1_front_end(h, ERR_NO_MEMORY, CONN_END_NOW);
        return bytes.n;
    }
    struct h1_request *q = h->request;
    enum err e = h1_parse_request(&q->scan, &limits, bytes, &q->arena, &q->message, &head);
    if (e == ERR_AGAIN) {
        head_goes_on(h, first);
        return 0;
    }
    if (e != ERR_OK) {
        begin(h, e, H1_NONE, q->message.head_bytes);
        return bytes.n;
    }
    h->leaving = !head.keep_alive;
    h->closing = h->closing || h->leaving;
    begin(h, ERR_OK, head.coding, head.bytes);
    return head.bytes;
}

static size_t read_tunnel(struct h1_request *q, struct span bytes)
{
    q->stream.bytes_in += bytes.n;
    q->stream.events->on_body(q->stream.user, bytes);
    return bytes.n;
}

/* Content, while the exchange wants it. Returns how much was taken. */
static size_t read_body(struct h1_front *h, struct span bytes)
{
    struct h1_request *q = h->request;
    uint32_t request = h->served;
    size_t used = 0;
    while (used < bytes.n && h->served == request && may_hear(h) && !h1_body_done(&q->body)) {
        size_t n = 0;
        struct span piece;
        enum err e = h1_body_step(&q->body, span_sub(bytes, used, bytes.n), &n, &piece);
        used += n;
        q->stream.bytes_in += n;
        if (e == ERR_AGAIN) {
            break;
        }
        if (e != ERR_OK) {
            tell_gone(h, e, !q->begun);
        } else if (piece.n > 0) {
            q->stream.events->on_body(q->stream.user, piece);
        }
    }
    if (h->served == request && h->eof && may_hear(h) && !h1_body_done(&q->body)) {
        tell_gone(h, ERR_CLIENT_ABORT, false);
    }
    return used;
}

static size_t read_some(struct h1_front *h, struct span bytes)
{
    if (h->state == FRONT_HEAD) {
        return read_head(h, bytes);
    }
    if (h->state == FRONT_ENDED || h->request->gone) {
        return bytes.n; /* nobody will ever ask for it */
    }
    if (!may_hear(h)) {
        return 0;
    }
    return h->request->tunnel ? read_tunnel(h->request, bytes) : read_body(h, bytes);
}

static bool in_tunnel(const struct h1_front *h)
{
    return h->state == FRONT_BUSY && h->request->tunnel;
}

/* A request has begun and not ended. */
static bool is_unfinished(const struct h1_front *h)
{
    const struct h1_request *q = h->request;
    return q != NULL && (h->state == FRONT_HEAD ||
                         (h->state == FRONT_BUSY && !q->gone && !h1_body_done(&q->body)));
}

static size_t on_bytes(void *user, struct conn *c, struct span bytes)
{
    struct h1_front *h = user;
    size_t used = 0, n;
    bool spent;
    do {
        uint32_t served = h->served;
        n = read_some(h, span_sub(bytes, used, bytes.n));
        used += n;
        /* A request that was answered at once may have taken its time, and thousands may follow. */
        spent = h->served != served && h->state == FRONT_HEAD && conn_spent(c);
    } while (n > 0 && used < bytes.n && !spent);
    if (spent && used < bytes.n) {
        conn_yield(c);
    }
    if (is_unfinished(h)) {
        conn_acknowledge(h->conn);
    }
    if (in_tunnel(h) && h->eof) {
        /* Its end comes when the connection knows what was taken. */
        task_post(conn_loop(h->conn), &h->later);
    } else {
        settle_input(h);
    }
    return used;
}

/* F9: a client that ends its half after a complete request is answered. */
static void eof_while_busy(struct h1_front *h, bool clean)
{
    if (!clean) {
        h->broken = true;
        tell_gone(h, ERR_CLIENT_ABORT, false);
    } else if (h->request->tunnel) {
        settle_input(h);
    } else if (!h1_body_done(&h->request->body) && (may_hear(h) || !conn_has_unread(h->conn))) {
        /* What is unread although it is wanted is the beginning of something that never comes. */
        tell_gone(h, ERR_CLIENT_ABORT, false);
    }
}

static void on_eof(void *user, struct conn *c, bool clean)
{
    struct h1_front *h = user;
    (void)c;
    if (h->eof && in_tunnel(h)) {
        return; /* its half has ended already */
    }
    h->eof = true;
    if (h->state == FRONT_BUSY) {
        eof_while_busy(h, clean);
    } else if (h->state == FRONT_HEAD && (h->request != NULL || !conn_has_unread(h->conn))) {
        enum err why = h->request != NULL ? ERR_CLIENT_ABORT : ERR_CLIENT_CLOSED;
        h1_front_end(h, why, CONN_END_FLUSH);
    }
}

static void on_fail(void *user, struct conn *c, enum err why)
{
    struct h1_front *h = user;
    (void)c;
    h->broken = true;
    if (h->state == FRONT_BUSY) {
        tell_gone(h, ERR_CLIENT_ABORT, false);
    } else if (h->state == FRONT_HEAD) {
        h1_front_end(h, why, CONN_END_NOW);
    }
}

static void on_room(void *user, struct conn *c)
{
    struct h1_front *h = user;
    (void)c;
    if (h->full) {
        h->full = false;
        conn_want_read(h->conn, true);
    } else if (h->state == FRONT_BUSY && !h->broken) {
        h->request->stream.events->on_room(h->request->stream.user);
    }
}

/* Aimed for FRONT_HEAD: L4, L5 or L7. Else it runs out without effect. */
static void on_time(void *user, struct conn *c)
{
    struct h1_front *h = user;
    struct h1_request *q = h->request;
    (void)c;
    if (h->state != FRONT_HEAD) {
        return;
    }
    if (q != NULL) {
        q->message = (struct request){
            .method = METHOD_OTHER, .version = VERSION_1_1, .head_bytes = q->scan.at};
        begin(h, ERR_HEAD_TIMEOUT, H1_NONE, q->scan.at);
    } else {
        h1_front_time_between(h);
    }
}

static bool may_wait(void *user)
{
    (void)user;
    return true;
}

static const struct conn_events events = {
    .on_open = conn_ignore, /* it was open when it came */
    .on_bytes = on_bytes,
    .on_eof = on_eof,
    .on_room = on_room,
    .on_fail = on_fail,
    .on_time = on_time,
    .may_wait = may_wait,
};

static void h1_front_free(struct h1_front *h)
{
    task_cancel(&h->later);
    mem_free(h);
}

static void on_later(struct task *t)
{
    struct h1_front *h = container_of(t, struct h1_front, later);
    if (h->state == FRONT_ENDED) {
        h->owner->on_closed(h->owner_user, h->why);
        h1_front_free(h);
        return;
    }
    settle_input(h);
}

void h1_front_redeliver(struct h1_front *h)
{
    conn_want_read(h->conn, false);
    conn_want_read(h->conn, true);
    task_post(conn_loop(h->conn), &h->later);
}

/* H19: what is cut short must not look complete. H20: a client that has said that this was all is
 * not waited for, unless it has said more, or says something at its end in any case, as with TLS:
 * that would reset a connection that is closed already, and take the answer along (F9). So would
 * CR LF behind content, an old custom (RFC 9112 sections 2.2 and 9.6); and behind anything else
 * that may come a small answer, the only one, has been received already. */
static enum conn_end end_of_last(const struct h1_front *h, bool whole)
{
    const struct h1_request *q = h->request;
    if (!whole) {
        return q->begun ? CONN_END_RESET : CONN_END_NOW;
    }
    bool said_all = h->leaving && q->body.coding == H1_NONE && !conn_has_unread(h->conn);
    bool small = h->served == 1 && q->stream.bytes_out <= LAST_MOST;
    return said_all && small && !h->tls && !q->tunnel ? CONN_END_LAST : CONN_END_FLUSH;
}

void h1_front_finish(struct h1_front *h)
{
    const struct h1_request *q = h->request;
    bool whole = q->done && !h->broken;
    bool ended = h->eof && !conn_has_unread(h->conn);
    if (whole && !h->closing && !q->tunnel && !ended && h1_body_done(&q->body)) {
        return_request(h);
        conn_set_hold_limit(h->conn, hold_limit(h->limits));
        h1_front_wait(h);
        return;
    }
    h1_front_end(h, whole ? ERR_OK : ERR_CLIENT_ABORT, end_of_last(h, whole));
}

static struct h1_front *codec_of(struct front_codec *c)
{
    return container_of(c, struct h1_front, codec);
}

static int64_t idle_ns(const struct front_codec *c)
{
    const struct h1_front *h = container_of(c, const struct h1_front, codec);
    bool idle = h->state == FRONT_HEAD && h->request == NULL && !conn_has_unread(h->conn);
    return idle ? h->idle_ns : FRONT_NOT_IDLE;
}

static void press(struct front_codec *c, bool on)
{
    codec_of(c)->pressed = on;
}

static size_t bytes(const struct front_codec *c)
{
    const struct h1_front *h = container_of(c, const struct h1_front, codec);
    const struct h1_request *q = h->request;
    size_t request = q != NULL ? sizeof *q + q->arena.used : 0;
    return sizeof *h + request + (h->conn != NULL ? conn_bytes(h->conn) : 0);
}

static void last(struct front_codec *c)
{
    codec_of(c)->last = true;
}

static void drain(struct front_codec *c)
{
    struct h1_front *h = codec_of(c);
    h->last = true;
    if (h1_front_half_a_head(h) || (idle_ns(c) != FRONT_NOT_IDLE && !h->untold)) {
        h1_front_end(h, ERR_SHUTDOWN, CONN_END_FLUSH);
    }
}

static void kill(struct front_codec *c, enum err why)
{
    struct h1_front *h = codec_of(c);
    if (h->state == FRONT_HEAD) {
        h1_front_end(h, why, CONN_END_NOW);
    } else if (h->state == FRONT_BUSY) {
        h->broken = true;
        tell_gone(h, why, false);
    }
}

static const struct front_codec_ops codec_ops = {
    .last = last, .drain = drain, .kill = kill, .idle_ns = idle_ns, .press = press, .bytes = bytes};

enum err h1_front_new(struct conn *c, bool tls, const struct front_limits *limits,
                      struct arena_cache *cache, const struct front_owner *owner, void *owner_user,
                      struct front_codec **out)
{
    struct h1_front *h = reserve_alloc(conn_reserve(c), sizeof(*h));
    if (h == NULL) {
        return ERR_NO_MEMORY;
    }
    *h = (struct h1_front){.codec.ops = &codec_ops,
                           .limits = limits,
                           .owner = owner,
                           .owner_user = owner_user,
                           .tls = tls,
                           .conn = c,
                           .arenas = cache,
                           .state = FRONT_HEAD};
    h->idle_ns = h1_front_now_ns(h);
    h->old_ns = h->idle_ns + front_age_ns(limits, c);
    task_init(&h->later, on_later);
    conn_set_hold_limit(c, hold_limit(limits));
    conn_set_events(c, &events, h);
    conn_aim(c, h->idle_ns + limits->head_ms * NS_PER_MS);
    *out = &h->codec;
    return ERR_OK;
}
