#include "side.h"

#include "check.h"

#include <unistd.h>

static void maybe_close(struct side *s, bool wanted)
{
    if (wanted && s->c != NULL)
        conn_close(&s->c, s->close_how);
}

static void on_open(void *user, struct conn *c)
{
    struct side *s = user;
    (void)c;
    s->opens++;
    if (s->on_open != NULL)
        s->on_open(s);
    maybe_close(s, s->close_on_open);
}

static size_t on_bytes(void *user, struct conn *c, struct span bytes)
{
    struct side *s = user;
    size_t take = bytes.n < s->take_most ? bytes.n : s->take_most;
    s->deliveries++;
    if (bytes.n > s->longest)
        s->longest = bytes.n;
    if (s->stop_reading)
        conn_want_read(c, false);
    maybe_close(s, s->close_on_bytes);
    /* The bytes must be readable even now. */
    buf_put(&s->got, bytes.p, take);
    if (s->on_bytes != NULL && s->c != NULL)
        s->on_bytes(s);
    return take;
}

static void on_eof(void *user, struct conn *c, bool clean)
{
    struct side *s = user;
    (void)c;
    s->eofs++;
    s->clean = s->eofs == 1 ? clean : s->clean; /* the first one */
    maybe_close(s, s->close_on_eof);
}

static void on_room(void *user, struct conn *c)
{
    struct side *s = user;
    (void)c;
    s->rooms++;
    if (s->on_room != NULL)
        s->on_room(s);
}

static void on_fail(void *user, struct conn *c, enum err why)
{
    struct side *s = user;
    (void)c;
    s->fails++;
    s->why = why;
    maybe_close(s, s->close_on_fail);
}

static void on_time(void *user, struct conn *c)
{
    struct side *s = user;
    (void)c;
    s->times++;
}

static bool may_wait(void *user)
{
    (void)user;
    return true;
}

const struct conn_events side_events = {.on_open = on_open,
                                        .on_bytes = on_bytes,
                                        .on_eof = on_eof,
                                        .on_room = on_room,
                                        .on_fail = on_fail,
                                        .on_time = on_time,
                                        .may_wait = may_wait};

void side_init(struct side *s)
{
    memset(s, 0, sizeof *s);
    buf_init(&s->got, 0);
    s->take_most = SIZE_MAX;
}

void side_fini(struct side *s)
{
    if (s->c != NULL)
        conn_close(&s->c, CONN_END_NOW);
    buf_fini(&s->got);
}

static char pattern(size_t i, unsigned seed)
{
    return (char)((i * 31 + i / 251 + seed) & 0xff);
}

void side_fill(char *out, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        out[i] = pattern(i, seed);
}

bool side_has(const struct side *s, size_t n, unsigned seed)
{
    struct span got = buf_span(&s->got);
    if (got.n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (got.p[i] != pattern(i, seed))
            return false;
    return true;
}

static bool on_accept(void *user, int fd, const struct addr *peer)
{
    struct pair *p = user;
    if (p->server.c != NULL)
        conn_close(&p->server.c, CONN_END_NOW);
    p->accepted++;
    enum err e =
        conn_accept(&p->env, fd, peer, p->tls_server, &side_events, &p->server, &p->server.c);
    CHECK_INT(e, ERR_OK);
    return true;
}

void pair_init_on(struct pair *p, struct loop *loop)
{
    struct addr any;
    memset(p, 0, sizeof *p);
    p->loop = loop;
    side_init(&p->server);
    side_init(&p->client);
    CHECK_INT(conn_env_init(&p->env, loop), ERR_OK);
    CHECK_INT(addr_parse(SPAN("127.0.0.1:0"), &any), ERR_OK);
    p->listen_fd = loop->ops->sock_listen(loop, &any, true);
    CHECK(p->listen_fd >= 0, "error %d", -p->listen_fd);
    CHECK_INT(loop->ops->sock_local(loop, p->listen_fd, &p->at), 0);
    CHECK_INT(listener_start(loop, p->listen_fd, on_accept, p, &p->listener), ERR_OK);
}

void pair_init(struct pair *p)
{
    struct loop *loop;
    CHECK_INT(loop_ev_new(&loop), ERR_OK);
    pair_init_on(p, loop);
}

void pair_fini(struct pair *p)
{
    side_fini(&p->client);
    side_fini(&p->server);
    if (p->listener != NULL)
        listener_stop(&p->listener);
    side_fini(&p->server);
    p->loop->ops->sock_close(p->loop, p->listen_fd, false);
    conn_env_fini(&p->env);
    CHECK_INT(p->env.open, 0);
    loop_free(&p->loop);
}

enum err pair_connect(struct pair *p)
{
    struct conn_target to = {
        .addr = &p->at, .tls = p->tls_client, .server_name = p->server_name, .session_key = 7};
    return conn_connect(&p->env, &to, &side_events, &p->client, &p->client.c);
}

static void on_poll(struct timer *t)
{
    struct pair *p = container_of(t, struct pair, poll);
    if (p->done(p)) {
        loop_stop(p->loop);
        return;
    }
    p->timed_out = loop_now_ns(p->loop) > p->give_up_ns;
    if (p->timed_out)
        loop_stop(p->loop);
    else
        timer_aim(t, loop_now_ns(p->loop) + NS_PER_MS / 5);
}

bool pair_run(struct pair *p, bool (*done)(struct pair *))
{
    p->done = done;
    p->give_up_ns = loop_now_ns(p->loop) + 20 * NS_PER_S;
    timer_init(&p->poll, p->loop, on_poll);
    timer_in_ms(&p->poll, 0);
    loop_run(p->loop);
    timer_stop(&p->poll);
    return !p->timed_out;
}

static bool never(struct pair *p)
{
    (void)p;
    return false;
}

void pair_run_ms(struct pair *p, int64_t ms)
{
    p->done = never;
    p->give_up_ns = loop_now_ns(p->loop) + ms * NS_PER_MS;
    timer_init(&p->poll, p->loop, on_poll);
    timer_in_ms(&p->poll, 0);
    loop_run(p->loop);
    timer_stop(&p->poll);
    p->timed_out = false;
}

static bool both_open(struct pair *p)
{
    bool accepted = p->accepted > 0 && (p->tls_server == NULL || p->server.opens > 0);
    return (accepted && p->client.opens > 0) || p->client.fails > 0;
}

bool pair_open(struct pair *p)
{
    p->accepted = p->server.opens = p->client.opens = 0;
    CHECK_INT(pair_connect(p), ERR_OK);
    return pair_run(p, both_open) && p->client.fails == 0;
}
