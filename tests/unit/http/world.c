#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_stop(struct timer *t)
{
    loop_stop(t->loop);
}

void world_open(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->fd = -1;
    buf_fixed(&w->log, w->log_memory, sizeof(w->log_memory) - 1);
    CHECK_INT(loop_ev_new(&w->loop), ERR_OK);
    CHECK_INT(conn_env_init(&w->env, w->loop), ERR_OK);
    timer_init(&w->stop, w->loop, on_stop);
}

void world_close(struct world *w)
{
    if (w->fd >= 0) {
        close(w->fd);
    }
    world_turn(w);
    timer_stop(&w->stop);
    conn_env_fini(&w->env);
    loop_free(&w->loop);
}

int world_pair(struct world *w)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0 &&
              listen(listener, 1) == 0 && getsockname(listener, (struct sockaddr *)&at, &size) == 0,
          "listener");
    w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(w->fd >= 0 && connect(w->fd, (struct sockaddr *)&at, sizeof(at)) == 0, "connect");
    CHECK(fcntl(w->fd, F_SETFL, O_NONBLOCK) == 0, "non-blocking");
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int on = 1;
    CHECK(fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0, "accept");
    CHECK(setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0, "no delay");
    close(listener);
    return fd;
}

static void receive(struct world *w)
{
    while (w->fd >= 0 && w->got_size < sizeof(w->got) - 1) {
        ssize_t n = recv(w->fd, w->got + w->got_size, sizeof(w->got) - 1 - w->got_size, 0);
        w->got_end = w->got_end || n == 0;
        w->got_reset = w->got_reset || (n < 0 && errno == ECONNRESET);
        if (n <= 0) {
            return;
        }
        w->got_size += (size_t)n;
    }
}

void world_turn(struct world *w)
{
    for (int i = 0; i < 6; i++) {
        timer_aim(&w->stop, loop_now_ns(w->loop));
        loop_run(w->loop);
        receive(w);
    }
}

void world_until(struct world *w, const bool *flag)
{
    for (int i = 0; i < 5000 && !*flag; i++) {
        timer_in_ms(&w->stop, 1);
        loop_run(w->loop);
        receive(w);
    }
    CHECK(*flag, "it did not happen");
}

void world_say(struct world *w, struct span bytes)
{
    while (bytes.n > 0) {
        ssize_t n = send(w->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        CHECK(n > 0 || errno == EAGAIN, "send: %d", errno);
        bytes = span_sub(bytes, n > 0 ? (size_t)n : 0, bytes.n);
        world_turn(w);
    }
}

void world_fin(struct world *w)
{
    shutdown(w->fd, SHUT_WR);
    world_turn(w);
}

void world_reset(struct world *w)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(w->fd);
    w->fd = -1;
    world_turn(w);
}

const char *world_got(struct world *w)
{
    world_turn(w);
    w->got[w->got_size] = '\0';
    w->got_size = 0;
    return w->got;
}

void world_note(struct world *w, const char *format, ...)
{
    va_list ap;
    CHECK(w->operating == 0, "an event from inside an operation");
    if (buf_len(&w->log) > 0) {
        buf_put_char(&w->log, ' ');
    }
    va_start(ap, format);
    buf_vprintf(&w->log, format, ap);
    va_end(ap);
    CHECK(!w->log.failed, "the log is full");
}

const char *world_log(struct world *w)
{
    w->log_memory[w->log.n] = '\0';
    const char *text = w->log_memory + w->log.at;
    buf_clear(&w->log);
    return text;
}
