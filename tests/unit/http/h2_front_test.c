#include "base/limits.h"
#include "http/h2_front.h"
#include "world.h"

#include <nghttp2/nghttp2.h>
#include <unistd.h>

/* h2_front against a client that the library plays; the exchanges only note what they are told. The
 * log names them a, b, c… in the order of their arrival. */

enum { SEEN_MOST = 256, STREAMS = 4 };

struct peer;
struct arrival {
    struct peer *peer;
    struct front *f;
    struct request *r;
    char name;
    uint64_t turn; /* of the loop, in which it came */
};

struct peer {
    struct world w;
    struct front_codec *h;
    nghttp2_session *wire;
    struct arena_cache cache;
    struct front_limits limits;
    struct arrival seen[SEEN_MOST];
    unsigned count;
    bool closed, gone, wants_at_once; /* gone: an exchange was told so */
    size_t upload_left;               /* request content that the client would still send */
    size_t received;                  /* response content that the client has taken */
};

static void on_body(void *user, struct span bytes)
{
    struct arrival *s = user;
    world_note(&s->peer->w, "%c:%zu", s->name, bytes.n);
}

static void on_end(void *user, const struct fields *trailers)
{
    struct arrival *s = user;
    world_note(&s->peer->w, "%c:end%s", s->name, trailers != NULL ? ":trailers" : "");
}

static void on_room(void *user)
{
    struct arrival *s = user;
    world_note(&s->peer->w, "%c:room", s->name);
}

static void on_gone(void *user, enum err why, bool answerable)
{
    struct arrival *s = user;
    CHECK(!answerable, "a stream that is reset takes no answer");
    world_note(&s->peer->w, "%c:gone:%s", s->name, err_name(why));
    s->peer->gone = true;
}

static const struct front_events events = {on_body, on_end, on_room, on_gone};

#define OP(s, name, ...)                                                                           \
    do {                                                                                           \
        (s)->peer->w.operating++;                                                                  \
        (s)->f->ops->name((s)->f, ##__VA_ARGS__);                                                  \
        (s)->peer->w.operating--;                                                                  \
    } while (0)

static void on_request(void *owner, struct front *f, struct request *r, enum err bad)
{
    struct peer *p = owner;
    CHECK(p->count < SEEN_MOST, "too many requests");
    struct arrival *s = &p->seen[p->count];
    *s = (struct arrival){p, f, r, (char)('a' + p->count % 26), p->w.loop->turns};
    p->count++;
    f->events = &events;
    f->user = s;
    world_note(&p->w, "%c=%.*s:%.*s%s%s", s->name, SPAN_FMT(r->method_name), SPAN_FMT(r->path),
               bad != ERR_OK ? ":" : "", bad != ERR_OK ? err_name(bad) : "");
    if (p->wants_at_once) {
        OP(s, want_body, true);
    }
}

static void on_closed(void *owner, enum err why)
{
    struct peer *p = owner;
    world_note(&p->w, "closed:%s", err_name(why));
    p->closed = true;
}

static const struct front_owner owner = {on_request, on_closed};

/* The client's side. */

static int on_header(nghttp2_session *wire, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user)
{
    struct peer *p = user;
    (void)wire;
    (void)flags;
    world_note(&p->w, "<%d %.*s=%.*s", frame->hd.stream_id, (int)name_size, (const char *)name,
               (int)value_size, (const char *)value);
    return 0;
}

static int on_frame_recv(nghttp2_session *wire, const nghttp2_frame *frame, void *user)
{
    struct peer *p = user;
    (void)wire;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        world_note(&p->w, "<goaway:%u:%x", frame->goaway.error_code,
                   (unsigned)frame->goaway.last_stream_id);
    } else if (frame->hd.type == NGHTTP2_RST_STREAM) {
        world_note(&p->w, "<%d reset:%u", frame->hd.stream_id, frame->rst_stream.error_code);
    } else if (frame->hd.type == NGHTTP2_DATA && (frame->hd.flags & 1) != 0) {
        world_note(&p->w, "<%d end", frame->hd.stream_id);
    }
    return 0;
}

static int on_data(nghttp2_session *wire, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n,
                   void *user)
{
    struct peer *p = user;
    (void)wire;
    (void)flags;
    (void)id;
    (void)bytes;
    p->received += n;
    return 0;
}

static ssize_t upload(nghttp2_session *wire, int32_t id, uint8_t *to, size_t most, uint32_t *flags,
                      nghttp2_data_source *source, void *user)
{
    struct peer *p = user;
    size_t n = p->upload_left < most ? p->upload_left : most;
    (void)wire;
    (void)id;
    (void)source;
    memset(to, 'u', n);
    p->upload_left -= n;
    if (p->upload_left == 0) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)n;
}

/* Both sides until nothing more happens. */
static void turn(struct peer *p)
{
    for (int i = 0; i < 6; i++) {
        const uint8_t *bytes;
        ssize_t n;
        while (p->w.fd >= 0 && (n = nghttp2_session_mem_send(p->wire, &bytes)) > 0) {
            world_say(&p->w, span_of((const char *)bytes, (size_t)n));
        }
        world_turn(&p->w);
        if (p->w.got_size > 0) {
            n = nghttp2_session_mem_recv(p->wire, (const uint8_t *)p->w.got, p->w.got_size);
            CHECK(n == (ssize_t)p->w.got_size, "what the client got is not HTTP/2: %zd", n);
            p->w.got_size = 0;
        }
    }
}

static void wire_new(struct peer *p, bool windows_open_themselves)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    CHECK_INT(nghttp2_session_callbacks_new(&callbacks), 0);
    CHECK_INT(nghttp2_option_new(&option), 0);
    nghttp2_option_set_no_auto_window_update(option, !windows_open_themselves);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    CHECK_INT(nghttp2_session_client_new2(&p->wire, callbacks, p, option), 0);
    CHECK_INT(nghttp2_submit_settings(p->wire, 0, NULL, 0), 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
}

static size_t no_bytes(void *user, struct conn *c, struct span bytes)
{
    (void)user;
    (void)c;
    (void)bytes;
    return 0;
}

static struct front_limits usual(uint32_t streams)
{
    return (struct front_limits){.request_line = LIMIT_REQUEST_LINE,
                                 .head = LIMIT_HEAD,
                                 .fields = LIMIT_FIELDS,
                                 .field = LIMIT_FIELD,
                                 .requests = 100,
                                 .streams = streams,
                                 .head_ms = 10000,
                                 .idle_ms = 60000,
                                 .age_ms = 3600000};
}

static void peer_open_with(struct peer *p, bool windows_open_themselves, struct front_limits limits)
{
    static const struct conn_events none = {.on_bytes = no_bytes};
    struct conn *conn;
    struct addr from;
    memset(p, 0, sizeof(*p));
    world_open(&p->w);
    p->cache.keep = 16;
    p->limits = limits;
    CHECK_INT(addr_parse(SPAN("127.0.0.1:1"), &from), ERR_OK);
    CHECK_INT(conn_accept(&p->w.env, world_pair(&p->w), &from, NULL, &none, NULL, &conn), ERR_OK);
    CHECK_INT(h2_front_new(conn, true, &p->limits, &p->cache, &owner, p, &p->h), ERR_OK);
    wire_new(p, windows_open_themselves);
    turn(p);
    world_log(&p->w);
}

static void peer_open(struct peer *p, bool windows_open_themselves)
{
    peer_open_with(p, windows_open_themselves, usual(STREAMS));
}

static void release(struct arrival *s)
{
    OP(s, release);
    s->f = NULL;
}

static void peer_close(struct peer *p)
{
    if (!p->closed) {
        p->h->ops->kill(p->h, ERR_SHUTDOWN);
    }
    for (unsigned i = 0; i < p->count; i++) {
        if (p->seen[i].f != NULL) {
            release(&p->seen[i]);
        }
    }
    world_turn(&p->w);
    CHECK(p->closed, "on_closed");
    nghttp2_session_del(p->wire);
    world_close(&p->w);
    arena_cache_fini(&p->cache);
}

static int32_t submit(struct peer *p, const char *method, size_t content)
{
    const nghttp2_nv nv[] = {
        {(uint8_t *)":method", (uint8_t *)(uintptr_t)method, 7, strlen(method), 0},
        {(uint8_t *)":scheme", (uint8_t *)"https", 7, 5, 0},
        {(uint8_t *)":authority", (uint8_t *)"a", 10, 1, 0},
        {(uint8_t *)":path", (uint8_t *)"/p", 5, 2, 0},
    };
    nghttp2_data_provider provider = {.read_callback = upload};
    p->upload_left = content;
    int32_t id = nghttp2_submit_request(p->wire, NULL, nv, 4, content > 0 ? &provider : NULL, NULL);
    CHECK(id > 0, "submit: %d", id);
    return id;
}

static int32_t ask(struct peer *p, const char *method, size_t content)
{
    int32_t id = submit(p, method, content);
    turn(p);
    return id;
}

static void answer(struct arrival *s, size_t n)
{
    static char content[256 * 1024];
    struct reply r = {.status = 200, .content = CONTENT_LENGTH, .length = n, .has_length = true};
    CHECK(n <= sizeof(content), "content");
    CHECK_INT(fields_put(&r.fields, s->f->arena, FIELD_DATE, SPAN("d")), ERR_OK);
    OP(s, reply_head, &r, n == 0);
    if (n > 0) {
        OP(s, reply_body, span_of(content, n));
        OP(s, reply_end, NULL);
    }
}

TEST(h2_front, requests_side_by_side)
{
    struct peer p;
    peer_open(&p, true);
    ask(&p, "GET", 0);
    ask(&p, "POST", 5);
    CHECK_STR(world_log(&p.w), "a=GET:/p b=POST:/p");
    OP(&p.seen[1], want_body, true);
    turn(&p);
    CHECK_STR(world_log(&p.w), "b:5 b:end");
    answer(&p.seen[1], 3);
    answer(&p.seen[0], 0);
    release(&p.seen[1]);
    release(&p.seen[0]);
    turn(&p);
    CHECK_STR(world_log(&p.w),
              "<3 :status=200 <3 date=d <3 content-length=3 <1 :status=200 <1 date=d "
              "<1 content-length=0 <3 end");
    CHECK(p.h->ops->idle_ns(p.h) != FRONT_NOT_IDLE, "idle");
    peer_close(&p);
}

/* Requests in one write. */
static void ask_at_once(struct peer *p, unsigned count)
{
    static char bytes[64 * 1024];
    size_t n = 0;
    const uint8_t *piece;
    for (unsigned i = 0; i < count; i++) {
        submit(p, "GET", 0);
    }
    for (ssize_t more; (more = nghttp2_session_mem_send(p->wire, &piece)) > 0; n += (size_t)more) {
        memcpy(bytes + n, piece, (size_t)more);
    }
    world_say(&p->w, span_of(bytes, n));
    turn(p);
}

static void answer_all(struct peer *p, unsigned from)
{
    for (unsigned i = from; i < p->count; i++) {
        answer(&p->seen[i], 1);
        release(&p->seen[i]);
    }
    turn(p);
}

/* P1: what many requests in one write ask for is done in several turns, but for as many as have
 * been answered before. */
TEST(h2_front, requests_that_come_at_once_P1)
{
    enum { MORE = 3 * LIMIT_H2_TURN, ALL = LIMIT_H2_AT_ONCE + MORE };
    struct peer p;
    peer_open_with(&p, true, usual(ALL));
    ask_at_once(&p, ALL);
    CHECK_INT(p.count, ALL);
    CHECK(p.seen[LIMIT_H2_AT_ONCE - 1].turn == p.seen[0].turn, "the first of a connection");
    for (unsigned i = LIMIT_H2_AT_ONCE; i < ALL; i++) {
        CHECK(p.seen[i].turn > p.seen[i - LIMIT_H2_TURN].turn, "request %u in the turn of %u", i,
              i - LIMIT_H2_TURN);
    }
    answer_all(&p, 0);
    ask_at_once(&p, LIMIT_H2_AT_ONCE + 1);
    CHECK(p.seen[ALL + LIMIT_H2_AT_ONCE - 1].turn == p.seen[ALL].turn, "all have been answered");
    CHECK(p.seen[ALL + LIMIT_H2_AT_ONCE].turn > p.seen[ALL].turn, "but not for ever");
    answer_all(&p, ALL);
    world_log(&p.w);
    peer_close(&p);
}

TEST(h2_front, l21_the_window_opens_by_what_was_taken)
{
    struct peer p;
    peer_open(&p, true);
    ask(&p, "POST", 1000000);
    CHECK(p.upload_left == 1000000 - LIMIT_H2_WINDOW, "one window: %zu left", p.upload_left);
    CHECK_STR(world_log(&p.w), "a=POST:/p");
    OP(&p.seen[0], want_body, true);
    world_turn(&p.w);
    OP(&p.seen[0], want_body, false);
    for (int i = 0; i < 10; i++) {
        turn(&p);
    }
    CHECK(p.upload_left >= 1000000 - 4 * LIMIT_H2_WINDOW, "it stopped: %zu left", p.upload_left);
    OP(&p.seen[0], want_body, true);
    for (int i = 0; i < 100 && p.upload_left > 0; i++) {
        turn(&p);
    }
    turn(&p);
    CHECK(p.upload_left == 0, "all of it: %zu left", p.upload_left);
    CHECK(strstr(world_log(&p.w), "a:end") != NULL, "the end");
    peer_close(&p);
}

TEST(h2_front, l18_a_client_that_takes_nothing_is_told_as_pending)
{
    struct peer p;
    peer_open(&p, false);
    ask(&p, "GET", 0);
    world_log(&p.w);
    answer(&p.seen[0], 200000);
    turn(&p);
    CHECK_INT(p.received, 65535);
    CHECK_INT(p.seen[0].f->ops->pending(p.seen[0].f), 200000 - 65535);
    CHECK(strstr(world_log(&p.w), "room") == NULL, "no room yet");
    CHECK_INT(nghttp2_session_consume(p.wire, 1, 65535), 0);
    turn(&p);
    CHECK_INT(nghttp2_session_consume(p.wire, 1, 65535), 0);
    turn(&p);
    CHECK(p.received == 3 * 65535, "%zu", p.received);
    CHECK_STR(world_log(&p.w), "a:room");
    release(&p.seen[0]); /* what was put is sent still */
    CHECK_INT(nghttp2_session_consume(p.wire, 1, 65535), 0);
    turn(&p);
    CHECK_INT(p.received, 200000);
    CHECK_STR(world_log(&p.w), "<1 end");
    peer_close(&p);
}

static size_t room(struct arrival *s)
{
    size_t n;
    s->peer->w.operating++;
    n = s->f->ops->room(s->f);
    s->peer->w.operating--;
    return n;
}

/* A response of unknown length, so far. */
static void begin(struct arrival *s, size_t n)
{
    static char content[512 * 1024];
    struct reply r = {.status = 200, .content = CONTENT_STREAM};
    CHECK_INT(fields_put(&r.fields, s->f->arena, FIELD_DATE, SPAN("d")), ERR_OK);
    OP(s, reply_head, &r, false);
    OP(s, reply_body, span_of(content, n));
}

static void open_window(struct peer *p, int32_t stream)
{
    CHECK_INT(nghttp2_submit_window_update(p->wire, 0, stream, 1 << 20), 0);
    turn(p);
}

/* Of a connection that holds much only those streams get more whose content is taken. */
TEST(h2_front, l18_a_client_that_takes_nothing_of_many)
{
    struct peer p;
    peer_open(&p, false);
    for (int i = 0; i < 4; i++) {
        ask(&p, "GET", 0);
    }
    CHECK_INT(room(&p.seen[0]), LIMIT_READ_FIRST);
    for (int i = 0; i < 3; i++) {
        begin(&p.seen[i], 512 * 1024);
    }
    CHECK_INT(room(&p.seen[3]), LIMIT_READ_CROWDED);
    turn(&p); /* the connection's window is used up */
    begin(&p.seen[3], 10);
    turn(&p);
    for (int i = 0; i < 4; i++) {
        CHECK_INT(room(&p.seen[i]), 0);
    }
    world_log(&p.w);
    open_window(&p, 0);
    CHECK_STR(world_log(&p.w), "d:room");
    CHECK_INT(room(&p.seen[3]), LIMIT_READ_CROWDED);
    open_window(&p, 0);
    open_window(&p, 1);
    CHECK_STR(world_log(&p.w), "a:room");
    CHECK_INT(room(&p.seen[1]), 0);
    open_window(&p, 3);
    CHECK_STR(world_log(&p.w), "b:room");
    CHECK_INT(room(&p.seen[2]), 0);
    CHECK(room(&p.seen[3]) > LIMIT_READ_LEAST, "as much as is free again");
    peer_close(&p);
}

TEST(h2_front, aborts_of_the_client)
{
    struct peer p;
    peer_open(&p, true);
    ask(&p, "GET", 0);
    CHECK_INT(nghttp2_submit_rst_stream(p.wire, 0, 1, NGHTTP2_CANCEL), 0);
    turn(&p);
    CHECK_STR(world_log(&p.w), "a=GET:/p a:gone:client-abort");
    answer(&p.seen[0], 5); /* says nothing to nobody */
    release(&p.seen[0]);
    turn(&p);
    CHECK_STR(world_log(&p.w), "");
    ask(&p, "GET", 0);
    close(p.w.fd);
    p.w.fd = -1;
    turn(&p);
    CHECK_STR(world_log(&p.w), "b=GET:/p b:gone:client-abort");
    release(&p.seen[1]);
    world_turn(&p.w);
    CHECK_STR(world_log(&p.w), "closed:client-closed");
    peer_close(&p);
}

TEST(h2_front, h19_what_is_cut_short_is_seen)
{
    struct peer p;
    struct reply r = {.status = 200, .content = CONTENT_LENGTH, .length = 10, .has_length = true};
    peer_open(&p, true);
    ask(&p, "GET", 0);
    ask(&p, "GET", 0);
    ask(&p, "GET", 0);
    world_log(&p.w);
    for (int i = 0; i < 2; i++) {
        OP(&p.seen[i], reply_head, &r, false);
        OP(&p.seen[i], reply_body, SPAN("abc"));
    }
    OP(&p.seen[0], reply_end, NULL); /* less than was said */
    OP(&p.seen[1], abort, ERR_BACKEND_TRUNCATED);
    for (int i = 0; i < 3; i++) { /* the third never had an answer */
        release(&p.seen[i]);
    }
    turn(&p);
    const char *log = world_log(&p.w);
    CHECK(strstr(log, "<1 reset:2") != NULL && strstr(log, "<3 reset:2") != NULL &&
              strstr(log, "<5 reset:2") != NULL && strstr(log, "end") == NULL,
          "%s", log);
    peer_close(&p);
}

TEST(h2_front, l20_live_exchanges_count_not_streams)
{
    struct peer p;
    peer_open(&p, true);
    for (int i = 0; i < STREAMS; i++) {
        int32_t id = ask(&p, "GET", 0);
        CHECK_INT(nghttp2_submit_rst_stream(p.wire, 0, id, NGHTTP2_CANCEL), 0);
        turn(&p);
    }
    CHECK_INT(p.count, STREAMS);
    world_log(&p.w);
    ask(&p, "GET", 0);
    CHECK_INT(p.count, STREAMS);
    CHECK_STR(world_log(&p.w), "<9 reset:7");
    release(&p.seen[0]);
    turn(&p);
    ask(&p, "GET", 0);
    CHECK_INT(p.count, STREAMS + 1);
    peer_close(&p);
}

TEST(h2_front, draining_takes_two_steps)
{
    struct peer p;
    peer_open(&p, true);
    ask(&p, "GET", 0);
    world_log(&p.w);
    p.h->ops->drain(p.h);
    turn(&p);
    CHECK_STR(world_log(&p.w), "<goaway:0:7fffffff <goaway:0:1");
    answer(&p.seen[0], 2);
    release(&p.seen[0]);
    turn(&p);
    const char *log = world_log(&p.w);
    CHECK(strstr(log, "<1 end") != NULL && strstr(log, "closed:ok") != NULL, "%s", log);
    peer_close(&p);
}

TEST(h2_front, l11_requests_of_one_connection)
{
    struct peer p;
    peer_open(&p, true);
    p.limits.requests = 2;
    ask(&p, "GET", 0);
    CHECK(strstr(world_log(&p.w), "goaway") == NULL, "one");
    ask(&p, "GET", 0);
    CHECK(strstr(world_log(&p.w), "<goaway:0:3") != NULL, "two");
    peer_close(&p);
}

static void ended_as(struct peer *p, const char *log)
{
    world_until(&p->w, &p->closed);
    turn(p);
    CHECK_STR(world_log(&p->w), log);
    peer_close(p);
}

TEST(h2_front, l4_who_asks_for_nothing)
{
    struct peer p;
    struct front_limits limits = usual(STREAMS);
    limits.head_ms = 30;
    peer_open_with(&p, true, limits);
    ended_as(&p, "closed:limit-L4 <goaway:0:0");
}

/* A head that does not end, beside a request that is served. */
TEST(h2_front, l4_half_a_head)
{
    struct peer p;
    struct front_limits limits = usual(STREAMS);
    limits.head_ms = 30;
    peer_open_with(&p, true, limits);
    ask(&p, "GET", 0);
    world_log(&p.w);
    SAY(&p.w, "\0\0\1\1\1\0\0\0\3\x82"); /* HEADERS of one byte, without END_HEADERS */
    world_until(&p.w, &p.gone);
    release(&p.seen[0]);
    world_until(&p.w, &p.closed);
    turn(&p);
    const char *log = world_log(&p.w);
    CHECK(strstr(log, "closed:limit-L4") != NULL && strstr(log, "<goaway:11:") != NULL, "%s", log);
    peer_close(&p);
}

/* The library ignores what comes on a stream that was reset meanwhile. */
TEST(h2_front, l4_a_head_that_nobody_needs_is_whole)
{
    enum { LONG_MS = 400 };
    struct peer p;
    struct front_limits limits = usual(STREAMS);
    limits.head_ms = 30;
    peer_open_with(&p, true, limits);
    SAY(&p.w, "\0\0\6\1\4\0\0\0\1\x82\x87\x84\x41\1a"); /* a request that content follows */
    SAY(&p.w, "\0\0\6\1\5\0\0\0\3\x82\x87\x84\x41\1a"); /* and one without */
    world_turn(&p.w);
    CHECK_INT(p.count, 2);
    OP(&p.seen[0], abort, ERR_INTERNAL);
    release(&p.seen[0]);
    world_turn(&p.w);
    SAY(&p.w, "\0\0\5\1\5\0\0\0\1\0\1x\0011"); /* its trailers */
    for (int i = 0; i < LONG_MS && !p.gone; i++) {
        timer_in_ms(&p.w.stop, 1);
        loop_run(p.w.loop);
    }
    CHECK(!p.gone, "%s", world_log(&p.w));
    peer_close(&p);
}

TEST(h2_front, l5_idle_connections_are_told)
{
    struct peer p;
    struct front_limits limits = usual(STREAMS);
    limits.idle_ms = 30;
    peer_open_with(&p, true, limits);
    ask(&p, "GET", 0);
    bool never = false;
    for (int i = 0; i < 60 && !never; i++) {
        timer_in_ms(&p.w.stop, 1);
        loop_run(p.w.loop);
    }
    CHECK(!p.closed, "one with a request is not idle");
    answer(&p.seen[0], 0);
    release(&p.seen[0]);
    turn(&p);
    world_log(&p.w);
    ended_as(&p, "closed:limit-L5 <goaway:0:1");
}

/* Its request is answered, and no other one is begun on it. */
TEST(h2_front, l11_old_connections_are_told)
{
    struct peer p;
    struct front_limits limits = usual(STREAMS);
    limits.age_ms = 0;
    peer_open_with(&p, true, limits);
    ask(&p, "GET", 0);
    const char *log = world_log(&p.w);
    CHECK(strstr(log, "a=GET") != NULL && strstr(log, "<goaway:0:1") != NULL, "%s", log);
    answer(&p.seen[0], 2);
    release(&p.seen[0]);
    turn(&p);
    log = world_log(&p.w);
    CHECK(strstr(log, "<1 end") != NULL && strstr(log, "closed:ok") != NULL, "%s", log);
    peer_close(&p);
}

TEST(h2_front, what_is_no_http2_ends_the_connection)
{
    struct peer p;
    peer_open(&p, true);
    SAY(&p.w, "\0\0\1\6\0\0\0\0\0x"); /* PING with one byte */
    turn(&p);
    CHECK_STR(world_log(&p.w), "closed:h2-protocol <goaway:6:0");
    peer_close(&p);
}
