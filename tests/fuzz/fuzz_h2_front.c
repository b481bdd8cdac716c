/* SEES: http net base */
/* USES: sim */
/* A client's HTTP/2 connection on the simulated network, with an exchange that answers: whatever
 * comes, nothing crashes or leaks, every request is released, what is held stays bounded, and the
 * connection ends. The first byte says how the bytes are cut; the preface is given. */
#include "base/limits.h"
#include "http/h2_front.h"
#include "net/listener.h"
#include "sim.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIVE_MOST = 128 };

struct answer {
    struct front *f;
    struct task done;
    struct peer *peer;
    size_t left;
    bool begun, over;
};

struct peer {
    struct sim *sim;
    struct loop *worker, *client;
    struct conn_env env;
    struct front_codec *codec;
    struct arena_cache cache;
    struct answer answers[LIVE_MOST];
    unsigned live;
    struct listener *listener;
    struct addr at;
    bool closed;
};

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void end_answer(struct answer *x)
{
    if (!x->over) {
        x->over = true;
        task_post(x->peer->worker, &x->done);
    }
}

static void release(struct task *t)
{
    struct answer *x = container_of(t, struct answer, done);
    x->f->ops->release(x->f);
    x->f = NULL;
    x->peer->live--;
}

/* As much as the client takes. */
static void go_on(struct answer *x)
{
    static const char content[KIB(16)];
    while (x->left > 0 && x->f->ops->pending(x->f) <= LIMIT_FLOW_HIGH) {
        size_t n = x->left < sizeof(content) ? x->left : sizeof(content);
        x->f->ops->reply_body(x->f, span_of(content, n));
        x->left -= n;
    }
    must(x->f->ops->pending(x->f) <= LIMIT_FLOW_HIGH + sizeof(content));
    if (x->left == 0) {
        x->f->ops->reply_end(x->f, NULL);
        end_answer(x);
    }
}

static void on_body(void *user, struct span bytes)
{
    struct answer *x = user;
    must(bytes.n > 0 && x->f != NULL);
}

static void on_end(void *user, const struct fields *trailers)
{
    struct answer *x = user;
    (void)trailers;
    must(x->f != NULL);
    if (!x->over) {
        go_on(x);
    }
}

static void on_room(void *user)
{
    struct answer *x = user;
    if (!x->over && x->begun) {
        go_on(x);
    }
}

static void on_gone(void *user, enum err why, bool answerable)
{
    struct answer *x = user;
    must(x->f != NULL && why != ERR_OK && !answerable);
    end_answer(x);
}

static const struct front_events events = {on_body, on_end, on_room, on_gone};

static void on_request(void *owner, struct front *f, struct request *r, enum err bad)
{
    struct peer *p = owner;
    struct answer *x = p->answers;
    while (x->f != NULL) {
        x++;
        must(x < p->answers + LIVE_MOST);
    }
    must(++p->live <= LIMIT_H2_STREAMS);
    *x = (struct answer){.f = f, .peer = p, .left = r->path.n * 5000, .begun = true};
    task_init(&x->done, release);
    f->events = &events;
    f->user = x;
    struct reply reply = {.status = 200, .content = CONTENT_STREAM};
    if (bad != ERR_OK || r->content == CONTENT_NONE) {
        x->left = bad != ERR_OK ? 0 : x->left;
        f->ops->reply_head(f, &reply, false);
        go_on(x);
    } else {
        f->ops->reply_head(f, &reply, false);
        f->ops->want_body(f, true);
    }
}

static void on_closed(void *owner, enum err why)
{
    struct peer *p = owner;
    (void)why;
    must(p->live == 0);
    p->closed = true;
}

static const struct front_owner owner = {on_request, on_closed};
static const struct front_limits limits = {.request_line = KIB(1),
                                           .head = KIB(4),
                                           .fields = 20,
                                           .field = KIB(2),
                                           .requests = 50,
                                           .streams = LIMIT_H2_STREAMS,
                                           .head_ms = 1000,
                                           .idle_ms = 2000,
                                           .age_ms = 3600000};

static size_t no_bytes(void *user, struct conn *c, struct span bytes)
{
    (void)user;
    (void)c;
    (void)bytes;
    return 0;
}

static bool on_accept(void *user, int fd, const struct addr *from)
{
    static const struct conn_events none = {.on_bytes = no_bytes};
    struct peer *p = user;
    struct conn *conn;
    must(conn_accept(&p->env, fd, from, NULL, &none, NULL, &conn) == ERR_OK);
    must(h2_front_new(conn, true, &limits, &p->cache, &owner, p, &p->codec) == ERR_OK);
    return true;
}

/* Once for all runs: simulated time goes on, and every run leaves the network as it found it. */
static void open_world(struct peer *p)
{
    p->sim = sim_new(1, NULL);
    must(p->sim != NULL && addr_parse(SPAN("10.0.0.1:80"), &p->at) == ERR_OK);
    p->worker = sim_loop_new(p->sim);
    p->client = sim_loop_new(p->sim);
    p->cache.keep = 4;
    must(conn_env_init(&p->env, p->worker) == ERR_OK);
    int fd = p->worker->ops->sock_listen(p->worker, &p->at, false);
    must(fd >= 0 && listener_start(p->worker, fd, on_accept, p, &p->listener) == ERR_OK);
}

static int connected(struct peer *p)
{
    int fd = p->client->ops->sock_new(p->client, AF_INET);
    must(fd >= 0);
    (void)p->client->ops->sock_connect(p->client, fd, &p->at);
    sim_run_for(p->sim, NS_PER_MS);
    must(p->client->ops->sock_error(p->client, fd) == 0 && p->codec != NULL);
    return fd;
}

static void say(struct peer *p, int fd, struct span bytes)
{
    struct iovec piece = {(void *)(uintptr_t)bytes.p, bytes.n};
    static char sink[KIB(64)];
    ssize_t n = p->client->ops->sock_send(p->client, fd, &piece, 1);
    must(p->closed || n == (ssize_t)bytes.n || n == -EPIPE || n == -EAGAIN);
    sim_run_for(p->sim, NS_PER_MS);
    while (p->client->ops->sock_recv(p->client, fd, sink, sizeof(sink)) > 0) {
    }
}

static void talk(struct peer *p, int fd, uint8_t cut, struct span in)
{
    say(p, fd, SPAN("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"));
    while (in.n > 0 && !p->closed) {
        size_t n = cut == 0 || in.n < (size_t)cut * 4 ? in.n : (size_t)cut * 4;
        say(p, fd, span_sub(in, 0, n));
        in = span_sub(in, n, in.n);
    }
    p->client->ops->sock_close(p->client, fd, false);
    sim_run_for(p->sim, 10 * NS_PER_S);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct peer p;
    if (p.sim == NULL) {
        open_world(&p);
    }
    if (size == 0) {
        return 0;
    }
    p.closed = false;
    p.codec = NULL;
    int fd = connected(&p);
    talk(&p, fd, data[0], span_of((const char *)data + 1, size - 1));
    must(p.closed && p.live == 0 && sim_sockets(p.sim) == 1);
    small_store_fini(&p.env.small); /* what was not given back is a leak */
    return 0;
}
