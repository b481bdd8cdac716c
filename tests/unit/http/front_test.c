#include "base/limits.h"
#include "base/mem.h"
#include "world.h"

#include <unistd.h>

/* h1_front against a raw client; the exchange only notes what it is told. */

struct client {
    struct world w;
    struct front_codec *h;
    struct front *f;
    struct request *r;
    struct arena_cache cache;
    struct front_limits limits;
    enum err bad;
    bool closed, answer_at_once, silent;
};

static void on_body(void *user, struct span bytes)
{
    struct client *c = user;
    world_note(&c->w, "body:%.*s", SPAN_FMT(bytes));
}

static void on_end(void *user, const struct fields *trailers)
{
    struct client *c = user;
    CHECK(trailers == NULL, "request trailers are dropped (L14)");
    world_note(&c->w, "end");
}

static void on_room(void *user)
{
    struct client *c = user;
    world_note(&c->w, "room");
}

static void on_gone(void *user, enum err why, bool answerable)
{
    struct client *c = user;
    world_note(&c->w, "gone:%s%s", err_name(why), answerable ? ":answerable" : "");
}

static const struct front_events events = {on_body, on_end, on_room, on_gone};

#define OP(c, name, ...)                                                                           \
    do {                                                                                           \
        (c)->w.operating++;                                                                        \
        (c)->f->ops->name((c)->f, ##__VA_ARGS__);                                                  \
        (c)->w.operating--;                                                                        \
    } while (0)

static void release(struct client *c)
{
    c->w.operating++;
    c->f->ops->release(c->f);
    c->w.operating--;
    c->f = NULL;
    world_turn(&c->w);
}

static void answer(struct client *c, unsigned status, const char *text)
{
    struct reply r = {.status = (uint16_t)status,
                      .content = CONTENT_LENGTH,
                      .length = strlen(text),
                      .has_length = true};
    CHECK_INT(fields_put(&r.fields, c->f->arena, FIELD_DATE, SPAN("d")), ERR_OK);
    OP(c, reply_head, &r, text[0] == '\0');
    if (text[0] != '\0') {
        OP(c, reply_body, span_str(text));
        OP(c, reply_end, NULL);
    }
}

static void on_request(void *owner, struct front *f, struct request *r, enum err bad)
{
    struct client *c = owner;
    c->f = f;
    c->r = r;
    c->bad = bad;
    f->events = &events;
    f->user = c;
    if (!c->silent) {
        world_note(&c->w, "%.*s:%.*s%s%s", SPAN_FMT(r->method_name), SPAN_FMT(r->path),
                   bad != ERR_OK ? ":" : "", bad != ERR_OK ? err_name(bad) : "");
    }
    if (c->answer_at_once) {
        answer(c, 200, "ok");
        c->f->ops->release(c->f);
    }
}

static void on_closed(void *owner, enum err why)
{
    struct client *c = owner;
    world_note(&c->w, "closed:%s", err_name(why));
    c->closed = true;
}

static const struct front_owner owner = {on_request, on_closed};

static size_t no_bytes(void *user, struct conn *c, struct span bytes)
{
    (void)user;
    (void)c;
    (void)bytes;
    return 0;
}

static void client_codec(struct client *c, bool tls)
{
    static const struct conn_events none = {.on_bytes = no_bytes};
    struct conn *conn;
    struct addr from;
    CHECK_INT(addr_parse(SPAN("127.0.0.1:1"), &from), ERR_OK);
    CHECK_INT(conn_accept(&c->w.env, world_pair(&c->w), &from, NULL, &none, NULL, &conn), ERR_OK);
    CHECK_INT(h1_front_new(conn, tls, &c->limits, &c->cache, &owner, c, &c->h), ERR_OK);
}

static void client_open(struct client *c)
{
    memset(c, 0, sizeof(*c));
    world_open(&c->w);
    c->cache.keep = 16;
    c->limits = (struct front_limits){.request_line = LIMIT_REQUEST_LINE,
                                      .head = LIMIT_HEAD,
                                      .fields = LIMIT_FIELDS,
                                      .field = LIMIT_FIELD,
                                      .requests = 100,
                                      .head_ms = 10000,
                                      .idle_ms = 60000,
                                      .send_ms = LIMIT_SEND_MS,
                                      .age_ms = 3600000};
}

static void client_new(struct client *c)
{
    client_open(c);
    client_codec(c, false);
}

static void client_end(struct client *c)
{
    if (!c->closed && c->f != NULL) {
        OP(c, abort, ERR_SHUTDOWN);
        release(c);
    }
    if (!c->closed) {
        c->h->ops->kill(c->h, ERR_SHUTDOWN);
    }
    world_turn(&c->w);
    CHECK(c->closed, "on_closed");
    world_close(&c->w);
    arena_cache_fini(&c->cache);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK2       "HTTP/1.1 200 OK\r\ndate: d\r\ncontent-length: 2\r\n"

TEST(front, requests_one_after_another)
{
    struct client c;
    client_new(&c);
    CHECK(c.h->ops->idle_ns(c.h) != FRONT_NOT_IDLE, "idle");
    SAY(&c.w, GET("/1"));
    CHECK_STR(world_log(&c.w), "GET:/1");
    CHECK(c.h->ops->idle_ns(c.h) == FRONT_NOT_IDLE, "busy");
    CHECK_SPAN(c.r->scheme, "http");
    CHECK_INT(c.f->bytes_in, sizeof(GET("/1")) - 1);
    answer(&c, 200, "ok");
    CHECK_INT(c.f->bytes_out, sizeof(OK2 "\r\nok") - 1);
    release(&c);
    CHECK_STR(world_got(&c.w), OK2 "\r\nok");
    SAY(&c.w, GET("/2"));
    CHECK_STR(world_log(&c.w), "GET:/2");
    answer(&c, 404, "");
    release(&c);
    CHECK_STR(world_got(&c.w), "HTTP/1.1 404 Not Found\r\ndate: d\r\ncontent-length: 0\r\n\r\n");
    CHECK(c.h->ops->idle_ns(c.h) != FRONT_NOT_IDLE, "idle again");
    world_fin(&c.w);
    CHECK_STR(world_log(&c.w), "closed:client-closed");
    client_end(&c);
}

/* H20: the next request is not read before the present one's end. */
TEST(front, pipelined_requests_in_order_H20)
{
    struct client c;
    client_new(&c);
    SAY(&c.w, GET("/1") GET("/2") "GET /3 HT");
    CHECK_STR(world_log(&c.w), "GET:/1");
    answer(&c, 200, "ok");
    world_turn(&c.w);
    CHECK_STR(world_log(&c.w), "");
    release(&c);
    CHECK_STR(world_log(&c.w), "GET:/2");
    SAY(&c.w, "TP/1.1\r\nHost: a\r\n\r\n");
    CHECK_STR(world_log(&c.w), "");
    answer(&c, 200, "ok");
    release(&c);
    CHECK_STR(world_log(&c.w), "GET:/3");
    answer(&c, 200, "ok");
    release(&c);
    CHECK_STR(world_got(&c.w), OK2 "\r\nok" OK2 "\r\nok" OK2 "\r\nok");
    client_end(&c);
}

TEST(front, answers_from_inside_on_request)
{
    struct client c;
    client_new(&c);
    c.answer_at_once = true;
    SAY(&c.w, GET("/1") GET("/2") GET("/3"));
    CHECK_STR(world_log(&c.w), "GET:/1 GET:/2 GET:/3");
    CHECK_STR(world_got(&c.w), OK2 "\r\nok" OK2 "\r\nok" OK2 "\r\nok");
    c.f = NULL;
    client_end(&c);
}

TEST(front, one_byte_at_a_time_F17)
{
    static const char text[] =
        "\r\nPOST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3;x=y\r\nabc\r\n0\r\nX: y\r\n\r\n" GET("/2");
    struct client c;
    client_new(&c);
    bool wanted = false;
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        world_say(&c.w, span_of(text + i, 1));
        if (c.f != NULL && !wanted) {
            OP(&c, want_body, true);
            wanted = true;
        }
    }
    CHECK_STR(world_log(&c.w), "POST:/p body:a body:b body:c end");
    answer(&c, 200, "ok");
    release(&c);
    CHECK_STR(world_log(&c.w), "GET:/2");
    client_end(&c);
}

TEST(front, content_comes_when_wanted)
{
    struct client c;
    client_new(&c);
    SAY(&c.w, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
    CHECK_STR(world_log(&c.w), "POST:/");
    OP(&c, want_body, true);
    world_turn(&c.w);
    CHECK_STR(world_log(&c.w), "body:01234");
    OP(&c, want_body, false);
    SAY(&c.w, "56789" GET("/2"));
    CHECK_STR(world_log(&c.w), "");
    OP(&c, want_body, true);
    world_turn(&c.w);
    CHECK_STR(world_log(&c.w), "body:56789 end");
    CHECK_INT(c.f->bytes_in, 48 + 10);
    answer(&c, 200, "ok");
    release(&c);
    CHECK_STR(world_log(&c.w), "GET:/2");
    client_end(&c);
}

TEST(front, end_of_no_content_is_told_outside_the_operation)
{
    struct client c;
    client_new(&c);
    SAY(&c.w, GET("/"));
    OP(&c, want_body, true);
    CHECK_STR(world_log(&c.w), "GET:/");
    world_turn(&c.w);
    CHECK_STR(world_log(&c.w), "end");
    client_end(&c);
}

TEST(front, responses_without_content)
{
    static const struct {
        const char *request;
        unsigned status;
        bool has_length, end;
        const char *want;
    } rows[] = {
        {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, true, true,
         "HTTP/1.1 200 OK\r\ndate: d\r\ncontent-length: 7\r\n\r\n"},
        {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, false, true,
         "HTTP/1.1 200 OK\r\ndate: d\r\n\r\n"},
        {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, true, false,
         "HTTP/1.1 200 OK\r\ndate: d\r\ncontent-length: 7\r\n\r\n"},
        {GET("/"), 204, true, true, "HTTP/1.1 204 No Content\r\ndate: d\r\n\r\n"},
        {GET("/"), 304, true, true,
         "HTTP/1.1 304 Not Modified\r\ndate: d\r\ncontent-length: 7\r\n\r\n"},
        {GET("/"), 304, false, true, "HTTP/1.1 304 Not Modified\r\ndate: d\r\n\r\n"},
        {GET("/"), 299, false, true, "HTTP/1.1 299 \r\ndate: d\r\ncontent-length: 0\r\n\r\n"},
    };
    struct client c;
    client_new(&c);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct reply r = {.status = (uint16_t)rows[i].status,
                          .content = rows[i].end ? CONTENT_NONE : CONTENT_LENGTH,
                          .has_length = rows[i].has_length,
                          .length = rows[i].has_length ? 7 : 0};
        world_say(&c.w, span_str(rows[i].request));
        CHECK_INT(fields_put(&r.fields, c.f->arena, FIELD_DATE, SPAN("d")), ERR_OK);
        OP(&c, reply_head, &r, rows[i].end);
        if (!rows[i].end) {
            OP(&c, reply_body, SPAN("1234567"));
            OP(&c, reply_end, NULL);
        }
        release(&c);
        CHECK_STR(world_got(&c.w), rows[i].want);
    }
    client_end(&c);
}

static void stream(struct client *c, const struct fields *trailers)
{
    struct reply r = {.status = 200, .content = CONTENT_STREAM};
    CHECK_INT(fields_put(&r.fields, c->f->arena, FIELD_DATE, SPAN("d")), ERR_OK);
    OP(c, reply_head, &r, false);
    OP(c, reply_body, SPAN("abc"));
    OP(c, reply_body, SPAN_NONE);
    OP(c, reply_body, SPAN("0123456789abcdef"));
    OP(c, reply_end, trailers);
}

TEST(front, streamed_responses)
{
    struct client c;
    struct fields trailers = {0};
    client_new(&c);
    SAY(&c.w, GET("/"));
    CHECK_INT(fields_add(&trailers, c.f->arena, FIELD_OTHER, SPAN("x-t"), SPAN("1")), ERR_OK);
    stream(&c, &trailers);
    release(&c);
    CHECK_STR(world_got(&c.w), "HTTP/1.1 200 OK\r\ndate: d\r\ntransfer-encoding: chunked\r\n\r\n"
                               "3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nx-t: 1\r\n\r\n");
    SAY(&c.w, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    stream(&c, NULL);
    release(&c);
    CHECK_STR(world_got(&c.w), "HTTP/1.1 200 OK\r\ndate: d\r\nconnection: close\r\n\r\n"
                               "abc0123456789abcdef");
    CHECK(c.w.got_end, "the end of the content is the end of the connection");
    world_fin(&c.w);
    client_end(&c);
}

TEST(front, keep_alive_of_1_0)
{
    struct client c;
    client_new(&c);
    SAY(&c.w, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    answer(&c, 200, "ok");
    release(&c);
    CHECK_STR(world_got(&c.w), OK2 "connection: keep-alive\r\n\r\nok");
    SAY(&c.w, "GET / HTTP/1.0\r\n\r\n");
    answer(&c, 200, "ok");
    release(&c);
    CHECK_STR(world_got(&c.w), OK2 "connection: close\r\n\r\nok");
    CHECK(c.w.got_end, "closed");
    client_end(&c);
}

/* H7 */
TEST(front, interim_responses_H7)
{
    struct client c;
    struct reply go_on = {.status = 100}, hints = {.status = 103};
    client_new(&c);
    SAY(&c.w, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    CHECK(c.r->expect_continue, "expects");
    OP(&c, reply_interim, &go_on);
    OP(&c, want_body, true);
    CHECK_STR(world_got(&c.w), "HTTP/1.1 100 Continue\r\n\r\n");
    SAY(&c.w, "hi");
    CHECK_STR(world_log(&c.w), "POST:/ body:hi end");
    CHECK_INT(fields_put(&hints.fields, c.f->arena, FIELD_LINK, SPAN("x")), ERR_OK);
    OP(&c, reply_interim, &hints);
    answer(&c, 200, "ok");
    OP(&c, reply_interim, &hints);
    release(&c);
    CHECK_STR(world_got(&c.w), "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" OK2 "\r\nok");
    SAY(&c.w, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    OP(&c, reply_interim, &go_on);
    CHECK_STR(world_got(&c.w), "");
    client_end(&c);
}

/* H20, H7: a request that was not read to its end is the connection's last. */
TEST(front, early_answers_close_H20)
{
    static const char *const rows[] = {
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct client c;
        client_new(&c);
        world_say(&c.w, span_str(rows[i]));
        answer(&c, 403, "no");
        release(&c);
        CHECK_STR(world_got(&c.w), "HTTP/1.1 403 Forbidden\r\ndate: d\r\ncontent-length: 2\r\n"
                                   "connection: close\r\n\r\nno");
        SAY(&c.w, "cdefghi" GET("/not-a-request"));
        CHECK_STR(world_log(&c.w), "POST:/ closed:ok");
        client_end(&c);
    }
}

TEST(front, bad_requests_are_answered_and_close)
{
    static const struct {
        const char *in, *log;
    } rows[] = {
        {"GET / HTTP/1.1\r\nA : b\r\n\r\n", "GET:/:bad-field closed:ok"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
         "0\r\n\r\n" GET("/smuggled"),
         "POST:/:bad-framing closed:ok"},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI:*:bad-version closed:ok"},
        {"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n" GET("/smuggled"), "TRACE:/:bad-method closed:ok"},
        {"\x16\x03\x01", "::bad-request closed:ok"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct client c;
        client_new(&c);
        world_say(&c.w, span_str(rows[i].in));
        answer(&c, 400, "no");
        release(&c);
        CHECK_STR(world_log(&c.w), rows[i].log);
        CHECK_STR(world_got(&c.w), "HTTP/1.1 400 Bad Request\r\ndate: d\r\ncontent-length: 2\r\n"
                                   "connection: close\r\n\r\nno");
        CHECK(c.w.got_end, "closed");
        client_end(&c);
    }
}

TEST(front, broken_content_can_be_answered)
{
    struct client c;
    client_new(&c);
    SAY(&c.w, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nx");
    OP(&c, want_body, true);
    world_turn(&c.w);
    CHECK_STR(world_log(&c.w), "POST:/ body:ab gone:bad-chunk:answerable");
    answer(&c, 400, "no");
    release(&c);
    CHECK_STR(world_got(&c.w), "HTTP/1.1 400 Bad Request\r\ndate: d\r\ncontent-length: 2\r\n"
                               "connection: close\r\n\r\nno");
    CHECK_STR(world_log(&c.w), "closed:ok");
    client_end(&c);
}

/* L4 */
TEST(front, slow_heads_L4)
{
    struct client c;
    client_open(&c);
    c.limits.head_ms = 500; /* the bytes come first, whatever else the machine does */
    client_codec(&c, false);
    SAY(&c.w, "GET / HT");
    for (int i = 0; i < 5000 && c.f == NULL; i++) {
        timer_in_ms(&c.w.stop, 1);
        loop_run(c.w.loop);
    }
    CHECK_STR(world_log(&c.w), "::limit-L4");
    CHECK_INT(c.bad, ERR_HEAD_TIMEOUT);
    answer(&c, 408, "");
    release(&c);
    CHECK_STR(world_got(&c.w), "HTTP/1.1 408 Request Timeout\r\ndate: d\r\ncontent-length: 0\r\n"
                               "connection: close\r\n\r\n");
    client_end(&c);
    client_open(&c);
    c.limits.head_ms = 20;
    client_codec(&c, false);
    world_until(&c.w, &c.closed);
    CHECK_STR(world_log(&c.w), "closed:limit-L4");
    CHECK_STR(world_got(&c.w), "");
    client_end(&c);
}

/* L5, L11 */
TEST(front, idle_and_old_connections_L5_L11)
{
    struct client c;
    client_open(&c);
    c.limits.idle_ms = 20;
    client_codec(&c, false);
    SAY(&c.w, GET("/"));
    answer(&c, 200, "ok");
    release(&c);
    world_until(&c.w, &c.closed);
    CHECK_STR(world_log(&c.w), "GET:/ closed:limit-L5");
    client_end(&c);
    client_open(&c);
    c.limits.requests = 2;
    client_codec(&c, false);
    SAY(&c.w, GET("/1") GET("/2") GET("/3"));
    answer(&c, 200, "ok");
    release(&c);
    answer(&c, 200, "ok");
    release(&c);
    CHECK_STR(world_got(&c.w), OK2 "\r\nok" OK2 "connection: close\r\n\r\nok");
    CHECK_STR(world_log(&c.w), "GET:/1 GET:/2 closed:ok");
    client_end(&c);
    client_open(&c);
    c.limits.age_ms = 0;
    client_codec(&c, false);
    SAY(&c.w, GET("/"));
    answer(&c, 200, "ok");
    CHECK_STR(world_got(&c.w), OK2 "connection: close\r\n\r\nok");
    release(&c);
    client_end(&c);
}

static void begin_answer(struct client *c)
{
    struct reply r = {.status = 200, .content = CONTENT_LENGTH, .length = 2, .has_length = true};
    CHECK_INT(fields_put(&r.fields, c->f->arena, FIELD_DATE, SPAN("d")), ERR_OK);
    OP(c, reply_head, &r, false);
}

static void end_answer(struct client *c)
{
    OP(c, reply_body, SPAN("ok"));
    OP(c, reply_end, NULL);
    release(c);
}

/* P7: a client that was not told so yet may send another request, which is answered and says it. */
TEST(front, the_last_request_is_announced_L11)
{
    struct client c;
    for (int aged = 0; aged < 2; aged++) {
        client_open(&c);
        c.limits.age_ms = aged ? 60 : 3600000;
        client_codec(&c, false);
        SAY(&c.w, GET("/1"));
        begin_answer(&c);
        if (aged) {
            const bool *never = &c.closed;
            for (int i = 0; i < 100 && !*never; i++) {
                timer_in_ms(&c.w.stop, 1);
                loop_run(c.w.loop);
            }
        } else {
            c.h->ops->last(c.h);
        }
        end_answer(&c);
        SAY(&c.w, GET("/2"));
        CHECK_STR(world_log(&c.w), "GET:/1 GET:/2");
        answer(&c, 200, "ok");
        release(&c);
        CHECK_STR(world_got(&c.w), OK2 "\r\nok" OK2 "connection: close\r\n\r\nok");
        CHECK_STR(world_log(&c.w), "closed:ok");
        client_end(&c);
    }
    client_new(&c);
    SAY(&c.w, GET("/1"));
    c.h->ops->last(c.h);
    begin_answer(&c);
    end_answer(&c);
    CHECK_STR(world_got(&c.w), OK2 "connection: close\r\n\r\nok");
    client_end(&c);
    client_open(&c);
    c.limits.age_ms = 30;
    client_codec(&c, false);
    SAY(&c.w, GET("/1"));
    for (int i = 0; i < 60; i++) {
        timer_in_ms(&c.w.stop, 1);
        loop_run(c.w.loop);
    }
    begin_answer(&c);
    end_answer(&c);
    CHECK_STR(world_got(&c.w), OK2 "connection: close\r\n\r\nok");
    client_end(&c);
}

/* L11: +-10 %, so that those which came together do not go together. */
TEST(front, connections_grow_old_at_different_times_L11)
{
    static const struct conn_events none = {.on_bytes = no_bytes};
    struct client c;
    struct conn *conn;
    struct addr from;
    int64_t least = INT64_MAX, most = 0, age_ns = 3600 * NS_PER_S;
    client_new(&c);
    CHECK_INT(addr_parse(SPAN("127.0.0.1:1"), &from), ERR_OK);
    int raw = c.w.fd;
    CHECK_INT(conn_accept(&c.w.env, world_pair(&c.w), &from, NULL, &none, NULL, &conn), ERR_OK);
    for (int i = 0; i < 1000; i++) {
        c.w.loop->now_ns += NS_PER_MS;
        int64_t age = front_age_ns(&c.limits, conn);
        least = age < least ? age : least;
        most = age > most ? age : most;
    }
    CHECK(least >= age_ns * 9 / 10 && least < age_ns * 91 / 100, "%lld", (long long)least);
    CHECK(most <= age_ns * 11 / 10 && most > age_ns * 109 / 100, "%lld", (long long)most);
    conn_close(&conn, CONN_END_NOW);
    close(c.w.fd);
    c.w.fd = raw;
    client_end(&c);
}

/* F9 */
TEST(front, half_close_is_answered_F9)
{
    struct client c;
    client_new(&c);
    SAY(&c.w, GET("/1") GET("/2"));
    world_fin(&c.w);
    CHECK_STR(world_log(&c.w), "GET:/1");
    answer(&c, 200, "ok");
    release(&c);
    CHECK_STR(world_log(&c.w), "GET:/2");
    answer(&c, 200, "ok");
    release(&c);
    CHECK_STR(world_got(&c.w), OK2 "\r\nok" OK2 "\r\nok");
    CHECK_STR(world_log(&c.w), "closed:ok");
    client_end(&c);
}

TEST(front, content_before_a_half_close_is_delivered)
{
    struct client c;
    client_new(&c);
    SAY(&c.w, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    world_fin(&c.w);
    CHECK_STR(world_log(&c.w), "POST:/");
    OP(&c, want_body, true);
    world_turn(&c.w);
    CHECK_STR(world_log(&c.w), "body:hello end");
    answer(&c, 200, "ok");
    release(&c);
    CHECK_STR(world_got(&c.w), OK2 "\r\nok");
    client_end(&c);
}

/* F8 */
/* What is held back until more comes, as trailers are, must not hide that nothing will. */
TEST(front, half_close_inside_trailers_is_an_abort_F9)
{
    struct client c;
    client_new(&c);
    SAY(&c.w, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
              "X-A: 1\r\n");
    CHECK_STR(world_log(&c.w), "POST:/");
    OP(&c, want_body, true);
    world_turn(&c.w);
    CHECK_STR(world_log(&c.w), "body:ok");
    world_fin(&c.w);
    CHECK_STR(world_log(&c.w), "gone:client-abort");
    release(&c);
    client_end(&c);
}

/* The end of the client's half came while an earlier request was served. */
TEST(front, half_close_before_content_is_an_abort_F9)
{
    struct client c;
    client_new(&c);
    SAY(&c.w, GET("/1") "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    world_fin(&c.w);
    CHECK_STR(world_log(&c.w), "GET:/1");
    answer(&c, 200, "ok");
    release(&c);
    CHECK_STR(world_log(&c.w), "POST:/2");
    OP(&c, want_body, true);
    world_turn(&c.w);
    CHECK_STR(world_log(&c.w), "gone:client-abort");
    client_end(&c);
}

TEST(front, clients_that_leave_F8)
{
    struct client c;
    client_new(&c);
    SAY(&c.w, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
    world_fin(&c.w);
    OP(&c, want_body, true);
    world_turn(&c.w);
    CHECK_STR(world_log(&c.w), "POST:/ body:hel gone:client-abort");
    client_end(&c);
    client_new(&c);
    SAY(&c.w, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    world_fin(&c.w);
    CHECK_STR(world_log(&c.w), "POST:/ gone:client-abort");
    client_end(&c);
    client_new(&c);
    SAY(&c.w, GET("/"));
    world_reset(&c.w);
    CHECK_STR(world_log(&c.w), "GET:/ gone:client-abort");
    answer(&c, 200, "ok"); /* into the void */
    release(&c);
    CHECK_STR(world_log(&c.w), "closed:client-abort");
    client_end(&c);
    client_new(&c);
    SAY(&c.w, "GET / HTT");
    world_fin(&c.w);
    CHECK_STR(world_log(&c.w), "closed:client-abort");
    client_end(&c);
    client_new(&c);
    world_reset(&c.w);
    CHECK_STR(world_log(&c.w), "closed:client-abort");
    client_end(&c);
}

/* F9: a client of TLS that ends its half only is answered as any other. */
TEST(front, tls_half_close_F9)
{
    struct client c;
    client_open(&c);
    client_codec(&c, true);
    SAY(&c.w, GET("/"));
    CHECK_SPAN(c.r->scheme, "https");
    world_fin(&c.w);
    CHECK_STR(world_log(&c.w), "GET:/");
    answer(&c, 200, "ok");
    release(&c);
    CHECK(strstr(world_got(&c.w), "ok") != NULL, "answered");
    CHECK_STR(world_log(&c.w), "closed:ok");
    client_end(&c);
}

/* H19 */
TEST(front, cut_responses_look_cut_H19)
{
    struct reply r = {.status = 200, .content = CONTENT_LENGTH, .length = 5};
    struct client c;
    client_new(&c);
    SAY(&c.w, GET("/"));
    OP(&c, reply_head, &r, false);
    OP(&c, reply_body, SPAN("abc"));
    OP(&c, reply_end, NULL);
    release(&c);
    CHECK(c.w.got_reset, "shorter than declared");
    client_end(&c);
    client_new(&c);
    SAY(&c.w, GET("/"));
    OP(&c, reply_head, &r, false);
    OP(&c, reply_body, SPAN("abcdef"));
    release(&c);
    CHECK(c.w.got_reset, "longer than declared");
    client_end(&c);
    client_new(&c);
    r.content = CONTENT_STREAM;
    SAY(&c.w, GET("/"));
    OP(&c, reply_head, &r, false);
    OP(&c, reply_body, SPAN("abc"));
    world_turn(&c.w);
    OP(&c, abort, ERR_BACKEND_TRUNCATED);
    release(&c);
    CHECK(c.w.got_reset, "aborted");
    CHECK(strstr(world_got(&c.w), "\r\n0\r\n") == NULL, "no last chunk");
    client_end(&c);
    client_new(&c);
    SAY(&c.w, GET("/"));
    OP(&c, abort, ERR_INTERNAL);
    release(&c);
    CHECK_STR(world_got(&c.w), "");
    CHECK(c.w.got_end || c.w.got_reset, "closed");
    client_end(&c);
}

#define WS                                                                                         \
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"                 \
    "Sec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n"

/* H21 */
TEST(front, tunnels_H21)
{
    struct reply r = {.status = 101, .upgraded = true};
    struct client c;
    client_new(&c);
    SAY(&c.w, WS "early");
    CHECK_INT(c.r->upgrade, UPGRADE_WEBSOCKET);
    CHECK_STR(world_log(&c.w), "GET:/ws");
    OP(&c, reply_head, &r, false);
    world_turn(&c.w);
    CHECK_STR(world_log(&c.w), "");
    OP(&c, want_body, true);
    world_turn(&c.w);
    CHECK_STR(world_log(&c.w), "body:early");
    OP(&c, reply_body, SPAN("down"));
    CHECK_STR(world_got(&c.w), "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n"
                               "upgrade: websocket\r\n\r\ndown");
    SAY(&c.w, "up");
    world_fin(&c.w);
    CHECK_STR(world_log(&c.w), "body:up end");
    OP(&c, reply_body, SPAN("last"));
    OP(&c, reply_end, NULL);
    release(&c);
    CHECK_STR(world_got(&c.w), "last");
    CHECK_STR(world_log(&c.w), "closed:ok");
    client_end(&c);
}

TEST(front, refused_upgrades_H21)
{
    struct client c;
    client_new(&c);
    SAY(&c.w, WS);
    answer(&c, 403, "no");
    release(&c);
    CHECK_STR(world_log(&c.w), "GET:/ws");
    SAY(&c.w, GET("/next"));
    CHECK_STR(world_log(&c.w), "GET:/next");
    client_end(&c);
    client_new(&c);
    SAY(&c.w, WS GET("/frames-that-look-like-a-request"));
    answer(&c, 403, "no");
    release(&c);
    CHECK_STR(world_log(&c.w), "GET:/ws closed:ok");
    client_end(&c);
}

TEST(front, drain_and_kill)
{
    struct client c;
    client_new(&c);
    c.h->ops->drain(c.h);
    CHECK_STR(world_log(&c.w), "");
    world_turn(&c.w);
    CHECK_STR(world_log(&c.w), "closed:shutdown");
    client_end(&c);
    client_new(&c);
    SAY(&c.w, GET("/"));
    c.h->ops->drain(c.h);
    answer(&c, 200, "ok");
    release(&c);
    CHECK_STR(world_got(&c.w), OK2 "connection: close\r\n\r\nok");
    CHECK_STR(world_log(&c.w), "GET:/ closed:ok");
    client_end(&c);
    client_new(&c);
    SAY(&c.w, GET("/"));
    c.h->ops->kill(c.h, ERR_SHUTDOWN);
    CHECK_STR(world_log(&c.w), "GET:/ gone:shutdown");
    release(&c);
    CHECK_STR(world_log(&c.w), "closed:client-abort");
    client_end(&c);
    client_new(&c);
    SAY(&c.w, GET("/"));
    OP(&c, keep, false);
    answer(&c, 200, "ok");
    release(&c);
    CHECK_STR(world_got(&c.w), OK2 "connection: close\r\n\r\nok");
    client_end(&c);
}

TEST(front, room_is_told)
{
    static char large[MIB(1)];
    struct client c;
    client_new(&c);
    memset(large, 'x', sizeof(large));
    SAY(&c.w, GET("/"));
    struct reply r = {.status = 200, .content = CONTENT_LENGTH, .length = 8 * sizeof(large)};
    world_log(&c.w);
    OP(&c, reply_head, &r, false);
    size_t sent = 0;
    while (c.f->ops->pending(c.f) <= LIMIT_FLOW_HIGH && sent < 8 * sizeof(large)) {
        OP(&c, reply_body, span_of(large, KIB(64)));
        sent += KIB(64);
    }
    CHECK(c.f->ops->pending(c.f) > 0, "a client that does not read fills its buffers");
    for (int i = 0; i < 1000 && c.f->ops->pending(c.f) > 0; i++) {
        world_got(&c.w);
    }
    CHECK_STR(world_log(&c.w), "room");
    client_end(&c);
}

/* H3: what the listener says of odd names. */
TEST(front, odd_names_H3)
{
    static const struct {
        enum odd_names rule;
        unsigned dropped;
        size_t fields;
        enum err bad;
    } rows[] = {{ODD_NAMES_DROP, 2, 1, ERR_OK},
                {ODD_NAMES_ALLOW, 1, 2, ERR_OK},
                {ODD_NAMES_REJECT, 0, 0, ERR_BAD_FIELD}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reply r = {.status = 200};
        struct client c;
        client_new(&c);
        c.limits.odd_names = rows[i].rule;
        SAY(&c.w, "GET / HTTP/1.1\r\nHost: a\r\nA_b: c\r\nX_Forwarded-For: 1\r\nX-A: 1\r\n\r\n");
        CHECK_INT(c.bad, rows[i].bad);
        if (c.bad == ERR_OK) {
            CHECK_INT(c.r->dropped, rows[i].dropped);
            CHECK_INT(c.r->fields.n, rows[i].fields);
        }
        OP(&c, reply_head, &r, true);
        release(&c);
        client_end(&c);
    }
}

/* H3, and the Date that we add. */
TEST(front, what_is_added)
{
    struct reply r = {.status = 200};
    struct client c;
    client_new(&c);
    SAY(&c.w, "GET / HTTP/1.1\r\nHost: a\r\na_b: c\r\n\r\n");
    CHECK_INT(c.r->dropped, 1);
    OP(&c, reply_head, &r, true);
    release(&c);
    const char *got = world_got(&c.w);
    CHECK(strstr(got, "\r\ndate: ") != NULL && strstr(got, " GMT\r\n") != NULL, "%s", got);
    client_end(&c);
}

TEST(front, large_heads_leave_the_stack)
{
    static char value[KIB(30)];
    struct reply r = {.status = 200};
    struct client c;
    client_new(&c);
    memset(value, 'v', sizeof(value));
    SAY(&c.w, GET("/"));
    CHECK_INT(
        fields_add(&r.fields, c.f->arena, FIELD_OTHER, SPAN("x"), span_of(value, sizeof(value))),
        ERR_OK);
    OP(&c, reply_head, &r, true);
    release(&c);
    CHECK(strlen(world_got(&c.w)) > sizeof(value), "all of it");
    client_end(&c);
}

/* L19: what a request needs is there from its first byte to its end. */
TEST(front, between_requests_it_holds_little_L19)
{
    struct client c;
    client_new(&c);
    size_t idle = c.h->ops->bytes(c.h);
    CHECK(idle <= 512, "%zu bytes", idle);
    SAY(&c.w, "GET /1 HT");
    CHECK(c.h->ops->bytes(c.h) > idle, "inside a head");
    SAY(&c.w, "TP/1.1\r\nHost: a\r\n\r\n");
    answer(&c, 200, "ok");
    release(&c);
    CHECK_INT(c.h->ops->bytes(c.h), idle);
    client_end(&c);
}

/* F16: there is nothing to answer with. */
TEST(front, no_memory_for_a_request_F16)
{
    struct client c;
    client_new(&c);
    mem_fail_row(1, 2);
    SAY(&c.w, GET("/1"));
    mem_fail_at(0);
    CHECK_STR(world_log(&c.w), "closed:no-memory");
    CHECK_STR(world_got(&c.w), "");
    client_end(&c);
}

/* DESIGN.md section 7: a warm request takes nothing from the heap. */
TEST(front, warm_requests_do_not_allocate)
{
    struct client c;
    client_new(&c);
    c.answer_at_once = c.silent = true;
    SAY(&c.w, GET("/1"));
    SAY(&c.w, GET("/2"));
    uint64_t before = mem_count();
    for (int i = 0; i < 20; i++) {
        SAY(&c.w, GET("/3"));
    }
    CHECK_INT(mem_count() - before, 0);
    c.f = NULL;
    client_end(&c);
}
