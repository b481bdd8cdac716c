/* The clients of proxy_sim: they ask for what the seed decided, over connections of all manners,
 * and demand of every request exactly one outcome (RELIABILITY P3). */
#include "proxy_world.h"

#include <stdio.h>

#define PATIENCE_MS 30000 /* for a connection that nobody answers */
#define EXPECT_MS   1000  /* for 100, before the content is sent without */

static void client_connect(struct peer *p);
static void client_over(struct peer *p, enum conn_end how);

static struct wish *current(struct peer *p)
{
    return &p->w->wishes[p->first];
}

void world_outcome(struct world *w, unsigned wish, enum outcome kind)
{
    need(w, ++w->wishes[wish].outcomes == 1, "two outcomes", wish);
    need(w, kind == ANSWERED || !w->calm || w->starved, "not served though nothing went wrong",
         wish);
    w->outcomes[kind]++;
}

static void outcome(struct peer *p, enum outcome kind)
{
    world_outcome(p->w, p->first++, kind);
}

/* --- requests --- */

static void plan_content(struct peer *p, unsigned i)
{
    const struct wish *wish = &p->w->wishes[i];
    if (wish->chunked)
        wire_put_chunked(p->w, &p->plan, i, wish->send);
    else
        wire_put(p->w, &p->plan, i, wish->send);
    if (wish->tunnel && !wish->server_first)
        p->then = THEN_SHUTDOWN;
}

/* HTTP/1.0 knows less. */
static void adapt(struct wish *wish)
{
    wish->chunked = wish->expect = false;
    if (wish->tunnel)
        wish->send = 0;
    wish->tunnel = false;
}

static void plan_request(struct peer *p)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT"};
    unsigned i = p->next++;
    struct wish *wish = &p->w->wishes[i];
    if (p->old)
        adapt(wish);
    buf_printf(&p->plan, "%s /r/%u HTTP/1.%d\r\nHost: sim\r\nX-Wish: %u\r\n", methods[wish->method],
               i, p->old ? 0 : 1, i);
    if (p->lasting)
        buf_put_str(&p->plan, "Connection: keep-alive\r\n");
    if (wish->expect)
        buf_put_str(&p->plan, "Expect: 100-continue\r\n");
    if (wish->tunnel)
        buf_put_str(&p->plan, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
                              "13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    else if (wish->chunked)
        buf_put_str(&p->plan, "Transfer-Encoding: chunked\r\n");
    else if (wish->send > 0 || wish->method >= WISH_POST)
        buf_printf(&p->plan, "Content-Length: %zu\r\n", wish->send);
    buf_put_str(&p->plan, "\r\n");
    p->held = wish->expect || (wish->tunnel && !wish->hasty);
    if (!p->held)
        plan_content(p, i);
}

/* Whether it must be the only one under way. */
static bool alone(const struct peer *p, unsigned i)
{
    return p->old || p->w->wishes[i].expect || p->w->wishes[i].tunnel;
}

static void plan_requests(struct peer *p)
{
    unsigned deep = 1 + (unsigned)rng_below(&p->w->rng, 3);
    do
        plan_request(p);
    while (p->next < p->end && p->next - p->first < deep && !alone(p, p->next) &&
           !alone(p, p->next - 1));
    if (p->half && !alone(p, p->first))
        p->then = THEN_SHUTDOWN;
    if (p->held && current(p)->expect)
        timer_in_ms(&p->patience, EXPECT_MS);
    p->dribble = one_in(p->w, 4);
    peer_say(p);
}

static void send_held(struct peer *p)
{
    timer_stop(&p->patience);
    p->held = false;
    plan_content(p, p->first);
    peer_say(p);
}

static void client_go_on(struct peer *p)
{
    bool leave = !p->w->calm && one_in(p->w, 40);
    if (p->first == p->end || leave)
        client_over(p, CONN_END_NOW);
    else if (p->shut)
        timer_in_ms(&p->patience, PATIENCE_MS); /* the proxy ends the other half (F9) */
    else
        plan_requests(p);
}

/* --- responses --- */

/* P2, H18: what any response must look like here. */
static void check_head(struct peer *p, const struct head *h)
{
    struct world *w = p->w;
    need(w, p->first < p->next, "a response nobody asked for", h->wish);
    need(w, !wire_has(h->text, "x-odd"), "a head that had to be refused", p->first);
    need(w, span_starts(h->text, SPAN("HTTP/1.1 ")), "a version", h->status);
    need(w, h->wish < 0 || (unsigned)h->wish == p->first, "another request's response", h->wish);
    if (h->status == 100)
        need(w, current(p)->expect && !p->old, "100 that nobody expected", p->first);
    else if (h->status == 101)
        need(w, current(p)->tunnel, "101 that nobody asked for", p->first);
    else if (h->status < 200)
        need(w, h->status == 103 && !p->old, "another 1xx", h->status);
    else
        need(w, h->wish >= 0 || h->status >= 400, "nobody's response", h->status);
    need(w, !h->chunked || !p->old, "chunks for HTTP/1.0", p->first);
}

static bool take_interim(struct peer *p, const struct head *h)
{
    buf_take(&p->in, h->bytes);
    if (h->status == 100 && p->held)
        send_held(p);
    return true;
}

static bool take_switch(struct peer *p, const struct head *h)
{
    buf_take(&p->in, h->bytes);
    p->tunnel = true;
    p->w->tunnels++;
    if (p->held)
        send_held(p);
    return false;
}

/* How long the response at the front is, 0: not all there. *content is what it carries. */
static size_t whole(struct peer *p, const struct head *h, size_t *content)
{
    struct span all = buf_span(&p->in), rest = span_sub(all, h->bytes, all.n);
    bool none = current(p)->method == WISH_HEAD || h->status == 204 || h->status == 304;
    *content = 0;
    if (none)
        return h->bytes;
    if (h->chunked) {
        size_t body = wire_chunked(p->w, rest, p->first, content);
        return body > 0 ? h->bytes + body : 0;
    }
    if (h->length < 0) {
        need(p->w, p->old, "content without a framing", p->first);
        p->to_end = true;
        return 0;
    }
    *content = (size_t)h->length;
    if (rest.n < *content)
        return 0;
    if (h->status == 200)
        wire_check(p->w, span_sub(rest, 0, *content), p->first, 0);
    return h->bytes + *content;
}

/* P3: what looks whole is whole, unless a server's own end made that unknowable. */
static void check_length(const struct peer *p, size_t content)
{
    const struct wish *wish = &p->w->wishes[p->first];
    need(p->w, content <= wish->get, "more content than there was", p->first);
    need(p->w, content == wish->get || wish->cut_open, "cut content looks whole", p->first);
}

/* Whether the connection ends with this response, by its word. */
static bool is_last(const struct peer *p, const struct head *h)
{
    return p->old ? !wire_has(h->text, "\r\nconnection: keep-alive\r\n") : h->close;
}

/* One whole response from the front; false: not there yet, or the connection is over. */
static bool take_response(struct peer *p)
{
    struct world *w = p->w;
    struct head h = wire_head(w, buf_span(&p->in));
    size_t content, n;
    if (h.bytes == 0)
        return false;
    check_head(p, &h);
    if (h.status < 200)
        return h.status == 101 ? take_switch(p, &h) : take_interim(p, &h);
    n = whole(p, &h, &content);
    if (n == 0)
        return false;
    const struct wish *wish = current(p);
    bool last = is_last(p, &h);
    if (h.status == 200 && wish->method != WISH_HEAD)
        check_length(p, content);
    need(w, last || !p->held || wish->tunnel, "goes on without the content", p->first);
    last = last || (wish->tunnel && wish->hasty);
    p->held = false;
    buf_take(&p->in, n);
    outcome(p, h.wish >= 0 ? ANSWERED : REFUSED);
    if (last && h.wish < 0)
        w->behind += p->next - p->first;
    if (last)
        client_over(p, CONN_END_NOW);
    return !last;
}

static void take_tunnelled(struct peer *p)
{
    struct span got = buf_span(&p->in);
    need(p->w, p->tunnelled + got.n <= current(p)->get, "more than was sent", p->first);
    wire_check(p->w, got, p->first, p->tunnelled);
    p->tunnelled += got.n;
    buf_clear(&p->in);
}

/* A lazy one looks again later: in a calm world before its response would have to make room for
 * somebody who waits (L34). */
static void rest(struct peer *p)
{
    if (!p->lazy || p->c == NULL)
        return;
    conn_want_read(p->c, false);
    uint64_t long_ms = p->w->calm ? LIMIT_STALLED_MS / 4 : 2 * LIMIT_STALLED_MS;
    timer_in_ms(&p->reading, 1 + (int64_t)rng_below(&p->w->rng, one_in(p->w, 20) ? long_ms : 60));
}

static size_t client_bytes(void *user, struct conn *c, struct span bytes)
{
    struct peer *p = user;
    if (bytes.n > 0)
        buf_put_span(&p->in, bytes);
    while (p->c == c && !p->tunnel && buf_len(&p->in) > 0 && take_response(p)) {
    }
    if (p->c != c)
        return bytes.n;
    if (p->tunnel)
        take_tunnelled(p);
    else if (p->first == p->next)
        client_go_on(p);
    if (p->c == c)
        rest(p);
    return bytes.n;
}

static void end_of_content(struct peer *p)
{
    struct span all = buf_span(&p->in);
    struct head h = wire_head(p->w, all);
    struct span content = span_sub(all, h.bytes, all.n);
    if (h.status == 200) {
        check_length(p, content.n);
        wire_check(p->w, content, p->first, 0);
    }
    outcome(p, h.wish >= 0 ? ANSWERED : REFUSED);
}

static void client_eof(void *user, struct conn *c, bool clean)
{
    struct peer *p = user;
    (void)c;
    if (clean && p->tunnel) {
        bool all = p->tunnelled == current(p)->get;
        need(p->w, all || !p->w->calm || p->w->starved, "a tunnel lost bytes towards the client",
             p->first);
        outcome(p, ANSWERED);
    } else if (clean && p->to_end) {
        end_of_content(p);
    }
    client_over(p, CONN_END_NOW);
}

static void client_fail(void *user, struct conn *c, enum err why)
{
    (void)c;
    (void)why;
    client_over(user, CONN_END_NOW);
}

static void nothing(void *user, struct conn *c)
{
    (void)user;
    (void)c;
}

/* --- connections --- */

/* The connection is over: what was sent and not answered has ended visibly. */
static void client_over(struct peer *p, enum conn_end how)
{
    timer_stop(&p->patience);
    timer_stop(&p->reading);
    timer_stop(&p->quit);
    peer_close(p, how);
    while (p->first < p->next)
        outcome(p, ABORTED);
    buf_clear(&p->in);
    p->tunnel = p->held = p->to_end = p->shut = false;
    p->tunnelled = 0;
    p->then = THEN_STAY;
    if (p->first < p->end)
        client_connect(p);
    else
        p->w->open--;
}

static void on_patience(struct timer *t)
{
    struct peer *p = container_of(t, struct peer, patience);
    need(p->w, !p->shut, "a connection stays though its client has left", p->first);
    if (p->held)
        send_held(p);
    else
        client_over(p, CONN_END_RESET);
}

static void on_reading(struct timer *t)
{
    struct peer *p = container_of(t, struct peer, reading);
    if (p->c != NULL)
        conn_want_read(p->c, true);
}

/* F8: at any point, in any manner; also by ending its half within a request. */
static void on_quit(struct timer *t)
{
    struct peer *p = container_of(t, struct peer, quit);
    uint64_t manner = rng_below(&p->w->rng, 3);
    if (manner == 0 && buf_len(&p->plan) > 0) {
        timer_stop(&p->pump);
        timer_stop(&p->patience);
        buf_clear(&p->plan);
        p->held = false;
        p->shut = true;
        conn_shutdown(p->c);
        return;
    }
    client_over(p, manner == 1 ? CONN_END_RESET : CONN_END_NOW);
}

static void client_open(void *user, struct conn *c)
{
    struct peer *p = user;
    (void)c;
    timer_stop(&p->patience);
    client_go_on(p);
}

static const struct conn_events client_events = {.on_open = client_open,
                                                 .on_bytes = client_bytes,
                                                 .on_eof = client_eof,
                                                 .on_room = nothing,
                                                 .on_fail = client_fail};

static void client_connect(struct peer *p)
{
    struct world *w = p->w;
    struct conn_target to = {.addr = &w->at};
    p->old = one_in(w, 5);
    p->lasting = p->old && one_in(w, 2);
    p->half = !p->old && one_in(w, 5);
    p->lazy =
        one_in(w, 4) && !(w->calm && w->bytewise); /* less than 1 KiB/s would be a fault (L7) */
    timer_in_ms(&p->patience, PATIENCE_MS);
    if (!w->calm && one_in(w, 8))
        timer_in_ms(&p->quit, (int64_t)rng_below(&w->rng, one_in(w, 2) ? 50 : 2000));
    need(w, conn_connect(&w->client_env, &to, &client_events, p, &p->c) == ERR_OK, "connect", 0);
}

void clients_make(struct world *w)
{
    for (unsigned c = 0; c < CLIENTS; c++) {
        struct peer *p = &w->clients[c];
        peer_init(p, w, w->client_loop);
        if (speaks_h2(w)) {
            unsigned each = w->requests / CLIENTS;
            w->h2_clients[c] = h2_client_new(w, c * each, (c + 1) * each);
            continue;
        }
        p->first = p->next = c * (w->requests / CLIENTS);
        p->end = p->first + w->requests / CLIENTS;
        timer_init(&p->patience, w->client_loop, on_patience);
        timer_init(&p->reading, w->client_loop, on_reading);
        timer_init(&p->quit, w->client_loop, on_quit);
        client_connect(p);
    }
    w->open = CLIENTS;
}

void clients_free(struct world *w)
{
    for (int i = 0; i < CLIENTS; i++) {
        peer_fini(&w->clients[i]);
        h2_client_free(&w->h2_clients[i]);
    }
}
