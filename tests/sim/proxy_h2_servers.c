/* The servers of proxy_sim where the proxy speaks HTTP/2 to them, by libnghttp2 and without any
 * code of Meridian's above the connection: what they demand of each request, and what they do with
 * it, sound or not. */
#include "base/mem.h"
#include "proxy_h2.h"

#include <stdio.h>
#include <stdlib.h>

enum deed { /* what a server does with a request */
            DEED_PLAIN,
            DEED_EMPTY,   /* 204 or 304 */
            DEED_INTERIM, /* some 1xx first */
            DEED_BUSY,
            DEED_SOUND,              /* so many that nobody can complain about */
            DEED_EARLY = DEED_SOUND, /* answers before the content has come (F7) */
            DEED_REFUSE,             /* looks at nothing of it: it may go elsewhere (law 1) */
            DEED_AWAY,               /* the same, and takes no more (GOAWAY) */
            DEED_CUT,                /* ends within the answer (F2, F3) */
            DEED_SHORT,              /* less content than it said, and a clean end (H19) */
            DEED_STALL,              /* falls silent within it */
            DEED_SILENT,             /* never answers (F5) */
            DEED_FLOOD,              /* more 1xx than anybody wants (L17) */
            DEED_NONSENSE,           /* a head that must be refused (H18) */
            DEEDS
};

/* One request and its answer. */
struct serve {
    struct h2_server *server;
    struct link link; /* in the server's */
    int32_t id;
    long long wish, length; /* -1: none */
    bool tunnel, heard, answered, over;
    size_t got;      /* content of the request */
    struct buf plan; /* content of the answer */
    bool waiting;    /* the library waits for it */
    bool more;       /* and nothing tells that its end has come */
    enum ending then;
};

struct h2_server {
    struct world *w;
    struct conn *c;
    nghttp2_session *session;
    struct link serves;
    bool away; /* has said GOAWAY: looks at nothing that comes */
    struct timer pump;
    enum ending then; /* at the end of the callback */
    struct h2_server *list;
};

static struct wish *wish_of(const struct serve *x)
{
    return &x->server->w->wishes[x->wish];
}

static struct serve *serve_of(nghttp2_session *s, int32_t id)
{
    return id > 0 ? nghttp2_session_get_stream_user_data(s, id) : NULL;
}

static void serve_end(struct serve *x)
{
    list_remove(&x->link);
    buf_fini(&x->plan);
    mem_free(x);
}

/* --- answers --- */

static void reset(struct serve *x, uint32_t code)
{
    (void)nghttp2_submit_rst_stream(x->server->session, NGHTTP2_FLAG_NONE, x->id, code);
}

/* Now and then a piece, and the rest later. */
static ssize_t give(nghttp2_session *s, int32_t id, uint8_t *into, size_t n, uint32_t *flags,
                    nghttp2_data_source *source, void *user)
{
    struct serve *x = source->ptr;
    struct world *w = ((struct h2_server *)user)->w;
    size_t left = buf_len(&x->plan);
    (void)s, (void)id;
    x->waiting = (left == 0 && x->more) || (left > 0 && one_in(w, 8));
    if (x->waiting)
        return NGHTTP2_ERR_DEFERRED;
    n = n < left ? n : left;
    n = n > 1 && one_in(w, 2) ? 1 + (size_t)rng_below(&w->rng, n) : n;
    if (n > 0)
        memcpy(into, buf_span(&x->plan).p, n);
    buf_take(&x->plan, n);
    if (n == left && x->then == THEN_RESET)
        reset(x, NGHTTP2_INTERNAL_ERROR);
    else if (n == left && x->then == THEN_CLOSE)
        x->server->then = one_in(w, 2) ? THEN_RESET : THEN_CLOSE;
    if (n == left && !x->more && x->then == THEN_STAY)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    x->more = x->more || (n == left && x->then != THEN_STAY);
    return (ssize_t)n;
}

/* length: -1: not said. odd: two more fields, the names and values of which are there. */
struct head_plan {
    const char *status;
    long long length;
    const char *const *odd;
    bool content;
};

static void submit_head(struct serve *x, const struct head_plan *plan)
{
    char wish[24], length[24];
    nghttp2_nv nv[8];
    size_t n = 0;
    nghttp2_data_provider data = {.source.ptr = x, .read_callback = give};
    snprintf(wish, sizeof wish, "%lld", x->wish);
    snprintf(length, sizeof length, "%lld", plan->length);
    nv[n++] = field(":status", plan->status);
    nv[n++] = field("x-wish", wish);
    if (plan->length >= 0)
        nv[n++] = field("content-length", length);
    for (size_t i = 0; plan->odd != NULL && i < 4 && plan->odd[i] != NULL; i += 2)
        nv[n++] = field(plan->odd[i], plan->odd[i + 1]);
    (void)nghttp2_submit_response(x->server->session, x->id, nv, n, plan->content ? &data : NULL);
}

/* Whose end may come apart from the head, or never. */
static bool plan_late_end(struct serve *x)
{
    bool late = one_in(x->server->w, 4);
    x->more = late && one_in(x->server->w, 4);
    return late;
}

static void plan_answer(struct serve *x, const char *const *odd)
{
    struct world *w = x->server->w;
    const struct wish *wish = wish_of(x);
    bool content = wish->method != WISH_HEAD;
    if (content)
        wire_put(w, &x->plan, (unsigned)x->wish, wish->get);
    submit_head(x, &(struct head_plan){.status = "200",
                                       .length = one_in(w, 2) ? (long long)wish->get : -1,
                                       .odd = odd,
                                       .content = content || plan_late_end(x)});
}

static void plan_interims(struct serve *x, unsigned n)
{
    static const char *const statuses[] = {"100", "102", "103"};
    for (unsigned i = 0; i < n; i++) {
        nghttp2_nv nv = field(":status", statuses[rng_below(&x->server->w->rng, 3)]);
        (void)nghttp2_submit_headers(x->server->session, NGHTTP2_FLAG_NONE, x->id, NULL, &nv, 1,
                                     NULL);
    }
}

/* The answer stops in its midst: with a reset, with the connection's end, or with nothing. */
static void plan_cut(struct serve *x, bool stall)
{
    struct world *w = x->server->w;
    const struct wish *wish = wish_of(x);
    wire_put(w, &x->plan, (unsigned)x->wish, wish->get);
    x->plan.n = x->plan.at + (size_t)rng_below(&w->rng, wish->get + 1);
    x->more = stall;
    x->then = stall ? THEN_STAY : one_in(w, 3) ? THEN_CLOSE : THEN_RESET;
    submit_head(x, &(struct head_plan){.status = "200", .length = -1, .content = true});
}

static void plan_short(struct serve *x)
{
    long long length = (long long)wish_of(x)->get + 1;
    static const char *const odd[] = {"x-short", "1", NULL};
    wire_put(x->server->w, &x->plan, (unsigned)x->wish, wish_of(x)->get);
    submit_head(
        x, &(struct head_plan){.status = "200", .length = length, .odd = odd, .content = true});
}

static void plan_nonsense(struct serve *x)
{
    static const char *const odd[][5] = {{"x-odd", "1", "connection", "close", NULL},
                                         {"x-odd", "1", "transfer-encoding", "chunked", NULL},
                                         {"x-odd", "1", "content-length", "5, 5", NULL},
                                         {"x-odd", "1", "content-length", "+5", NULL},
                                         {"x-odd", "1", "keep-alive", "5", NULL},
                                         {"x-odd", "1", "a value", "5", NULL},
                                         {"x-odd", "1", "upgrade", "websocket", NULL}};
    static const char *const statuses[] = {"200", "200", "099", "101", "2000", "abc"};
    const char *status = statuses[rng_below(&x->server->w->rng, 6)];
    struct head_plan plan = {.status = status, .length = -1};
    plan.odd = odd[rng_below(&x->server->w->rng, sizeof odd / sizeof *odd)];
    submit_head(x, &plan);
}

static void answer(struct serve *x, enum deed deed)
{
    static const char *const odd[] = {"x-odd", "1", NULL};
    struct world *w = x->server->w;
    x->answered = true;
    switch (deed) {
    case DEED_EMPTY:
        submit_head(x, &(struct head_plan){.status = one_in(w, 2) ? "204" : "304",
                                           .length = -1,
                                           .content = plan_late_end(x)});
        break;
    case DEED_INTERIM:
        plan_interims(x, 1 + (unsigned)rng_below(&w->rng, 4));
        plan_answer(x, NULL);
        break;
    case DEED_BUSY:
        submit_head(x, &(struct head_plan){.status = "503", .length = 0});
        break;
    case DEED_CUT:
    case DEED_STALL:
        plan_cut(x, deed == DEED_STALL);
        break;
    case DEED_SHORT:
        plan_short(x);
        break;
    case DEED_SILENT:
        break;
    case DEED_FLOOD:
        plan_interims(x, LIMIT_INTERIM + 1 + (unsigned)rng_below(&w->rng, 20));
        plan_answer(x, odd);
        break;
    case DEED_NONSENSE:
        plan_nonsense(x);
        break;
    case DEED_PLAIN:
    case DEED_EARLY:
    case DEED_REFUSE:
    case DEED_AWAY:
    case DEEDS:
        plan_answer(x, NULL);
        break;
    }
}

static enum deed choose_deed(struct world *w)
{
    if (w->calm) /* 503 is asked for again elsewhere, which a reload may take away meanwhile */
        return one_in(w, 5) ? (enum deed)rng_below(&w->rng, DEED_BUSY) : DEED_PLAIN;
    return one_in(w, 4) ? (enum deed)rng_below(&w->rng, DEEDS) : DEED_PLAIN;
}

static void grant_tunnel(struct serve *x)
{
    const struct wish *wish = wish_of(x);
    x->answered = true;
    x->more = !wish->server_first;
    wire_put(x->server->w, &x->plan, (unsigned)x->wish, wish->get);
    submit_head(x, &(struct head_plan){.status = "200", .length = -1, .content = true});
}

/* --- requests --- */

static int on_begin_headers(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
    struct h2_server *k = user;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct serve *x = mem_alloc(sizeof *x);
    x->server = k;
    x->id = frame->hd.stream_id;
    x->wish = x->length = -1;
    buf_init(&x->plan, 0);
    list_append(&k->serves, &x->link);
    return nghttp2_session_set_stream_user_data(s, x->id, x);
}

/* P2, H7: what any request must look like here. */
static void check_field(struct serve *x, struct span name, const char *value)
{
    static const char *const never[] = {"connection", "transfer-encoding", "expect",
                                        "host",       "upgrade",           "keep-alive"};
    struct world *w = x->server->w;
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        need(w, !span_eq(name, span_str(never[i])), never[i], x->wish);
    if (span_eq(name, SPAN("x-wish")))
        x->wish = strtoll(value, NULL, 10);
    else if (span_eq(name, SPAN("content-length")))
        x->length = strtoll(value, NULL, 10);
    else if (span_eq(name, SPAN(":protocol")))
        x->tunnel = true;
    else if (span_eq(name, SPAN(":path")))
        need(w, strncmp(value, "/r/", 3) == 0, "another path", x->wish);
}

static int on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    struct serve *x = serve_of(s, frame->hd.stream_id);
    char text[24] = "";
    (void)flags, (void)user;
    memcpy(text, value, value_n < sizeof text - 1 ? value_n : sizeof text - 1);
    if (x != NULL)
        check_field(x, span_of((const char *)name, name_n), text);
    return 0;
}

/* What it leaves alone was never heard. */
static bool turn_away(struct serve *x)
{
    struct h2_server *k = x->server;
    struct world *w = k->w;
    enum deed deed = w->calm || !one_in(w, 30) ? DEED_PLAIN
                     : one_in(w, 3)            ? DEED_AWAY
                                               : DEED_REFUSE;
    if (k->away)
        return true;
    if (deed == DEED_REFUSE)
        reset(x, NGHTTP2_REFUSED_STREAM);
    else if (deed == DEED_AWAY)
        (void)nghttp2_submit_goaway(k->session, NGHTTP2_FLAG_NONE, x->id - 2 > 0 ? x->id - 2 : 0,
                                    NGHTTP2_NO_ERROR, NULL, 0);
    k->away = deed == DEED_AWAY;
    return deed != DEED_PLAIN;
}

static void take_head(struct serve *x)
{
    struct world *w = x->server->w;
    need(w, x->wish >= 0 && x->wish < REQUESTS, "a request that nobody made", x->wish);
    struct wish *wish = wish_of(x);
    need(w, x->length < 0 || (size_t)x->length == wish->send, "another length", x->wish);
    need(w, x->tunnel == wish->tunnel, "upgrade", x->wish);
    x->over = turn_away(x);
    if (x->over)
        return;
    x->heard = true;
    world_heard(w, (unsigned)x->wish);
    if (x->tunnel && (w->calm || !one_in(w, 4)))
        grant_tunnel(x);
    else if (x->tunnel)
        answer(x, DEED_BUSY);
    else if (!w->calm && wish->send > 0 && one_in(w, 20))
        answer(x, DEED_EARLY);
}

/* The client's half has ended. */
static void take_end(struct serve *x)
{
    struct world *w = x->server->w;
    const struct wish *wish = wish_of(x);
    bool whole = x->got == wish->send;
    need(w, whole || x->tunnel, "a request's content of another length", x->wish);
    need(w, whole || !x->answered || !w->calm || w->starved, "a tunnel lost bytes", x->wish);
    if (!x->answered)
        answer(x, choose_deed(w));
    x->more = x->more && !x->tunnel;
    if (x->waiting)
        (void)nghttp2_session_resume_data(x->server->session, x->id);
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
    struct serve *x = serve_of(s, frame->hd.stream_id);
    bool carries = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    (void)user;
    if (x == NULL || !carries)
        return 0;
    if (!x->heard && !x->over)
        take_head(x);
    if (!x->over && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        take_end(x);
    return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n,
                   void *user)
{
    struct serve *x = serve_of(s, id);
    (void)flags, (void)user;
    if (x == NULL || !x->heard)
        return 0;
    need(x->server->w, x->got + n <= wish_of(x)->send, "more than was sent", x->wish);
    wire_check(x->server->w, span_of((const char *)bytes, n), (unsigned)x->wish, x->got);
    x->got += n;
    return 0;
}

static int on_stream_close(nghttp2_session *s, int32_t id, uint32_t code, void *user)
{
    struct serve *x = serve_of(s, id);
    (void)code, (void)user;
    if (x == NULL)
        return 0;
    (void)nghttp2_session_set_stream_user_data(s, id, NULL);
    serve_end(x);
    return 0;
}

/* --- the connection --- */

static void leave(struct h2_server *k, enum conn_end how)
{
    timer_stop(&k->pump);
    if (k->c != NULL)
        conn_close(&k->c, how);
    nghttp2_session_del(k->session);
    k->session = NULL;
    list_each (e, &k->serves)
        serve_end(container_of(e, struct serve, link));
}

static void go_on(struct h2_server *k)
{
    const uint8_t *bytes;
    ssize_t n;
    while (conn_pending(k->c) < LIMIT_FLOW_HIGH &&
           (n = nghttp2_session_mem_send(k->session, &bytes)) > 0)
        conn_write(k->c, span_of((const char *)bytes, (size_t)n));
    bool ended = session_over(k->session);
    if (k->then == THEN_RESET)
        leave(k, CONN_END_RESET);
    else if (k->then == THEN_CLOSE || ended)
        leave(k, CONN_END_FLUSH);
    else if (!list_empty(&k->serves) && k->pump.due_ns == 0)
        timer_in_ms(&k->pump, 1 + (int64_t)rng_below(&k->w->rng, 40));
}

/* What was put off goes on. */
static void on_pump(struct timer *t)
{
    struct h2_server *k = container_of(t, struct h2_server, pump);
    list_each (e, &k->serves) {
        struct serve *x = container_of(e, struct serve, link);
        if (x->waiting && buf_len(&x->plan) > 0)
            (void)nghttp2_session_resume_data(k->session, x->id);
    }
    go_on(k);
}

static size_t on_bytes(void *user, struct conn *c, struct span bytes)
{
    struct h2_server *k = user;
    (void)c;
    if (bytes.n == 0)
        return 0;
    session_read(k->w, k->session, bytes);
    go_on(k);
    return bytes.n;
}

static void on_eof(void *user, struct conn *c, bool clean)
{
    (void)c, (void)clean;
    leave(user, CONN_END_NOW);
}

static void on_fail(void *user, struct conn *c, enum err why)
{
    (void)c, (void)why;
    leave(user, CONN_END_NOW);
}

static void on_room(void *user, struct conn *c)
{
    (void)c;
    go_on(user);
}

static const struct conn_events events = {.on_open = conn_ignore,
                                          .on_bytes = on_bytes,
                                          .on_eof = on_eof,
                                          .on_room = on_room,
                                          .on_fail = on_fail};

void h2_server_begin(struct world *w, struct conn *c)
{
    static const uint32_t windows[] = {65535, 65535, 1000, 1 << 20}, streams[] = {1, 3, 100, 100};
    nghttp2_session_callbacks *callbacks;
    struct h2_server *k = mem_alloc(sizeof *k);
    k->w = w;
    k->c = c;
    list_init(&k->serves);
    timer_init(&k->pump, w->server_loop, on_pump);
    k->list = w->h2_servers;
    w->h2_servers = k;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    need(w, nghttp2_session_server_new(&k->session, callbacks, k) == 0, "session", 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_settings_entry terms[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams[rng_below(&w->rng, 4)]},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, windows[rng_below(&w->rng, 4)]},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}};
    (void)nghttp2_submit_settings(k->session, NGHTTP2_FLAG_NONE, terms, 3);
    conn_set_events(c, &events, k);
}

void h2_servers_free(struct world *w)
{
    while (w->h2_servers != NULL) {
        struct h2_server *k = w->h2_servers;
        w->h2_servers = k->list;
        leave(k, CONN_END_NOW);
        mem_free(k);
    }
}
