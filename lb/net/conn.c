#include "net/conn.h"

#include "base/limits.h"
#include "base/mem.h"
#include "net/conn_impl.h"

#include <errno.h>

/* The life of a connection: begin, interest, end. */

enum err conn_env_init(struct conn_env *env, struct loop *loop)
{
    memset(env, 0, sizeof *env);
    env->loop = loop;
    env->in_size = LIMIT_READ;
    env->clear_size = KIB(64);
    env->in = mem_alloc(env->in_size + GATHER);
    env->clear = mem_alloc(env->clear_size);
    list_init(&env->dirty);
    list_init(&env->resume);
    list_init(&env->dead);
    list_init(&env->lingering);
    rota_init(&env->yielding);
    rota_init(&env->shaking);
    timer_init(&env->next, loop, conn_next_turn);
    task_init(&env->turn_end, conn_turn_end);
    if (env->in != NULL && env->clear != NULL && buf_store_new(&env->store) == ERR_OK &&
        reserve_fill(&env->reserve))
        return ERR_OK;
    conn_env_fini(env);
    return ERR_NO_MEMORY;
}

void conn_release(struct conn *c)
{
    chain_clear(&c->out, c->env->store);
    buf_store_give(c->env->store, &c->held);
    tls_free(&c->tls);
    mem_free(c->local);
    mem_free(c);
}

void conn_env_fini(struct conn_env *env)
{
    list_each (e, &env->lingering)
        conn_bury_short(container_of(e, struct conn, place));
    conn_release_dead(env);
    task_cancel(&env->turn_end);
    timer_stop(&env->next);
    buf_store_free(&env->store);
    small_store_fini(&env->small);
    reserve_fini(&env->reserve);
    mem_free(env->in);
    mem_free(env->clear);
    env->in = env->clear = NULL;
}

void conn_set_interest(struct conn *c)
{
    unsigned events = 0;
    switch (c->state) {
    case CONN_CONNECTING:
        events = c->broken == ERR_OK ? IO_WRITE : 0;
        break;
    case CONN_HANDSHAKE:
    case CONN_OPEN:
    case CONN_LINGER:
        events = ((c->eof && !c->tail) || c->parked ? 0 : IO_READ) | (c->blocked ? IO_WRITE : 0);
        break;
    case CONN_FAILED:
    case CONN_DEAD:
        break;
    }
    io_want(&c->io, events);
}

enum err conn_errno(const struct conn *c, ssize_t result)
{
    if (result == -ENOMEM || result == -ENOBUFS)
        return ERR_NO_MEMORY;
    if (!c->outgoing)
        return ERR_CLIENT_ABORT;
    if (c->state != CONN_CONNECTING)
        return ERR_BACKEND_RESET;
    switch (-result) {
    case ECONNREFUSED:
        return ERR_BACKEND_REFUSED;
    case EAGAIN: /* a unix socket whose queue is full; elsewhere this side lacks something (B2) */
        return c->by_path ? ERR_BACKEND_REFUSED : ERR_NO_PORT;
    case ETIMEDOUT:
        return ERR_BACKEND_CONNECT_TIMEOUT;
    case ECONNRESET:
        return ERR_BACKEND_RESET;
    case EADDRNOTAVAIL:
        return ERR_NO_PORT;
    default:
        return ERR_BACKEND_UNREACHABLE;
    }
}

void conn_fail(struct conn *c, enum err why)
{
    if (c->state == CONN_LINGER)
        conn_bury(c, false);
    if (!conn_alive(c))
        return;
    c->state = CONN_FAILED;
    c->broken = why;
    list_remove(&c->dirty);
    list_remove(&c->resume);
    conn_set_interest(c);
    c->events->on_fail(c->user, c, why);
}

static void on_connected(struct conn *c)
{
    struct loop *l = c->env->loop;
    int e = l->ops->sock_error(l, c->io.fd);
    if (e < 0) {
        conn_fail(c, conn_errno(c, e));
        return;
    }
    c->env->connected++;
    c->connect_ns = loop_now_ns(l) - c->connect_ns;
    if (c->tls != NULL) {
        c->state = CONN_HANDSHAKE;
        conn_handshake(c);
    } else {
        c->state = CONN_OPEN;
        c->events->on_open(c->user, c);
    }
    if (conn_alive(c))
        conn_mark_dirty(c);
}

void conn_end_event(struct conn *c)
{
    struct conn_env *env = c->env;
    if (!c->got) { /* else when it has been looked at */
        conn_book(c);
        conn_set_interest(c);
    }
    env->in_event = false;
    conn_event_end(env);
}

static void on_ready(struct io *io, unsigned events)
{
    struct conn *c = container_of(io, struct conn, io);
    struct conn_env *env = c->env;
    if (c->state == CONN_HANDSHAKE && (env->got_count > 0 || !list_empty(&env->dirty)))
        conn_end_batch(env); /* nobody waits for what takes long */
    if (c->state == CONN_DEAD)
        return; /* settled */
    env->in_event = true;
    if ((events & IO_WRITE) != 0) {
        c->blocked = false;
        if (c->state == CONN_CONNECTING)
            on_connected(c);
        else
            conn_mark_dirty(c);
    }
    if ((events & IO_READ) != 0 && !conn_puts_off(c))
        conn_on_readable(c);
    conn_end_event(c);
}

static void on_time(struct timer *t)
{
    struct conn *c = container_of(t, struct conn, time);
    if (c->state == CONN_LINGER)
        conn_bury_short(c);
    else if (conn_alive(c))
        c->events->on_time(c->user, c);
}

static struct conn *conn_new(struct conn_env *env, int fd, const struct conn_events *events,
                             void *user)
{
    struct conn *c = reserve_alloc(&env->reserve, sizeof *c);
    if (c == NULL)
        return NULL;
    c->env = env;
    c->events = events;
    c->user = user;
    c->hold_limit = KIB(64);
    c->read_most = (uint32_t)env->in_size;
    c->want = true;
    conn_set_party(c, (unsigned)fd);
    list_init(&c->dirty);
    list_init(&c->resume);
    list_init(&c->place);
    io_init(&c->io, env->loop, fd, on_ready);
    timer_init(&c->time, env->loop, on_time);
    return c;
}

static struct tls_home home_of(struct conn *c)
{
    return (struct tls_home){
        .loop = c->env->loop, .store = c->env->store, .reserve = &c->env->reserve, .out = &c->out};
}

enum err conn_accept(struct conn_env *env, int fd, const struct addr *peer, struct tls_server *tls,
                     const struct conn_events *events, void *user, struct conn **out)
{
    enum err e = ERR_NO_MEMORY;
    struct conn *c = conn_new(env, fd, events, user);
    if (c != NULL) {
        struct tls_home home = home_of(c);
        c->peer_port = addr_port(peer);
        c->state = tls != NULL ? CONN_HANDSHAKE : CONN_OPEN;
        e = tls != NULL ? tls_accept(&home, tls, &c->tls) : ERR_OK;
    }
    if (e != ERR_OK) {
        mem_free(c);
        env->loop->ops->sock_close(env->loop, fd, false);
        return e;
    }
    env->open++;
    env->accepted++;
    conn_set_interest(c);
    *out = c;
    return ERR_OK;
}

enum err conn_begin_tls(struct conn *c, struct tls_server *tls)
{
    struct tls_home home = home_of(c);
    enum err e = tls_accept(&home, tls, &c->tls);
    if (e == ERR_OK)
        c->state = CONN_HANDSHAKE;
    return e;
}

/* What went wrong is told later, unless it is this process that lacks something. */
static enum err start_connecting(struct conn *c, const struct addr *to)
{
    struct loop *l = c->env->loop;
    c->connect_ns = loop_now_ns(l);
    int r = l->ops->sock_connect(l, c->io.fd, to);
    enum err e = r < 0 && r != -EINPROGRESS ? conn_errno(c, r) : ERR_OK;
    if (e == ERR_NO_MEMORY || e == ERR_NO_PORT)
        return e;
    c->broken = e;
    if (e != ERR_OK)
        conn_settle_later(c);
    conn_set_interest(c);
    return ERR_OK;
}

enum err conn_connect(struct conn_env *env, const struct conn_target *to,
                      const struct conn_events *events, void *user, struct conn **out)
{
    struct loop *l = env->loop;
    int fd = l->ops->sock_new(l, to->addr->any.sa_family);
    if (fd < 0)
        return err_from_errno(-fd);
    enum err e = ERR_NO_MEMORY;
    struct conn *c = conn_new(env, fd, events, user);
    if (c != NULL) {
        struct tls_home home = home_of(c);
        c->outgoing = true;
        c->peer_port = addr_port(to->addr);
        c->by_path = to->addr->any.sa_family == AF_UNIX;
        if (to->glance && !c->by_path)
            l->ops->sock_quick_ack(l, fd, false);
        e = to->tls != NULL ? tls_connect(&home, to, &c->tls) : ERR_OK;
        if (e == ERR_OK && !conn_put(c, to->prelude))
            e = ERR_NO_MEMORY;
    }
    if (e == ERR_OK)
        e = start_connecting(c, to->addr);
    if (e != ERR_OK) {
        if (c != NULL)
            conn_release(c);
        l->ops->sock_close(l, fd, false);
        return e;
    }
    env->open++;
    *out = c;
    return ERR_OK;
}

void conn_bury(struct conn *c, bool reset)
{
    struct conn_env *env = c->env;
    if (c->state == CONN_LINGER) {
        env->lingering_count--;
        env->lingering_bytes -= c->lingers_with;
    }
    c->state = CONN_DEAD;
    conn_set_interest(c);
    timer_stop(&c->time);
    list_remove(&c->dirty);
    list_remove(&c->resume);
    list_remove(&c->place);
    env->loop->ops->sock_close(env->loop, c->io.fd, reset);
    env->open--;
    list_append(&env->dead, &c->place);
    task_post_last(env->loop, &env->turn_end);
}

void conn_bury_short(struct conn *c)
{
    conn_bury(c, conn_pending(c) > 0);
}

/* Whether anything can still be said to the peer. */
static bool can_linger(const struct conn *c)
{
    if (c->mute || c->broken == ERR_BACKEND_RESET || c->broken == ERR_CLIENT_ABORT)
        return false;
    return c->state == CONN_OPEN || c->state == CONN_HANDSHAKE ||
           (c->state == CONN_FAILED && c->tls != NULL);
}

/* A place among those that linger; one that has more to leave than all may have is let in alone. */
static void take_place(struct conn *c)
{
    struct conn_env *env = c->env;
    c->lingers_with = (uint32_t)conn_pending(c);
    while (env->lingering_count >= LIMIT_LINGERING ||
           (env->lingering_count > 0 &&
            env->lingering_bytes + c->lingers_with > LIMIT_LINGERING_BYTES))
        conn_bury_short(container_of(env->lingering.next, struct conn, place));
    list_remove(&c->place);
    list_append(&env->lingering, &c->place);
    env->lingering_count++;
    env->lingering_bytes += c->lingers_with;
}

static void linger(struct conn *c)
{
    struct conn_env *env = c->env;
    int64_t most_ms = LIMIT_SEND_MS + (int64_t)(conn_pending(c) * 1000 / LIMIT_RESPONSE_RATE);
    take_place(c);
    if (c->state != CONN_OPEN && c->tls != NULL)
        tls_drop(c->tls);
    c->state = CONN_LINGER;
    c->parked = false;
    c->room_due = c->redeliver = false;
    c->linger_end_ns =
        loop_now_ns(env->loop) + (c->cut ? LIMIT_LINGER_CUT_MS : most_ms) * NS_PER_MS;
    timer_rest(&c->time); /* the owner's; the flush aims it anew */
    list_remove(&c->resume);
    conn_shutdown(c);
    conn_mark_dirty(c); /* said before or not: the flush sees to the time that it has */
}

void conn_close(struct conn **c, enum conn_end how)
{
    struct conn *closed = *c;
    *c = NULL;
    conn_set_budget(closed, NULL);
    bool flush = how == CONN_END_FLUSH || how == CONN_END_LAST || how == CONN_END_CUT;
    if (!flush || !can_linger(closed)) {
        conn_bury(closed, how == CONN_END_RESET);
        return;
    }
    closed->said_all = how == CONN_END_LAST;
    closed->cut = how == CONN_END_CUT;
    linger(closed);
}

void conn_set_events(struct conn *c, const struct conn_events *events, void *user)
{
    c->events = events;
    c->user = user;
    if (c->want && (conn_has_unread(c) || (c->eof && !c->eof_told))) {
        c->redeliver = true;
        conn_settle_later(c);
    }
}

void conn_aim(struct conn *c, int64_t at_ns)
{
    timer_aim(&c->time, at_ns);
}

void conn_rest(struct conn *c)
{
    timer_rest(&c->time);
}

void conn_set_hold_limit(struct conn *c, size_t bytes)
{
    c->hold_limit = (uint32_t)bytes;
}

void conn_set_read_most(struct conn *c, size_t bytes)
{
    c->read_most = (uint32_t)(bytes < c->env->in_size ? bytes : c->env->in_size);
}

void conn_acknowledge(struct conn *c)
{
    struct loop *l = c->env->loop;
    bool more = c->got || (c->tls != NULL && tls_has_rest(c->tls));
    if (!conn_alive(c) || more || c->acknowledged || c->peer_port == 0)
        return;
    c->acknowledged = true;
    l->ops->sock_quick_ack(l, c->io.fd, true);
}

bool conn_pressed(const struct conn *c)
{
    return c->env->pressed;
}

void conn_set_party(struct conn *c, unsigned party)
{
    c->group = (uint8_t)(party % ROTA_GROUPS);
}

uint16_t conn_peer_port(const struct conn *c)
{
    return c->peer_port;
}

const struct addr *conn_local(struct conn *c)
{
    static const struct addr unknown;
    struct loop *l = c->env->loop;
    if (c->local == NULL && c->state != CONN_DEAD) {
        c->local = mem_alloc(sizeof *c->local);
        if (c->local != NULL)
            (void)l->ops->sock_local(l, c->io.fd, c->local);
    }
    return c->local != NULL ? c->local : &unknown;
}

void conn_tls(const struct conn *c, struct conn_tls_info *out)
{
    memset(out, 0, sizeof *out);
    if (c->tls != NULL)
        tls_info(c->tls, out);
}

const char *conn_tls_failure(const struct conn *c)
{
    return c->tls != NULL ? tls_failure(c->tls) : NULL;
}

bool conn_spoke_text(const struct conn *c)
{
    return c->tls != NULL && tls_fed_text(c->tls);
}

int64_t conn_connect_ns(const struct conn *c)
{
    return c->connect_ns;
}

struct buf_store *conn_store(const struct conn *c)
{
    return c->env->store;
}

void conn_ignore(void *user, struct conn *c)
{
    (void)user;
    (void)c;
}

struct loop *conn_loop(const struct conn *c)
{
    return c->env->loop;
}

struct small_store *conn_small(const struct conn *c)
{
    return &c->env->small;
}

struct reserve *conn_reserve(const struct conn *c)
{
    return &c->env->reserve;
}
