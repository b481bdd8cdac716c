#include "base/limits.h"
#include "base/mem.h"
#include "http/websocket.h"
#include "world.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* h1_back against a raw server; the exchange only notes what it is told. */

struct server {
    struct world w;
    int listener;
    struct addr at;
    struct conn *c; /* until the codec has it */
    struct back_link *h;
    struct back *b;
    struct arena arena;
    struct back_limits limits;
    bool closed, release_at_end, silent;
};

static void release(struct server *s)
{
    s->w.operating++;
    s->b->ops->release(s->b);
    s->w.operating--;
    s->b = NULL;
}

static void on_interim(void *user, struct reply *r)
{
    struct server *s = user;
    world_note(&s->w, "interim:%u", r->status);
}

static void on_reply(void *user, struct reply *r, bool end)
{
    struct server *s = user;
    if (!s->silent) {
        world_note(&s->w, "reply:%u%s%s", r->status, r->upgraded ? ":upgraded" : "",
                   end ? ":end" : "");
    }
    if (end && s->release_at_end) {
        release(s);
    }
}

static void on_body(void *user, struct span bytes)
{
    struct server *s = user;
    if (!s->silent) {
        world_note(&s->w, "body:%.*s", SPAN_FMT(bytes));
    }
}

static void on_end(void *user, const struct fields *trailers)
{
    struct server *s = user;
    if (!s->silent) {
        world_note(&s->w, "end%s", trailers != NULL ? ":trailers" : "");
    }
    if (s->release_at_end) {
        release(s);
    }
}

static void on_room(void *user)
{
    struct server *s = user;
    world_note(&s->w, "room");
}

static void on_fail(void *user, enum err why, enum seen seen)
{
    struct server *s = user;
    world_note(&s->w, "fail:%s:%s", err_name(why), seen == SEEN_NO ? "no" : "maybe");
}

static const struct back_events events = {on_interim, on_reply, on_body, on_end, on_room, on_fail};

static void on_slots(void *owner, int64_t keep_ms)
{
    struct server *s = owner;
    CHECK_INT(s->h->ops->slots(s->h), 1);
    CHECK_INT(s->h->ops->busy(s->h), 0);
    if (!s->silent) {
        world_note(&s->w, keep_ms > 0 ? "idle:%d" : "idle", (int)keep_ms);
    }
}

static void on_closed(void *owner, enum err why)
{
    struct server *s = owner;
    world_note(&s->w, "closed:%s", err_name(why));
    s->closed = true;
    s->h = NULL;
}

static const struct back_owner owner = {.on_slots = on_slots, .on_closed = on_closed};

static void on_open(void *user, struct conn *c)
{
    struct server *s = user;
    CHECK_INT(h1_back_new(c, &s->limits, &owner, s, &s->h), ERR_OK);
    CHECK_INT(s->h->ops->slots(s->h), 1);
    world_note(&s->w, "open");
}

static size_t on_early_bytes(void *user, struct conn *c, struct span bytes)
{
    (void)user;
    (void)c;
    CHECK(false, "bytes before it was open");
    return bytes.n;
}

static void on_early_end(void *user, struct conn *c, bool clean)
{
    (void)user;
    (void)c;
    (void)clean;
    CHECK(false, "ended before it was open");
}

static void on_no_open(void *user, struct conn *c, enum err why)
{
    (void)user;
    (void)c;
    CHECK(false, "not open: %s", err_name(why));
}

static const struct conn_events connecting = {
    .on_open = on_open, .on_bytes = on_early_bytes, .on_eof = on_early_end, .on_fail = on_no_open};

static void server_listen(struct server *s)
{
    memset(s, 0, sizeof(*s));
    world_open(&s->w);
    arena_init(&s->arena, NULL, KIB(8), 0);
    s->limits = (struct back_limits){
        .head = LIMIT_REPLY_HEAD, .fields = LIMIT_REPLY_FIELDS, .interim = LIMIT_INTERIM};
    s->at.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    s->at.len = sizeof(s->at.v4);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(s->listener >= 0 && bind(s->listener, &s->at.any, s->at.len) == 0 &&
              listen(s->listener, 8) == 0 && getsockname(s->listener, &s->at.any, &s->at.len) == 0,
          "listener");
}

static void server_connect(struct server *s)
{
    struct conn_target to = {.addr = &s->at};
    CHECK_INT(conn_connect(&s->w.env, &to, &connecting, s, &s->c), ERR_OK);
    CHECK_STR(world_log(&s->w), "");
    world_turn(&s->w);
    s->w.fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static void take(struct server *s)
{
    s->w.operating++;
    s->b = s->h->ops->take(s->h);
    CHECK(s->b != NULL && s->h->ops->take(s->h) == NULL, "one slot");
    s->w.operating--;
    s->b->events = &events;
    s->b->user = s;
    s->b->arena = &s->arena;
}

static void server_new(struct server *s)
{
    server_listen(s);
    server_connect(s);
    CHECK_STR(world_log(&s->w), "open");
    take(s);
}

static void server_end(struct server *s)
{
    if (s->b != NULL) {
        release(s);
    }
    world_turn(&s->w);
    if (!s->closed) {
        s->h->ops->close(s->h);
    }
    close(s->listener);
    arena_reset(&s->arena);
    world_close(&s->w);
}

#define OP(s, name, ...)                                                                           \
    do {                                                                                           \
        (s)->w.operating++;                                                                        \
        (s)->b->ops->name((s)->b, ##__VA_ARGS__);                                                  \
        (s)->w.operating--;                                                                        \
    } while (0)

static const struct request get = {
    .method = METHOD_GET, .method_name = {"GET", 3}, .authority = {"a", 1}, .path = {"/", 1}};

static struct request post(enum content content, uint64_t length)
{
    struct request r = get;
    r.method = METHOD_POST;
    r.method_name = SPAN("POST");
    r.content = content;
    r.length = length;
    return r;
}

#define ASKED "GET / HTTP/1.1\r\nhost: a\r\n\r\n"
#define OK2   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void ask(struct server *s)
{
    OP(s, send_head, &get, true);
    world_turn(&s->w);
    world_got(&s->w);
}

TEST(back, used_again_and_again_H20)
{
    struct server s;
    server_new(&s);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(s.b->reused, i > 0);
        OP(&s, send_head, &get, true);
        CHECK_STR(world_got(&s.w), ASKED);
        CHECK_INT(s.b->bytes_out, sizeof(ASKED) - 1);
        SAY(&s.w, OK2);
        CHECK_STR(world_log(&s.w), "reply:200 body:ok end");
        CHECK_INT(s.b->bytes_in, sizeof(OK2) - 1);
        CHECK(s.b->first_byte_ns != 0 && s.b->sent_ns != 0, "times");
        release(&s);
        CHECK_STR(world_log(&s.w), "");
        world_turn(&s.w);
        CHECK_STR(world_log(&s.w), "idle");
        take(&s);
    }
    server_end(&s);
}

TEST(back, released_from_inside_the_last_event)
{
    struct server s;
    server_new(&s);
    s.release_at_end = true;
    ask(&s);
    SAY(&s.w, "HTTP/1.1 204 No Content\r\nKeep-Alive: timeout=7\r\n\r\n");
    CHECK_STR(world_log(&s.w), "reply:204:end idle:7000");
    take(&s);
    ask(&s);
    SAY(&s.w, OK2);
    CHECK_STR(world_log(&s.w), "reply:200 body:ok end idle");
    take(&s);
    ask(&s);
    SAY(&s.w, OK2 "x");
    CHECK_STR(world_log(&s.w), "reply:200 body:ok end closed:backend-protocol");
    server_end(&s);
}

TEST(back, requests_with_content)
{
    struct server s;
    struct request r = post(CONTENT_STREAM, 0);
    server_new(&s);
    OP(&s, send_head, &r, false);
    OP(&s, send_body, SPAN("abc"));
    OP(&s, send_body, SPAN_NONE);
    OP(&s, send_end, NULL);
    CHECK_STR(world_got(&s.w), "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
                               "3\r\nabc\r\n0\r\n\r\n");
    SAY(&s.w, OK2);
    release(&s);
    world_turn(&s.w);
    CHECK_STR(world_log(&s.w), "reply:200 body:ok end idle");
    take(&s);
    r = post(CONTENT_LENGTH, 4);
    OP(&s, send_head, &r, false);
    OP(&s, send_body, SPAN("ab"));
    OP(&s, send_body, SPAN("cd"));
    OP(&s, send_end, NULL);
    CHECK_STR(world_got(&s.w), "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nabcd");
    server_end(&s);
}

/* What is sent must be what was declared; the exchange hears it after the operation, and before the
 * server has heard anything. */
TEST(back, requests_that_break_their_framing)
{
    struct request r = post(CONTENT_LENGTH, 4);
    struct server s;
    server_new(&s);
    OP(&s, send_head, &r, false);
    OP(&s, send_body, SPAN("ab"));
    OP(&s, send_end, NULL);
    CHECK_STR(world_log(&s.w), "");
    world_turn(&s.w);
    CHECK_STR(world_log(&s.w), "fail:internal:no");
    release(&s);
    world_turn(&s.w);
    CHECK_STR(world_log(&s.w), "closed:ok");
    server_end(&s);
    server_new(&s);
    OP(&s, send_head, &r, false);
    OP(&s, send_body, SPAN("abcde"));
    world_turn(&s.w);
    CHECK_STR(world_log(&s.w), "fail:internal:no");
    server_end(&s);
}

/* What the server says, whether it may be used again after it (H18 to H20, F6). */
static const struct {
    const char *say;
    bool fin;
    const char *log;
} rows[] = {
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n", false,
     "reply:200 body:ok end:trailers idle"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, "reply:200:end idle"},
    {"HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n", false, "reply:304:end idle"},
    {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", false,
     "reply:200 body:ok end closed:ok"},
    {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false, "reply:200 body:ok end closed:ok"},
    {OK2 OK2, false, "reply:200 body:ok end closed:ok"},
    {OK2 "\r\n", false, "reply:200 body:ok end closed:ok"},
    {OK2, true, "reply:200 body:ok end closed:ok"},
    {"HTTP/1.1 200 OK\r\n\r\nok", true, "reply:200 body:ok end closed:ok"},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\n\r\nHTTP/1.1 102 x\r\n\r\n" OK2, false,
     "interim:100 interim:103 reply:200 body:ok end idle"},
    /* H19 */
    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", true,
     "reply:200 body:ok fail:backend-truncated:maybe closed:ok"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", true,
     "reply:200 body:ok fail:backend-truncated:maybe closed:ok"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX", true,
     "reply:200 body:ok fail:backend-truncated:maybe closed:ok"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokk", false,
     "reply:200 body:ok fail:backend-protocol:maybe closed:ok"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok", false,
     "reply:200 fail:backend-protocol:maybe closed:ok"},
    /* before or inside the head */
    {"", true, "fail:backend-reset:maybe closed:ok"},
    {"HTTP/1.1 2", true, "fail:backend-reset:maybe closed:ok"},
    {"HTTP/1.1 100 Continue\r\n\r\n", true, "interim:100 fail:backend-reset:maybe closed:ok"},
    {"garbage\r\n\r\n", false, "fail:backend-protocol:maybe closed:ok"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", false,
     "fail:backend-protocol:maybe closed:ok"},
    {"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", false,
     "fail:backend-protocol:maybe closed:ok"},
};

static void run_row(size_t i, bool slowly)
{
    struct server s;
    struct span say = span_str(rows[i].say);
    server_new(&s);
    ask(&s);
    for (size_t at = 0; at < say.n; at += slowly ? 1 : say.n) {
        world_say(&s.w, slowly ? span_of(say.p + at, 1) : say);
    }
    if (rows[i].fin) {
        world_fin(&s.w);
    }
    release(&s);
    world_turn(&s.w);
    const char *got = world_log(&s.w);
    if (slowly) { /* content came in single bytes */
        CHECK(strcmp(strrchr(got, ' '), strrchr(rows[i].log, ' ')) == 0, "row %zu: %s", i, got);
    } else {
        CHECK(strcmp(got, rows[i].log) == 0, "row %zu: %s", i, got);
    }
    server_end(&s);
}

TEST(back, rows_H18_H19_H20)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        run_row(i, false);
    }
}

TEST(back, rows_one_byte_at_a_time_F17)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        run_row(i, true);
    }
}

/* L17 */
TEST(back, too_many_interim_responses_L17)
{
    struct server s;
    char want[512] = "";
    server_new(&s);
    ask(&s);
    for (unsigned i = 0; i < LIMIT_INTERIM; i++) {
        SAY(&s.w, "HTTP/1.1 100 Continue\r\n\r\n");
        strcat(want, i == 0 ? "interim:100" : " interim:100");
    }
    CHECK_STR(world_log(&s.w), want);
    SAY(&s.w, "HTTP/1.1 100 Continue\r\n\r\n");
    CHECK_STR(world_log(&s.w), "fail:limit-L17:maybe");
    server_end(&s);
}

/* Law 1: NO only where no byte of the request was written. */
TEST(back, seen)
{
    struct server s;
    server_new(&s);
    world_reset(&s.w);
    CHECK_STR(world_log(&s.w), "fail:backend-reset:no");
    OP(&s, send_head, &get, true);
    OP(&s, send_body, SPAN("x"));
    OP(&s, send_end, NULL);
    world_turn(&s.w);
    CHECK_STR(world_log(&s.w), "");
    server_end(&s);
    server_new(&s);
    ask(&s);
    world_reset(&s.w);
    CHECK_STR(world_log(&s.w), "fail:backend-reset:maybe");
    server_end(&s);
    /* a used connection that ends before the request has left */
    server_new(&s);
    s.release_at_end = true;
    ask(&s);
    SAY(&s.w, OK2);
    world_log(&s.w);
    take(&s);
    world_fin(&s.w);
    CHECK_STR(world_log(&s.w), "fail:backend-reset:no");
    server_end(&s);
    /* an answer before the question */
    server_new(&s);
    SAY(&s.w, OK2);
    CHECK_STR(world_log(&s.w), "fail:backend-protocol:no");
    server_end(&s);
}

TEST(back, idle_connections_that_speak_or_end_H20)
{
    struct server s;
    server_listen(&s);
    server_connect(&s);
    SAY(&s.w, "HTTP/1.1 408 Request Timeout\r\n\r\n");
    CHECK_STR(world_log(&s.w), "open closed:backend-protocol");
    server_end(&s);
    server_listen(&s);
    server_connect(&s);
    world_fin(&s.w);
    CHECK_STR(world_log(&s.w), "open closed:backend-reset");
    server_end(&s);
}

/* H20, F7: delivered, then closed. */
TEST(back, early_answers_H20)
{
    struct server s;
    struct request r = post(CONTENT_LENGTH, 4);
    server_new(&s);
    OP(&s, send_head, &r, false);
    OP(&s, send_body, SPAN("ab"));
    SAY(&s.w, "HTTP/1.1 413 x\r\nContent-Length: 2\r\n\r\nno");
    CHECK_STR(world_log(&s.w), "reply:413 body:no end");
    OP(&s, send_body, SPAN("cd"));
    OP(&s, send_end, NULL);
    release(&s);
    world_turn(&s.w);
    CHECK_STR(world_log(&s.w), "closed:ok");
    server_end(&s);
}

TEST(back, content_comes_when_wanted)
{
    struct server s;
    server_new(&s);
    ask(&s);
    SAY(&s.w, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab");
    CHECK_STR(world_log(&s.w), "reply:200 body:ab");
    OP(&s, want_body, 0);
    SAY(&s.w, "cdef");
    world_fin(&s.w);
    CHECK_STR(world_log(&s.w), "");
    OP(&s, want_body, LIMIT_READ);
    world_turn(&s.w);
    CHECK_STR(world_log(&s.w), "body:cdef end");
    server_end(&s);
}

/* Most bytes of content handed over at once since the last call. */
static size_t longest_piece(struct server *s)
{
    size_t longest = 0;
    const char *log = world_log(&s->w);
    while ((log = strstr(log, "body:")) != NULL) {
        size_t n = strcspn(log += 5, " ");
        longest = n > longest ? n : longest;
    }
    return longest;
}

TEST(back, content_comes_in_pieces_L18)
{
    static char content[2000];
    struct server s;
    server_new(&s);
    ask(&s);
    memset(content, 'x', sizeof(content));
    SAY(&s.w, "HTTP/1.1 200 OK\r\nContent-Length: 6000\r\n\r\n");
    OP(&s, want_body, 300);
    world_say(&s.w, span_of(content, sizeof(content)));
    CHECK_INT(longest_piece(&s), 300);
    OP(&s, want_body, LIMIT_READ);
    world_say(&s.w, span_of(content, sizeof(content)));
    CHECK(longest_piece(&s) >= sizeof(content), "all at once");
    server_end(&s);
}

/* H21 */
TEST(back, tunnels_H21)
{
    struct server s;
    struct request r = get;
    r.upgrade = UPGRADE_WEBSOCKET;
    server_new(&s);
    CHECK_INT(fields_put(&r.fields, &s.arena, FIELD_SEC_WEBSOCKET_KEY, SPAN("k")), ERR_OK);
    OP(&s, send_head, &r, true);
    CHECK_STR(world_got(&s.w), "GET / HTTP/1.1\r\nhost: a\r\nsec-websocket-key: k\r\n"
                               "connection: upgrade\r\nupgrade: websocket\r\n\r\n");
    SAY(&s.w, "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello");
    CHECK_STR(world_log(&s.w), "reply:101:upgraded body:hello");
    OP(&s, send_body, SPAN("up"));
    CHECK_STR(world_got(&s.w), "up");
    world_fin(&s.w);
    CHECK_STR(world_log(&s.w), "end");
    OP(&s, send_body, SPAN("last"));
    OP(&s, send_end, NULL);
    release(&s);
    CHECK_STR(world_got(&s.w), "last");
    CHECK_STR(world_log(&s.w), "closed:ok");
    server_end(&s);
}

/* A client of HTTP/2 sends no key, so what answers ours is checked here. */
static void answer_key(struct server *s, bool rightly)
{
    const char *line = strstr(world_got(&s->w), "sec-websocket-key: ");
    char accept[WEBSOCKET_ACCEPT];
    CHECK(line != NULL && line[19 + WEBSOCKET_KEY] == '\r', "a key of 16 bytes");
    websocket_accept(span_of(line + 19, WEBSOCKET_KEY), accept);
    accept[0] = rightly ? accept[0] : '!';
    SAY(&s->w, "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
               "Sec-WebSocket-Accept: ");
    world_say(&s->w, span_of(accept, sizeof(accept)));
    SAY(&s->w, "\r\n\r\n");
}

TEST(back, tunnels_of_clients_without_a_key_H21)
{
    for (int rightly = 0; rightly < 2; rightly++) {
        struct server s;
        struct request r = get;
        r.upgrade = UPGRADE_WEBSOCKET;
        server_new(&s);
        OP(&s, send_head, &r, true);
        world_turn(&s.w);
        answer_key(&s, rightly == 1);
        CHECK_STR(world_log(&s.w),
                  rightly == 1 ? "reply:101:upgraded" : "fail:backend-protocol:maybe");
        release(&s);
        server_end(&s);
    }
}

TEST(back, cancelled)
{
    struct server s;
    server_new(&s);
    ask(&s);
    release(&s);
    world_turn(&s.w);
    CHECK_STR(world_log(&s.w), "closed:ok");
    CHECK(s.w.got_end, "closed");
    server_end(&s);
    server_new(&s);
    ask(&s);
    SAY(&s.w, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
    release(&s);
    world_turn(&s.w);
    CHECK_STR(world_log(&s.w), "reply:200 body:ab closed:ok");
    server_end(&s);
}

TEST(back, room_is_told)
{
    static char large[KIB(64)];
    struct server s;
    struct request r = post(CONTENT_STREAM, 0);
    server_new(&s);
    OP(&s, send_head, &r, false);
    for (int i = 0; i < 1000 && s.b->ops->pending(s.b) <= LIMIT_FLOW_HIGH; i++) {
        OP(&s, send_body, span_of(large, sizeof(large)));
    }
    CHECK(s.b->ops->pending(s.b) > 0, "a server that does not read fills its buffers");
    for (int i = 0; i < 1000 && s.b->ops->pending(s.b) > 0; i++) {
        world_got(&s.w);
    }
    CHECK_STR(world_log(&s.w), "room");
    server_end(&s);
}

TEST(back, warm_requests_do_not_allocate)
{
    struct server s;
    uint64_t before = 0;
    server_new(&s);
    s.silent = s.release_at_end = true;
    for (int i = 0; i < 20; i++) {
        ask(&s);
        SAY(&s.w, "HTTP/1.1 204 x\r\n\r\n");
        take(&s);
        if (i == 1) {
            before = mem_count();
        }
    }
    CHECK(mem_count() - before <= 1, "%d", (int)(mem_count() - before)); /* the arena grows once */
    server_end(&s);
}

TEST(back, no_memory)
{
    struct server s;
    struct back_link *none = NULL;
    server_new(&s);
    mem_fail_row(1, 2);
    CHECK_INT(h1_back_new(s.c, &s.limits, &owner, &s, &none), ERR_NO_MEMORY);
    mem_fail_at(0);
    ask(&s); /* the connection is as it was */
    SAY(&s.w, OK2);
    CHECK_STR(world_log(&s.w), "reply:200 body:ok end");
    server_end(&s);
}

/* Somebody who asks by the connection as soon as it is told something; many, so that a turn has
 * many events. */
static struct asker {
    struct server *server;
    bool asked;
} asker;

static size_t asker_bytes(void *user, struct conn *c, struct span bytes)
{
    static const char content[20000];
    struct request r = post(CONTENT_LENGTH, sizeof(content));
    struct server *s = asker.server;
    (void)user, (void)c;
    if (!asker.asked && s->h != NULL && s->h->ops->slots(s->h) > 0) {
        take(s);
        OP(s, send_head, &r, false);
        OP(s, send_body, span_of(content, sizeof(content)));
        OP(s, send_end, NULL);
    }
    asker.asked = true;
    return bytes.n;
}

static const struct conn_events asker_events = {.on_open = conn_ignore, .on_bytes = asker_bytes};

/* F6: whether the kernel tells of the server's bytes before or after the request is begun, they
 * came before any of it had left, and are not its answer. */
TEST(back, what_came_before_the_request_is_not_its_answer)
{
    enum { ASKERS = 8 };
    static const char stray[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray";
    struct addr nobody = {.len = 0};
    struct server s;
    struct conn *c[ASKERS];
    int ends[ASKERS][2];
    nobody.any.sa_family = AF_UNIX;
    server_new(&s);
    asker = (struct asker){.server = &s};
    ask(&s);
    SAY(&s.w, OK2);
    release(&s);
    world_turn(&s.w);
    CHECK_STR(world_log(&s.w), "reply:200 body:ok end idle");
    for (int i = 0; i < ASKERS; i++) {
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends[i]), 0);
        CHECK_INT(conn_accept(&s.w.env, ends[i][0], &nobody, NULL, &asker_events, NULL, &c[i]),
                  ERR_OK);
    }
    world_turn(&s.w);
    for (int i = 0; i < ASKERS; i++) {
        CHECK(write(ends[i][1], "x", 1) == 1, "x");
    }
    CHECK(send(s.w.fd, stray, sizeof(stray) - 1, 0) > 0, "stray bytes");
    world_turn(&s.w);
    const char *log = world_log(&s.w);
    CHECK(strstr(log, "reply") == NULL && strstr(log, "body") == NULL, "%s", log);
    for (int i = 0; i < ASKERS; i++) {
        conn_close(&c[i], CONN_END_NOW);
        close(ends[i][1]);
    }
    server_end(&s);
}
