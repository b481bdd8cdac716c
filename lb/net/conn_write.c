#include "base/limits.h"
#include "net/conn_impl.h"

#include <errno.h>

/* Bytes from the writer to the socket: small pieces gather until the event ends, large plain ones
 * are sent from where they are. */

#define PIECES    16
#define DIRECT    KIB(8)  /* plain pieces of this size are not copied where the socket takes them */
#define TLS_BYTES KIB(24) /* what OpenSSL holds for one, about (bench/memory.py) */
#define OUT_MOST  MIB(4)  /* L18: a writer that passes this ignores conn_pending */

size_t conn_pending(const struct conn *c)
{
    return c->out.bytes + (c->tls != NULL ? tls_gathered(c->tls) : 0);
}

/* L7 while the peer has something to take, H20 when it only has to end. */
void conn_linger_aim(struct conn *c)
{
    int64_t now = loop_now_ns(c->env->loop);
    bool waits = conn_pending(c) > 0;
    int64_t at = now + (waits ? LIMIT_SEND_MS : LIMIT_LINGER_MS) * NS_PER_MS;
    bool bounded = waits || c->parked || c->cut;
    timer_aim(&c->time, bounded && at > c->linger_end_ns ? c->linger_end_ns : at);
}

void conn_mark_dirty(struct conn *c)
{
    if (list_empty(&c->dirty))
        list_append(&c->env->dirty, &c->dirty);
    if (!c->env->in_event)
        task_post_last(c->env->loop, &c->env->turn_end);
}

/* Nothing can be written any more; the reader learns it at the end of the turn. */
static void mute(struct conn *c, enum err why)
{
    c->mute = true;
    c->blocked = false;
    c->broken = why;
    chain_clear(&c->out, c->env->store);
    if (c->tls != NULL)
        tls_drop(c->tls);
    if (c->state == CONN_LINGER)
        conn_bury(c, false);
    else
        conn_settle_later(c);
}

/* The kernel has taken n bytes of the output. */
static void count_sent(struct conn *c, size_t n)
{
    size_t pending = conn_pending(c);
    uint64_t sent = c->written > pending ? c->written - pending : 0;
    c->env->bytes_out += n;
    if (sent > c->sent)
        c->sent = sent;
    if (c->above && pending <= LIMIT_FLOW_LOW) {
        c->above = false;
        c->room_due = true;
        conn_settle_later(c);
    }
    if (c->state == CONN_LINGER && pending > 0)
        conn_linger_aim(c);
}

static ssize_t send_pieces(struct conn *c, const struct iovec *iov, int count)
{
    struct loop *l = c->env->loop;
    ssize_t n = l->ops->sock_send(l, c->io.fd, iov, count);
    if (n == -EAGAIN)
        n = 0;
    if (n < 0)
        mute(c, conn_errno(c, n));
    return n;
}

static void send_out(struct conn *c)
{
    struct iovec iov[PIECES];
    while (c->out.bytes > 0 && !c->blocked) {
        size_t asked = 0;
        int count = chain_iov(&c->out, iov, PIECES);
        for (int i = 0; i < count; i++)
            asked += iov[i].iov_len;
        ssize_t n = send_pieces(c, iov, count);
        if (n < 0)
            return;
        c->blocked = (size_t)n < asked;
        chain_take(&c->out, c->env->store, (size_t)n);
        count_sent(c, (size_t)n);
    }
}

/* True where TLS has turned all that was written into records. */
static bool encrypt(struct conn *c)
{
    enum err e = tls_flush(c->tls);
    if (e != ERR_OK) {
        mute(c, e);
        return false;
    }
    if (c->fin_asked)
        tls_end(c->tls);
    return true;
}

static void finish(struct conn *c)
{
    struct loop *l = c->env->loop;
    if (!c->fin_asked || c->fin_sent || conn_pending(c) > 0)
        return;
    c->fin_sent = true;
    if (c->state == CONN_LINGER && (c->eof || c->said_all)) {
        conn_bury(c, false); /* which ends the writing half too */
        return;
    }
    (void)l->ops->sock_shutdown(l, c->io.fd);
    if (c->state == CONN_LINGER)
        conn_linger_aim(c);
}

static void push_out(struct conn *c)
{
    if (c->tls != NULL && c->state != CONN_HANDSHAKE && !encrypt(c))
        return;
    send_out(c);
    if (c->state == CONN_OPEN || c->state == CONN_LINGER)
        finish(c);
}

void conn_flush(struct conn *c)
{
    list_remove(&c->dirty);
    if (!c->mute && !c->blocked && c->state != CONN_CONNECTING)
        push_out(c);
    if (c->state == CONN_LINGER && c->time.due_ns == 0)
        conn_linger_aim(c);
    conn_book(c);
    conn_set_interest(c);
}

void conn_env_flush(struct conn_env *env)
{
    env->unsent = 0;
    while (!list_empty(&env->dirty))
        conn_flush(container_of(env->dirty.next, struct conn, dirty));
}

/* Sends what has gathered and the bytes behind it in one call, and copies what is left. */
static bool send_direct(struct conn *c, struct span bytes)
{
    struct iovec iov[PIECES];
    int count = chain_iov(&c->out, iov, PIECES - 1);
    size_t before = c->out.bytes;
    iov[count++] = (struct iovec){.iov_base = (void *)bytes.p, .iov_len = bytes.n};
    ssize_t n = send_pieces(c, iov, count);
    if (n < 0)
        return true;
    size_t sent = (size_t)n, old = sent < before ? sent : before;
    c->blocked = sent < before + bytes.n;
    chain_take(&c->out, c->env->store, old);
    bool kept = conn_put(c, span_sub(bytes, sent - old, bytes.n));
    count_sent(c, sent); /* in any case: the peer may act on it (P4) */
    return kept;
}

static enum err write_plain(struct conn *c, struct span bytes)
{
    /* What has gathered is at most LIMIT_FLOW_HIGH, in fewer chunks than PIECES. */
    bool direct = bytes.n >= DIRECT && !c->blocked && c->state == CONN_OPEN;
    bool done = direct ? send_direct(c, bytes) : conn_put(c, bytes);
    return done ? ERR_OK : ERR_NO_MEMORY;
}

void conn_write(struct conn *c, struct span bytes)
{
    if (c->mute || c->fin_asked || !conn_alive(c) || bytes.n == 0)
        return;
    enum err e = ERR_FULL;
    c->written += bytes.n;
    c->acknowledged = false;
    if (conn_pending(c) <= OUT_MOST)
        e = c->tls != NULL ? tls_write(c->tls, bytes) : write_plain(c, bytes);
    if (e != ERR_OK) {
        mute(c, e);
        return;
    }
    if (c->mute)
        return;
    /* Much is sent at once, even inside an event: the writer need not stop where the peer takes it.
     */
    if (c->state == CONN_OPEN && !c->blocked && conn_pending(c) > LIMIT_FLOW_HIGH &&
        (c->tls == NULL || encrypt(c)))
        send_out(c);
    if (conn_pending(c) > LIMIT_FLOW_HIGH)
        c->above = true;
    if (conn_pending(c) > 0)
        conn_mark_dirty(c);
    conn_book(c);
}

void conn_write_clear(struct conn *c, struct span bytes)
{
    (void)chain_put(&c->out, c->env->store, bytes); /* without memory there is no answer */
}

uint64_t conn_sent(const struct conn *c)
{
    return c->sent;
}

bool conn_heard(const struct conn *c)
{
    struct loop *l = c->env->loop;
    return l->ops->sock_heard(l, c->io.fd);
}

void conn_tell_room(struct conn *c)
{
    c->above = true;
}

void conn_shutdown(struct conn *c)
{
    if (c->fin_asked || c->state == CONN_FAILED || c->state == CONN_DEAD)
        return;
    c->fin_asked = true;
    conn_mark_dirty(c);
}

size_t conn_bytes(const struct conn *c)
{
    size_t held = c->held != NULL ? c->held->cap : 0;
    return sizeof *c + c->out.bytes + held + (c->tls != NULL ? TLS_BYTES : 0);
}

void conn_book_now(struct conn *c)
{
    size_t held = c->held != NULL ? sizeof *c->held + c->held->cap : 0;
    size_t was = c->booked, now = c->out.room + held + (c->tls != NULL ? tls_room(c->tls) : 0);
    budget_book(c->budget, &was, now);
    c->booked = (uint32_t)was;
}

void conn_set_budget(struct conn *c, struct budget *b)
{
    if (c->budget != NULL)
        c->budget->used -= c->booked;
    c->budget = b;
    c->booked = 0;
    conn_book(c);
}
