#include "proxy/connpool_impl.h"

#include "base/limits.h"
#include "base/mem.h"
#include "http/h1_back.h"
#include "http/h2_back.h"
#include "net/proxy_proto.h"

#include <assert.h>

/* The life of one connection: opening, its protocol, its slots, its end. */

static const struct back_limits back_limits = {
    .head = LIMIT_REPLY_HEAD, .fields = LIMIT_REPLY_FIELDS, .interim = LIMIT_INTERIM};

static void look_by(struct connpool_host *h, int64_t at_ns)
{
    if (h->upkeep.due_ns == 0 || at_ns < h->upkeep.due_ns)
        timer_aim(&h->upkeep, at_ns);
}

static void leave_place(struct pooled *c)
{
    struct connpool_host *h = c->host;
    list_remove(&c->link);
    h->counts[c->place]--;
    if (h->root != NULL && c->place == PLACE_IDLE)
        h->root->clients_idle--;
    if (c->place == PLACE_OPENING)
        h->promised -= c->promise;
}

static void enter_place(struct pooled *c, enum connpool_place to)
{
    struct connpool_host *h = c->host;
    c->place = to;
    h->counts[to]++;
    if (h->root != NULL && to == PLACE_IDLE)
        h->root->clients_idle++;
    if (to == PLACE_OPENING) {
        h->promised += c->promise;
        c->since_ns = loop_now_ns(h->pool->env->loop);
        list_append(&h->places[to], &c->link);
        look_by(h, c->since_ns + CONNPOOL_OPENING_MS * NS_PER_MS);
    } else {
        list_push(&h->places[to], &c->link);
    }
}

void pooled_move(struct pooled *c, enum connpool_place to)
{
    if (c->place == to)
        return;
    leave_place(c);
    enter_place(c, to);
}

static void forget(struct pooled *c)
{
    leave_place(c);
    c->host->count--;
    if (c->host->root != NULL)
        c->host->root->clients_count--;
    mem_free(c);
}

void pooled_close(struct pooled *c)
{
    if (c->conn != NULL)
        conn_close(&c->conn, CONN_END_NOW);
    else if (c->codec != NULL)
        c->codec->ops->close(c->codec);
    forget(c);
}

bool pooled_check(struct pooled *c)
{
    if (c->codec->ops->check == NULL)
        return false;
    c->codec->ops->check(c->codec);
    pooled_move(c, PLACE_OPENING);
    return true;
}

/* Opened under settings that do not hold any more. */
static bool superseded(const struct pooled *c)
{
    const struct connpool_host *d = connpool_declared(c->host);
    return c->settings != d->settings || (c->h2 && connpool_wants_h1(d));
}

static bool outdated(const struct pooled *c)
{
    return superseded(c) || connpool_declared(c->host)->generation == 0;
}

/* The oldest one; `used` connections are not for all. */
static struct connpool_wait *next_waiter(struct connpool_host *h, bool used)
{
    list_each (e, &h->waiters) {
        struct connpool_wait *w = container_of(e, struct connpool_wait, link);
        if (!used || !w->anew)
            return w;
    }
    return NULL;
}

/* Free slots go to those who wait, the oldest first. */
static void serve_waiters(struct pooled *c, bool used)
{
    struct connpool_wait *w;
    while (c->codec->ops->slots(c->codec) > 0 && (w = next_waiter(c->host, used)) != NULL) {
        struct back *b = c->codec->ops->take(c->codec);
        if (b == NULL)
            return;
        connpool_wait_done(w);
        w->events->on_stream(w->user, b);
    }
}

/* L34. What is more than is kept stays for a moment: the requests of a burst are followed by others
 * that would have to open it again. */
static void rest(struct pooled *c, int64_t keep_ms)
{
    struct connpool_host *h = c->host;
    const struct connpool_host *d = connpool_declared(h);
    bool surplus = d->counts[PLACE_IDLE] + d->clients_idle >= d->most_idle;
    int64_t most_ms = surplus ? LIMIT_FRESH_IDLE_MS : LIMIT_BACKEND_IDLE_MS;
    if (d->most_idle == 0) {
        pooled_close(c);
        return;
    }
    if (keep_ms > 0 && keep_ms - 1000 < most_ms)
        most_ms = keep_ms - 1000;
    c->since_ns = loop_now_ns(h->pool->env->loop);
    c->until_ns = c->since_ns + (most_ms > 0 ? most_ms : 0) * NS_PER_MS;
    pooled_move(c, PLACE_IDLE);
    look_by(h, c->until_ns);
}

/* Its slots have changed: they serve, or it finds its place. A connection that was opened for those
 * who wait serves them even if settings have changed meanwhile. */
static void settle(struct pooled *c, int64_t keep_ms)
{
    bool used = c->opened;
    c->opened = true;
    pooled_move(c, PLACE_BUSY);
    if (!used || !superseded(c))
        serve_waiters(c, used);
    bool free = c->codec->ops->slots(c->codec) > 0;
    if (c->codec->ops->busy(c->codec) > 0) {
        if (free && !outdated(c))
            pooled_move(c, PLACE_SHARED);
    } else if (outdated(c)) {
        pooled_close(c);
    } else {
        rest(c, keep_ms);
    }
}

/* They are told that it failed: those for whom no other connection is being opened, one at least.
 */
static void fail_waiters(struct connpool_host *h, enum err why)
{
    assert(why != ERR_OK);
    do {
        if (list_empty(&h->waiters))
            return;
        struct connpool_wait *w = container_of(h->waiters.next, struct connpool_wait, link);
        connpool_wait_done(w);
        w->events->on_fail(w->user, why);
    } while (h->waiting_count > h->promised);
}

static void closed(struct pooled *c, enum err why)
{
    struct connpool_host *h = c->host;
    bool opened = c->opened;
    forget(c);
    h->telling++;
    if (!opened)
        fail_waiters(h, why);
    h->telling--;
    pooled_open_for_waiters(h);
    connpool_host_settle(h);
}

/* A server that allows no stream yet keeps those who wait as one does that says nothing. */
static void on_slots(void *owner, int64_t keep_ms)
{
    struct pooled *c = owner;
    struct connpool_host *h = c->host;
    if (!c->opened && c->codec->ops->slots(c->codec) == 0)
        return;
    if (!c->opened)
        counter_add(&h->pool->stats->backend_connections, 1);
    settle(c, keep_ms);
    pooled_open_for_waiters(h);
    connpool_host_settle(h);
}

static void on_closed(void *owner, enum err why)
{
    closed(owner, why);
}

/* For a while connections are opened that offer HTTP/1.1 alone, where the configuration leaves the
 * choice. */
static void on_wants_h1(void *owner)
{
    struct connpool_host *d = connpool_declared(((struct pooled *)owner)->host);
    d->h1_until_ns = loop_now_ns(d->pool->env->loop) + LIMIT_WANTS_H1_MS * NS_PER_MS;
    if (connpool_wants_h1(d))
        connpool_close_unused(d);
}

static const struct back_owner back_owner = {
    .on_slots = on_slots, .on_closed = on_closed, .on_wants_h1 = on_wants_h1};

static bool speaks_h2(const struct pooled *c)
{
    struct conn_tls_info tls;
    enum connpool_protocol protocol = connpool_declared(c->host)->protocol;
    if (protocol != CONNPOOL_AUTO)
        return protocol == CONNPOOL_H2;
    conn_tls(c->conn, &tls);
    return span_eq(tls.alpn, SPAN("h2"));
}

static enum err speak(struct pooled *c)
{
    c->h2 = speaks_h2(c);
    c->host->single = !c->h2;
    if (c->h2)
        return h2_back_new(c->conn, &back_limits, &back_owner, c, &c->codec);
    return h1_back_new(c->conn, &back_limits, &back_owner, c, &c->codec);
}

static void on_open(void *user, struct conn *conn)
{
    struct pooled *c = user;
    enum err e = speak(c);
    (void)conn;
    if (e != ERR_OK) {
        conn_close(&c->conn, CONN_END_NOW);
        closed(c, e);
        return;
    }
    c->conn = NULL; /* the codec's */
    if (c->codec->ops->slots(c->codec) > 0)
        on_slots(c, 0);
}

static size_t on_bytes(void *user, struct conn *conn, struct span bytes)
{
    (void)user;
    (void)conn;
    (void)bytes;
    return 0;
}

static void on_eof(void *user, struct conn *conn, bool clean)
{
    (void)user;
    (void)conn;
    (void)clean;
}

static void on_fail(void *user, struct conn *conn, enum err why)
{
    struct pooled *c = user;
    (void)conn;
    conn_close(&c->conn, CONN_END_NOW);
    closed(c, why);
}

/* Until a codec takes over; of all these only on_open and on_fail can come. */
static const struct conn_events connecting = {
    .on_open = on_open,
    .on_bytes = on_bytes,
    .on_eof = on_eof,
    .on_room = conn_ignore,
    .on_fail = on_fail,
};

/* Until it is known how many slots a connection has. */
static uint32_t promise_of(struct connpool_host *h)
{
    const struct connpool_host *d = connpool_declared(h);
    bool chosen = d->protocol == CONNPOOL_AUTO && !h->single && !connpool_wants_h1(d);
    bool many = d->protocol == CONNPOOL_H2 || chosen;
    return many ? LIMIT_H2_STREAMS : 1;
}

/* What a connection begins with. */
static void put_header(const struct connpool_host *h, struct buf *out)
{
    if (h->root == NULL)
        return;
    if (h->root->header == CONNPOOL_HEADER_V1)
        proxy_proto_put_v1(out, &h->client.from, &h->client.to);
    else
        proxy_proto_put_v2(out, &h->client.from, &h->client.to);
}

static enum err begin(struct pooled *c)
{
    struct connpool_host *h = c->host;
    const struct connpool_host *d = connpool_declared(h);
    char memory[PROXY_PROTO_V1_MOST];
    struct buf header;
    buf_fixed(&header, memory, sizeof memory);
    put_header(h, &header);
    struct conn_target to = {
        .addr = &d->address,
        .tls = d->tls,
        .server_name = span_of(d->server_name, d->server_name_size),
        .session_key = (uint64_t)(uintptr_t)h->endpoint,
        .prelude = buf_span(&header),
        .alpn = connpool_wants_h1(d) ? SPAN("http/1.1") : SPAN_NONE,
    };
    return conn_connect(h->pool->env, &to, &connecting, c, &c->conn);
}

enum err pooled_open(struct connpool_host *h)
{
    const struct connpool_host *d = connpool_declared(h);
    if (d->secure && d->tls == NULL)
        return ERR_NO_BACKEND;
    struct pooled *c = reserve_alloc(&h->pool->env->reserve, sizeof *c);
    if (c == NULL)
        return ERR_NO_MEMORY;
    *c = (struct pooled){.host = h, .settings = d->settings, .promise = promise_of(h)};
    enum err e = begin(c);
    if (e != ERR_OK) {
        mem_free(c);
        return e;
    }
    h->count++;
    if (h->root != NULL)
        h->root->clients_count++;
    enter_place(c, PLACE_OPENING);
    return ERR_OK;
}

void pooled_open_for_waiters(struct connpool_host *h)
{
    while (h->promised < h->waiting_count && connpool_count(h) < connpool_declared(h)->most) {
        enum err e = pooled_open(h);
        if (e == ERR_OK)
            continue;
        h->telling++;
        fail_waiters(h, e); /* no time-out of theirs must count against the server (B2) */
        h->telling--;
        return;
    }
}

/* When the first of them is overdue; 0: none is left. */
static int64_t close_overdue_idle(struct connpool_host *h, int64_t now)
{
    int64_t next = 0;
    list_each (e, &h->places[PLACE_IDLE]) {
        struct pooled *c = container_of(e, struct pooled, link);
        if (c->until_ns <= now)
            pooled_close(c);
        else if (next == 0 || c->until_ns < next)
            next = c->until_ns;
    }
    return next;
}

/* Those who wait have time-outs of their own; but a connection that they have left behind may never
 * open, nor fail: a server that accepts and says nothing. */
static int64_t close_forsaken(struct connpool_host *h, int64_t now)
{
    int64_t next = 0;
    list_each (e, &h->places[PLACE_OPENING]) {
        struct pooled *c = container_of(e, struct pooled, link);
        int64_t due = c->since_ns + CONNPOOL_OPENING_MS * NS_PER_MS;
        if (due <= now && h->promised - c->promise >= h->waiting_count) {
            pooled_close(c);
            continue;
        }
        due = due > now ? due : now + CONNPOOL_OPENING_MS * NS_PER_MS;
        next = next == 0 || due < next ? due : next;
    }
    return next;
}

void connpool_on_upkeep(struct timer *t)
{
    struct connpool_host *h = container_of(t, struct connpool_host, upkeep);
    int64_t now = loop_now_ns(t->loop);
    int64_t next = close_overdue_idle(h, now), other = close_forsaken(h, now);
    if (next == 0 || (other != 0 && other < next))
        next = other;
    if (next != 0)
        timer_aim(t, next);
    connpool_host_settle(h);
}
