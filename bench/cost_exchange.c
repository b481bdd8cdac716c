/* A whole exchange: one client's connection, the proxy and one server on the simulated network,
 * where neither time nor the kernel adds anything of its own. The simulation's work is counted too;
 * it does not change. */
#include "cost.h"

#include "base/limits.h"
#include "base/mem.h"
#include "net/listener.h"
#include "proxy/client.h"
#include "proxy/exchange.h"
#include "sim.h"

#define REQUEST "GET /v1/items/4711 HTTP/1.1\r\nHost: api.example.com\r\nAccept: */*\r\n\r\n"
#define REPLY   "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"

struct rig {
    struct sim *sim;
    struct loop *worker, *others;
    struct addr at, server_at;
    int door_fd, server_fd, client;
    struct listener *door;
    struct io server_door, server, client_io;
    bool connected;
    size_t answered, wanted;
    struct conn_env env;
    struct registry *registry;
    struct admission *admission;
    struct worker_stats *stats;
    struct route_stats *route_stats;
    struct policy_endpoint endpoint;
    struct policy_pool pool;
    struct policy_route route;
    struct policy policy;
    struct proxy_listener listener;
    struct proxy *proxy;
};

/* --- both ends: whole messages come and go --- */

static void say(struct io *io, const char *text, size_t n)
{
    struct iovec piece = {.iov_base = (void *)text, .iov_len = n};
    ssize_t sent = io->loop->ops->sock_send(io->loop, io->fd, &piece, 1);
    if (sent < 0)
        cost_fail(strerror((int)-sent));
    if (sent != (ssize_t)n)
        cost_fail("a message was not taken whole");
}

/* How many messages with an end have come. */
static size_t hear(struct io *io, const char *end)
{
    char in[8192];
    size_t count = 0;
    ssize_t n = io->loop->ops->sock_recv(io->loop, io->fd, in, sizeof in);
    const char *at = in;
    while (n > 0 && (at = memmem(at, (size_t)(in + n - at), end, 4)) != NULL) {
        at += 4;
        count++;
    }
    return count;
}

static void on_request(struct io *io, unsigned events)
{
    (void)events;
    for (size_t n = hear(io, "\r\n\r\n"); n > 0; n--)
        say(io, REPLY, sizeof(REPLY) - 1);
}

static void on_server_door(struct io *io, unsigned events)
{
    struct rig *r = container_of(io, struct rig, server_door);
    struct addr peer;
    int fd = io->loop->ops->sock_accept(io->loop, io->fd, &peer);
    (void)events;
    if (fd < 0)
        return;
    if (r->connected)
        cost_fail("a second connection to the server");
    r->connected = true;
    io_init(&r->server, io->loop, fd, on_request);
    io_want(&r->server, IO_READ);
}

static void on_reply(struct io *io, unsigned events)
{
    struct rig *r = container_of(io, struct rig, client_io);
    if ((events & IO_WRITE) != 0) {
        if (io->loop->ops->sock_error(io->loop, io->fd) != 0)
            cost_fail("not connected");
        io_want(io, IO_READ);
        say(io, REQUEST, sizeof(REQUEST) - 1);
    }
    if ((events & IO_READ) == 0)
        return;
    r->answered += hear(io, "ello");
    if (r->answered < r->wanted)
        say(io, REQUEST, sizeof(REQUEST) - 1);
}

static bool all_answered(void *user)
{
    struct rig *r = user;
    return r->answered == r->wanted;
}

/* --- the proxy --- */

static bool on_accept(void *user, int fd, const struct addr *peer)
{
    struct rig *r = user;
    return proxy_accept(r->proxy, &r->listener, fd, peer);
}

static void on_edition_end(void *user, const struct policy *policy)
{
    (void)user;
    (void)policy;
}

static void on_slot_free(void *user, unsigned worker, struct pool_state *pool)
{
    (void)user;
    (void)worker;
    (void)pool;
}

static void on_line(void *user, struct span line)
{
    (void)user;
    (void)line;
}

static void make_policy(struct rig *r)
{
    static const struct route_rule rule = {.path = SPAN("/")};
    static const struct pool_site_conf site = {.name = SPAN("default")};
    static const struct pool_member_conf member = {
        .backend = SPAN("one"), .address = SPAN("10.0.0.2:80"), .weight = 100};
    struct pool_conf conf = {.name = SPAN("api"),
                             .knobs = PICK_KNOBS_DEFAULT,
                             .sites = &site,
                             .site_count = 1,
                             .members = &member,
                             .member_count = 1};
    if (pick_pool_new(r->registry, &conf, 0, &r->pool.pick) != ERR_OK ||
        route_table_new(&rule, 1, &r->policy.table) != ERR_OK)
        cost_fail("the policy cannot be built");
    r->endpoint = (struct policy_endpoint){.endpoint = r->pool.pick->members[0].endpoint,
                                           .address = r->server_at};
    r->pool.name = SPAN("api");
    r->pool.endpoints = &r->endpoint;
    r->pool.endpoint_count = 1;
    r->pool.queue_limit = r->pool.connections = r->pool.idle = 8;
    r->pool.queue_ms = 5000;
    r->route = (struct policy_route){
        .name = SPAN("all"),
        .pool = &r->pool,
        .timeouts = {30000, 30000, 3000, 60000, 60000, 30000, 300000, 0},
        .stats = &r->route_stats,
    };
    r->policy.generation = 1;
    r->policy.routes = &r->route;
    r->policy.pools = &r->pool;
    r->policy.route_count = r->policy.pool_count = 1;
    r->policy.unrouted = &r->route_stats;
}

static void make_proxy(struct rig *r)
{
    r->registry = registry_new(1);
    r->admission = mem_alloc(sizeof *r->admission);
    r->stats = mem_aligned(64, sizeof *r->stats);
    r->route_stats = mem_aligned(64, sizeof *r->route_stats);
    if (r->registry == NULL || r->admission == NULL || r->stats == NULL || r->route_stats == NULL)
        cost_fail("no memory");
    r->route_stats->name = "all";
    atomic_store(&r->admission->connections_most, 10);
    atomic_store(&r->admission->source_most, 10);
    make_policy(r);
    r->listener = (struct proxy_listener){.name = SPAN("cost"),
                                          .speaks_h1 = true,
                                          .limits = {.request_line = LIMIT_REQUEST_LINE,
                                                     .head = LIMIT_HEAD,
                                                     .fields = LIMIT_FIELDS,
                                                     .field = LIMIT_FIELD,
                                                     .requests = 1000000,
                                                     .head_ms = 10000,
                                                     .idle_ms = 60000,
                                                     .send_ms = LIMIT_SEND_MS,
                                                     .age_ms = 3600000},
                                          .handshake_ms = 10000};
    struct proxy_spec spec = {.workers = 1,
                              .env = &r->env,
                              .admission = r->admission,
                              .stats = r->stats,
                              .hooks = {.edition_end = on_edition_end,
                                        .slot_free = on_slot_free,
                                        .log_line = on_line,
                                        .span_line = on_line,
                                        .user = r},
                              .seed = 1};
    if (conn_env_init(&r->env, r->worker) != ERR_OK || proxy_new(&spec, &r->proxy) != ERR_OK ||
        proxy_adopt(r->proxy, &r->policy) != ERR_OK)
        cost_fail("the proxy cannot be built");
}

static void exchange_work(void *state, size_t times)
{
    struct rig *r = state;
    r->wanted = r->answered + times;
    if (r->answered > 0)
        say(&r->client_io, REQUEST, sizeof(REQUEST) - 1);
    if (!sim_run_until(r->sim, all_answered, r, 600 * NS_PER_S))
        cost_fail("no answer");
}

static void *exchange_begin_rig(void)
{
    struct rig *r = mem_alloc(sizeof *r);
    if (r == NULL)
        cost_fail("no memory");
    r->sim = sim_new(1, NULL);
    r->worker = sim_loop_new(r->sim);
    r->others = sim_loop_new(r->sim);
    if (addr_parse(SPAN("10.0.0.1:80"), &r->at) != ERR_OK ||
        addr_parse(SPAN("10.0.0.2:80"), &r->server_at) != ERR_OK)
        cost_fail("addresses");
    make_proxy(r);
    r->door_fd = r->worker->ops->sock_listen(r->worker, &r->at, true);
    r->server_fd = r->others->ops->sock_listen(r->others, &r->server_at, true);
    r->client = r->others->ops->sock_new(r->others, r->at.any.sa_family);
    if (listener_start(r->worker, r->door_fd, on_accept, r, &r->door) != ERR_OK)
        cost_fail("no listener");
    io_init(&r->server_door, r->others, r->server_fd, on_server_door);
    io_want(&r->server_door, IO_READ);
    (void)r->others->ops->sock_connect(r->others, r->client, &r->at);
    io_init(&r->client_io, r->others, r->client, on_reply);
    io_want(&r->client_io, IO_WRITE);
    return r;
}

static void *logged_begin_rig(void)
{
    struct rig *r = exchange_begin_rig();
    r->proxy->access = ACCESS_JSON;
    return r;
}

static void close_io(struct io *io)
{
    io_want(io, 0);
    io->loop->ops->sock_close(io->loop, io->fd, false);
}

static void exchange_end_rig(void *state)
{
    struct rig *r = state;
    close_io(&r->client_io);
    sim_run_for(r->sim, NS_PER_S);
    proxy_free(&r->proxy);
    listener_stop(&r->door);
    r->worker->ops->sock_close(r->worker, r->door_fd, false);
    close_io(&r->server_door);
    close_io(&r->server);
    conn_env_fini(&r->env);
    route_table_free(&r->policy.table);
    pick_pool_free(&r->pool.pick);
    registry_free(&r->registry);
    loop_free(&r->worker);
    loop_free(&r->others);
    sim_free(&r->sim);
    mem_free(r->admission);
    mem_free(r->stats);
    mem_free(r->route_stats);
    mem_free(r);
}

const struct cost_subject cost_exchange = {"exchange", exchange_begin_rig, exchange_work,
                                           exchange_end_rig};
const struct cost_subject cost_logged = {"logged", logged_begin_rig, exchange_work,
                                         exchange_end_rig};
