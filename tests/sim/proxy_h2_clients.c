/* The clients of proxy_sim that speak HTTP/2, by libnghttp2 and without any code of Meridian's
 * above the connection: several requests at a time on one connection, resets, connections that end
 * at any point. They demand the same of every request as the others do (RELIABILITY P2, P3). */
#include "base/mem.h"
#include "proxy_h2.h"

#include <stdio.h>
#include <stdlib.h>

#define PATIENCE_MS 30000 /* for a connection that nobody answers */
#define STREAMS     4     /* at a time */
#define TEXT_MOST   24    /* of a number in a field */

struct call {
    struct h2_client *client; /* NULL: free */
    int32_t id;
    unsigned wish, status;
    long long said; /* the wish that the answer is for; -1: none */
    size_t got;
    bool whole;   /* END_STREAM came */
    bool cut;     /* and must not: the server sends less than it says */
    bool held;    /* a tunnel's bytes wait until it has been granted */
    bool waiting; /* the library waits for them */
    struct buf content;
};

struct h2_client {
    struct world *w;
    struct conn *c;
    nghttp2_session *session;
    unsigned next, end;         /* requests not begun */
    unsigned again[STREAMS];    /* refused before anybody saw them: to be asked once more */
    unsigned again_count, open; /* open: calls under way */
    struct call calls[STREAMS];
    struct timer patience, quit;
    bool over; /* the connection has to end when the callback has returned */
};

static void connect_again(struct h2_client *k);

/* --- calls --- */

static void call_end(struct call *x)
{
    buf_fini(&x->content);
    x->client->open--;
    *x = (struct call){0};
}

static void call_outcome(struct call *x, enum outcome kind)
{
    struct world *w = x->client->w;
    const struct wish *wish = &w->wishes[x->wish];
    if (kind == ANSWERED && x->status == 200 && wish->method != WISH_HEAD && !wish->tunnel)
        need(w, x->got == wish->get || wish->cut_open, "cut content looks whole", x->wish);
    if (kind == ANSWERED && wish->tunnel && w->calm && !w->starved)
        need(w, x->got == wish->get, "a tunnel lost bytes towards the client", x->wish);
    world_outcome(w, x->wish, kind);
    call_end(x);
}

static ssize_t give_content(nghttp2_session *s, int32_t id, uint8_t *into, size_t n,
                            uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct call *x = source->ptr;
    size_t left = buf_len(&x->content);
    const struct wish *wish = &x->client->w->wishes[x->wish];
    (void)s, (void)id, (void)user;
    x->waiting = x->held || (left == 0 && wish->tunnel && wish->server_first && !x->whole);
    if (x->waiting)
        return NGHTTP2_ERR_DEFERRED;
    if (n > left)
        n = left;
    if (n > 0)
        memcpy(into, buf_span(&x->content).p, n);
    buf_take(&x->content, n);
    if (buf_len(&x->content) == 0 && (!wish->tunnel || !wish->server_first || x->whole))
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static size_t put_fields(struct world *w, unsigned i, char text[3][32], nghttp2_nv nv[8])
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT"};
    const struct wish *wish = &w->wishes[i];
    size_t n = 0;
    snprintf(text[0], 32, "/r/%u", i);
    snprintf(text[1], 32, "%u", i);
    snprintf(text[2], 32, "%zu", wish->send);
    nv[n++] = field(":method", wish->tunnel ? "CONNECT" : methods[wish->method]);
    if (wish->tunnel)
        nv[n++] = field(":protocol", "websocket");
    nv[n++] = field(":scheme", "http");
    nv[n++] = field(":authority", "sim");
    nv[n++] = field(":path", text[0]);
    nv[n++] = field("x-wish", text[1]);
    if (wish->tunnel)
        nv[n++] = field("sec-websocket-version", "13");
    else if (wish->method >= WISH_POST && !wish->chunked)
        nv[n++] = field("content-length", text[2]);
    return n;
}

static void submit(struct h2_client *k, struct call *x, unsigned i)
{
    struct wish *wish = &k->w->wishes[i];
    char text[3][32];
    nghttp2_nv nv[8];
    wish->expect = false; /* 100 is HTTP/1's business here */
    size_t n = put_fields(k->w, i, text, nv);
    bool content = wish->method >= WISH_POST || wish->tunnel;
    nghttp2_data_provider data = {.source.ptr = x, .read_callback = give_content};
    *x = (struct call){.client = k, .wish = i, .said = -1, .held = wish->tunnel && !wish->hasty};
    buf_init(&x->content, 0);
    wire_put(k->w, &x->content, i, wish->send);
    x->id = nghttp2_submit_request(k->session, NULL, nv, n, content ? &data : NULL, x);
    need(k->w, x->id > 0, "submit", x->id);
    k->open++;
}

static bool more_to_ask(const struct h2_client *k)
{
    return k->again_count > 0 || k->next < k->end;
}

static void ask(struct h2_client *k)
{
    unsigned most = 1 + (unsigned)rng_below(&k->w->rng, STREAMS);
    for (size_t i = 0; i < STREAMS && k->open < most && more_to_ask(k); i++) {
        if (k->calls[i].client != NULL || nghttp2_session_check_request_allowed(k->session) == 0)
            continue;
        submit(k, &k->calls[i], k->again_count > 0 ? k->again[--k->again_count] : k->next++);
    }
}

/* --- what comes --- */

static struct call *call_of(nghttp2_session *s, int32_t id)
{
    return id > 0 ? nghttp2_session_get_stream_user_data(s, id) : NULL;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    struct call *x = call_of(s, frame->hd.stream_id);
    struct span n = span_of((const char *)name, name_n);
    struct world *w = ((struct h2_client *)user)->w;
    (void)flags;
    if (x == NULL)
        return 0;
    char text[TEXT_MOST] = "";
    memcpy(text, value, value_n < sizeof text - 1 ? value_n : sizeof text - 1);
    need(w, !span_eq(n, SPAN("x-odd")), "a head that had to be refused", x->wish);
    x->cut = x->cut || span_eq(n, SPAN("x-short"));
    if (span_eq(n, SPAN(":status"))) {
        x->status = (unsigned)strtoul(text, NULL, 10);
        need(w, x->status >= 200 || x->status == 103, "another 1xx", x->status);
    } else if (span_eq(n, SPAN("x-wish"))) {
        x->said = strtoll(text, NULL, 10);
        need(w, x->said == (long long)x->wish, "another request's response", x->said);
    } else {
        need(w, !span_eq(n, SPAN("connection")) && !span_eq(n, SPAN("transfer-encoding")),
             "framing that HTTP/2 has not", x->wish);
    }
    return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n,
                   void *user)
{
    struct call *x = call_of(s, id);
    struct world *w = ((struct h2_client *)user)->w;
    (void)flags;
    if (x == NULL || x->status != 200)
        return 0;
    need(w, x->got + n <= w->wishes[x->wish].get, "more content than there was", x->wish);
    wire_check(w, span_of((const char *)bytes, n), x->wish, x->got);
    x->got += n;
    return 0;
}

/* A tunnel's own bytes go out when it has been granted, its end when the server has ended. */
static void go_ahead(nghttp2_session *s, struct call *x)
{
    const struct world *w = x->client->w;
    bool granted = w->wishes[x->wish].tunnel && x->status == 200;
    if (granted && x->held)
        x->client->w->tunnels++;
    x->held = x->held && !granted;
    if (x->waiting)
        (void)nghttp2_session_resume_data(s, x->id);
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
    struct call *x = call_of(s, frame->hd.stream_id);
    bool carries = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    (void)user;
    if (x == NULL || !carries)
        return 0;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        bool none = x->client->w->wishes[x->wish].method == WISH_HEAD;
        need(x->client->w, !x->cut || none, "short content looks whole", x->wish);
        x->whole = true;
    }
    go_ahead(s, x);
    return 0;
}

static int on_stream_close(nghttp2_session *s, int32_t id, uint32_t code, void *user)
{
    struct h2_client *k = user;
    struct call *x = call_of(s, id);
    if (x == NULL)
        return 0;
    (void)nghttp2_session_set_stream_user_data(s, id, NULL);
    if (x->whole)
        call_outcome(x, x->said >= 0 ? ANSWERED : REFUSED);
    else if (code == NGHTTP2_REFUSED_STREAM && x->status == 0) {
        k->again[k->again_count++] = x->wish;
        call_end(x);
    } else
        call_outcome(x, ABORTED);
    return 0;
}

/* --- the connection --- */

static void send_all(struct h2_client *k)
{
    const uint8_t *bytes;
    ssize_t n;
    while (conn_pending(k->c) < LIMIT_FLOW_HIGH &&
           (n = nghttp2_session_mem_send(k->session, &bytes)) > 0)
        conn_write(k->c, span_of((const char *)bytes, (size_t)n));
}

/* What was asked and not answered has ended visibly. */
static void leave(struct h2_client *k, enum conn_end how)
{
    timer_stop(&k->patience);
    timer_stop(&k->quit);
    if (k->c != NULL)
        conn_close(&k->c, how);
    nghttp2_session_del(k->session);
    k->session = NULL;
    k->over = false;
    for (size_t i = 0; i < STREAMS; i++) {
        if (k->calls[i].client != NULL)
            call_outcome(&k->calls[i], ABORTED);
    }
    if (more_to_ask(k))
        connect_again(k);
    else
        k->w->open--;
}

static void go_on(struct h2_client *k)
{
    if (!k->over)
        ask(k);
    send_all(k);
    bool done = k->open == 0 && !more_to_ask(k);
    bool ended = session_over(k->session);
    bool stuck = k->open == 0 && nghttp2_session_check_request_allowed(k->session) == 0;
    if (done || ended || stuck || k->over)
        leave(k, CONN_END_NOW);
}

static size_t h2_bytes(void *user, struct conn *c, struct span bytes)
{
    struct h2_client *k = user;
    (void)c;
    if (bytes.n == 0)
        return 0;
    session_read(k->w, k->session, bytes);
    go_on(k);
    return bytes.n;
}

static void h2_eof(void *user, struct conn *c, bool clean)
{
    (void)c;
    (void)clean;
    leave(user, CONN_END_NOW);
}

static void h2_fail(void *user, struct conn *c, enum err why)
{
    (void)c;
    (void)why;
    leave(user, CONN_END_NOW);
}

static void h2_room(void *user, struct conn *c)
{
    (void)c;
    send_all(user);
}

static void h2_open(void *user, struct conn *c)
{
    struct h2_client *k = user;
    nghttp2_session_callbacks *callbacks;
    static const uint32_t windows[] = {65535, 65535, 1000, 1 << 20};
    (void)c;
    timer_stop(&k->patience);
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    need(k->w, nghttp2_session_client_new(&k->session, callbacks, k) == 0, "session", 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_settings_entry terms[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, windows[rng_below(&k->w->rng, 4)]}};
    (void)nghttp2_submit_settings(k->session, NGHTTP2_FLAG_NONE, terms, 2);
    go_on(k);
}

static const struct conn_events h2_events = {.on_open = h2_open,
                                             .on_bytes = h2_bytes,
                                             .on_eof = h2_eof,
                                             .on_room = h2_room,
                                             .on_fail = h2_fail};

static void on_patience(struct timer *t)
{
    leave(container_of(t, struct h2_client, patience), CONN_END_RESET);
}

/* F8: resets one call, or leaves. */
static void on_quit(struct timer *t)
{
    struct h2_client *k = container_of(t, struct h2_client, quit);
    struct call *x = &k->calls[rng_below(&k->w->rng, STREAMS)];
    if (k->session == NULL || one_in(k->w, 3)) {
        leave(k, one_in(k->w, 2) ? CONN_END_RESET : CONN_END_NOW);
        return;
    }
    if (x->client != NULL) {
        (void)nghttp2_submit_rst_stream(k->session, NGHTTP2_FLAG_NONE, x->id, NGHTTP2_CANCEL);
        (void)nghttp2_session_set_stream_user_data(k->session, x->id, NULL);
        call_outcome(x, ABORTED);
    }
    timer_in_ms(&k->quit, 1 + (int64_t)rng_below(&k->w->rng, 200));
    go_on(k);
}

static void connect_again(struct h2_client *k)
{
    struct world *w = k->w;
    struct conn_target to = {.addr = &w->at};
    timer_in_ms(&k->patience, PATIENCE_MS);
    if (!w->calm && one_in(w, 4))
        timer_in_ms(&k->quit, (int64_t)rng_below(&w->rng, one_in(w, 2) ? 50 : 2000));
    need(w, conn_connect(&w->client_env, &to, &h2_events, k, &k->c) == ERR_OK, "connect", 0);
}

struct h2_client *h2_client_new(struct world *w, unsigned first, unsigned end)
{
    struct h2_client *k = mem_alloc(sizeof *k);
    k->w = w;
    k->next = first;
    k->end = end;
    timer_init(&k->patience, w->client_loop, on_patience);
    timer_init(&k->quit, w->client_loop, on_quit);
    connect_again(k);
    return k;
}

void h2_client_free(struct h2_client **k)
{
    mem_free(*k);
    *k = NULL;
}
