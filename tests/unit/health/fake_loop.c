#include "fake_loop.h"

#include <errno.h>

struct fake_timer {
    struct link link;
    int64_t at_ns;
    bool listed;
};

static struct fake_loop *fake(struct loop *l)
{
    return container_of(l, struct fake_loop, loop);
}

static void timer_set(struct timer *t, int64_t at_ns)
{
    struct fake_timer *f = (struct fake_timer *)(void *)t->impl.space;
    if (f->listed) {
        list_remove(&f->link);
    }
    f->listed = at_ns != 0;
    f->at_ns = at_ns;
    if (f->listed) {
        list_append(&fake(t->loop)->timers, &f->link);
    }
}

static void io_set(struct io *io, unsigned events)
{
    fake(io->loop)->fds[io->fd].io = (events & IO_WRITE) != 0 ? io : NULL;
}

static int sock_new(struct loop *l, int family)
{
    (void)family;
    struct fake_loop *f = fake(l);
    if (f->socket_error != 0) {
        return f->socket_error;
    }
    for (int fd = 0; fd < FAKE_FDS; fd++) {
        if (!f->fds[fd].used) {
            f->fds[fd] = (struct fake_fd){.used = true};
            f->open++;
            f->most_open = f->open > f->most_open ? f->open : f->most_open;
            return fd;
        }
    }
    return -EMFILE;
}

static void sock_quick_ack(struct loop *l, int fd, bool on)
{
    (void)l, (void)fd, (void)on;
}

static int sock_connect(struct loop *l, int fd, const struct addr *to)
{
    struct fake_loop *f = fake(l);
    f->connects++;
    if (f->on_connect != NULL) {
        f->on_connect(f, to);
    }
    switch (f->mode_of(to)) {
    case FAKE_ACCEPTS:
        f->fds[fd].ready_ns = l->now_ns + f->latency_ns;
        return -EINPROGRESS;
    case FAKE_REFUSES:
        return -ECONNREFUSED;
    case FAKE_SILENT:
        break;
    }
    return -EINPROGRESS;
}

static int sock_error(struct loop *l, int fd)
{
    (void)l;
    (void)fd;
    return 0;
}

static int sock_local(struct loop *l, int fd, struct addr *out)
{
    (void)l;
    (void)fd;
    memset(out, 0, sizeof *out);
    return 0;
}

static ssize_t sock_recv(struct loop *l, int fd, void *into, size_t n)
{
    (void)l;
    (void)fd;
    (void)into;
    (void)n;
    return -EAGAIN;
}

static ssize_t sock_send(struct loop *l, int fd, const struct iovec *iov, int count)
{
    (void)l;
    (void)fd;
    ssize_t n = 0;
    for (int i = 0; i < count; i++) {
        n += (ssize_t)iov[i].iov_len;
    }
    return n;
}

static int sock_shutdown(struct loop *l, int fd)
{
    (void)l;
    (void)fd;
    return 0;
}

static void sock_close(struct loop *l, int fd, bool reset)
{
    (void)reset;
    fake(l)->fds[fd] = (struct fake_fd){0};
    fake(l)->open--;
}

static bool sock_heard(struct loop *l, int fd)
{
    (void)l;
    (void)fd;
    return true;
}

static bool turn_spent(struct loop *l)
{
    (void)l;
    return false;
}

static const struct loop_ops ops = {
    .io_set = io_set,
    .timer_set = timer_set,
    .sock_new = sock_new,
    .sock_quick_ack = sock_quick_ack,
    .sock_connect = sock_connect,
    .sock_error = sock_error,
    .sock_local = sock_local,
    .sock_recv = sock_recv,
    .sock_send = sock_send,
    .sock_shutdown = sock_shutdown,
    .sock_heard = sock_heard,
    .sock_close = sock_close,
    .turn_spent = turn_spent,
};

static enum fake_mode accepts(const struct addr *to)
{
    (void)to;
    return FAKE_ACCEPTS;
}

void fake_loop_init(struct fake_loop *f)
{
    memset(f, 0, sizeof *f);
    f->loop.ops = &ops;
    f->loop.now_ns = 1000 * NS_PER_S;
    f->latency_ns = NS_PER_MS;
    f->mode_of = accepts;
    loop_init_tasks(&f->loop);
    list_init(&f->timers);
}

static struct timer *earliest(struct fake_loop *f, int64_t *at_ns)
{
    struct timer *first = NULL;
    list_each (e, &f->timers) {
        struct fake_timer *t = container_of(e, struct fake_timer, link);
        if (first == NULL || t->at_ns < *at_ns) {
            *at_ns = t->at_ns;
            first = (struct timer *)(void *)((char *)t - offsetof(struct timer, impl));
        }
    }
    return first;
}

/* The first descriptor that becomes ready before *at_ns. */
static struct io *ready(struct fake_loop *f, int64_t *at_ns)
{
    struct io *io = NULL;
    for (int fd = 0; fd < FAKE_FDS; fd++) {
        struct fake_fd *d = &f->fds[fd];
        if (d->io != NULL && d->ready_ns != 0 && d->ready_ns < *at_ns) {
            *at_ns = d->ready_ns;
            io = d->io;
        }
    }
    return io;
}

void fake_loop_pass(struct fake_loop *f, int64_t ns)
{
    int64_t end_ns = f->loop.now_ns + ns;
    loop_run_tasks(&f->loop);
    for (;;) {
        int64_t at_ns = INT64_MAX;
        struct timer *t = earliest(f, &at_ns);
        struct io *io = ready(f, &at_ns);
        if (at_ns > end_ns) {
            f->loop.now_ns = end_ns > f->loop.now_ns ? end_ns : f->loop.now_ns;
            return;
        }
        f->loop.now_ns = at_ns > f->loop.now_ns ? at_ns : f->loop.now_ns;
        if (io != NULL) {
            f->fds[io->fd].ready_ns = 0;
            io->on_ready(io, IO_WRITE);
        } else {
            timer_set(t, 0);
            timer_fired(t);
        }
        loop_run_tasks(&f->loop);
    }
}

void fake_loop_stall(struct fake_loop *f, int64_t ns)
{
    f->loop.now_ns += ns;
}
