/* The loop of production: libev over epoll, the system's clocks and sockets. */
#include "base/mem.h"
#include "net/loop.h"
#include "net/sock.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>

enum { CLOSING_MOST = 1024 };

/* Time for closing in a turn. */
#define CLOSING_NS (200 * NS_PER_US)

/* Sockets to be closed in turns to come. Closing costs the kernel up to 50 us where much is queued,
 * so a client that is cut off with a hundred streams, each with a connection behind it, would hold
 * up everybody else. Where it costs little, as after an exchange, none waits: what is closed late
 * has left the processor's caches. */
struct closing {
    struct closed {
        int fd;
        bool reset;
    } queue[CLOSING_MOST];
    unsigned first, count;
    int64_t took_ns; /* in this turn */
};

struct loop_ev {
    struct loop base;
    struct ev_loop *ev;
    struct ev_prepare before_wait;
    struct ev_check after_wait;
    struct ev_idle more; /* active while work is left for the next turn: no waiting then */
    struct closing closing;
};

static_assert(sizeof(struct ev_io) <= sizeof(((struct io *)0)->impl), "ev_io fits");
static_assert(sizeof(struct ev_timer) <= sizeof(((struct timer *)0)->impl), "ev_timer fits");
static_assert(sizeof(struct ev_async) <= sizeof(((struct wake *)0)->impl), "ev_async fits");

static struct loop_ev *own(struct loop *l)
{
    return container_of(l, struct loop_ev, base);
}

static void io_ready(struct ev_loop *ev, struct ev_io *w, int events)
{
    struct io *io = container_of(w, struct io, impl);
    unsigned ready =
        ((events & EV_READ) != 0 ? IO_READ : 0) | ((events & EV_WRITE) != 0 ? IO_WRITE : 0);
    (void)ev;
    io->on_ready(io, ready);
}

/* ev_io_modify keeps the descriptor's registration, ev_io_set would renew it: none of these calls
 * reaches the kernel before the next wait, and none does where the sum is no change. */
static void io_set(struct io *io, unsigned events)
{
    struct ev_loop *ev = own(io->loop)->ev;
    struct ev_io *w = (struct ev_io *)(void *)&io->impl;
    int asked = ((events & IO_READ) != 0 ? EV_READ : 0) | ((events & IO_WRITE) != 0 ? EV_WRITE : 0);
    if (w->cb == NULL)
        ev_io_init(w, io_ready, io->fd, asked);
    else
        ev_io_stop(ev, w);
    if (asked == 0)
        return;
    ev_io_modify(w, asked);
    ev_io_start(ev, w);
}

static void timer_due(struct ev_loop *ev, struct ev_timer *w, int events)
{
    (void)ev, (void)events;
    timer_fired(container_of(w, struct timer, impl));
}

static void timer_set(struct timer *t, int64_t at_ns)
{
    struct ev_loop *ev = own(t->loop)->ev;
    struct ev_timer *w = (struct ev_timer *)(void *)&t->impl;
    if (w->cb == NULL)
        ev_init(w, timer_due);
    else
        ev_timer_stop(ev, w);
    if (at_ns == 0)
        return;
    int64_t wait_ns = at_ns > t->loop->now_ns ? at_ns - t->loop->now_ns : 0;
    ev_timer_set(w, (double)wait_ns / (double)NS_PER_S, 0.0);
    ev_timer_start(ev, w);
}

static void woken(struct ev_loop *ev, struct ev_async *w, int events)
{
    struct wake *wake = container_of(w, struct wake, impl);
    (void)ev, (void)events;
    wake->on_wake(wake);
}

static enum err wake_start(struct wake *w)
{
    struct ev_async *a = (struct ev_async *)(void *)&w->impl;
    ev_async_init(a, woken);
    ev_async_start(own(w->loop)->ev, a);
    return ERR_OK;
}

static void wake_stop(struct wake *w)
{
    ev_async_stop(own(w->loop)->ev, (struct ev_async *)(void *)&w->impl);
}

static void wake_send(struct wake *w)
{
    ev_async_send(own(w->loop)->ev, (struct ev_async *)(void *)&w->impl);
}

static void next_phase(struct loop *l)
{
    uint64_t phase = atomic_load_explicit(&l->phase, memory_order_relaxed);
    atomic_store_explicit(&l->phase, phase + 1, memory_order_relaxed);
}

static void count_sockets(struct loop *l, uint32_t more)
{
    uint32_t n = atomic_load_explicit(&l->sockets, memory_order_relaxed);
    atomic_store_explicit(&l->sockets, n + more, memory_order_relaxed);
}

static void close_now(struct loop_ev *l, int fd, bool reset)
{
    int64_t begun_ns = clock_mono_ns();
    count_sockets(&l->base, (uint32_t)-1);
    sock_close(fd, reset);
    l->closing.took_ns += clock_mono_ns() - begun_ns;
}

/* Closes those that wait, the oldest first, while closing has taken less than this in the turn. */
static void close_waiting(struct loop_ev *l, int64_t most_ns)
{
    struct closing *c = &l->closing;
    while (c->count > 0 && c->took_ns < most_ns) {
        struct closed *next = &c->queue[c->first];
        c->first = (c->first + 1) % CLOSING_MOST;
        c->count--;
        close_now(l, next->fd, next->reset);
    }
}

static void ev_sock_close(struct loop *base, int fd, bool reset)
{
    struct loop_ev *l = own(base);
    struct closing *c = &l->closing;
    if (c->took_ns < CLOSING_NS || c->count == CLOSING_MOST) {
        close_now(l, fd, reset);
        return;
    }
    c->queue[(c->first + c->count) % CLOSING_MOST] = (struct closed){.fd = fd, .reset = reset};
    c->count++;
}

/* The turn ends here: all that was put off is done before the loop waits. */
static void before_wait(struct ev_loop *ev, struct ev_prepare *w, int events)
{
    struct loop_ev *l = container_of(w, struct loop_ev, before_wait);
    (void)events;
    loop_run_tasks(&l->base);
    l->closing.took_ns = 0; /* what waits has a time of its own */
    close_waiting(l, CLOSING_NS);
    l->closing.took_ns = 0;
    if (!loop_has_tasks(&l->base) && l->closing.count == 0)
        ev_idle_stop(ev, &l->more);
    else
        ev_idle_start(ev, &l->more);
    next_phase(&l->base);
    loop_turn_ended(&l->base, clock_mono_ns() - l->base.turn_start_ns);
}

static void after_wait(struct ev_loop *ev, struct ev_check *w, int events)
{
    struct loop_ev *l = container_of(w, struct loop_ev, after_wait);
    (void)events;
    l->base.now_ns = clock_mono_ns();
    l->base.turn_start_ns = l->base.now_ns;
    l->base.turn_events = ev_pending_count(ev);
    l->base.turns++;
    next_phase(&l->base);
}

static void idle(struct ev_loop *ev, struct ev_idle *w, int events)
{
    (void)ev, (void)w, (void)events;
}

static void run(struct loop *l)
{
    ev_now_update(own(l)->ev);
    l->now_ns = clock_mono_ns();
    l->turn_start_ns = l->now_ns;
    next_phase(l); /* the first wait ends a turn */
    ev_run(own(l)->ev, 0);
}

static void stop(struct loop *l)
{
    ev_break(own(l)->ev, EVBREAK_ALL);
}

static void destroy(struct loop *l)
{
    struct loop_ev *e = own(l);
    close_waiting(e, INT64_MAX);
    ev_loop_destroy(e->ev);
    mem_free(e);
}

static int64_t wall_ns(struct loop *l)
{
    (void)l;
    return clock_wall_ns();
}

static bool turn_spent(struct loop *l)
{
    return clock_mono_ns() - l->turn_start_ns >= LOOP_TURN_MOST_NS;
}

/* Descriptors are given out from the lowest free one on. Near the bound it is looked at first, so
 * that no connection is taken only to be closed: it waits in the queue. */
static bool may_take(struct loop *l)
{
    enum { NEAR = 32 };
    if (l->descriptors_most == 0 || l->descriptor_last < l->descriptors_most - NEAR)
        return true;
    close_waiting(own(l), INT64_MAX);
    int next = sock_new(AF_UNIX);
    if (next >= 0)
        sock_close(next, false);
    return next >= 0 && next < l->descriptors_most;
}

/* A socket that was had: counted. */
static int had(struct loop *l, int fd)
{
    if (fd < 0)
        return fd;
    l->descriptor_last = fd;
    count_sockets(l, 1);
    return fd;
}

static int ev_sock_new(struct loop *l, int family)
{
    return may_take(l) ? had(l, sock_new(family)) : -EMFILE;
}

static int ev_sock_listen(struct loop *l, const struct addr *at, bool reuse_port)
{
    (void)l;
    return sock_listen(at, reuse_port);
}

static void ev_sock_quick_ack(struct loop *l, int fd, bool on)
{
    (void)l;
    sock_quick_ack(fd, on);
}

static int ev_sock_connect(struct loop *l, int fd, const struct addr *to)
{
    (void)l;
    return sock_connect(fd, to);
}

static int ev_sock_error(struct loop *l, int fd)
{
    (void)l;
    return sock_error(fd);
}

static int ev_sock_accept(struct loop *l, int fd, struct addr *peer)
{
    return may_take(l) ? had(l, sock_accept(fd, peer)) : -EMFILE;
}

static int ev_sock_local(struct loop *l, int fd, struct addr *out)
{
    (void)l;
    return sock_local(fd, out);
}

static ssize_t ev_sock_recv(struct loop *l, int fd, void *into, size_t n)
{
    (void)l;
    return sock_recv(fd, into, n);
}

static ssize_t ev_sock_send(struct loop *l, int fd, const struct iovec *iov, int count)
{
    (void)l;
    return sock_send(fd, iov, count);
}

static int ev_sock_shutdown(struct loop *l, int fd)
{
    (void)l;
    return sock_shutdown(fd);
}

static bool ev_sock_heard(struct loop *l, int fd)
{
    (void)l;
    return sock_heard(fd);
}

static const struct loop_ops ops = {
    .io_set = io_set,
    .timer_set = timer_set,
    .wake_start = wake_start,
    .wake_stop = wake_stop,
    .wake_send = wake_send,
    .run = run,
    .stop = stop,
    .destroy = destroy,
    .wall_ns = wall_ns,
    .turn_spent = turn_spent,
    .sock_new = ev_sock_new,
    .sock_listen = ev_sock_listen,
    .sock_quick_ack = ev_sock_quick_ack,
    .sock_connect = ev_sock_connect,
    .sock_error = ev_sock_error,
    .sock_accept = ev_sock_accept,
    .sock_local = ev_sock_local,
    .sock_recv = ev_sock_recv,
    .sock_send = ev_sock_send,
    .sock_shutdown = ev_sock_shutdown,
    .sock_heard = ev_sock_heard,
    .sock_close = ev_sock_close,
};

static void start_hooks(struct loop_ev *l)
{
    ev_prepare_init(&l->before_wait, before_wait);
    ev_prepare_start(l->ev, &l->before_wait);
    /* Before every other callback of the turn, so that they see the new time. */
    ev_check_init(&l->after_wait, after_wait);
    ev_set_priority(&l->after_wait, EV_MAXPRI);
    ev_check_start(l->ev, &l->after_wait);
    ev_idle_init(&l->more, idle);
}

enum err loop_ev_new(struct loop **out)
{
    struct loop_ev *l = mem_alloc(sizeof *l);
    if (l == NULL)
        return ERR_NO_MEMORY;
    /* NOENV: no environment variable chooses the backend. */
    l->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (l->ev == NULL) {
        mem_free(l);
        return ERR_NO_DESCRIPTOR;
    }
    l->base.ops = &ops;
    l->base.now_ns = clock_mono_ns();
    loop_init_tasks(&l->base);
    start_hooks(l);
    *out = &l->base;
    return ERR_OK;
}
