#include "http/h1_back_impl.h"

#include "base/limits.h"
#include "base/mem.h"

/* The connection to a server: its life between exchanges, and what the server says. */

static int64_t now_ns(const struct h1_back *h)
{
    return loop_now_ns(conn_loop(h->conn));
}

static void h1_back_free(struct h1_back *h)
{
    task_cancel(&h->later);
    mem_free(h);
}

/* From events of the connection only, while no exchange has the stream: h is gone after this. */
static void end_now(struct h1_back *h, enum err why)
{
    conn_close(&h->conn, CONN_END_NOW);
    h->link.owner->on_closed(h->link.owner_user, why);
    h1_back_free(h);
}

/* From inside an operation. */
static void end_connection(struct h1_back *h, enum err why, enum conn_end how)
{
    struct loop *l = conn_loop(h->conn);
    h->state = BACK_ENDED;
    h->why = why;
    conn_close(&h->conn, how);
    task_post(l, &h->later);
}

void h1_back_watch(struct h1_back *h)
{
    bool wants = !h->failed && (!h->replied || h->wants);
    if (!wants) {
        h->waits = false;
        allowance_forget(h->stream.allowance, &h->waiter);
    }
    conn_want_read(h->conn, wants && !h->waits);
}

/* L18: a head is copied, to be read and to be sent; of content what is read waits. One that did not
 * come with the first read is large. */
static bool may_read(void *user, struct conn *c)
{
    struct h1_back *h = user;
    size_t step = h->replied ? 2 * h->most : LIMIT_H2_STEP;
    size_t n = h->replied || !conn_has_unread(c) ? h->most : step;
    if (h->state != BACK_BUSY || allowance_may(h->stream.allowance, &h->waiter, n, step)) {
        return true;
    }
    h->waits = true;
    h1_back_watch(h);
    return false;
}

static struct h1_back *waits(struct allowance_waiter *w)
{
    return container_of(w, struct h1_back, waiter);
}

static void go_on(struct allowance_waiter *w)
{
    waits(w)->waits = false;
    h1_back_watch(waits(w));
}

static void give_up(struct allowance_waiter *w)
{
    h1_back_fail(waits(w), ERR_HELD);
}

void h1_back_fail(struct h1_back *h, enum err why)
{
    if (h->failed || h->done) {
        return;
    }
    h->failed = true;
    h1_back_watch(h);
    bool unseen = conn_sent(h->conn) == h->sent_before;
    h->stream.unheard = unseen || !conn_heard(h->conn);
    h->stream.events->on_fail(h->stream.user, why, unseen ? SEEN_NO : SEEN_MAYBE);
}

/* Content that breaks its framing, in the server's names. */
static enum err as_backend(enum err e)
{
    return e == ERR_NO_MEMORY ? e : ERR_BACKEND_PROTOCOL;
}

static void interim(struct h1_back *h)
{
    unsigned status = h->reply.status;
    if (++h->interims > h->limits->interim) {
        h1_back_fail(h, ERR_BACKEND_HEAD_TOO_LARGE);
        return;
    }
    h1_scan_init(&h->scan, H1_REPLY);
    if (status == 100 || status == 103) { /* H18: no others are passed on */
        h->stream.events->on_interim(h->stream.user, &h->reply);
    }
}

static void final(struct h1_back *h, const struct h1_head *head)
{
    h->replied = true;
    h->keep_alive = head->keep_alive;
    h->keep_ms = head->keep_ms;
    h->early = !h->request_done;
    h->tunnel = h->reply.upgraded;
    h->trailers = (struct fields){0};
    h1_body_init(&h->body, h->tunnel ? H1_CLOSE : head->coding, h->reply.length, h->stream.arena,
                 &h->trailers);
    h->done = h1_body_done(&h->body);
    h1_back_watch(h);
    h->stream.events->on_reply(h->stream.user, &h->reply, h->done);
}

/* RFC 6455 section 4.1: where the key is ours, so is the check of what answers it. */
static bool key_answered(const struct h1_back *h)
{
    char want[WEBSOCKET_ACCEPT];
    const struct field *accept = fields_get(&h->reply.fields, FIELD_SEC_WEBSOCKET_ACCEPT);
    if (!h->keyed) {
        return true;
    }
    websocket_accept(span_of(h->key, sizeof(h->key)), want);
    return accept != NULL && span_eq(accept->value, span_of(want, sizeof(want)));
}

static size_t read_head(struct h1_back *h, struct span bytes)
{
    const struct back_limits *l = h->limits;
    struct h1_limits limits = {
        .line = l->head, .head = l->head, .fields = l->fields, .field = l->head};
    struct h1_head head;
    enum err e =
        h1_parse_reply(&h->scan, &limits, bytes, h->asked, h->stream.arena, &h->reply, &head);
    if (e == ERR_AGAIN) {
        return 0;
    }
    if (e != ERR_OK) {
        h1_back_fail(h, e);
        return bytes.n;
    }
    h->stream.bytes_in += head.bytes;
    if (h->reply.upgraded && !key_answered(h)) {
        h1_back_fail(h, ERR_BACKEND_PROTOCOL);
    } else if (h->reply.status < 200 && !h->reply.upgraded) {
        interim(h);
    } else {
        final(h, &head);
    }
    return head.bytes;
}

static void tell_end(struct h1_back *h)
{
    h->done = true;
    h->stream.events->on_end(h->stream.user, h->trailers.n > 0 ? &h->trailers : NULL);
}

static size_t read_body(struct h1_back *h, struct span bytes)
{
    size_t n = 0;
    struct span piece;
    enum err e = h1_body_step(&h->body, bytes, &n, &piece);
    h->stream.bytes_in += n;
    if (e == ERR_AGAIN) {
        return n;
    }
    uint64_t exchange = h->exchanges;
    if (e != ERR_OK) {
        h1_back_fail(h, as_backend(e));
    } else if (piece.n > 0) {
        h->stream.events->on_body(h->stream.user, piece);
    }
    if (h->state == BACK_BUSY && h->exchanges == exchange && !h->failed && h1_body_done(&h->body)) {
        tell_end(h);
    }
    return n;
}

/* An answer before the question is none (F6). */
static bool unasked(const struct h1_back *h)
{
    return !h->head_sent || conn_sent(h->conn) == h->sent_before;
}

static size_t read_some(struct h1_back *h, struct span bytes)
{
    if (h->state != BACK_BUSY || h->failed) {
        return bytes.n;
    }
    if (h->done) {
        h->dirty = true; /* H20: bytes after the response */
        return bytes.n;
    }
    if (unasked(h)) {
        h1_back_fail(h, ERR_BACKEND_PROTOCOL);
        return bytes.n;
    }
    if (h->stream.first_byte_ns == 0) {
        h->stream.first_byte_ns = now_ns(h);
    }
    if (!h->replied) {
        return read_head(h, bytes);
    }
    return h->wants ? read_body(h, bytes) : 0;
}

static size_t on_bytes(void *user, struct conn *c, struct span bytes)
{
    struct h1_back *h = user;
    size_t used = 0, n;
    (void)c;
    do {
        if (h->state == BACK_IDLE) { /* H20: nobody asked */
            end_now(h, ERR_BACKEND_PROTOCOL);
            return bytes.n;
        }
        n = read_some(h, span_sub(bytes, used, bytes.n));
        used += n;
    } while (n > 0 && used < bytes.n);
    if (h->replied) {
        allowance_forget(h->stream.allowance, &h->waiter); /* others have their turn */
    }
    return used;
}

/* RFC 9112 section 6.3: the connection's end is that of the content only where nothing else tells
 * it, and only where it is known to be the server's doing. */
static void eof_while_busy(struct h1_back *h, bool clean)
{
    h->dirty = true;
    if (h->done || h->failed) {
        return;
    }
    if (!h->replied) {
        h1_back_fail(h, ERR_BACKEND_RESET);
    } else if (h->body.coding == H1_CLOSE && clean) {
        tell_end(h);
    } else {
        h1_back_fail(h, ERR_BACKEND_TRUNCATED);
    }
}

static void on_eof(void *user, struct conn *c, bool clean)
{
    struct h1_back *h = user;
    (void)c;
    if (h->state == BACK_BUSY) {
        eof_while_busy(h, clean);
    } else if (h->state == BACK_IDLE) {
        end_now(h, ERR_BACKEND_RESET);
    }
}

static void on_fail(void *user, struct conn *c, enum err why)
{
    struct h1_back *h = user;
    (void)c;
    if (h->state == BACK_BUSY) {
        h->dirty = true;
        h1_back_fail(h, why);
    } else if (h->state != BACK_ENDED) {
        end_now(h, why);
    }
}

static void on_room(void *user, struct conn *c)
{
    struct h1_back *h = user;
    (void)c;
    if (h->state == BACK_BUSY && !h->failed) {
        h->stream.events->on_room(h->stream.user);
    }
}

/* What comes to a connection that rests, or before the request has left, ends it; it must not be
 * taken for the answer to what has left meanwhile (F6). */
static bool may_wait(void *user)
{
    const struct h1_back *h = user;
    return h->state == BACK_BUSY && !h->done && !unasked(h);
}

static const struct conn_events events = {
    .on_open = conn_ignore, /* it was open when it came */
    .on_bytes = on_bytes,
    .on_eof = on_eof,
    .on_room = on_room,
    .on_fail = on_fail,
    .may_read = may_read,
    .may_wait = may_wait,
};

static void on_later(struct task *t)
{
    struct h1_back *h = container_of(t, struct h1_back, later);
    switch (h->state) {
    case BACK_ENDED:
        h->link.owner->on_closed(h->link.owner_user, h->why);
        h1_back_free(h);
        break;
    case BACK_IDLE:
        h->link.owner->on_slots(h->link.owner_user, h->keep_ms); /* which may close it */
        break;
    case BACK_BUSY:
        h1_back_fail(h, h->why);
        break;
    }
}

/* H20: whether another request may follow. Bytes that are left over by now, and will be delivered
 * before the owner hears that it is idle, end it still. */
static bool reusable(const struct h1_back *h)
{
    bool sent = h->request_done && !h->early && conn_pending(h->conn) == 0;
    bool clean = h->done && !h->dirty && !h->failed && !h->tunnel;
    return sent && clean && h->keep_alive && (h->wants || !conn_has_unread(h->conn));
}

void h1_back_finish(struct h1_back *h)
{
    struct allowance *all = h->stream.allowance;
    task_cancel(&h->later);
    conn_set_budget(h->conn, NULL);
    allowance_forget(all, &h->waiter);
    allowance_fell(all);
    h->stream.allowance = NULL;
    if (reusable(h)) {
        h->state = BACK_IDLE;
        h->stream.reused = true;
        conn_want_read(h->conn, true);
        if (conn_has_unread(h->conn)) {
            task_post_last(conn_loop(h->conn), &h->later); /* behind its delivery */
        } else {
            task_post(conn_loop(h->conn), &h->later);
        }
        return;
    }
    end_connection(h, ERR_OK, h->tunnel && h->done ? CONN_END_FLUSH : CONN_END_NOW);
}

static struct h1_back *of(struct back_link *l)
{
    return container_of(l, struct h1_back, link);
}

static bool is_free(const struct back_link *l)
{
    const struct h1_back *h = container_of(l, const struct h1_back, link);
    return h->state == BACK_IDLE && list_empty(&h->later.link);
}

static uint32_t slots(const struct back_link *l)
{
    return is_free(l) ? 1 : 0;
}

static uint32_t busy(const struct back_link *l)
{
    return is_free(l) ? 0 : 1;
}

static struct back *take(struct back_link *l)
{
    struct h1_back *h = of(l);
    struct back *b = &h->stream;
    if (!is_free(l)) {
        return NULL;
    }
    h->state = BACK_BUSY;
    h->exchanges++;
    h->sent_before = conn_sent(h->conn);
    h->head_sent = h->request_done = h->replied = h->done = h->tunnel = h->keyed = false;
    h->early = h->dirty = h->failed = false;
    h->wants = true;
    h->waits = false;
    h->most = LIMIT_READ_LEAST;
    conn_set_read_most(h->conn, h->most);
    h->interims = 0;
    h->keep_ms = 0;
    h1_scan_init(&h->scan, H1_REPLY);
    b->events = NULL;
    b->user = NULL;
    b->arena = NULL;
    b->bytes_in = b->bytes_out = 0;
    b->first_byte_ns = b->sent_ns = 0;
    return b;
}

static void close_link(struct back_link *l)
{
    struct h1_back *h = of(l);
    if (h->conn != NULL) {
        conn_close(&h->conn, CONN_END_NOW);
    }
    h1_back_free(h);
}

static const struct back_link_ops link_ops = {
    .take = take, .slots = slots, .busy = busy, .close = close_link};

enum err h1_back_new(struct conn *c, const struct back_limits *limits,
                     const struct back_owner *owner, void *owner_user, struct back_link **out)
{
    struct h1_back *h = reserve_alloc(conn_reserve(c), sizeof(*h));
    if (h == NULL) {
        return ERR_NO_MEMORY;
    }
    *h = (struct h1_back){
        .link = {.ops = &link_ops, .owner = owner, .owner_user = owner_user},
        .stream.ops = &h1_back_ops,
        .limits = limits,
        .conn = c,
        .state = BACK_IDLE,
    };
    task_init(&h->later, on_later);
    list_init(&h->waiter.link);
    h->waiter.go_on = go_on;
    h->waiter.give_up = give_up;
    conn_set_hold_limit(c, LIMIT_READ);
    conn_set_events(c, &events, h);
    *out = &h->link;
    return ERR_OK;
}
