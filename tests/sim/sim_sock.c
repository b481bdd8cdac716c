#include "sim_impl.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Sockets of one process that reach each other by address. A connection is two sockets; each has
 * the queue of what is on its way to it. */

#define FIRST_FD 3

static struct sim *sim_of(struct loop *l)
{
    return sim_loop_of(l)->sim;
}

static struct sock *find(struct sim *sim, int fd)
{
    struct sock *s = fd >= 0 && fd < SIM_SOCKETS ? sim->socks[fd] : NULL;
    if (s == NULL)
        sim_die("a closed descriptor is used", fd);
    return s;
}

/* The lowest free number, as kernels give: stale ones are found out. */
static struct sock *open_sock(struct sim *sim)
{
    int fd = FIRST_FD;
    while (fd < SIM_SOCKETS && sim->socks[fd] != NULL)
        fd++;
    if (fd == SIM_SOCKETS)
        return NULL;
    struct sock *s = calloc(1, sizeof *s);
    assert(s != NULL);
    s->fd = fd;
    sim->socks[fd] = s;
    sim->open++;
    sim->top = fd < sim->top ? sim->top : fd + 1;
    return s;
}

static void drop_segments(struct sock *s)
{
    while (s->first != NULL) {
        struct segment *gone = s->first;
        s->first = gone->next;
        free(gone);
    }
    s->last = NULL;
    s->coming = 0;
}

static void free_sock(struct sim *sim, struct sock *s)
{
    drop_segments(s);
    sim->socks[s->fd] = NULL;
    sim->open--;
    free(s);
}

static int64_t delay(struct sim *sim, int64_t most_ns)
{
    return most_ns > 0 ? (int64_t)rng_below(&sim->rng, (uint64_t)most_ns + 1) : 0;
}

static struct segment *send_segment(struct sim *sim, struct sock *to, size_t n)
{
    struct segment *g = calloc(1, sizeof *g + n);
    assert(g != NULL);
    g->at_ns = sim->now_ns + delay(sim, sim->faults.delay_most_ns);
    if (g->at_ns < to->last_at_ns)
        g->at_ns = to->last_at_ns;
    to->last_at_ns = g->at_ns;
    g->n = n;
    to->coming += n;
    if (to->last != NULL)
        to->last->next = g;
    else
        to->first = g;
    to->last = g;
    return g;
}

static void send_fin(struct sim *sim, struct sock *to)
{
    send_segment(sim, to, 0)->fin = true;
}

static void send_reset(struct sim *sim, struct sock *to)
{
    send_segment(sim, to, 0)->reset = true;
}

/* The first segment, where it has arrived. */
static struct segment *arrived(const struct sim *sim, const struct sock *s)
{
    return s->first != NULL && s->first->at_ns <= sim->now_ns ? s->first : NULL;
}

static void take_segment(struct sock *s)
{
    struct segment *gone = s->first;
    s->first = gone->next;
    if (s->first == NULL)
        s->last = NULL;
    free(gone);
}

static size_t send_room(const struct sim *sim, const struct sock *s)
{
    if (s->peer == NULL)
        return sim->faults.buffer;
    return s->peer->coming < sim->faults.buffer ? sim->faults.buffer - s->peer->coming : 0;
}

static bool reset_arrived(const struct sim *sim, const struct sock *s)
{
    for (struct segment *g = s->first; g != NULL && g->at_ns <= sim->now_ns; g = g->next)
        if (g->reset)
            return true;
    return false;
}

unsigned sim_ready(struct sim *sim, const struct io *io)
{
    struct sock *s = find(sim, io->fd);
    unsigned ready = 0;
    switch (s->kind) {
    case SOCK_FRESH:
        break;
    case SOCK_LISTENING:
        if (s->waiting != NULL && s->waiting->ready_ns <= sim->now_ns)
            ready = IO_READ;
        break;
    case SOCK_CONNECTING:
        if (s->ready_ns != 0 && s->ready_ns <= sim->now_ns)
            ready = IO_WRITE | (s->error != 0 ? IO_READ : 0);
        break;
    case SOCK_STREAM_:
        ready = (arrived(sim, s) != NULL || s->fin_seen ? IO_READ : 0) |
                (send_room(sim, s) > 0 ? IO_WRITE : 0);
        if (reset_arrived(sim, s))
            ready = IO_READ | IO_WRITE;
        break;
    case SOCK_BROKEN:
        ready = IO_READ | IO_WRITE;
        break;
    }
    return ready & io->events;
}

void sim_watch(struct sim *sim, struct io *io, unsigned events)
{
    struct sock *s = find(sim, io->fd);
    if (s->io != NULL && s->io != io)
        sim_die("a descriptor has two watchers", io->fd);
    s->io = events != 0 ? io : NULL;
}

int64_t sim_next_arrival(const struct sim *sim)
{
    int64_t next = INT64_MAX;
    for (int fd = FIRST_FD; fd < sim->top; fd++) {
        const struct sock *s = sim->socks[fd];
        if (s == NULL)
            continue;
        int64_t at_ns = s->first != NULL ? s->first->at_ns : 0;
        if (s->kind == SOCK_CONNECTING)
            at_ns = s->ready_ns;
        else if (s->kind == SOCK_LISTENING && s->waiting != NULL)
            at_ns = s->waiting->ready_ns;
        if (at_ns > sim->now_ns && at_ns < next)
            next = at_ns;
    }
    return next;
}

/* ---- the table ---- */

static int sim_sock_new(struct loop *l, int family)
{
    struct sim *sim = sim_of(l);
    (void)family;
    if (sim_chance(sim, sim->faults.no_descriptor)) {
        sim->counts.no_descriptors++;
        return -EMFILE;
    }
    struct sock *s = open_sock(sim);
    return s != NULL ? s->fd : -EMFILE;
}

static void set_port(struct sim *sim, struct addr *a)
{
    if (a->any.sa_family == AF_INET && a->v4.sin_port == 0)
        a->v4.sin_port = htons(sim->next_port++);
    else if (a->any.sa_family == AF_INET6 && a->v6.sin6_port == 0)
        a->v6.sin6_port = htons(sim->next_port++);
}

static bool same_place(const struct addr *listening, const struct addr *to)
{
    const uint8_t *ip;
    static const uint8_t any[16];
    size_t n = addr_bytes(listening, &ip);
    bool wildcard = n > 0 && memcmp(ip, any, n) == 0;
    return addr_eq(listening, to) || (wildcard && listening->any.sa_family == to->any.sa_family &&
                                      addr_port(listening) == addr_port(to));
}

static size_t count_listeners(struct sim *sim, const struct addr *at, struct sock **chosen)
{
    size_t n = 0;
    for (int fd = FIRST_FD; fd < sim->top; fd++) {
        struct sock *s = sim->socks[fd];
        if (s == NULL || s->kind != SOCK_LISTENING || !same_place(&s->local, at))
            continue;
        if (chosen != NULL && rng_below(&sim->rng, ++n) == 0)
            *chosen = s;
        else if (chosen == NULL)
            n++;
    }
    return n;
}

static int sim_sock_listen(struct loop *l, const struct addr *at, bool reuse_port)
{
    struct sim *sim = sim_of(l);
    if (!reuse_port && count_listeners(sim, at, NULL) > 0)
        return -EADDRINUSE;
    struct sock *s = open_sock(sim);
    if (s == NULL)
        return -EMFILE;
    s->kind = SOCK_LISTENING;
    s->local = *at;
    set_port(sim, &s->local);
    return s->fd;
}

/* The other end, waiting at the listener. */
static void join(struct sim *sim, struct sock *s, struct sock *listener)
{
    struct sock *other = open_sock(sim);
    if (other == NULL || listener->waiting_count == SIM_BACKLOG) {
        if (other != NULL)
            free_sock(sim, other);
        s->error = -ECONNREFUSED;
        return;
    }
    other->kind = SOCK_STREAM_;
    other->local = s->peer_addr;
    other->peer_addr = s->local;
    other->peer = s;
    other->ready_ns = s->ready_ns + delay(sim, sim->faults.accept_delay_most_ns);
    s->peer = other;
    if (listener->waiting == NULL)
        listener->waiting = other;
    else
        listener->last_waiting->next = other;
    listener->last_waiting = other;
    listener->waiting_count++;
}

static void sim_sock_quick_ack(struct loop *l, int fd, bool on)
{
    (void)l, (void)fd, (void)on;
}

static int sim_sock_connect(struct loop *l, int fd, const struct addr *to)
{
    struct sim *sim = sim_of(l);
    struct sock *s = find(sim, fd), *listener = NULL;
    count_listeners(sim, to, &listener);
    s->kind = SOCK_CONNECTING;
    s->peer_addr = *to;
    enum err e = addr_parse(to->any.sa_family == AF_INET6 ? SPAN("[::1]:0") : SPAN("127.0.0.1:0"),
                            &s->local);
    assert(e == ERR_OK);
    set_port(sim, &s->local);
    s->ready_ns = sim->now_ns + 1 + delay(sim, sim->faults.delay_most_ns);
    sim->counts.connects++;
    sim_note(sim, 3, (uint64_t)fd);
    if (sim_chance(sim, sim->faults.black_hole)) {
        sim->counts.black_holes++;
        s->ready_ns = 0;
    } else if (listener == NULL || sim_chance(sim, sim->faults.refuse)) {
        sim->counts.refused++;
        s->error = -ECONNREFUSED;
    } else {
        join(sim, s, listener);
    }
    return -EINPROGRESS;
}

static int sim_sock_error(struct loop *l, int fd)
{
    struct sock *s = find(sim_of(l), fd);
    int error = s->error;
    s->error = 0;
    if (s->kind == SOCK_CONNECTING)
        s->kind = error == 0 ? SOCK_STREAM_ : SOCK_BROKEN;
    return error;
}

/* The kernel said ready, and is not: nothing is lost, it will say so again. */
static bool not_now(struct sim *sim)
{
    if (!sim_chance(sim, sim->faults.again))
        return false;
    sim->counts.agains++;
    return true;
}

static int sim_sock_accept(struct loop *l, int fd, struct addr *peer)
{
    struct sim *sim = sim_of(l);
    struct sock *s = find(sim, fd);
    if (s->waiting == NULL || s->waiting->ready_ns > sim->now_ns)
        return -EAGAIN;
    if (sim_chance(sim, sim->faults.no_descriptor)) {
        sim->counts.no_descriptors++;
        return -EMFILE;
    }
    if (not_now(sim))
        return -EAGAIN;
    struct sock *got = s->waiting;
    s->waiting = got->next;
    s->waiting_count--;
    *peer = got->peer_addr;
    sim->counts.accepts++;
    sim_note(sim, 4, (uint64_t)got->fd);
    return got->fd;
}

static int sim_sock_local(struct loop *l, int fd, struct addr *out)
{
    *out = find(sim_of(l), fd)->local;
    return 0;
}

/* The connection breaks: here at once, at the other end when the news arrives. */
static int break_here(struct sim *sim, struct sock *s)
{
    sim->counts.resets++;
    sim_note(sim, 5, (uint64_t)s->fd);
    if (s->peer != NULL) {
        send_reset(sim, s->peer);
        s->peer->peer = NULL;
        s->peer = NULL;
    }
    s->kind = SOCK_BROKEN;
    drop_segments(s);
    return -ECONNRESET;
}

/* A reset that has arrived: what came before it can still be read. */
static int reset_here(struct sock *s)
{
    s->kind = SOCK_BROKEN;
    if (s->peer != NULL)
        s->peer->peer = NULL;
    s->peer = NULL;
    drop_segments(s);
    return -ECONNRESET;
}

static size_t shortened(struct sim *sim, size_t n, unsigned chance, uint64_t *count)
{
    if (n < 2 || !sim_chance(sim, chance))
        return n;
    ++*count;
    return sim->faults.bytewise ? 1 : 1 + (size_t)rng_below(&sim->rng, n - 1);
}

static size_t available(const struct sim *sim, const struct sock *s)
{
    size_t n = 0;
    for (struct segment *g = s->first; g != NULL && g->at_ns <= sim->now_ns; g = g->next) {
        n += g->n - g->taken;
        if (g->fin || g->reset)
            break;
    }
    return n;
}

static void copy_out(struct sock *s, char *into, size_t n)
{
    s->coming -= n;
    while (n > 0) {
        struct segment *g = s->first;
        size_t here = g->n - g->taken < n ? g->n - g->taken : n;
        memcpy(into, g->bytes + g->taken, here);
        g->taken += here;
        into += here;
        n -= here;
        if (g->taken == g->n)
            take_segment(s);
    }
}

static ssize_t sim_sock_recv(struct loop *l, int fd, void *into, size_t n)
{
    struct sim *sim = sim_of(l);
    struct sock *s = find(sim, fd);
    if (s->kind == SOCK_BROKEN)
        return 0;
    if (s->kind != SOCK_STREAM_)
        return -ENOTCONN;
    if (sim_chance(sim, sim->faults.reset))
        return break_here(sim, s);
    if (not_now(sim))
        return -EAGAIN;
    size_t have = available(sim, s);
    struct segment *g = arrived(sim, s);
    if (have == 0 && g != NULL && g->reset)
        return reset_here(s);
    if (have == 0 && g != NULL && g->fin) {
        s->fin_seen = true;
        take_segment(s);
    }
    if (have == 0)
        return s->fin_seen ? 0 : -EAGAIN;
    n = shortened(sim, have < n ? have : n, sim->faults.short_read, &sim->counts.short_reads);
    copy_out(s, into, n);
    sim->counts.bytes += n;
    sim_note(sim, 6, (uint64_t)fd << 32 | n);
    return (ssize_t)n;
}

static size_t copy_in(struct segment *g, const struct iovec *iov, int count)
{
    size_t done = 0;
    for (int i = 0; i < count && done < g->n; i++) {
        size_t here = iov[i].iov_len < g->n - done ? iov[i].iov_len : g->n - done;
        if (here > 0)
            memcpy(g->bytes + done, iov[i].iov_base, here);
        done += here;
    }
    return done;
}

/* Nobody is there: the bytes are gone, and an answer that says so comes back. */
static void sent_to_nobody(struct sim *sim, struct sock *s)
{
    if (!s->reset_back)
        send_reset(sim, s);
    s->reset_back = true;
}

static ssize_t sim_sock_send(struct loop *l, int fd, const struct iovec *iov, int count)
{
    struct sim *sim = sim_of(l);
    struct sock *s = find(sim, fd);
    size_t n = 0, room = send_room(sim, s);
    for (int i = 0; i < count; i++)
        n += iov[i].iov_len;
    if (s->kind == SOCK_BROKEN || s->fin_sent || reset_arrived(sim, s))
        return -EPIPE;
    if (s->kind != SOCK_STREAM_)
        return -ENOTCONN;
    if (sim_chance(sim, sim->faults.reset))
        return break_here(sim, s);
    n = n < room ? n : room;
    if (n == 0 || not_now(sim))
        return -EAGAIN;
    n = shortened(sim, n, sim->faults.short_write, &sim->counts.short_writes);
    if (s->peer == NULL)
        sent_to_nobody(sim, s);
    else
        (void)copy_in(send_segment(sim, s->peer, n), iov, count);
    sim_note(sim, 7, (uint64_t)fd << 32 | n);
    return (ssize_t)n;
}

static int sim_sock_shutdown(struct loop *l, int fd)
{
    struct sim *sim = sim_of(l);
    struct sock *s = find(sim, fd);
    if (s->kind != SOCK_STREAM_)
        return -ENOTCONN;
    if (!s->fin_sent && s->peer != NULL)
        send_fin(sim, s->peer);
    s->fin_sent = true;
    return 0;
}

static void close_listener(struct sim *sim, struct sock *s)
{
    while (s->waiting != NULL) {
        struct sock *w = s->waiting;
        s->waiting = w->next;
        if (w->peer != NULL) {
            send_reset(sim, w->peer);
            w->peer->peer = NULL;
        }
        free_sock(sim, w);
    }
}

static void sim_sock_close(struct loop *l, int fd, bool reset)
{
    struct sim *sim = sim_of(l);
    struct sock *s = find(sim, fd);
    if (s->io != NULL)
        sim_die("a descriptor is closed while it is watched", fd);
    sim_note(sim, 8, (uint64_t)fd);
    if (s->kind == SOCK_LISTENING)
        close_listener(sim, s);
    if (s->peer != NULL) {
        /* As kernels do: bytes that were never read make the end a reset. */
        if (reset || available(sim, s) > 0 || s->kind == SOCK_CONNECTING)
            send_reset(sim, s->peer);
        else if (!s->fin_sent)
            send_fin(sim, s->peer);
        s->peer->peer = NULL;
    }
    free_sock(sim, s);
}

static bool sim_sock_heard(struct loop *l, int fd)
{
    (void)fd;
    return sim_chance(sim_of(l), 5000);
}

void sim_sock_ops(struct loop_ops *ops)
{
    ops->sock_new = sim_sock_new;
    ops->sock_listen = sim_sock_listen;
    ops->sock_quick_ack = sim_sock_quick_ack;
    ops->sock_connect = sim_sock_connect;
    ops->sock_error = sim_sock_error;
    ops->sock_accept = sim_sock_accept;
    ops->sock_local = sim_sock_local;
    ops->sock_recv = sim_sock_recv;
    ops->sock_send = sim_sock_send;
    ops->sock_shutdown = sim_sock_shutdown;
    ops->sock_heard = sim_sock_heard;
    ops->sock_close = sim_sock_close;
}

void sim_sock_free_all(struct sim *sim)
{
    for (int fd = FIRST_FD; fd < sim->top; fd++)
        if (sim->socks[fd] != NULL)
            free_sock(sim, sim->socks[fd]);
}
