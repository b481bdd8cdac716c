/* A worker and the thread that owns what it reads: what the worker has let go of, it uses no more.
 */
#include "check.h"

#include "base/mem.h"
#include "run/worker.h"

#include <sys/socket.h>
#include <unistd.h>

enum { WAITING = 300 };

/* The main thread's side. */
struct world {
    struct loop *loop;
    struct mailbox box;
    struct worker *worker;
    struct worker_stats *stats;
    struct admission *admission;
    struct snapshot first, second;
    struct snapshot_listener listener;
    struct conf_listener conf;
    struct bound bound, *bounds;
    struct stat_listener counts;
    struct listener_stats *by_worker;
    struct route_stats *unrouted;
    struct cidr networks;
    int fd, clients[WAITING];
    uint64_t accepted; /* when the first snapshot was let go */
    bool let_go;
};

static void on_mail(void *user, const struct mail *m)
{
    struct world *w = user;
    if (m->kind == MAIN_LET_GO && m->p == &w->first.policy) {
        w->accepted = counter_get(&w->by_worker->accepted);
        w->networks = (struct cidr){.family = AF_UNSPEC}; /* as if it were freed */
        w->let_go = true;
        CHECK_INT(worker_post(w->worker, (struct mail){.kind = WORKER_KILL}), ERR_OK);
    } else if (m->kind == MAIN_WORKER_DONE) {
        loop_stop(w->loop);
    }
}

static void listen_at(struct world *w)
{
    struct addr at;
    CHECK_INT(addr_parse(SPAN("127.0.0.1:0"), &at), ERR_OK);
    w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(w->fd >= 0 && bind(w->fd, &at.any, at.len) == 0 && listen(w->fd, WAITING) == 0 &&
              getsockname(w->fd, &at.any, &at.len) == 0,
          "listen");
    for (int i = 0; i < WAITING; i++) {
        w->clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(w->clients[i] >= 0 && connect(w->clients[i], &at.any, at.len) == 0, "connect %d", i);
    }
}

static void plan(struct world *w, struct snapshot *s, uint64_t generation, size_t listeners)
{
    CHECK_INT(route_table_new(NULL, 0, &s->policy.table), ERR_OK);
    s->policy.generation = generation;
    s->policy.unrouted = &w->unrouted;
    s->listeners = &w->listener;
    s->listener_count = listeners;
}

static void world_new(struct world *w)
{
    struct worker_spec spec = {.count = 1, .main = &w->box, .peers = &w->worker};
    memset(w, 0, sizeof *w);
    listen_at(w);
    CHECK_INT(loop_ev_new(&w->loop), ERR_OK);
    CHECK_INT(mailbox_init(&w->box, w->loop, on_mail, w), ERR_OK);
    spec.stats = w->stats = mem_aligned(64, (sizeof *w->stats + 63) / 64 * 64);
    spec.admission = w->admission = mem_aligned(64, (sizeof *w->admission + 63) / 64 * 64);
    w->by_worker = mem_aligned(64, (sizeof *w->by_worker + 63) / 64 * 64);
    w->unrouted = mem_aligned(64, (sizeof *w->unrouted + 63) / 64 * 64);
    CHECK(w->stats != NULL && w->admission != NULL && w->by_worker != NULL && w->unrouted != NULL,
          "memory");
    w->admission->connections_most = w->admission->source_most = UINT16_MAX;
    w->networks = (struct cidr){.family = AF_INET, .bits = 8, .bytes = {127}};
    w->conf.bind_count = 1;
    w->bound = (struct bound){.count = 1, .fds = &w->fd, .shared = true};
    w->bounds = &w->bound;
    w->counts.by_worker = w->by_worker;
    w->listener = (struct snapshot_listener){.name = SPAN("web"),
                                             .conf = &w->conf,
                                             .bounds = &w->bounds,
                                             .counts = &w->counts,
                                             .settings = {.speaks_h1 = true,
                                                          .limits = {.head_ms = 10000},
                                                          .handshake_ms = 10000,
                                                          .spoken_for = &w->networks,
                                                          .spoken_for_count = 1}};
    plan(w, &w->first, 1, 1);
    plan(w, &w->second, 2, 0);
    CHECK_INT(worker_new(&spec, &w->worker), ERR_OK);
}

static void world_free(struct world *w)
{
    worker_free(&w->worker);
    mailbox_fini(&w->box);
    loop_free(&w->loop);
    route_table_free(&w->first.policy.table);
    route_table_free(&w->second.policy.table);
    for (int i = 0; i < WAITING; i++)
        close(w->clients[i]);
    close(w->fd);
    mem_free(w->stats);
    mem_free(w->admission);
    mem_free(w->by_worker);
    mem_free(w->unrouted);
}

/* Those who wait in the queue of a listener that has gone are taken by the old configuration: it is
 * let go after them. */
TEST(worker, a_configuration_is_let_go_after_the_last_use)
{
    static struct world w;
    world_new(&w);
    CHECK_INT(worker_post(w.worker, (struct mail){.kind = WORKER_ADOPT, .p = &w.first}), ERR_OK);
    CHECK_INT(worker_post(w.worker, (struct mail){.kind = WORKER_ADOPT, .p = &w.second}), ERR_OK);
    CHECK_INT(worker_start(w.worker), ERR_OK);
    loop_run(w.loop);
    CHECK(w.let_go, "never");
    CHECK_INT(w.accepted, WAITING);
    CHECK_INT(counter_get(&w.by_worker->open), 0);
    world_free(&w);
}

/* What is said once must arrive: an order to drain or to end is not lost behind a full mailbox. */
TEST(worker, the_end_is_heard_behind_a_full_mailbox)
{
    static struct world w;
    struct mail other = {.kind = WORKER_EXPIRE};
    unsigned taken = 0;
    world_new(&w);
    while (taken < 2 * MAILBOX_SIZE && worker_post(w.worker, other) == ERR_OK)
        taken++;
    CHECK_INT(taken, MAILBOX_SIZE - MAILBOX_URGENT);
    CHECK_INT(worker_post(w.worker, (struct mail){.kind = WORKER_KILL}), ERR_OK);
    CHECK_INT(worker_post(w.worker, other), ERR_FULL);
    CHECK_INT(worker_start(w.worker), ERR_OK);
    loop_run(w.loop);
    world_free(&w);
}
