#include "base/limits.h"
#include "net/conn_impl.h"

#include <errno.h>

/* Bytes from the socket to the reader: plain as they come, or through TLS; what the reader does not
 * take is kept in one run. */

/* Reads after a failed write, to find what the peer had said before: at most this many. */
#define LAST_READS 16
/* Receives of more bytes have no others wait in front of them. */
#define SMALL KIB(4)

/* Where the next receive goes. */
static char *place_of_next(const struct conn_env *env)
{
    return env->in + env->in_used;
}

static size_t held_bytes(const struct conn *c)
{
    return c->held != NULL ? c->held->n - c->held->at : 0;
}

/* How many bytes may be handed over now. */
static size_t room(const struct conn *c)
{
    size_t held = held_bytes(c);
    if (c->state != CONN_OPEN || !c->want || c->yields || c->eof || held >= c->hold_limit)
        return 0;
    size_t left = c->hold_limit - held;
    return left < c->read_most ? left : c->read_most;
}

/* Makes room behind what is held for n more bytes. */
static bool held_reserve(struct conn *c, size_t n)
{
    struct buf_store *store = c->env->store;
    struct chunk *old = c->held;
    size_t have = held_bytes(c);
    if (old != NULL && old->cap - old->n >= n)
        return true;
    if (old != NULL && old->cap - have >= n) {
        memmove(old->bytes, old->bytes + old->at, have);
        old->at = 0;
        old->n = have;
        return true;
    }
    struct chunk *more = buf_store_take_lent(store, &c->env->reserve, have + n);
    if (more == NULL)
        return false;
    if (have > 0)
        memcpy(more->bytes, old->bytes + old->at, have);
    more->n = have;
    c->held = more;
    buf_store_give(store, &old);
    return true;
}

static bool keep(struct conn *c, struct span bytes)
{
    if (bytes.n == 0)
        return true;
    if (!held_reserve(c, bytes.n)) {
        conn_fail(c, ERR_NO_MEMORY);
        return false;
    }
    memcpy(c->held->bytes + c->held->n, bytes.p, bytes.n);
    c->held->n += bytes.n;
    return true;
}

/* A reader that sets another one in its place has what it did not take given to that one. */
static size_t hand(struct conn *c, struct span bytes)
{
    const struct conn_events *reader;
    size_t taken = 0;
    do {
        reader = c->events;
        taken += reader->on_bytes(c->user, c, span_sub(bytes, taken, bytes.n));
    } while (c->state == CONN_OPEN && c->events != reader && taken < bytes.n);
    return taken;
}

static void use_fed(struct conn *c);

/* A plain connection that has become one with TLS: what was not taken is the handshake's. */
static bool begins_tls(struct conn *c, struct span rest)
{
    if (c->state != CONN_HANDSHAKE)
        return false;
    tls_feed(c->tls, rest);
    use_fed(c);
    return true;
}

/* The memory stays where it is even if the reader closes: that is why the end of the turn frees. */
static void hand_over_held(struct conn *c)
{
    if (c->held == NULL)
        return;
    size_t taken = hand(c, chunk_span(c->held));
    if (!conn_alive(c))
        return;
    c->held->at += taken;
    if (begins_tls(c, chunk_span(c->held)) || c->held->at == c->held->n)
        buf_store_give(c->env->store, &c->held);
}

static void deliver(struct conn *c, struct span fresh)
{
    c->received += fresh.n;
    if (c->held != NULL) {
        if (keep(c, fresh))
            hand_over_held(c);
        return;
    }
    size_t taken = hand(c, fresh);
    if (conn_alive(c) && !begins_tls(c, span_sub(fresh, taken, fresh.n)))
        (void)keep(c, span_sub(fresh, taken, fresh.n));
}

/* After the last byte: what is kept is handed over again first, where it is due. */
static void tell_eof(struct conn *c)
{
    if (!c->eof || c->eof_told || !c->want || c->yields || c->redeliver || c->state != CONN_OPEN)
        return;
    c->eof_told = true;
    c->events->on_eof(c->user, c, c->eof_clean);
}

static void end_of_input(struct conn *c, bool clean)
{
    c->eof = true;
    c->eof_clean = clean;
    c->tail = clean && c->tls != NULL && !c->outgoing;
    tell_eof(c);
}

/* Decrypts and hands over what was fed, until it is used up or the reader has enough. */
static void pump(struct conn *c)
{
    enum err e = ERR_OK;
    while (e == ERR_OK && room(c) > 0) {
        size_t got, most = room(c) < c->env->clear_size ? room(c) : c->env->clear_size;
        e = tls_read(c->tls, c->env->clear, most, &got);
        if (got > 0)
            deliver(c, span_of(c->env->clear, got));
    }
    if (!conn_alive(c))
        return;
    if (e == ERR_SHUTDOWN)
        end_of_input(c, true);
    else if (e != ERR_OK && e != ERR_AGAIN)
        conn_fail(c, e);
}

/* All that may be done with the bytes fed; the rest is copied, as the receive buffer is shared. */
static void use_fed(struct conn *c)
{
    if (c->state == CONN_HANDSHAKE)
        conn_handshake(c);
    if (c->state == CONN_OPEN)
        pump(c);
    if (!conn_alive(c))
        return;
    enum err e = tls_keep(c->tls);
    if (e != ERR_OK)
        conn_fail(c, e);
}

void conn_handshake(struct conn *c)
{
    struct conn_env *env = c->env;
    struct conn_tls_info info;
    enum err e = tls_handshake(c->tls);
    conn_mark_dirty(c);
    if (e == ERR_AGAIN) {
        if (conn_pending(c) == 0)
            conn_acknowledge(c); /* half of a message: the rest may wait for that */
        return;
    }
    if (e != ERR_OK) {
        env->tls_failed++;
        conn_flush(c); /* the alert */
        conn_fail(c, e);
        return;
    }
    tls_info(c->tls, &info);
    env->tls_handshakes++;
    env->tls_resumed += info.resumed;
    c->state = CONN_OPEN;
    c->events->on_open(c->user, c);
}

static void socket_ended(struct conn *c, ssize_t result)
{
    if (result < 0)
        conn_fail(c, conn_errno(c, result));
    else if (c->state == CONN_HANDSHAKE && c->outgoing)
        conn_fail(c, ERR_BACKEND_TLS);
    else if (c->state == CONN_HANDSHAKE)
        conn_fail(c, c->heard ? ERR_CLIENT_TLS : ERR_CLIENT_CLOSED);
    else
        /* After a write that failed the kernel tells no error again, only an end: none of the
         * peer's (P3). */
        end_of_input(c, c->tls == NULL && !c->mute);
}

/* Where nothing bounds a connection's memory the bytes may wait for a moment, in a turn with much
 * to do (conn.h). */
static bool may_wait(const struct conn *c, size_t n)
{
    return n < SMALL && c->env->loop->turn_events > EVENTS_FEW && c->state == CONN_OPEN &&
           c->budget == NULL && c->events->may_wait != NULL && c->events->may_wait(c->user);
}

static void put_off(struct conn *c, struct span bytes)
{
    struct conn_env *env = c->env;
    env->got[env->got_count++] = (struct conn_got){.c = c, .bytes = bytes};
    env->in_used += bytes.n;
    c->got = true;
    task_post_last(env->loop, &env->turn_end);
}

static void use(struct conn *c, struct span bytes)
{
    if (c->tls != NULL) {
        tls_feed(c->tls, bytes);
        use_fed(c);
    } else if (c->want && !c->yields) {
        deliver(c, bytes);
    } else { /* since it was received the reader has had enough */
        c->received += bytes.n;
        (void)keep(c, bytes);
    }
}

void conn_use_got(struct conn_env *env)
{
    env->in_event = true;
    for (unsigned i = 0; i < env->got_count; i++) {
        struct conn *c = env->got[i].c;
        c->got = false;
        if (c->state != CONN_OPEN)
            continue;
        if (env->spent)
            conn_yield(c); /* what it has received is kept */
        use(c, env->got[i].bytes);
        conn_book(c);
        conn_set_interest(c);
    }
    env->got_count = 0;
    env->in_used = 0;
    env->in_event = false;
}

/* What TLS still has inside, else one receive; false where there will not be more now. */
static bool receive(struct conn *c, bool may_be_later)
{
    if (c->tls != NULL && tls_has_rest(c->tls)) {
        use_fed(c);
        return true;
    }
    struct conn_env *env = c->env;
    struct loop *l = env->loop;
    /* What TLS cannot use now is copied: no more of it than before it is decrypted. */
    size_t most = c->read_most < env->clear_size ? c->read_most : env->clear_size;
    size_t size = c->tls != NULL ? most : room(c);
    char *in = place_of_next(env);
    ssize_t got = l->ops->sock_recv(l, c->io.fd, in, size);
    if (got == -EAGAIN)
        return false;
    if (got <= 0) {
        socket_ended(c, got);
        return false;
    }
    env->bytes_in += (uint64_t)got;
    c->heard = true;
    struct span bytes = span_of(in, (size_t)got);
    if (may_be_later && may_wait(c, bytes.n))
        put_off(c, bytes);
    else
        use(c, bytes);
    return (size_t)got == size;
}

static ssize_t drop_some(struct conn *c)
{
    struct conn_env *env = c->env;
    struct loop *l = env->loop;
    ssize_t got = l->ops->sock_recv(l, c->io.fd, place_of_next(env), env->in_size);
    if (got > 0) {
        env->bytes_in += (uint64_t)got;
        c->dropped += (uint32_t)got;
    }
    return got;
}

/* After the owner has gone: what comes is dropped. A peer that sends on and on gets its time all
 * the same: closed at once, with bytes unread, it might be reset before it has read the answer
 * (F7). Behind a TLS peer's close_notify there is mostly its end already. */
static void receive_and_drop(struct conn *c)
{
    struct loop *l = c->env->loop;
    ssize_t got = drop_some(c);
    if (got > 0 && c->tls != NULL && c->dropped <= LIMIT_LINGER_BYTES)
        got = drop_some(c);
    if (got == -EAGAIN)
        return;
    c->eof = got == 0;
    if (got < 0 || (got == 0 && c->fin_sent)) {
        conn_bury_short(c);
    } else if (c->dropped > LIMIT_LINGER_BYTES) {
        int64_t end_ns = loop_now_ns(l) + LIMIT_LINGER_MS * NS_PER_MS;
        c->parked = true;
        c->linger_end_ns = c->cut && c->linger_end_ns < end_ns ? c->linger_end_ns : end_ns;
        conn_linger_aim(c);
    }
}

/* After close_notify: bytes have no meaning any more, an end has. */
static void receive_tail(struct conn *c)
{
    struct conn_env *env = c->env;
    struct loop *l = env->loop;
    ssize_t got = l->ops->sock_recv(l, c->io.fd, place_of_next(env), env->in_size);
    if (got == -EAGAIN)
        return;
    c->dropped += got > 0 ? (uint32_t)got : 0;
    c->tail = got > 0 && c->dropped <= LIMIT_LINGER_BYTES;
    if (got < 0)
        conn_fail(c, conn_errno(c, got));
    else if (got == 0 && c->eof_told)
        c->events->on_eof(c->user, c, false);
    else if (got == 0)
        c->eof_clean = false;
}

static bool may_read(struct conn *c)
{
    return c->events->may_read == NULL || c->events->may_read(c->user, c);
}

void conn_on_readable(struct conn *c)
{
    if (c->state == CONN_LINGER) {
        receive_and_drop(c);
        return;
    }
    if (c->tail) {
        receive_tail(c);
        return;
    }
    if (c->state != CONN_HANDSHAKE && (room(c) == 0 || !may_read(c))) {
        c->parked = true;
        return;
    }
    (void)receive(c, true);
}

/* Writing failed. What the peer said before it closed still counts: an early answer, for example.
 */
static void read_to_the_end(struct conn *c)
{
    for (int i = 0; i < LAST_READS && room(c) > 0 && receive(c, false); i++)
        continue;
    conn_fail(c, c->broken);
}

static void hand_over_again(struct conn *c)
{
    c->redeliver = false;
    if (!c->want || c->yields)
        return;
    c->parked = false;
    hand_over_held(c);
    if (c->state == CONN_OPEN && c->tls != NULL && tls_has_rest(c->tls))
        use_fed(c);
    tell_eof(c);
}

void conn_settle(struct conn *c)
{
    if (c->room_due && conn_alive(c)) {
        c->room_due = false;
        c->events->on_room(c->user, c);
    }
    if (c->redeliver && conn_alive(c))
        hand_over_again(c);
    if (c->broken != ERR_OK && conn_alive(c))
        read_to_the_end(c);
    if (conn_alive(c))
        conn_set_interest(c);
}

uint64_t conn_received(const struct conn *c)
{
    return c->received;
}

bool conn_has_unread(const struct conn *c)
{
    return c->got || c->held != NULL || (c->tls != NULL && tls_has_rest(c->tls));
}

void conn_want_read(struct conn *c, bool want)
{
    if (c->want == want || !conn_alive(c))
        return;
    c->want = want;
    if (!want)
        return;
    c->parked = false;
    conn_set_interest(c);
    if (conn_has_unread(c) || (c->eof && !c->eof_told)) {
        c->redeliver = true;
        conn_settle_later(c);
    }
}
