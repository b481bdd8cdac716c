#include "check.h"

#include "base/mem.h"
#include "health/probe.h"
#include "health/verdict.h"
#include "net/listener.h"
#include "net/tls_ctx.h"
#include "unit/net/make_cert.h"

#include <stdio.h>

/* A server on a real socket of the same loop. What it does with a connection is the test's. */
struct server {
    struct span name; /* whom its certificate must be for */
    struct loop *loop;
    struct conn_env env;
    struct listener *listener;
    int fd;
    struct addr at;
    struct tls_server *tls;
    unsigned accepted;
    struct conn *c; /* the last accepted */
    struct buf got;
    const char *reply; /* sent when a head has come; NULL: nothing */
    size_t drip;       /* bytes at a time, 0: all at once */
    size_t sent;
    bool reset, hang_up; /* at once */
    bool ends_reply;     /* by the end of the connection */
    bool ended;          /* the probe's side of the connection */
    struct timer next;
};

static void send_more(struct server *s)
{
    struct span left = span_sub(span_str(s->reply), s->sent, SIZE_MAX);
    size_t n = s->drip != 0 && s->drip < left.n ? s->drip : left.n;
    conn_write(s->c, span_sub(left, 0, n));
    s->sent += n;
    if (n < left.n) {
        timer_in_ms(&s->next, 10);
    } else if (s->ends_reply) {
        conn_close(&s->c, CONN_END_FLUSH);
    }
}

static void on_next(struct timer *t)
{
    struct server *s = container_of(t, struct server, next);
    if (s->c != NULL) {
        send_more(s);
    }
}

static size_t on_bytes(void *user, struct conn *c, struct span bytes)
{
    (void)c;
    struct server *s = user;
    buf_put_span(&s->got, bytes);
    if (s->reply != NULL && s->sent == 0 && span_ends(buf_span(&s->got), SPAN("\r\n\r\n"))) {
        send_more(s);
    }
    return bytes.n;
}

static void on_eof(void *user, struct conn *c, bool clean)
{
    (void)c;
    (void)clean;
    struct server *s = user;
    s->ended = true;
    conn_close(&s->c, CONN_END_FLUSH);
}

static void on_fail(void *user, struct conn *c, enum err why)
{
    (void)c;
    (void)why;
    struct server *s = user;
    conn_close(&s->c, CONN_END_NOW);
}

static void on_nothing(void *user, struct conn *c)
{
    (void)user;
    (void)c;
}

static const struct conn_events server_events = {.on_open = on_nothing,
                                                 .on_bytes = on_bytes,
                                                 .on_eof = on_eof,
                                                 .on_room = on_nothing,
                                                 .on_fail = on_fail};

static bool on_accept(void *user, int fd, const struct addr *peer)
{
    struct server *s = user;
    s->accepted++;
    enum err e = conn_accept(&s->env, fd, peer, s->tls, &server_events, s, &s->c);
    CHECK(e == ERR_OK || e == ERR_NO_MEMORY, "accept: %s", err_name(e));
    if (e != ERR_OK) {
        s->c = NULL;
        return true;
    }
    if (s->reset || s->hang_up) {
        conn_close(&s->c, s->reset ? CONN_END_RESET : CONN_END_FLUSH);
    }
    return true;
}

static void server_init(struct server *s)
{
    memset(s, 0, sizeof *s);
    CHECK(loop_ev_new(&s->loop) == ERR_OK && conn_env_init(&s->env, s->loop) == ERR_OK, "loop");
    CHECK(addr_parse(SPAN("127.0.0.1:0"), &s->at) == ERR_OK, "address");
    CHECK(listener_open(&s->at, false, &s->fd) == ERR_OK, "listen");
    CHECK(s->loop->ops->sock_local(s->loop, s->fd, &s->at) == 0, "port");
    CHECK(listener_start(s->loop, s->fd, on_accept, s, &s->listener) == ERR_OK, "listener");
    timer_init(&s->next, s->loop, on_next);
    buf_init(&s->got, 0);
    CHECK(buf_reserve(&s->got, KIB(8)), "its own memory is not what a test of memory takes away");
}

static void stop_listening(struct server *s)
{
    if (s->listener != NULL) {
        listener_stop(&s->listener);
        s->loop->ops->sock_close(s->loop, s->fd, false);
    }
}

static void server_fini(struct server *s)
{
    stop_listening(s);
    timer_stop(&s->next);
    if (s->c != NULL) {
        conn_close(&s->c, CONN_END_NOW);
    }
    conn_env_fini(&s->env);
    loop_free(&s->loop);
    buf_fini(&s->got);
}

/* A probe and how it ended. */
struct run {
    struct probe probe;
    struct loop *loop;
    unsigned done;
    enum err why;
    struct timer after; /* lets the server see the end too */
};

static void on_after(struct timer *t)
{
    loop_stop(t->loop);
}

static void on_done(struct probe *p, enum err why)
{
    struct run *r = container_of(p, struct run, probe);
    r->done++;
    r->why = why;
    timer_in_ms(&r->after, 20);
}

static struct health_check http(void)
{
    struct health_check c = {
        .kind = HEALTH_HTTP,
        .page.path = SPAN("/healthz"),
        .interval_ms = 2000,
        .timeout_ms = 5000,
        .fall = 3,
        .rise = 2,
    };
    for (unsigned status = 200; status < 400; status++) {
        c.page.status[status / 64] |= 1ULL << (status % 64);
    }
    return c;
}

static uint32_t blamed; /* by the last server that was asked */

static enum err probe(struct server *s, const struct health_check *check)
{
    struct run r = {.loop = s->loop};
    struct probe_job job = {
        .check = check,
        .page = &check->page,
        .addr = &s->at,
        .host = SPAN("10.0.0.1:80"),
        .server_name = s->name,
    };
    timer_init(&r.after, s->loop, on_after);
    CHECK(probe_start(&r.probe, &s->env, &job, on_done) == ERR_OK, "start");
    CHECK(r.done == 0, "never from inside");
    loop_run(s->loop);
    CHECK(r.done == 1 && !probe_running(&r.probe), "one end, not %u", r.done);
    blamed = r.probe.blamed;
    return r.why;
}

TEST(probe, tcp)
{
    struct server s;
    struct health_check check = http();
    check.kind = HEALTH_TCP;
    server_init(&s);
    CHECK_INT(probe(&s, &check), ERR_OK);
    CHECK_INT(s.accepted, 0); /* a look at the server makes no connection there */
    check.header = 1;         /* nor where connections begin with a header */
    CHECK_INT(probe(&s, &check), ERR_OK);
    CHECK_INT(s.accepted, 0);
    stop_listening(&s);
    CHECK_INT(probe(&s, &check), ERR_BACKEND_REFUSED);
    server_fini(&s);
}

/* C2: whose fault it is that a server is not ready, however it frames what it says. */
TEST(probe, blame)
{
#define SAID "{\"checks\":{\"db:x\":[{\"status\":\"fail\"}]}}" /* 39 bytes */
#define HEAD "HTTP/1.1 503 No\r\nContent-Type: application/health+json\r\n"
    static const struct {
        const char *reply;
        uint32_t blamed;
    } rows[] = {
        {HEAD "Content-Length: 39\r\n\r\n" SAID, 2},
        {HEAD "Transfer-Encoding: chunked\r\n\r\n27\r\n" SAID "\r\n0\r\n\r\n", 2},
        {HEAD "Connection: close\r\n\r\n" SAID, 2},
        {HEAD "Content-Length: 2\r\n\r\n{}", 0},
        {HEAD "Content-Length: 4\r\n\r\n{\"a\"", 0},
        {HEAD "Content-Length: 0\r\n\r\n", 0},
        {"HTTP/1.1 503 No\r\nContent-Type: text/plain\r\nContent-Length: 39\r\n\r\n" SAID, 0},
    };
    static const struct span names[] = {{"other", 5}, {"db", 2}};
    struct health_check check = http();
    check.ready = true;
    check.depends = names;
    check.depend_count = 2;
    for (size_t drip = 0; drip < 2; drip++) {
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            struct server s;
            server_init(&s);
            s.reply = rows[i].reply;
            s.drip = drip * 20;
            enum err why = probe(&s, &check);
            CHECK(why == ERR_BACKEND_UNHEALTHY, "row %zu: %s", i, err_name(why));
            CHECK(blamed == rows[i].blamed, "row %zu: blames %u", i, blamed);
            server_fini(&s);
        }
    }
}

/* C2: 4 KiB are read of what it says (L31), and up to 64 KiB where that was asked for. */
TEST(probe, blame_behind_much)
{
    static char reply[64 * 1024];
    static const struct span names[] = {{"db", 2}};
    struct health_check check = http();
    struct server s;
    int n = snprintf(reply, sizeof reply, HEAD "Connection: close\r\n\r\n{\"notes\":[");
    while (n < 60000)
        n += snprintf(reply + n, sizeof reply - (size_t)n, "\"all that can be said\",");
    snprintf(reply + n, sizeof reply - (size_t)n,
             "0],\"checks\":{\"db\":[{\"status\":\"fail\"}]}}");
    check.ready = true;
    check.depends = names;
    check.depend_count = 1;
    for (size_t drip = 0; drip < 2; drip++) {
        for (size_t most = 0; most <= KIB(64); most += KIB(64)) {
            server_init(&s);
            s.reply = reply;
            s.drip = drip * 1000;
            s.ends_reply = true;
            check.content_most = most;
            CHECK_INT(probe(&s, &check), ERR_BACKEND_UNHEALTHY);
            CHECK(blamed == (most != 0), "%zu: blames %u", most, blamed);
            server_fini(&s);
        }
    }
}

/* C2 and L31: what a good answer has to say, in its first 4 KiB, however it is framed. */
TEST(probe, contains)
{
    static char far[6000] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    memset(far + strlen(far), 'x', 5000);
    strcat(far, "all well");
    const struct {
        const char *reply;
        enum err want;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{all well}", ERR_OK},
        {"HTTP/1.1 200 OK\r\n\r\nall well", ERR_OK},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nall \r\n4\r\nwell\r\n0\r\n\r\n",
         ERR_OK},
        {"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall well", ERR_OK},
        {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nall bad", ERR_BACKEND_UNHEALTHY},
        {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nall well", ERR_BACKEND_UNHEALTHY},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall wel", ERR_BACKEND_UNHEALTHY},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\nall",
         ERR_BACKEND_UNHEALTHY},
        {"HTTP/1.1 204 No Content\r\n\r\n", ERR_BACKEND_UNHEALTHY},
        {"HTTP/1.1 200 all well\r\nX: all well\r\nContent-Length: 0\r\n\r\n",
         ERR_BACKEND_UNHEALTHY},
        {"HTTP/1.1 503 No\r\nContent-Length: 8\r\n\r\nall well", ERR_BACKEND_UNHEALTHY},
        {far, ERR_BACKEND_UNHEALTHY},
    };
    struct health_check check = http();
    check.page.contains = SPAN("all well");
    for (size_t drip = 0; drip < 2; drip++) {
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            struct server s;
            server_init(&s);
            s.reply = rows[i].reply;
            s.drip = drip * 20;
            s.ends_reply = strstr(s.reply, "close") != NULL;
            enum err why = probe(&s, &check);
            CHECK(why == rows[i].want, "row %zu: %s", i, err_name(why));
            server_fini(&s);
        }
    }
    struct server s;
    server_init(&s);
    s.reply = far;
    s.ends_reply = true;
    check.content_most = KIB(8);
    CHECK(probe(&s, &check) == ERR_OK, "more is read where that was asked for");
    server_fini(&s);
}

TEST(probe, request)
{
    struct server s;
    struct health_check check = http();
    server_init(&s);
    s.reply = "HTTP/1.1 204 No Content\r\n\r\n";
    CHECK_INT(probe(&s, &check), ERR_OK);
    CHECK_SPAN(buf_span(&s.got), "GET /healthz HTTP/1.1\r\nHost: 10.0.0.1:80\r\n"
                                 "User-Agent: meridian-health\r\nAccept: */*\r\n"
                                 "Connection: close\r\n\r\n");
    CHECK(s.ended, "the server reads an end");
    buf_clear(&s.got);
    s.sent = 0;
    check.page.host = SPAN("api.example.com");
    CHECK_INT(probe(&s, &check), ERR_OK);
    CHECK(memmem(s.got.p, s.got.n, "\r\nHost: api.example.com\r\n", 25) != NULL, "the host given");
    server_fini(&s);
}

/* L31, F2, F5, F6: what servers say, and what it is called. */
TEST(probe, answers)
{
    static char big[6000] = "HTTP/1.1 200 OK\r\nX: ", body[6000] = "HTTP/1.1 200 OK\r\n\r\n";
    memset(big + strlen(big), 'a', sizeof big - strlen(big) - 1);
    memset(body + strlen(body), 'b', sizeof body - strlen(body) - 1);
    static char interim[6000];
    for (int i = 0; i < 200; i++) {
        strcat(interim, "HTTP/1.1 103 \r\n\r\n");
    }
    const struct {
        const char *reply;
        enum err want;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", ERR_OK},
        {"HTTP/1.0 200 OK\r\n\r\nok", ERR_OK},
        {"HTTP/1.1 399 Odd\r\nContent-Length: 0\r\n\r\n", ERR_OK},
        {body, ERR_OK},
        {"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", ERR_OK},
        {"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 500 Oh\r\n\r\n", ERR_BACKEND_UNHEALTHY},
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ERR_BACKEND_UNHEALTHY},
        {"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", ERR_BACKEND_UNHEALTHY},
        {"SSH-2.0-OpenSSH_9.2\r\n\r\n", ERR_BACKEND_PROTOCOL},
        {"HTTP/1.1 999 Odd\r\n\r\n", ERR_BACKEND_PROTOCOL},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         ERR_BACKEND_PROTOCOL},
        {big, ERR_BACKEND_HEAD_TOO_LARGE},
    };
    struct health_check check = http();
    for (size_t drip = 0; drip < 2; drip++) {
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            struct server s;
            server_init(&s);
            s.reply = rows[i].reply;
            s.drip = drip * 200;
            enum err why = probe(&s, &check);
            CHECK(why == rows[i].want, "row %zu: %s, want %s", i, err_name(why),
                  err_name(rows[i].want));
            server_fini(&s);
        }
    }
    struct server s;
    server_init(&s);
    s.reply = interim;
    enum err why = probe(&s, &check);
    CHECK(verdict_result(why) == VERDICT_SOFT, "endless interim answers: %s", err_name(why));
    server_fini(&s);
}

TEST(probe, ends)
{
    struct server s;
    struct health_check check = http();
    server_init(&s);
    s.reset = true;
    CHECK_INT(probe(&s, &check), ERR_BACKEND_RESET);
    s.reset = false;
    s.hang_up = true;
    CHECK_INT(probe(&s, &check), ERR_BACKEND_TRUNCATED);
    s.hang_up = false;
    /* F5: never answers; answers byte by byte for longer than the time-out. */
    check.timeout_ms = 60;
    CHECK_INT(probe(&s, &check), ERR_BACKEND_TIMEOUT);
    buf_clear(&s.got);
    s.reply = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
    s.drip = 1;
    CHECK_INT(probe(&s, &check), ERR_BACKEND_TIMEOUT);
    server_fini(&s);
}

TEST(probe, cancel)
{
    struct server s;
    struct run r = {0};
    struct health_check check = http();
    server_init(&s);
    struct probe_job job = {.check = &check, .page = &check.page, .addr = &s.at};
    probe_cancel(&r.probe);
    CHECK(probe_start(&r.probe, &s.env, &job, on_done) == ERR_OK, "start");
    probe_cancel(&r.probe);
    timer_init(&r.after, s.loop, on_after);
    timer_in_ms(&r.after, 50);
    loop_run(s.loop);
    CHECK(r.done == 0 && !probe_running(&r.probe), "it ends without a word");
    server_fini(&s);
}

/* F16: wherever memory runs out, the probe ends once, and never with a verdict on the server. */
TEST(probe, no_memory)
{
    for (uint64_t n = 1; n < 12; n++) {
        struct server s;
        struct run r = {0};
        struct health_check check = http();
        server_init(&s);
        s.reply = "HTTP/1.1 200 OK\r\n\r\n";
        struct probe_job job = {
            .check = &check, .page = &check.page, .addr = &s.at, .host = SPAN("h")};
        timer_init(&r.after, s.loop, on_after);
        mem_fail_at(n);
        enum err e = probe_start(&r.probe, &s.env, &job, on_done);
        if (e == ERR_OK) {
            loop_run(s.loop);
            e = r.why;
            CHECK_INT(r.done, 1);
        }
        mem_fail_at(0);
        CHECK(e == ERR_OK || e == ERR_NO_MEMORY || e == ERR_BACKEND_RESET ||
                  e == ERR_BACKEND_TRUNCATED,
              "allocation %d: %s", (int)n, err_name(e));
        server_fini(&s);
    }
}

/* TLS: the handshake is part of the check, and of a tcp check. */
TEST(probe, tls)
{
    char dir[MADE_PATH];
    struct made_cert made;
    struct cert_wish wish = {.common_name = "a.example", .names = "DNS:a.example"};
    struct tls_cert *cert;
    struct buf message;
    struct server s;
    struct health_check check = http();
    made_dir(dir);
    make_cert(dir, "a", &wish, &made);
    buf_init(&message, 0);
    server_init(&s);
    s.reply = "HTTP/1.1 200 OK\r\n\r\n";
    CHECK(tls_cert_load(made.cert, made.key, &cert, &message) == ERR_OK, "certificate");
    struct tls_server_spec server = {.certs = &cert, .cert_count = 1};
    struct tls_client_spec client = {.ca = made.cert, .verify = true};
    CHECK(tls_server_new(&server, &s.tls, &message) == ERR_OK, "server");
    CHECK(tls_client_new(&client, &check.tls, &message) == ERR_OK, "client");
    s.name = SPAN("a.example");
    CHECK_INT(probe(&s, &check), ERR_OK);
    s.sent = 0;
    check.kind = HEALTH_TCP;
    CHECK_INT(probe(&s, &check), ERR_OK);
    s.name = SPAN("b.example");
    CHECK_INT(probe(&s, &check), ERR_BACKEND_TLS);
    tls_server_free(&s.tls);
    s.reset = true;
    enum err why = probe(&s, &check);
    CHECK(why == ERR_BACKEND_TLS || why == ERR_BACKEND_RESET, "%s", err_name(why));
    s.reset = false;
    check.timeout_ms = 60;
    CHECK_INT(probe(&s, &check), ERR_BACKEND_CONNECT_TIMEOUT);
    tls_client_free(&check.tls);
    tls_cert_unref(&cert);
    buf_fini(&message);
    server_fini(&s);
    made_dir_remove(dir);
}
