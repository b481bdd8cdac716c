#include "http/h2_back.h"

#include "base/limits.h"
#include "base/mem.h"
#include "world.h"

#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <sys/socket.h>
#include <unistd.h>

/* h2_back against a server that the library plays; the exchanges only note what they are told. The
 * log names them a, b, c… in the order in which they were taken; what the server sees begins with
 * ">". */

enum { CALLS = 70 };

struct server;
struct call {
    struct server *server;
    struct back *b;
    struct arena arena;
    char name;
    int32_t id;
    bool release_at_body, stop_at_body, release_at_end;
};

struct server {
    struct world w;
    struct back_link *h;
    nghttp2_session *wire;
    struct back_limits limits;
    struct call calls[CALLS];
    unsigned count;
    size_t download; /* response content that the server still has to send */
    bool trailers;   /* and trailers after it */
    bool closed, mute;
};

#define OP(c, op, ...)                                                                             \
    do {                                                                                           \
        (c)->server->w.operating++;                                                                \
        (c)->b->ops->op((c)->b, ##__VA_ARGS__);                                                    \
        (c)->server->w.operating--;                                                                \
    } while (0)

static void release(struct call *c)
{
    OP(c, release);
    c->b = NULL;
    arena_reset(&c->arena);
}

static void on_interim(void *user, struct reply *r)
{
    struct call *c = user;
    world_note(&c->server->w, "%c:interim:%u", c->name, r->status);
}

static void on_reply(void *user, struct reply *r, bool end)
{
    struct call *c = user;
    world_note(&c->server->w, "%c:reply:%u%s%s", c->name, r->status, r->upgraded ? ":upgraded" : "",
               end ? ":end" : "");
    if (end && c->release_at_end) {
        release(c);
    }
}

static void on_body(void *user, struct span bytes)
{
    struct call *c = user;
    world_note(&c->server->w, "%c:%zu", c->name, bytes.n);
    if (c->release_at_body) {
        release(c);
    } else if (c->stop_at_body) {
        OP(c, want_body, 0);
    }
}

static void on_end(void *user, const struct fields *trailers)
{
    struct call *c = user;
    world_note(&c->server->w, "%c:end%s", c->name, trailers != NULL ? ":trailers" : "");
    if (c->release_at_end) {
        release(c);
    }
}

static void on_room(void *user)
{
    struct call *c = user;
    world_note(&c->server->w, "%c:room", c->name);
}

static void on_fail(void *user, enum err why, enum seen seen)
{
    struct call *c = user;
    world_note(&c->server->w, "%c:fail:%s:%s", c->name, err_name(why),
               seen == SEEN_NO ? "no" : "maybe");
}

static const struct back_events events = {on_interim, on_reply, on_body, on_end, on_room, on_fail};

static void on_slots(void *owner, int64_t keep_ms)
{
    struct server *s = owner;
    CHECK_INT(keep_ms, 0);
    world_note(&s->w, "slots:%u/%u", s->h->ops->slots(s->h), s->h->ops->busy(s->h));
}

static void on_closed(void *owner, enum err why)
{
    struct server *s = owner;
    world_note(&s->w, "closed:%s", err_name(why));
    s->closed = true;
    s->h = NULL;
}

static void on_wants_h1(void *owner)
{
    struct server *s = owner;
    world_note(&s->w, "wants-h1");
}

static const struct back_owner owner = {on_slots, on_closed, on_wants_h1};

/* The server's side. */

static int on_header(nghttp2_session *wire, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user)
{
    struct server *s = user;
    (void)wire;
    (void)flags;
    world_note(&s->w, ">%d %.*s=%.*s", frame->hd.stream_id, (int)name_size, (const char *)name,
               (int)value_size, (const char *)value);
    return 0;
}

static int on_frame(nghttp2_session *wire, const nghttp2_frame *frame, void *user)
{
    struct server *s = user;
    (void)wire;
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        world_note(&s->w, ">goaway:%u", frame->goaway.error_code);
    } else if (frame->hd.type == NGHTTP2_RST_STREAM) {
        world_note(&s->w, ">%d reset:%u", frame->hd.stream_id, frame->rst_stream.error_code);
    } else if (frame->hd.type == NGHTTP2_DATA) {
        world_note(&s->w, ">%d data:%zu%s", frame->hd.stream_id, frame->hd.length,
                   end ? ":end" : "");
    } else if (frame->hd.type == NGHTTP2_HEADERS && end) {
        world_note(&s->w, ">%d end", frame->hd.stream_id);
    }
    return 0;
}

/* Moves bytes between the link's connection and the library until nothing moves any more. */
static void turn(struct server *s)
{
    for (int i = 0; i < 12; i++) {
        const uint8_t *bytes;
        ssize_t n;
        world_turn(&s->w);
        if (s->mute) {
            return;
        }
        n = nghttp2_session_mem_recv(s->wire, (const uint8_t *)s->w.got, s->w.got_size);
        CHECK(n == (ssize_t)s->w.got_size, "the server is not content: %s",
              nghttp2_strerror((int)n));
        s->w.got_size = 0;
        while ((n = nghttp2_session_mem_send(s->wire, &bytes)) > 0) {
            CHECK(send(s->w.fd, bytes, (size_t)n, MSG_NOSIGNAL) == n, "send");
        }
    }
}

static const char *told(struct server *s)
{
    turn(s);
    return world_log(&s->w);
}

static void on_open(void *user, struct conn *c)
{
    struct server *s = user;
    CHECK_INT(h2_back_new(c, &s->limits, &owner, s, &s->h), ERR_OK);
    CHECK_INT(s->h->ops->slots(s->h), 0);
    CHECK(s->h->ops->take(s->h) == NULL, "the server has not spoken yet");
}

static const struct conn_events connecting = {.on_open = on_open};

static void server_connect(struct server *s, size_t head)
{
    struct addr at = {.len = sizeof(at.v4)};
    struct conn_target to = {.addr = &at};
    struct conn *c;
    memset(s, 0, sizeof(*s));
    world_open(&s->w);
    s->limits = (struct back_limits){.head = head, .fields = 20, .interim = 2};
    at.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(listener >= 0 && bind(listener, &at.any, at.len) == 0 && listen(listener, 8) == 0 &&
              getsockname(listener, &at.any, &at.len) == 0,
          "listener");
    CHECK_INT(conn_connect(&s->w.env, &to, &connecting, s, &c), ERR_OK);
    world_turn(&s->w);
    s->w.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int on = 1;
    CHECK(s->w.fd >= 0 && s->h != NULL &&
              setsockopt(s->w.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0,
          "accept");
    close(listener);
}

static void server_new(struct server *s, size_t head, const nghttp2_settings_entry *settings,
                       size_t n)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    server_connect(s, head);
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0,
          "new");
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_option_set_no_http_messaging(option, 1);
    nghttp2_option_set_no_auto_window_update(option, 1);
    CHECK(nghttp2_session_server_new2(&s->wire, callbacks, s, option) == 0, "server");
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    nghttp2_submit_settings(s->wire, 0, settings, n);
}

static void server_open_with(struct server *s, size_t head)
{
    const nghttp2_settings_entry four = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 4};
    server_new(s, head, &four, 1);
    CHECK_STR(told(s), "slots:4/0");
}

static void server_open(struct server *s)
{
    server_open_with(s, KIB(4));
}

static void server_end(struct server *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        if (s->calls[i].b != NULL) {
            release(&s->calls[i]);
        }
    }
    world_turn(&s->w);
    if (!s->closed) {
        s->h->ops->close(s->h);
    }
    world_turn(&s->w);
    nghttp2_session_del(s->wire);
    world_close(&s->w);
}

static struct call *take(struct server *s)
{
    struct call *c = &s->calls[s->count];
    *c = (struct call){.server = s,
                       .name = (char)('a' + s->count),
                       .id = (int32_t)(2 * s->count + 1),
                       .b = s->h->ops->take(s->h)};
    CHECK(c->b != NULL, "no slot");
    s->count++;
    arena_init(&c->arena, NULL, KIB(8), 0);
    c->b->events = &events;
    c->b->user = c;
    c->b->arena = &c->arena;
    return c;
}

static const struct request get = {.method = METHOD_GET,
                                   .method_name = {"GET", 3},
                                   .scheme = {"http", 4},
                                   .authority = {"a", 1},
                                   .path = {"/", 1}};
static const struct request upgrade = {.method = METHOD_GET,
                                       .upgrade = UPGRADE_WEBSOCKET,
                                       .method_name = {"GET", 3},
                                       .scheme = {"http", 4},
                                       .authority = {"a", 1},
                                       .path = {"/", 1}};

static struct request post(enum content content, uint64_t length)
{
    struct request r = get;
    r.method = METHOD_POST;
    r.method_name = SPAN("POST");
    r.content = content;
    r.length = length;
    return r;
}

#define ASKED(id) ">" id " :method=GET >" id " :scheme=http >" id " :authority=a >" id " :path=/"

static struct call *ask(struct server *s)
{
    struct call *c = take(s);
    OP(c, send_head, &get, true);
    return c;
}

/* Takes `n` and asks with each; what the server sees of that is not of interest. */
static void ask_many(struct server *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        ask(s);
    }
    told(s);
}

static nghttp2_nv nv(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static ssize_t content(nghttp2_session *wire, int32_t id, uint8_t *into, size_t most,
                       uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct server *s = user;
    (void)source;
    size_t n = s->download < most ? s->download : most;
    memset(into, 'x', n);
    s->download -= n;
    if (s->download == 0) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->trailers) {
            nghttp2_nv t = nv("grpc-status", "0");
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            nghttp2_submit_trailer(wire, id, &t, 1);
        }
    }
    return (ssize_t)n;
}

/* length: what the head declares; NULL: nothing. */
static void answer(struct server *s, int32_t id, const char *status, const char *length,
                   size_t bytes)
{
    nghttp2_nv head[] = {nv(":status", status), nv("content-length", length != NULL ? length : "")};
    nghttp2_data_provider from = {.read_callback = content};
    s->download = bytes;
    CHECK(nghttp2_submit_response(s->wire, id, head, length != NULL ? 2 : 1,
                                  bytes > 0 ? &from : NULL) == 0,
          "response");
}

static void say_interim(struct server *s, int32_t id, const char *status)
{
    nghttp2_nv head = nv(":status", status);
    nghttp2_submit_headers(s->wire, 0, id, NULL, &head, 1, NULL);
}

TEST(h2_back, streams_share_one_connection)
{
    struct server s;
    server_open(&s);
    struct call *a = ask(&s), *b = ask(&s);
    CHECK(!a->b->reused && b->b->reused, "reused");
    CHECK_INT(s.h->ops->slots(s.h), 2);
    CHECK_INT(s.h->ops->busy(s.h), 2);
    CHECK_STR(told(&s), ASKED("1") " >1 end " ASKED("3") " >3 end");
    CHECK(a->b->bytes_out > 0 && a->b->sent_ns != 0 && a->b->first_byte_ns == 0, "sent");
    answer(&s, 3, "204", NULL, 0);
    CHECK_STR(told(&s), "b:reply:204:end");
    answer(&s, 1, "200", "5", 5);
    CHECK_STR(told(&s), "a:reply:200 a:5 a:end");
    CHECK(a->b->bytes_in > 14 && a->b->first_byte_ns != 0, "received");
    release(b);
    CHECK_STR(told(&s), "slots:3/1");
    release(a);
    CHECK_STR(told(&s), "slots:4/0");
    server_end(&s);
}

static void client_changed(void *held)
{
    (void)held;
}

/* Until it has left a head is held twice: by its exchange, and copied by the library. And what a
 * server may send. */
TEST(h2_back, l18_heads_that_wait_count_for_their_client)
{
    struct server s;
    struct allowance client;
    allowance_init(&client, 0, client_changed, NULL);
    server_open(&s);
    struct call *sent = take(&s), *dropped = take(&s);
    sent->b->allowance = dropped->b->allowance = &client;
    OP(sent, send_head, &get, true);
    size_t one = client.all.used;
    CHECK(one > LIMIT_H2_WINDOW_LEAST + 20, "%zu", one);
    OP(dropped, send_head, &get, true);
    CHECK(client.all.used == 2 * one && client.answering == 2, "%zu", client.all.used);
    release(dropped);
    CHECK_INT(client.all.used, one);
    client.all.used = LIMIT_H2_HOLDS; /* no wider window */
    told(&s);
    CHECK(client.all.used < LIMIT_H2_HOLDS && client.answering == 1, "it has left");
    release(sent);
    CHECK_INT(client.all.used, LIMIT_H2_HOLDS - one);
    server_end(&s);
}

/* What can come through its window has to fit before a server is asked anything. */
TEST(h2_back, l18_a_window_that_does_not_fit)
{
    struct server s;
    struct allowance client;
    allowance_init(&client, 0, client_changed, NULL);
    client.all.used = LIMIT_H2_HOLDS - LIMIT_H2_SHARE;
    server_open(&s);
    struct call *a = take(&s);
    a->b->allowance = &client;
    OP(a, send_head, &get, true);
    CHECK(strstr(told(&s), "limit-L18") != NULL, "it has failed");
    release(a);
    CHECK_INT(client.all.used, LIMIT_H2_HOLDS - LIMIT_H2_SHARE);
    server_end(&s);
}

/* A head alone; the stream does not end with it. */
static void begin_answer(struct server *s, int32_t id, const char *status)
{
    nghttp2_nv head = nv(":status", status);
    nghttp2_submit_headers(s->wire, 0, id, NULL, &head, 1, NULL);
}

/* Whoever has no room for them must not say that the server has broken the protocol. */
TEST(h2_back, l18_trailers_without_room_are_no_breach)
{
    static char large[LIMIT_TRAILERS - 64];
    static struct budget full = {.most = 1, .used = 1};
    struct server s;
    server_open(&s);
    struct call *a = ask(&s);
    told(&s);
    begin_answer(&s, 1, "200");
    CHECK_STR(told(&s), "a:reply:200");
    memset(large, 'x', sizeof large - 1);
    a->arena.budget = &full;
    while (arena_take(&a->arena, 64) != NULL) {
    }
    a->arena.refused = false;
    nghttp2_nv trailer = nv("x-large", large);
    CHECK_INT(nghttp2_submit_trailer(s.wire, 1, &trailer, 1), 0);
    CHECK_STR(told(&s), "a:fail:no-memory:maybe >1 reset:2");
    CHECK(a->arena.refused, "it was asked");
    a->arena.budget = NULL;
    release(a);
    CHECK(strstr(told(&s), "slots:4/0") != NULL, "its slot is free");
    server_end(&s);
}

/* RFC 9113 section 8.1. A reset for each would look like an attack to the server; one that does not
 * end its streams is not waited for. */
TEST(h2_back, an_answer_without_content_is_whole_and_its_stream_ends_later)
{
    nghttp2_data_provider nothing = {.read_callback = content};
    struct server s;
    server_open(&s);
    ask_many(&s, 3);
    begin_answer(&s, 1, "204");
    begin_answer(&s, 3, "304");
    begin_answer(&s, 5, "304");
    CHECK_STR(told(&s), "a:reply:204:end b:reply:304:end c:reply:304:end");
    nghttp2_submit_data(s.wire, NGHTTP2_FLAG_END_STREAM, 5, &nothing);
    CHECK_STR(told(&s), "");
    for (int i = 0; i < 3; i++) {
        release(&s.calls[i]);
    }
    CHECK_STR(told(&s), "slots:2/2");
    nghttp2_submit_data(s.wire, NGHTTP2_FLAG_END_STREAM, 1, &nothing);
    CHECK_STR(told(&s), "slots:3/1");
    for (int i = 0; i < 5 * LIMIT_LINGER_MS && buf_len(&s.w.log) == 0; i++) {
        timer_in_ms(&s.w.stop, 1);
        loop_run(s.w.loop);
        turn(&s);
    }
    CHECK_STR(world_log(&s.w), "slots:4/0 >3 reset:8");
    server_end(&s);
}

/* Content that must not be there is a breach, also when nobody listens any more (L24). */
TEST(h2_back, content_after_an_answer_that_has_none_H10)
{
    nghttp2_data_provider some = {.read_callback = content};
    struct server s;
    server_open(&s);
    ask_many(&s, 2);
    begin_answer(&s, 1, "204");
    begin_answer(&s, 3, "304");
    CHECK_STR(told(&s), "a:reply:204:end b:reply:304:end");
    release(&s.calls[0]);
    CHECK_STR(told(&s), "");
    for (int32_t id = 1; id <= 3; id += 2) {
        s.download = 5;
        nghttp2_submit_data(s.wire, NGHTTP2_FLAG_END_STREAM, id, &some);
        const char *log = told(&s);
        CHECK(strstr(log, id == 1 ? ">1 reset:1" : ">3 reset:1") != NULL &&
                  strstr(log, "fail") == NULL,
              "%s", log);
    }
    server_end(&s);
}

/* Nobody needs the rest of the request: that stream must not go on. */
TEST(h2_back, an_early_answer_without_content_is_reset)
{
    struct request r = post(CONTENT_STREAM, 0);
    struct server s;
    server_open(&s);
    struct call *a = take(&s);
    OP(a, send_head, &r, false);
    told(&s);
    begin_answer(&s, 1, "204");
    CHECK_STR(told(&s), "a:reply:204:end");
    release(a);
    CHECK_STR(told(&s), "slots:4/0 >1 reset:8");
    server_end(&s);
}

TEST(h2_back, a_slot_that_is_given_back_unused)
{
    struct server s;
    server_open(&s);
    for (int i = 0; i < 4; i++) {
        take(&s);
    }
    CHECK_INT(s.h->ops->slots(s.h), 0);
    CHECK(s.h->ops->take(s.h) == NULL, "no more than the server allows");
    release(&s.calls[1]);
    CHECK_STR(told(&s), "slots:1/3");
    server_end(&s);
}

TEST(h2_back, content_and_trailers_both_ways)
{
    struct server s;
    struct request r = post(CONTENT_STREAM, 0);
    server_open(&s);
    struct call *a = take(&s);
    struct fields trailers = {0};
    CHECK_INT(fields_add(&trailers, &a->arena, FIELD_OTHER, SPAN("x-sum"), SPAN("1")), ERR_OK);
    OP(a, send_head, &r, false);
    OP(a, send_body, SPAN("abc"));
    told(&s);
    say_interim(&s, 1, "103");
    CHECK_STR(told(&s), "a:interim:103");
    OP(a, send_end, &trailers);
    CHECK_STR(told(&s), ">1 x-sum=1 >1 end");
    s.trailers = true;
    answer(&s, 1, "200", NULL, 2);
    CHECK_STR(told(&s), "a:reply:200 a:2 a:end:trailers");
    server_end(&s);
}

/* L18, L21: the server's window opens only by what the exchange has taken. */
TEST(h2_back, unwanted_content_stays_with_the_server_L21)
{
    struct server s;
    server_open(&s);
    struct call *a = ask(&s);
    told(&s);
    OP(a, want_body, 0);
    answer(&s, 1, "200", NULL, 100000);
    CHECK_STR(told(&s), "a:reply:200");
    CHECK_INT(s.download, 100000 - LIMIT_H2_WINDOW);
    OP(a, want_body, LIMIT_READ);
    told(&s);
    CHECK_INT(s.download, 0);
    server_end(&s);
}

/* L18: what some clients do not take holds up no others, and no more requests join them. */
TEST(h2_back, content_that_nobody_takes_leaves_the_connection_open_L18)
{
    const nghttp2_settings_entry many = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, CALLS};
    struct server s;
    server_new(&s, KIB(4), &many, 1);
    told(&s);
    for (int i = 0; i < 21; i++) {
        ask(&s);
        told(&s);
    }
    for (int i = 0; i < 20; i++) {
        OP(&s.calls[i], want_body, 0);
        answer(&s, 2 * i + 1, "200", NULL, 100000);
        told(&s);
        CHECK_INT(s.download, 100000 - LIMIT_H2_WINDOW);
    }
    CHECK_INT(s.h->ops->slots(s.h), 0);
    answer(&s, 41, "200", NULL, 50000);
    CHECK(strstr(told(&s), "u:end") != NULL, "the last one's content has come");
    for (int i = 0; i < 20; i++) {
        release(&s.calls[i]);
    }
    CHECK(strstr(told(&s), "slots:69/") != NULL, "there is room again");
    server_end(&s);
}

/* L18: the connection's window, used up by what was held beyond the bound, opens again when the
 * first ones have gone, whose part of it had been given back before. */
TEST(h2_back, a_used_up_connection_opens_again_L18)
{
    const nghttp2_settings_entry many = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, CALLS};
    const int idle = 2 * LIMIT_H2_HELD / LIMIT_H2_WINDOW;
    struct server s;
    server_new(&s, KIB(4), &many, 1);
    told(&s);
    for (int i = 0; i <= idle; i++) {
        ask(&s);
        told(&s);
    }
    for (int i = 0; i < idle; i++) {
        OP(&s.calls[i], want_body, 0);
        answer(&s, 2 * i + 1, "200", NULL, 100000);
        told(&s);
    }
    answer(&s, 2 * idle + 1, "200", NULL, 5);
    CHECK(strstr(told(&s), ":end") == NULL, "the connection's window is used up");
    for (int i = 0; i < idle / 2; i++) {
        release(&s.calls[i]);
    }
    CHECK(strstr(told(&s), ":end") != NULL, "the last one's content has come");
    server_end(&s);
}

/* L18: what was passed on takes up no window of the connection, whether or not more is wanted. */
TEST(h2_back, what_was_passed_on_leaves_the_connection_open_L18)
{
    const nghttp2_settings_entry many = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, CALLS};
    const int others = LIMIT_H2_WINDOW_CONNECTION / LIMIT_H2_FRAME + 1;
    struct server s;
    server_new(&s, KIB(4), &many, 1);
    told(&s);
    for (int i = 0; i <= others; i++) {
        ask(&s);
        told(&s);
    }
    for (int i = 0; i < others; i++) {
        s.calls[i].stop_at_body = true;
        answer(&s, 2 * i + 1, "200", NULL, LIMIT_H2_FRAME);
        told(&s);
    }
    answer(&s, 2 * others + 1, "200", NULL, 5);
    CHECK(strstr(told(&s), ":end") != NULL, "the last one's content has come");
    server_end(&s);
}

TEST(h2_back, a_server_that_takes_nothing_L18)
{
    struct server s;
    const nghttp2_settings_entry narrow = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1000};
    static char big[40000];
    struct request r = post(CONTENT_LENGTH, sizeof(big));
    server_new(&s, KIB(4), &narrow, 1);
    told(&s);
    struct call *a = take(&s);
    OP(a, send_head, &r, false);
    CHECK_INT(a->b->ops->pending(a->b), 0);
    OP(a, send_body, span_of(big, sizeof(big)));
    CHECK_INT(a->b->ops->pending(a->b), sizeof(big));
    told(&s);
    CHECK(a->b->ops->pending(a->b) > LIMIT_FLOW_HIGH, "it waits");
    nghttp2_submit_window_update(s.wire, 0, 1, 50000);
    CHECK(strstr(told(&s), "a:room") != NULL, "room");
    CHECK_INT(a->b->ops->pending(a->b), 0);
    server_end(&s);
}

TEST(h2_back, released_before_the_end)
{
    struct server s;
    server_open(&s);
    struct call *a = ask(&s);
    told(&s);
    release(a);
    CHECK_STR(told(&s), "slots:4/0 >1 reset:8");
    server_end(&s);
}

/* Servers count resets (CVE-2023-44487): a stream that is over needs none. */
TEST(h2_back, released_from_inside_the_last_event)
{
    struct server s;
    server_open(&s);
    for (int i = 0; i < 3; i++) {
        struct call *c = ask(&s);
        c->release_at_end = true;
        told(&s);
        s.trailers = i == 2;
        answer(&s, c->id, i == 0 ? "204" : "200", NULL, i == 0 ? 0 : 2);
        const char *log = told(&s);
        CHECK(strstr(log, "slots:4/0") != NULL && strstr(log, "reset") == NULL, "%d: %s", i, log);
    }
    server_end(&s);
}

/* What follows in the same read is for nobody. */
TEST(h2_back, released_from_inside_an_event)
{
    struct server s;
    server_open(&s);
    struct call *a = ask(&s);
    a->release_at_body = true;
    told(&s);
    s.trailers = true;
    answer(&s, 1, "200", NULL, 2);
    CHECK_STR(told(&s), "a:reply:200 a:2 slots:4/0 >1 reset:8");
    server_end(&s);
}

/* The same where the content had come before it was wanted: the rest of it is for nobody. */
TEST(h2_back, released_from_inside_content_that_was_held)
{
    struct server s;
    server_open(&s);
    struct call *a = ask(&s);
    told(&s);
    OP(a, want_body, 0);
    answer(&s, 1, "200", NULL, 60000);
    CHECK_STR(told(&s), "a:reply:200");
    a->release_at_body = true;
    OP(a, want_body, LIMIT_READ);
    const char *log = told(&s);
    CHECK(strncmp(log, "a:", 2) == 0 && strstr(log + 2, "a:") == NULL, "one piece: %s", log);
    struct call *b = ask(&s);
    told(&s);
    answer(&s, b->id, "200", NULL, 100000);
    CHECK(strstr(told(&s), "b:end") != NULL, "the connection's window is open");
    server_end(&s);
}

/* DESIGN law 1: what the server says it has not seen may go again. */
TEST(h2_back, resets)
{
    static const struct {
        uint32_t code;
        const char *log;
    } cases[] = {
        {NGHTTP2_REFUSED_STREAM, "a:fail:backend-reset:no"},
        {NGHTTP2_INTERNAL_ERROR, "a:fail:backend-reset:maybe"},
        {NGHTTP2_CANCEL, "a:fail:backend-reset:maybe"},
        {NGHTTP2_NO_ERROR, "a:fail:backend-reset:maybe"},
        {NGHTTP2_HTTP_1_1_REQUIRED, "wants-h1 a:fail:backend-wants-h1:maybe"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct server s;
        server_open(&s);
        ask_many(&s, 1);
        nghttp2_submit_rst_stream(s.wire, 0, 1, cases[i].code);
        CHECK_STR(told(&s), cases[i].log);
        server_end(&s);
    }
}

TEST(h2_back, goaway_lets_the_last_streams_end)
{
    struct server s;
    server_open(&s);
    ask_many(&s, 2);
    nghttp2_submit_goaway(s.wire, 0, 1, NGHTTP2_NO_ERROR, NULL, 0);
    CHECK_STR(told(&s), "b:fail:backend-reset:no slots:0/2");
    CHECK(s.h->ops->take(s.h) == NULL, "no more streams");
    answer(&s, 1, "204", NULL, 0);
    CHECK(strstr(told(&s), "a:reply:204:end") != NULL, "the other one ends");
    release(&s.calls[0]);
    release(&s.calls[1]);
    s.mute = true;
    CHECK_STR(told(&s), "closed:ok");
    server_end(&s);
}

/* Its SETTINGS, and GOAWAY in the same breath. */
TEST(h2_back, goaway_before_the_first_stream_is_a_failure)
{
    struct server s;
    server_connect(&s, KIB(4));
    s.mute = true;
    SAY(&s.w, "\0\0\0\4\0\0\0\0\0"
              "\0\0\10\7\0\0\0\0\0\0\0\0\0\0\0\0\0");
    CHECK_STR(told(&s), "closed:backend-reset");
    server_end(&s);
}

/* RFC 9113 section 7: of all requests. */
TEST(h2_back, goaway_that_requires_http_1_1)
{
    struct server s;
    server_open(&s);
    ask_many(&s, 2);
    nghttp2_submit_goaway(s.wire, 0, 1, NGHTTP2_HTTP_1_1_REQUIRED, NULL, 0);
    CHECK_STR(told(&s), "wants-h1 b:fail:backend-wants-h1:no slots:0/2");
    answer(&s, 1, "204", NULL, 0);
    CHECK(strstr(told(&s), "a:reply:204:end") != NULL, "the other one ends");
    release(&s.calls[0]);
    release(&s.calls[1]);
    s.mute = true;
    CHECK_STR(told(&s), "closed:ok");
    server_end(&s);
    server_connect(&s, KIB(4));
    s.mute = true;
    SAY(&s.w, "\0\0\0\4\0\0\0\0\0"
              "\0\0\10\7\0\0\0\0\0\0\0\0\0\0\0\0\15");
    CHECK_STR(told(&s), "wants-h1 closed:backend-wants-h1");
    server_end(&s);
}

TEST(h2_back, the_connection_breaks)
{
    struct server s;
    server_open(&s);
    ask_many(&s, 2);
    s.mute = true;
    world_reset(&s.w);
    CHECK_STR(told(&s), "a:fail:backend-reset:maybe b:fail:backend-reset:maybe");
    struct call *a = &s.calls[0];
    release(a);
    release(&s.calls[1]);
    CHECK_STR(told(&s), "closed:backend-reset");
    server_end(&s);
}

/* A DATA frame of stream 0; too many settings, as L25 counts them. */
TEST(h2_back, the_server_breaks_the_rules_of_the_connection)
{
    static const char settings[9] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    struct server s;
    server_open(&s);
    ask_many(&s, 1);
    s.mute = true;
    SAY(&s.w, "\0\0\1\0\0\0\0\0\0x");
    CHECK_STR(told(&s), "a:fail:backend-protocol:maybe");
    release(&s.calls[0]);
    CHECK_STR(told(&s), "closed:backend-protocol");
    server_end(&s);
    server_open(&s);
    ask_many(&s, 1);
    s.mute = true;
    for (size_t i = 0; i <= LIMIT_H2_CONTROL; i++) {
        CHECK(send(s.w.fd, settings, sizeof(settings), MSG_NOSIGNAL) > 0, "send");
    }
    CHECK(strstr(told(&s), "a:fail:backend-protocol:maybe") != NULL, "flood");
    server_end(&s);
}

/* L17, not the 32 KiB that L22 allows to clients. */
TEST(h2_back, large_heads_L17)
{
    enum { FIELDS = 8, FIELD = 7000 };
    struct server s;
    static char value[FIELD + 1];
    nghttp2_nv head[FIELDS + 1] = {nv(":status", "204")};
    memset(value, '~', FIELD); /* not shorter in Huffman's code */
    server_open_with(&s, KIB(64));
    ask_many(&s, 1);
    for (int i = 1; i <= FIELDS; i++) {
        head[i] = nv("x", value);
    }
    nghttp2_submit_response(s.wire, 1, head, FIELDS + 1, NULL);
    CHECK_STR(told(&s), "a:reply:204:end");
    server_end(&s);
}

TEST(h2_back, servers_that_do_not_speak_it)
{
    static const struct {
        const char *says, *log;
    } cases[] = {
        {"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "closed:backend-protocol"},
        {"", "closed:backend-reset"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct server s;
        server_connect(&s, KIB(4));
        world_say(&s.w, span_str(cases[i].says));
        world_fin(&s.w);
        world_turn(&s.w);
        CHECK_STR(world_log(&s.w), cases[i].log);
        server_end(&s);
    }
}

TEST(h2_back, tunnels_need_leave)
{
    struct server s;
    server_open(&s);
    struct call *a = take(&s);
    OP(a, send_head, &upgrade, true);
    CHECK_STR(told(&s), "a:fail:backend-no-tunnel:no");
    release(a);
    CHECK_STR(told(&s), "slots:4/0");
    server_end(&s);
}

TEST(h2_back, tunnels)
{
    struct server s;
    const nghttp2_settings_entry allow = {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1};
    server_new(&s, KIB(4), &allow, 1);
    told(&s);
    struct call *a = take(&s);
    OP(a, send_head, &upgrade, true);
    CHECK_STR(told(&s), ">1 :method=CONNECT >1 :protocol=websocket >1 :scheme=http >1 "
                        ":authority=a >1 :path=/");
    OP(a, send_body, SPAN("abc"));
    CHECK_STR(told(&s), ">1 data:3");
    answer(&s, 1, "200", NULL, 4);
    CHECK_STR(told(&s), "a:reply:200:upgraded a:4 a:end");
    OP(a, send_end, NULL);
    CHECK_STR(told(&s), ">1 data:0:end");
    server_end(&s);
}

/* H10, H19: what was declared is what comes, or nobody may take it for complete. */
TEST(h2_back, lengths_H10)
{
    struct server s;
    struct request r = post(CONTENT_LENGTH, 4);
    server_open(&s);
    struct call *a = take(&s), *b = take(&s);
    OP(a, send_head, &r, false);
    OP(b, send_head, &r, false);
    told(&s);
    OP(a, send_body, SPAN("abcde"));
    CHECK_STR(told(&s), "a:fail:internal:maybe >1 reset:2");
    OP(b, send_body, SPAN("abc"));
    OP(b, send_end, NULL);
    CHECK_STR(told(&s), "b:fail:internal:maybe >3 reset:2");
    release(a);
    release(b);
    ask(&s);
    ask(&s);
    told(&s);
    answer(&s, 5, "200", "4", 5);
    CHECK(strstr(told(&s), "c:fail:backend-protocol:maybe >5 reset:1") != NULL, "more");
    answer(&s, 7, "200", "6", 5);
    CHECK(strstr(told(&s), "d:fail:backend-protocol:maybe >7 reset:1") != NULL, "less");
    server_end(&s);
}

TEST(h2_back, replies_that_break_the_rules_L17)
{
    struct server s;
    static char large[5000];
    memset(large, 'x', sizeof(large) - 1);
    server_open(&s);
    ask_many(&s, 3);
    for (int i = 0; i < 3; i++) {
        say_interim(&s, 1, "102");
    }
    CHECK_STR(told(&s), "a:fail:limit-L17:maybe >1 reset:1");
    nghttp2_nv head[] = {nv(":status", "200"), nv("x", large)};
    nghttp2_submit_response(s.wire, 3, head, 2, NULL);
    CHECK_STR(told(&s), "b:fail:limit-L17:maybe >3 reset:1");
    answer(&s, 5, "777", NULL, 0);
    CHECK_STR(told(&s), "c:fail:backend-protocol:maybe >5 reset:1");
    server_end(&s);
}

TEST(h2_back, an_idle_connection_answers_a_check)
{
    struct server s;
    server_open(&s);
    s.h->ops->check(s.h);
    CHECK_STR(world_log(&s.w), "");
    CHECK_STR(told(&s), "slots:4/0");
    s.h->ops->close(s.h);
    s.closed = true;
    CHECK_STR(told(&s), ">goaway:0");
    server_end(&s);
}

/* Who asks may do so in the turn in which the connection has ended. */
TEST(h2_back, a_connection_that_has_ended_does_not_answer_a_check)
{
    struct server s;
    server_open(&s);
    ask_many(&s, 1);
    s.mute = true;
    world_reset(&s.w);
    CHECK_STR(told(&s), "a:fail:backend-reset:maybe");
    s.h->ops->check(s.h);
    CHECK_STR(told(&s), "");
    release(&s.calls[0]);
    CHECK_STR(told(&s), "closed:backend-reset");
    server_end(&s);
}

/* Wherever a connection breaks for want of our own memory, that is said, and nothing of the
 * server. */
TEST(h2_back, a_connection_that_we_have_no_memory_for_is_not_the_servers_fault_B2)
{
    enum { ROW = 12 };
    unsigned broken = 0;
    for (uint64_t n = 1; n <= 60; n++) {
        struct server s;
        server_open(&s);
        struct call *a = take(&s), *b = take(&s);
        mem_fail_row(n, ROW);
        OP(a, send_head, &get, true);
        OP(b, send_head, &get, true);
        world_turn(&s.w);
        mem_fail_at(0);
        for (int i = 0; i < 3; i++) {
            turn(&s);
        }
        const char *said = told(&s);
        CHECK(strstr(said, "backend-") == NULL, "%s", said);
        broken += strstr(said, "no-memory") != NULL;
        server_end(&s);
    }
    CHECK(broken > 0, "none broke");
}

TEST(h2_back, no_memory)
{
    struct server s;
    server_open(&s);
    mem_fail_at(1);
    CHECK(s.h->ops->take(s.h) == NULL, "no memory");
    mem_fail_at(0);
    CHECK_INT(s.h->ops->slots(s.h), 4);
    struct call *a = take(&s);
    mem_fail_at(1);
    OP(a, send_head, &get, true);
    mem_fail_at(0);
    CHECK_STR(told(&s), "a:fail:no-memory:no");
    server_end(&s);
}
