/* The servers of proxy_sim: what they demand of each request, and what they do with it, sound or
 * not. */
#include "base/mem.h"
#include "proxy_world.h"

enum deed { /* what a server does with a request */
            DEED_PLAIN,
            DEED_EMPTY,   /* 204 or 304 */
            DEED_INTERIM, /* some 1xx first */
            DEED_SOUND,   /* so many that nobody can complain about */
            DEED_BUSY = DEED_SOUND,
            DEED_EARLY,    /* answers before the content has come (F7) */
            DEED_CUT,      /* ends within the answer (F2, F3) */
            DEED_STALL,    /* falls silent within it */
            DEED_SILENT,   /* never answers (F5) */
            DEED_GARBAGE,  /* bytes after the answer (F6) */
            DEED_FLOOD,    /* more 1xx than anybody wants (L17) */
            DEED_NONSENSE, /* a head that must be refused (H18) */
            DEED_BAD_CHUNK,
            DEEDS
};

static struct wish *wish_of(struct peer *s)
{
    return &s->w->wishes[s->wish];
}

static enum deed choose_deed(struct world *w)
{
    if (w->calm)
        return one_in(w, 5) ? (enum deed)rng_below(&w->rng, DEED_SOUND) : DEED_PLAIN;
    return one_in(w, 4) ? (enum deed)rng_below(&w->rng, DEEDS) : DEED_PLAIN;
}

enum framing { FRAMED_LENGTH, FRAMED_CHUNKED, FRAMED_OLD_LENGTH, FRAMED_CLOSE, FRAMED_OLD_CLOSE };

static bool by_close(enum framing f)
{
    return f == FRAMED_CLOSE || f == FRAMED_OLD_CLOSE;
}

/* The whole answer; extra is one more field line, or "". */
static void plan_answer(struct peer *s, enum framing f, const char *extra)
{
    struct world *w = s->w;
    const struct wish *wish = wish_of(s);
    bool head_only = wish->method == WISH_HEAD;
    bool old = f == FRAMED_OLD_LENGTH || f == FRAMED_OLD_CLOSE;
    bool say_close = one_in(w, 20) || (f == FRAMED_CLOSE && (head_only || one_in(w, 2)));
    struct buf *out = &s->plan;
    buf_printf(out, "HTTP/1.%d 200 OK\r\n%sx-wish: %u\r\n%s", old ? 0 : 1,
               say_close ? "connection: close\r\n" : "", s->wish, extra);
    if (f == FRAMED_CHUNKED)
        buf_put_str(out, "transfer-encoding: chunked\r\n");
    else if (!by_close(f))
        buf_printf(out, "content-length: %zu\r\n", wish->get);
    buf_put_str(out, "\r\n");
    s->content_at = buf_len(out);
    if (!head_only && f == FRAMED_CHUNKED)
        wire_put_chunked(w, out, s->wish, wish->get);
    else if (!head_only)
        wire_put(w, out, s->wish, wish->get);
    s->then = say_close || old || by_close(f) ? THEN_CLOSE : THEN_STAY;
}

static enum framing any_framing(struct world *w)
{
    return (enum framing)rng_below(&w->rng, FRAMED_OLD_CLOSE + 1);
}

static enum framing own_framing(struct world *w)
{
    return one_in(w, 2) ? FRAMED_LENGTH : FRAMED_CHUNKED;
}

static void plan_empty(struct peer *s)
{
    if (one_in(s->w, 2))
        buf_printf(&s->plan, "HTTP/1.1 204 No Content\r\nx-wish: %u\r\n\r\n", s->wish);
    else
        buf_printf(&s->plan,
                   "HTTP/1.1 304 Not Modified\r\nx-wish: %u\r\ncontent-length: 77\r\n\r\n",
                   s->wish);
}

static void plan_interims(struct peer *s, int n)
{
    static const char *const interims[] = {
        "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 102 Processing\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n"};
    for (int i = 0; i < n; i++)
        buf_put_str(&s->plan, interims[rng_below(&s->w->rng, 3)]);
}

/* The answer ends too soon. Where only the connection's end tells that of its content, and it ends
 * in good order, nobody can know. */
static void plan_cut(struct peer *s, bool stall)
{
    enum framing f = any_framing(s->w);
    plan_answer(s, f, "");
    size_t at = (size_t)rng_below(&s->w->rng, buf_len(&s->plan));
    s->plan.n = s->plan.at + at;
    s->silent = stall;
    s->then = stall ? THEN_STAY : one_in(s->w, 2) ? THEN_CLOSE : THEN_RESET;
    if (by_close(f) && at >= s->content_at && s->then == THEN_CLOSE)
        wish_of(s)->cut_open = true;
}

static void plan_nonsense(struct peer *s)
{
    static const char *const heads[] = {
        "HTTP/1.1 200 OK\r\nx-odd: 1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"
        "0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-odd: 1\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nabcde",
        "HTTP/1.1 200 OK\r\nx-odd: 1\r\ncontent-length: +5\r\n\r\nabcde",
        "HTTP/1.1 200 OK\r\nx-odd: 1\r\ncontent-length: 5, 5\r\n\r\nabcde",
        "HTTP/1.1 200 OK\r\nx-odd: 1\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nx-odd: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\nx-odd: 1\n\n",
        "HTTP/1.1 200 OK\r\nx-odd : 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-odd: 1\r\n folded\r\n\r\n",
        "HTTP/2 200\r\nx-odd: 1\r\n\r\n",
        "HTTP/1.1 020 OK\r\nx-odd: 1\r\n\r\n",
        "ICY 200 OK\r\nx-odd: 1\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00",
        "HTTP/1.1 101 Switching Protocols\r\nx-odd: 1\r\nconnection: upgrade\r\n"
        "upgrade: websocket\r\n\r\n"}; /* the last: only where nobody asked */
    size_t n = sizeof heads / sizeof *heads - (wish_of(s)->tunnel ? 1 : 0);
    buf_put_str(&s->plan, heads[rng_below(&s->w->rng, n)]);
    s->then = THEN_STAY;
    s->silent = true;
}

static void plan_bad_chunk(struct peer *s)
{
    static const char *const chunks[] = {
        "zz\r\n",           "5;\r\n", "-1\r\n", "\r\n", "fffffffffffffffff\r\n",
        "0x5\r\nabcde\r\n", " 5\r\n"};
    buf_printf(&s->plan, "HTTP/1.1 200 OK\r\nx-wish: %u\r\ntransfer-encoding: chunked\r\n\r\n%s",
               s->wish, chunks[rng_below(&s->w->rng, sizeof chunks / sizeof *chunks)]);
    s->silent = true;
}

/* One piece: what comes after the answer must be there before anybody can ask again. */
static void plan_garbage(struct peer *s)
{
    plan_answer(s, own_framing(s->w), "");
    buf_put_str(&s->plan, one_in(s->w, 2) ? "garbage\r\n\r\n" : "x");
    s->dribble = false;
}

static void plan(struct peer *s, enum deed deed)
{
    struct world *w = s->w;
    switch (deed) {
    case DEED_PLAIN:
        plan_answer(s, any_framing(w), "");
        break;
    case DEED_EMPTY:
        plan_empty(s);
        break;
    case DEED_INTERIM:
        plan_interims(s, 1 + (int)rng_below(&w->rng, 4));
        plan_answer(s, any_framing(w), "");
        break;
    case DEED_BUSY:
        buf_printf(&s->plan, "HTTP/1.1 503 Busy\r\nx-wish: %u\r\ncontent-length: %d\r\n\r\n%s",
                   s->wish, 4, wish_of(s)->method == WISH_HEAD ? "" : "busy");
        break;
    case DEED_EARLY:
        plan_answer(s, own_framing(w), "");
        break;
    case DEED_CUT:
    case DEED_STALL:
        plan_cut(s, deed == DEED_STALL);
        break;
    case DEED_SILENT:
        s->silent = true;
        break;
    case DEED_GARBAGE:
        plan_garbage(s);
        break;
    case DEED_FLOOD:
        plan_interims(s, LIMIT_INTERIM + 1 + (int)rng_below(&w->rng, 1000));
        plan_answer(s, any_framing(w), "x-odd: 1\r\n");
        break;
    case DEED_NONSENSE:
        plan_nonsense(s);
        break;
    case DEED_BAD_CHUNK:
    case DEEDS:
        if (wish_of(s)->method == WISH_HEAD)
            plan_empty(s);
        else
            plan_bad_chunk(s);
        break;
    }
}

static void answer(struct peer *s, enum deed deed)
{
    s->answered = true;
    s->dribble = one_in(s->w, 4);
    plan(s, deed);
    peer_say(s);
}

static void grant_tunnel(struct peer *s, struct span head)
{
    const struct wish *wish = wish_of(s);
    char accept[WIRE_ACCEPT];
    wire_accept(s->w, head, accept);
    s->tunnel = true;
    s->dribble = one_in(s->w, 2);
    buf_printf(&s->plan,
               "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
               "sec-websocket-accept: %s\r\nx-wish: %u\r\n\r\n",
               accept, s->wish);
    wire_put(s->w, &s->plan, s->wish, wish->get);
    s->then = wish->server_first ? THEN_CLOSE : THEN_STAY;
    peer_say(s);
}

void world_heard(struct world *w, unsigned i)
{
    struct wish *wish = &w->wishes[i];
    wish->heads++;
    need(w, wish->method != WISH_POST || wish->heads == 1, "a POST came twice", i);
    need(w, wish->heads <= REPEATED_MOST, "too many attempts", i);
}

/* P2, P4, H7: what any request must look like here. */
static void check_head(struct peer *s, const struct head *h)
{
    static const char *const starts[] = {"GET /r/", "HEAD /r/", "POST /r/", "PUT /r/"};
    struct world *w = s->w;
    struct wish *wish = wish_of(s);
    need(w, !s->silent && buf_len(&s->plan) == 0, "a request before its turn", h->wish);
    need(w, span_starts(h->text, span_str(starts[wish->method])), "another method", h->wish);
    need(w, wire_has(h->text, " HTTP/1.1\r\n"), "another version", h->wish);
    need(w, !wire_has(h->text, "\r\nexpect:"), "a forwarded expectation", h->wish);
    need(w, h->length < 0 || (size_t)h->length == wish->send, "another length", h->wish);
    need(w, wish->tunnel == wire_has(h->text, "\r\nupgrade: websocket\r\n"), "upgrade", h->wish);
    world_heard(w, s->wish);
}

/* Its content is that of a tunnel for a moment only: nobody sends any before 101. */
static bool take_head(struct peer *s, const struct head *h)
{
    struct world *w = s->w;
    need(w, h->wish >= 0, "a request that nobody made", h->wish);
    s->wish = (unsigned)h->wish;
    check_head(s, h);
    s->heard = true;
    s->answered = false;
    if (wish_of(s)->tunnel && (w->calm || !one_in(w, 4))) {
        grant_tunnel(s, h->text);
        buf_take(&s->in, h->bytes);
        return false;
    }
    if (!w->calm && wish_of(s)->send > 0 && one_in(w, 20))
        answer(s, DEED_EARLY);
    return s->c != NULL;
}

/* One whole request from the front of the buffer; false: not there yet. */
static bool take_request(struct peer *s)
{
    struct world *w = s->w;
    struct head h = wire_head(w, buf_span(&s->in));
    size_t content = 0, body;
    bool begins = buf_len(&s->in) == 0 || memchr("GHP", buf_span(&s->in).p[0], 3) != NULL;
    need(w, begins, "bytes that are no request", s->wish);
    if (h.bytes == 0 || (!s->heard && !take_head(s, &h)))
        return false;
    struct span rest = span_sub(buf_span(&s->in), h.bytes, buf_len(&s->in));
    if (h.chunked) {
        body = wire_chunked(w, rest, s->wish, &content);
        if (body == 0)
            return false;
    } else {
        body = content = h.length > 0 ? (size_t)h.length : 0;
        wire_check(w, span_sub(rest, 0, body), s->wish, 0);
        if (rest.n < body)
            return false;
    }
    need(w, content == wish_of(s)->send || wish_of(s)->tunnel,
         "a request's content of another length", h.wish);
    buf_take(&s->in, h.bytes + body);
    s->heard = false;
    if (!s->answered)
        answer(s, choose_deed(w));
    return s->c != NULL;
}

/* By the first two bytes: "PR" is no method that anybody uses here. */
static bool begins_h2(struct span bytes)
{
    return bytes.n >= 2 && bytes.p[0] == 'P' && bytes.p[1] == 'R';
}

static size_t server_bytes(void *user, struct conn *c, struct span bytes)
{
    struct peer *s = user;
    if (!s->known && bytes.n > 0 && bytes.n < 2)
        return 0;
    if (!s->known && begins_h2(bytes)) {
        s->c = NULL;
        h2_server_begin(s->w, c);
        return 0;
    }
    s->known = s->known || bytes.n > 0;
    if (bytes.n > 0)
        buf_put_span(&s->in, bytes);
    while (!s->tunnel && take_request(s)) {
    }
    if (s->tunnel) {
        struct span got = buf_span(&s->in);
        need(s->w, s->tunnelled + got.n <= wish_of(s)->send, "more than was sent", s->wish);
        wire_check(s->w, got, s->wish, s->tunnelled);
        s->tunnelled += got.n;
        buf_clear(&s->in);
    }
    return bytes.n;
}

static void server_eof(void *user, struct conn *c, bool clean)
{
    struct peer *s = user;
    (void)c;
    if (!s->tunnel || !clean) {
        peer_close(s, CONN_END_NOW);
        return;
    }
    bool whole = s->tunnelled == wish_of(s)->send;
    need(s->w, whole || !s->w->calm || s->w->starved, "a tunnel lost bytes towards the server",
         s->wish);
    s->then = THEN_CLOSE;
    if (buf_len(&s->plan) == 0)
        peer_say(s);
}

static void server_fail(void *user, struct conn *c, enum err why)
{
    (void)c;
    (void)why;
    peer_close(user, CONN_END_NOW);
}

static void nothing(void *user, struct conn *c)
{
    (void)user;
    (void)c;
}

static const struct conn_events server_events = {.on_open = nothing,
                                                 .on_bytes = server_bytes,
                                                 .on_eof = server_eof,
                                                 .on_room = nothing,
                                                 .on_fail = server_fail};

bool server_accept(void *user, int fd, const struct addr *peer)
{
    struct world *w = user;
    struct peer *s = mem_alloc(sizeof *s);
    peer_init(s, w, w->server_loop);
    s->list = w->servers;
    w->servers = s;
    need(w, conn_accept(&w->server_env, fd, peer, NULL, &server_events, s, &s->c) == ERR_OK,
         "accept", 0);
    return true;
}

void servers_free(struct world *w)
{
    while (w->servers != NULL) {
        struct peer *s = w->servers;
        w->servers = s->list;
        peer_fini(s);
        mem_free(s);
    }
}
