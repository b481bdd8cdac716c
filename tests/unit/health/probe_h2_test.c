#include "check.h"

#include "health/probe.h"
#include "net/listener.h"

/* Checks over HTTP/2 against a server that says fixed frames as soon as it hears anything. */

struct server {
    struct loop *loop;
    struct conn_env env;
    struct listener *listener;
    int fd;
    struct addr at;
    struct conn *c;
    struct span reply;
    struct buf got;
    struct timer stop;
    enum err why;
    bool done;
};

static size_t on_bytes(void *user, struct conn *c, struct span bytes)
{
    struct server *s = user;
    buf_put_span(&s->got, bytes);
    conn_write(c, s->reply);
    s->reply = SPAN_NONE;
    return bytes.n;
}

static void on_eof(void *user, struct conn *c, bool clean)
{
    struct server *s = user;
    (void)c;
    (void)clean;
    conn_close(&s->c, CONN_END_NOW);
}

static void on_fail(void *user, struct conn *c, enum err why)
{
    struct server *s = user;
    (void)c;
    (void)why;
    conn_close(&s->c, CONN_END_NOW);
}

static void on_nothing(void *user, struct conn *c)
{
    (void)user;
    (void)c;
}

static const struct conn_events events = {.on_open = on_nothing,
                                          .on_bytes = on_bytes,
                                          .on_eof = on_eof,
                                          .on_room = on_nothing,
                                          .on_fail = on_fail};

static bool on_accept(void *user, int fd, const struct addr *peer)
{
    struct server *s = user;
    CHECK_INT(conn_accept(&s->env, fd, peer, NULL, &events, s, &s->c), ERR_OK);
    return true;
}

static struct server *waiting; /* probe's callback has no user */

static void on_done(struct probe *p, enum err why)
{
    (void)p;
    waiting->why = why;
    waiting->done = true;
    loop_stop(waiting->loop);
}

static void on_stop(struct timer *t)
{
    loop_stop(t->loop);
}

static enum err check(const struct health_check *check, struct span reply, struct buf *got)
{
    struct server s = {.reply = reply};
    struct probe p = {0};
    CHECK(loop_ev_new(&s.loop) == ERR_OK && conn_env_init(&s.env, s.loop) == ERR_OK, "loop");
    CHECK_INT(addr_parse(SPAN("127.0.0.1:0"), &s.at), ERR_OK);
    CHECK_INT(listener_open(&s.at, false, &s.fd), ERR_OK);
    CHECK(s.loop->ops->sock_local(s.loop, s.fd, &s.at) == 0, "port");
    CHECK_INT(listener_start(s.loop, s.fd, on_accept, &s, &s.listener), ERR_OK);
    buf_init(&s.got, 0);
    waiting = &s;
    struct probe_job job = {
        .check = check, .page = &check->page, .addr = &s.at, .host = SPAN("10.0.0.1:80")};
    CHECK_INT(probe_start(&p, &s.env, &job, on_done), ERR_OK);
    loop_run(s.loop);
    CHECK(s.done && p.talk == NULL, "it ended, and gave all back");
    timer_init(&s.stop, s.loop, on_stop);
    timer_in_ms(&s.stop, 20);
    loop_run(s.loop);
    if (s.c != NULL) {
        conn_close(&s.c, CONN_END_NOW);
    }
    listener_stop(&s.listener);
    conn_env_fini(&s.env);
    loop_free(&s.loop);
    if (got != NULL) {
        buf_put_span(got, buf_span(&s.got));
    }
    buf_fini(&s.got);
    return s.why;
}

#define FRAMES(text) span_of(text, sizeof(text) - 1)
#define SETTINGS     "\0\0\0\4\0\0\0\0\0"
/* :status by number of the static table */
#define STATUS(flags, index) "\0\0\1\1" flags "\0\0\0\1" index
#define MESSAGE(status)      "\0\0\7\0\0\0\0\0\1\0\0\0\0\2\x08" status
#define TRAILERS(value)      "\0\0\17\1\5\0\0\0\1\0\13grpc-status\1" value

TEST(probe_h2, http)
{
    struct health_check c = {
        .kind = HEALTH_HTTP, .page.path = SPAN("/up"), .h2 = true, .timeout_ms = 5000};
    struct buf got;
    c.page.status[200 / 64] |= UINT64_C(1) << (200 % 64);
    buf_init(&got, 0);
    CHECK_INT(check(&c, FRAMES(SETTINGS STATUS("\5", "\x88")), &got), ERR_OK);
    CHECK(span_starts(buf_span(&got), SPAN("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")), "the preface");
    buf_fini(&got);
    CHECK_INT(check(&c, FRAMES(SETTINGS STATUS("\4", "\x88")), NULL), ERR_OK);
    CHECK_INT(check(&c, FRAMES(SETTINGS STATUS("\5", "\x8e")), NULL), ERR_BACKEND_UNHEALTHY);
    CHECK_INT(check(&c, FRAMES(SETTINGS "\0\0\4\3\0\0\0\0\1\0\0\0\2"), NULL), ERR_BACKEND_PROTOCOL);
    CHECK_INT(check(&c, FRAMES("HTTP/1.1 400 Bad Request\r\n\r\n"), NULL), ERR_BACKEND_PROTOCOL);
    c.timeout_ms = 30;
    CHECK_INT(check(&c, FRAMES(SETTINGS), NULL), ERR_BACKEND_TIMEOUT);
}

TEST(probe_h2, contains)
{
#define DATA(flags, n, text) "\0\0" n "\0" flags "\0\0\0\1" text
    struct health_check c = {.kind = HEALTH_HTTP,
                             .page = {.path = SPAN("/up"), .contains = SPAN("well")},
                             .h2 = true,
                             .timeout_ms = 5000};
    c.page.status[200 / 64] |= UINT64_C(1) << (200 % 64);
    const struct {
        struct span reply;
        enum err want;
    } rows[] = {
        {FRAMES(SETTINGS STATUS("\4", "\x88") DATA("\1", "\4", "well")), ERR_OK},
        {FRAMES(SETTINGS STATUS("\4", "\x88") DATA("\0", "\2", "we") DATA("\0", "\2", "ll")),
         ERR_OK},
        {FRAMES(SETTINGS STATUS("\4", "\x88") DATA("\1", "\3", "bad")), ERR_BACKEND_UNHEALTHY},
        {FRAMES(SETTINGS STATUS("\5", "\x88")), ERR_BACKEND_UNHEALTHY},
        {FRAMES(SETTINGS STATUS("\4", "\x8e") DATA("\1", "\4", "well")), ERR_BACKEND_UNHEALTHY},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum err why = check(&c, rows[i].reply, NULL);
        CHECK(why == rows[i].want, "row %zu: %s", i, err_name(why));
    }
}

/* L31: 4 KiB of the content are read, and more where that was asked for (C2). */
TEST(probe_h2, contains_behind_much)
{
    static const char end[] = DATA("\1", "\4", "well");
    struct health_check c = {.kind = HEALTH_HTTP,
                             .page = {.path = SPAN("/up"), .contains = SPAN("well")},
                             .h2 = true,
                             .timeout_ms = 5000};
    struct buf reply;
    c.page.status[200 / 64] |= UINT64_C(1) << (200 % 64);
    buf_init(&reply, 0);
    buf_put_span(&reply, FRAMES(SETTINGS STATUS("\4", "\x88")));
    for (size_t i = 0; i < 50; i++) {
        char piece[9 + 1024] = "\0\4\0\0\0\0\0\0\1";
        memset(piece + 9, 'x', 1024);
        buf_put_span(&reply, span_of(piece, sizeof piece));
    }
    buf_put_span(&reply, FRAMES(end));
    CHECK_INT(check(&c, buf_span(&reply), NULL), ERR_BACKEND_UNHEALTHY);
    c.content_most = KIB(64);
    CHECK_INT(check(&c, buf_span(&reply), NULL), ERR_OK);
    buf_fini(&reply);
}

TEST(probe_h2, grpc)
{
    const struct {
        struct span reply;
        enum err want;
    } rows[] = {
        {FRAMES(SETTINGS STATUS("\4", "\x88") MESSAGE("\1") TRAILERS("0")), ERR_OK},
        {FRAMES(SETTINGS STATUS("\4", "\x88") MESSAGE("\2") TRAILERS("0")), ERR_BACKEND_UNHEALTHY},
        {FRAMES(SETTINGS STATUS("\4", "\x88") MESSAGE("\1") TRAILERS("5")), ERR_BACKEND_UNHEALTHY},
        {FRAMES(SETTINGS STATUS("\4", "\x88") TRAILERS("0")), ERR_BACKEND_UNHEALTHY},
        {FRAMES(SETTINGS STATUS("\5", "\x88")), ERR_BACKEND_UNHEALTHY},
        {FRAMES(SETTINGS STATUS("\4", "\x8e") MESSAGE("\1") TRAILERS("0")), ERR_BACKEND_UNHEALTHY},
        {FRAMES(SETTINGS "\0\0\4\3\0\0\0\0\1\0\0\0\2"), ERR_BACKEND_PROTOCOL},
    };
    struct health_check c = {
        .kind = HEALTH_GRPC, .service = SPAN("shop.v1.Orders"), .timeout_ms = 5000};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf got;
        buf_init(&got, 0);
        enum err why = check(&c, rows[i].reply, &got);
        CHECK(why == rows[i].want, "row %zu: %s", i, err_name(why));
        CHECK(span_ends(buf_span(&got), FRAMES("\0\0\0\0\20\n\16shop.v1.Orders")) || i > 0,
              "the message");
        buf_fini(&got);
    }
}
