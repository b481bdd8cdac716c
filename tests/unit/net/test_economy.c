/* What a request costs: system calls, watcher changes, heap allocations (docs: one receive and one
 * send per side, nothing else). Counted through a table wrapped around the real one. */
#include "base/mem.h"
#include "check.h"
#include "make_cert.h"
#include "net/tls_ctx.h"
#include "net/tls_mem.h"
#include "side.h"

#include <sys/socket.h>
#include <unistd.h>

static struct counts {
    int recv, send, io_set, timer_set, others;
} counts;
static const struct loop_ops *real;
static struct loop_ops counted;

/* What was called, in order: r(ecv), s(end). */
static char order[64];

static void note(char what)
{
    size_t n = strlen(order);
    if (n + 1 < sizeof order)
        order[n] = what;
}

static ssize_t count_recv(struct loop *l, int fd, void *into, size_t n)
{
    counts.recv++;
    note('r');
    return real->sock_recv(l, fd, into, n);
}

static ssize_t count_send(struct loop *l, int fd, const struct iovec *iov, int count)
{
    counts.send++;
    note('s');
    return real->sock_send(l, fd, iov, count);
}

static void count_io(struct io *io, unsigned events)
{
    counts.io_set++;
    real->io_set(io, events);
}

static int count_local(struct loop *l, int fd, struct addr *out)
{
    counts.others++;
    return real->sock_local(l, fd, out);
}

static void wrap(struct loop *l)
{
    real = l->ops;
    counted = *real;
    counted.sock_recv = count_recv;
    counted.sock_send = count_send;
    counted.io_set = count_io;
    counted.sock_local = count_local;
    l->ops = &counted;
}

#define EXCHANGES 10

static char body[3000];

/* The server answers each request with a head and a body in two writes. */
static void answer(struct side *s)
{
    buf_clear(&s->got);
    conn_want_read(s->c, false);
    conn_write(s->c, SPAN("HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n"));
    conn_write(s->c, span_of(body, sizeof body));
    conn_want_read(s->c, true);
}

static int rounds;

static void ask(struct side *s)
{
    if (buf_len(&s->got) < sizeof body)
        return;
    buf_clear(&s->got);
    if (++rounds < EXCHANGES)
        conn_write(s->c, SPAN("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
}

static bool all_rounds(struct pair *p)
{
    (void)p;
    return rounds == EXCHANGES;
}

static void exchange(struct pair *p)
{
    rounds = 0;
    conn_write(p->client.c, SPAN("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    CHECK(pair_run(p, all_rounds), "%d rounds", rounds);
}

static void measure(struct pair *p)
{
    p->server.on_bytes = answer;
    p->client.on_bytes = ask;
    CHECK(pair_open(p), "open");
    exchange(p); /* warm; in TLS 1.3 the ticket comes too */
    wrap(p->loop);
    memset(&counts, 0, sizeof counts);
    uint64_t allocations = mem_count();
    exchange(p);
    CHECK_INT(counts.recv, 2 * EXCHANGES);
    CHECK_INT(counts.send, 2 * EXCHANGES);
    CHECK_INT(counts.io_set, 0);
    CHECK_INT(counts.others, 0);
    CHECK_INT(mem_count() - allocations, 0);
    p->loop->ops = real;
}

TEST(economy, a_plain_exchange)
{
    struct pair p;
    pair_init(&p);
    measure(&p);
    pair_fini(&p);
}

TEST(economy, a_tls_exchange)
{
    struct pair p;
    struct buf message;
    char dir[MADE_PATH];
    struct made_cert made;
    struct tls_cert *cert;
    struct tls_pieces pieces = {0};
    tls_mem_keep(&pieces); /* as a worker does */
    made_dir(dir);
    make_cert(dir, "a", &(struct cert_wish){.common_name = "a.example"}, &made);
    buf_init(&message, 0);
    pair_init(&p);
    CHECK_INT(tls_cert_load(made.cert, made.key, &cert, &message), ERR_OK);
    struct tls_server_spec server = {.certs = &cert, .cert_count = 1};
    struct tls_client_spec client = {.verify = false};
    CHECK_INT(tls_server_new(&server, &p.tls_server, &message), ERR_OK);
    CHECK_INT(tls_client_new(&client, &p.tls_client, &message), ERR_OK);
    measure(&p);
    struct tls_server *s = p.tls_server;
    struct tls_client *c = p.tls_client;
    pair_fini(&p);
    tls_server_free(&s);
    tls_client_free(&c);
    tls_cert_unref(&cert);
    made_dir_remove(dir);
    buf_fini(&message);
    tls_mem_keep(NULL);
    tls_pieces_fini(&pieces);
}

TEST(economy, an_idle_connection_is_small)
{
    struct pair p;
    enum { MANY = 64 };
    pair_init(&p);
    CHECK(pair_open(&p), "open");
    uint64_t before = mem_count();
    struct conn *idle[MANY];
    struct conn_target to = {.addr = &p.at};
    for (int i = 0; i < MANY; i++)
        CHECK_INT(conn_connect(&p.env, &to, &side_events, &p.client, &idle[i]), ERR_OK);
    /* One allocation each, and nothing lent while nothing is in flight (L19). */
    CHECK_INT(mem_count() - before, MANY);
    for (int i = 0; i < MANY; i++)
        conn_close(&idle[i], CONN_END_NOW);
    pair_fini(&p);
}

static void echo(struct side *s)
{
    conn_write(s->c, buf_span(&s->got));
}

/* So many connections have something to read at once: the calls of that turn. */
static const char *turn_of(size_t many)
{
    struct pair p;
    struct side sides[8];
    int fds[8][2];
    pair_init(&p);
    for (size_t i = 0; i < many; i++) {
        side_init(&sides[i]);
        sides[i].on_bytes = echo;
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds[i]), 0);
        CHECK_INT(conn_accept(&p.env, fds[i][0], &p.at, NULL, &side_events, &sides[i], &sides[i].c),
                  ERR_OK);
    }
    pair_run_ms(&p, 1);
    for (size_t i = 0; i < many; i++)
        CHECK_INT(write(fds[i][1], "a", 1), 1);
    memset(order, 0, sizeof order);
    wrap(p.loop);
    pair_run_ms(&p, 1);
    p.loop->ops = real;
    for (size_t i = 0; i < many; i++) {
        side_fini(&sides[i]);
        close(fds[i][1]);
    }
    pair_fini(&p);
    return order;
}

TEST(economy, answers_wait_for_each_other_only_where_there_are_many)
{
    CHECK_STR(turn_of(1), "rs");
    CHECK_STR(turn_of(3), "rsrsrs");
    CHECK_STR(turn_of(8), "rrrrrrrrssssssss");
}
