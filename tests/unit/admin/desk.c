#include "desk.h"

#include "check.h"

#include <stdio.h>
#include <unistd.h>

static void gone(struct desk_client *c)
{
    if (!c->ended) {
        c->ended = true;
        c->desk->waiting--;
    }
    if (c->desk->waiting == 0) {
        loop_stop(c->desk->loop);
    }
}

static void on_nothing(void *user, struct conn *c)
{
    (void)user;
    (void)c;
}

static size_t on_bytes(void *user, struct conn *c, struct span bytes)
{
    (void)c;
    buf_put_span(&((struct desk_client *)user)->got, bytes);
    return bytes.n;
}

static void on_eof(void *user, struct conn *c, bool clean)
{
    (void)c;
    (void)clean;
    gone(user);
}

static void on_fail(void *user, struct conn *c, enum err why)
{
    (void)c;
    (void)why;
    ((struct desk_client *)user)->failed = true;
    gone(user);
}

static const struct conn_events events = {.on_open = on_nothing,
                                          .on_bytes = on_bytes,
                                          .on_eof = on_eof,
                                          .on_room = on_nothing,
                                          .on_fail = on_fail};

static void on_limit(struct timer *t)
{
    struct desk *d = container_of(t, struct desk, limit);
    d->late = true;
    loop_stop(d->loop);
}

/* A free port of this machine. */
static struct addr free_address(struct loop *loop)
{
    struct addr at;
    int fd;
    CHECK(addr_parse(SPAN("127.0.0.1:0"), &at) == ERR_OK, "address");
    CHECK(listener_open(&at, false, &fd) == ERR_OK, "listen");
    CHECK(loop->ops->sock_local(loop, fd, &at) == 0, "port");
    loop->ops->sock_close(loop, fd, false);
    return at;
}

void desk_init(struct desk *d)
{
    static unsigned count;
    char text[80];
    memset(d, 0, sizeof *d);
    fake_view_init(&d->view);
    CHECK(loop_ev_new(&d->loop) == ERR_OK && conn_env_init(&d->env, d->loop) == ERR_OK, "loop");
    CHECK(admin_new(&d->env, &d->view.ops, &d->view, NULL, &d->admin) == ERR_OK, "admin");
    snprintf(d->path, sizeof d->path, "/tmp/meridian-test-%d-%u.sock", (int)getpid(), count++);
    snprintf(text, sizeof text, "unix:%s", d->path);
    CHECK(addr_parse(span_str(text), &d->control) == ERR_OK, "path");
    CHECK(admin_listen_control(d->admin, d->path) == ERR_OK, "control");
    d->http = free_address(d->loop);
    CHECK(admin_listen_http(d->admin, &d->http) == ERR_OK, "http");
    timer_init(&d->limit, d->loop, on_limit);
}

void desk_fini(struct desk *d)
{
    admin_free(&d->admin);
    CHECK(access(d->path, F_OK) != 0, "the socket's file is removed");
    d->waiting = 1; /* nobody ends the run early: what lingers is to end */
    desk_run(d, 50);
    CHECK_INT(d->env.open, 0);
    conn_env_fini(&d->env);
    loop_free(&d->loop);
}

void desk_connect(struct desk *d, const struct addr *to, struct desk_client *c)
{
    struct conn_target target = {.addr = to};
    memset(c, 0, sizeof *c);
    c->desk = d;
    buf_init(&c->got, 0);
    CHECK(conn_connect(&d->env, &target, &events, c, &c->c) == ERR_OK, "connect");
    d->waiting++;
}

void desk_send(struct desk_client *c, const char *text)
{
    conn_write(c->c, span_str(text));
}

bool desk_run(struct desk *d, int64_t ms)
{
    d->late = false;
    timer_in_ms(&d->limit, ms);
    loop_run(d->loop);
    timer_stop(&d->limit);
    return !d->late;
}

void desk_close(struct desk_client *c)
{
    if (c->c != NULL) {
        conn_close(&c->c, CONN_END_NOW);
    }
    if (!c->ended) {
        c->ended = true;
        c->desk->waiting--;
    }
    buf_fini(&c->got);
}

struct span desk_ask(struct desk *d, const struct addr *to, const char *text)
{
    static struct buf answer;
    struct desk_client c;
    desk_connect(d, to, &c);
    desk_send(&c, text);
    CHECK(desk_run(d, 20000), "an end within 20 s of \"%.60s\"", text);
    buf_fini(&answer);
    buf_init(&answer, 0);
    buf_put_span(&answer, buf_span(&c.got));
    desk_close(&c);
    return buf_span(&answer);
}
