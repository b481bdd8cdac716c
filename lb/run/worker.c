#include "run/worker.h"

#include "base/mem.h"
#include "net/listener.h"
#include "proxy/relief.h"
#include "run/gather.h"
#include "run/pressure.h"
#include "run/sandbox.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define BEAT_MS   1000
#define RESUME_MS 100
#define DRAIN_MS  20
/* A request may be on its way on a connection that looks idle: it is still answered, and its client
 * told that it was the last. */
#define IDLE_MS 1000

/* One configured listener; connections point to its settings, so it stays while any is there. */
struct worker_listener {
    struct proxy_listener settings; /* first */
    struct link link;
    struct worker *worker;
    struct timer idle; /* after it has gone */
    char *name;
    char folder[CHALLENGE_ROOT_MOST]; /* of its settings: may outlive the configuration */
    bool wanted;
};

/* One descriptor watched for it. */
struct worker_watch {
    struct link link;
    struct worker *worker;
    struct worker_listener *of;
    struct listener *listener;
    int fd;  /* main's, by which the watch is found */
    int own; /* the same socket under a number that no other thread closes while our loop has it */
    int64_t ended_ns;
    bool wanted;
};

struct worker {
    /* set once */
    struct worker_spec spec;
    pthread_t thread;
    bool started;
    /* owner thread */
    struct loop *loop;
    struct conn_env env;
    struct proxy *proxy;
    struct link listeners, watches;
    struct link let_go; /* watches whose numbers are kept for a while */
    struct log_writer *log;
    struct tracer *tracer;
    struct timer beat, resume, drain;
    struct timer expire; /* ends requests of old generations */
    uint64_t expiring, expiring_next;
    int64_t expire_ms;
    bool draining, ended;
    int64_t idle_until_ns, requests_until_ns, tunnels_until_ns;
    /* shared, atomic */
    struct mailbox box;
    struct stall stall;
    _Atomic int64_t beat_ns, longest_turn_ns;
};

static void tell_main(struct worker *w, struct mail mail)
{
    mail.n = w->spec.index;
    /* The main thread's box is only full when that thread is stuck; the watchdog sees to that. */
    if (mailbox_post(w->spec.main, mail) != ERR_OK)
        counter_add(&w->spec.stats->log_dropped, 1);
}

static void on_edition_end(void *user, const struct policy *policy)
{
    tell_main(user, (struct mail){.kind = MAIN_LET_GO, .p = (void *)(uintptr_t)policy});
}

/* A lost message costs a waiter the time until it looks for itself. */
static void on_slot_free(void *user, unsigned worker, struct pool_state *pool)
{
    struct worker *w = user;
    (void)!mailbox_post_hint(&w->spec.peers[worker]->box,
                             (struct mail){.kind = WORKER_SLOT_FREE, .p = pool});
}

static void on_log_line(void *user, struct span line)
{
    struct worker *w = user;
    if (w->log == NULL || !log_writer_put(w->log, w->spec.index, line))
        counter_add(&w->spec.stats->log_dropped, 1);
}

static void on_span_line(void *user, struct span line)
{
    struct worker *w = user;
    if (w->tracer == NULL || !tracer_put(w->tracer, w->spec.index, line))
        counter_add(&w->spec.stats->spans_dropped, 1);
}

static bool on_read_file(void *user, struct challenge *c)
{
    struct worker *w = user;
    c->worker = w->spec.index;
    return mailbox_post_hint(w->spec.main, (struct mail){.kind = MAIN_FILE, .p = c}) == ERR_OK;
}

static bool on_accept(void *user, int fd, const struct addr *peer)
{
    struct worker_watch *watch = user;
    struct worker *w = watch->worker;
    bool more = proxy_accept(w->proxy, &watch->of->settings, fd, peer);
    if (!more && w->resume.due_ns == 0)
        timer_in_ms(&w->resume, RESUME_MS);
    return more;
}

static void on_resume(struct timer *t)
{
    struct worker *w = container_of(t, struct worker, resume);
    if (!proxy_accepting(w->proxy)) {
        timer_in_ms(t, RESUME_MS);
        return;
    }
    list_each (e, &w->watches)
        listener_resume(container_of(e, struct worker_watch, link)->listener);
}

static void forget_let_go(struct worker *w, int64_t before_ns)
{
    list_each (v, &w->let_go) {
        struct worker_watch *watch = container_of(v, struct worker_watch, link);
        if (watch->ended_ns > before_ns)
            continue;
        if (watch->ended_ns != 0)
            close(watch->own);
        list_remove(&watch->link);
        mem_free(watch);
    }
}

static void on_beat(struct timer *t)
{
    struct worker *w = container_of(t, struct worker, beat);
    w->loop->descriptors_most = pressure_descriptors_most();
    atomic_store_explicit(&w->beat_ns, loop_now_ns(w->loop), memory_order_relaxed);
    if (w->loop->longest_turn_ns > atomic_load_explicit(&w->longest_turn_ns, memory_order_relaxed))
        atomic_store_explicit(&w->longest_turn_ns, w->loop->longest_turn_ns, memory_order_relaxed);
    w->loop->longest_turn_ns = 0;
    if (!w->draining)
        forget_let_go(w, loop_now_ns(w->loop) - BEAT_MS * NS_PER_MS);
    timer_in_ms(t, BEAT_MS);
}

static void on_idle(struct timer *t)
{
    struct worker_listener *l = container_of(t, struct worker_listener, idle);
    proxy_close_idle(l->worker->proxy, &l->settings);
}

/* A listener that has gone, or has changed between plain text and TLS, is another one: what came
 * through it ends. */
static bool listener_is(const struct worker_listener *l, struct span name, bool tls)
{
    return !l->settings.gone && (l->settings.tls != NULL) == tls &&
           span_eq(span_str(l->name), name);
}

static struct worker_listener *listener_get(struct worker *w, struct span name, bool tls)
{
    list_each (e, &w->listeners) {
        struct worker_listener *l = container_of(e, struct worker_listener, link);
        if (listener_is(l, name, tls))
            return l;
    }
    struct worker_listener *l = mem_alloc(sizeof *l);
    if (l == NULL)
        return NULL;
    l->name = mem_copy_str(name.p, name.n);
    if (l->name == NULL) {
        mem_free(l);
        return NULL;
    }
    l->worker = w;
    l->settings.name = span_str(l->name);
    timer_init(&l->idle, w->loop, on_idle);
    list_append(&w->listeners, &l->link);
    return l;
}

static void settle_listener(struct worker_listener *l, const struct snapshot_listener *from,
                            unsigned worker)
{
    struct span name = l->settings.name, folder = from->settings.acme_challenges;
    uint32_t clients = l->settings.clients;
    l->wanted = true;
    l->settings = from->settings;
    l->settings.name = name;
    l->settings.acme_challenges = span_of(l->folder, folder.n);
    if (folder.n != 0)
        memcpy(l->folder, folder.p, folder.n);
    l->settings.clients = clients;
    l->settings.tls = from->servers != NULL ? from->servers[worker] : NULL;
}

static struct worker_watch *watch_find(struct worker *w, int fd)
{
    list_each (e, &w->watches) {
        struct worker_watch *watch = container_of(e, struct worker_watch, link);
        if (watch->fd == fd)
            return watch;
    }
    return NULL;
}

static enum err watch(struct worker *w, int fd, struct worker_listener *of)
{
    struct worker_watch *watch = watch_find(w, fd);
    if (watch != NULL) {
        watch->of = of;
        watch->wanted = true;
        return ERR_OK;
    }
    watch = mem_alloc(sizeof *watch);
    if (watch == NULL)
        return ERR_NO_MEMORY;
    *watch = (struct worker_watch){.worker = w, .of = of, .fd = fd, .wanted = true};
    watch->own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    enum err e = watch->own < 0
                     ? ERR_NO_DESCRIPTOR
                     : listener_start(w->loop, watch->own, on_accept, watch, &watch->listener);
    if (e != ERR_OK) {
        if (watch->own >= 0)
            close(watch->own);
        mem_free(watch);
        return e;
    }
    list_append(&w->watches, &watch->link);
    return ERR_OK;
}

/* The socket is let go at once. Its number is not: where another process has the socket too, the
 * kernel may still tell our loop of it, and what the loop then does to the number must not meet
 * what another thread has under it. */
static void watch_end(struct worker_watch *watch)
{
    struct worker *w = watch->worker;
    listener_stop(&watch->listener);
    list_remove(&watch->link);
    if (dup3(STDERR_FILENO, watch->own, O_CLOEXEC) < 0)
        close(watch->own);
    else
        watch->ended_ns = loop_now_ns(w->loop);
    list_append(&w->let_go, &watch->link);
}

static enum err watch_bound(struct worker *w, const struct bound *b, struct worker_listener *of)
{
    enum err e = ERR_OK;
    for (unsigned i = 0; e == ERR_OK && i < b->count; i++) {
        if (b->shared || i % w->spec.count == w->spec.index)
            e = watch(w, b->fds[i], of);
    }
    return e;
}

static enum err adopt_listeners(struct worker *w, const struct snapshot *s)
{
    enum err e = ERR_OK;
    list_each (l, &w->listeners)
        container_of(l, struct worker_listener, link)->wanted = false;
    list_each (v, &w->watches)
        container_of(v, struct worker_watch, link)->wanted = false;
    for (size_t i = 0; e == ERR_OK && i < s->listener_count; i++) {
        const struct snapshot_listener *from = &s->listeners[i];
        struct worker_listener *l = listener_get(w, from->name, from->servers != NULL);
        if (l == NULL)
            return ERR_NO_MEMORY;
        settle_listener(l, from, w->spec.index);
        for (size_t b = 0; e == ERR_OK && b < from->conf->bind_count; b++)
            e = watch_bound(w, from->bounds[b], l);
    }
    return e;
}

/* Its connections end as those of a drain do, its tunnels and downloads go on. */
static void retire(struct worker *w, struct worker_listener *l)
{
    if (l->settings.gone)
        return;
    proxy_last(w->proxy, &l->settings);
    timer_in_ms(&l->idle, IDLE_MS);
}

/* What the new configuration does not name: stops being watched; goes when its last client has. */
static void drop_unwanted(struct worker *w)
{
    list_each (v, &w->watches) {
        struct worker_watch *watch = container_of(v, struct worker_watch, link);
        if (!watch->wanted)
            watch_end(watch);
    }
    list_each (e, &w->listeners) {
        struct worker_listener *l = container_of(e, struct worker_listener, link);
        if (l->wanted)
            continue;
        retire(w, l);
        if (l->settings.clients != 0)
            continue;
        timer_stop(&l->idle);
        list_remove(&l->link);
        mem_free(l->name);
        mem_free(l);
    }
}

static void adopt_logs(struct worker *w, const struct snapshot *s)
{
    w->proxy->access = s->access;
    w->proxy->access_line = &s->access_line;
    w->log = s->log != NULL ? s->log->writer : NULL;
    w->tracer = s->tracer;
}

static void adopt(struct worker *w, const struct snapshot *s)
{
    enum err e = proxy_adopt(w->proxy, &s->policy);
    if (e == ERR_OK) {
        adopt_logs(w, s);
        e = adopt_listeners(w, s);
    }
    if (e != ERR_OK) {
        tell_main(w, (struct mail){.kind = MAIN_ADOPT_FAILED, .v = s->policy.generation});
        return;
    }
    drop_unwanted(w);
}

static void finish(struct worker *w)
{
    if (w->ended)
        return;
    w->ended = true;
    timer_stop(&w->drain);
    tell_main(w, (struct mail){.kind = MAIN_WORKER_DONE});
    loop_stop(w->loop);
}

static void on_drain_time(struct timer *t)
{
    struct worker *w = container_of(t, struct worker, drain);
    int64_t now = loop_now_ns(w->loop);
    if (now >= w->tunnels_until_ns)
        proxy_kill(w->proxy, false, ERR_SHUTDOWN);
    else if (now >= w->requests_until_ns)
        proxy_kill(w->proxy, true, ERR_SHUTDOWN);
    else if (now >= w->idle_until_ns)
        proxy_close_idle(w->proxy, NULL);
    bool served = proxy_clients(w->proxy) == 0;
    if (served && list_empty(&w->proxy->exchanges)) {
        finish(w);
        return;
    }
    if (served)
        proxy_kill_errands(w->proxy, ERR_SHUTDOWN);
    timer_in_ms(t, DRAIN_MS);
}

static void begin_drain(struct worker *w, const struct worker_drain *d)
{
    int64_t now = loop_now_ns(w->loop);
    list_each (v, &w->watches)
        watch_end(container_of(v, struct worker_watch, link));
    if (!w->draining)
        tell_main(w, (struct mail){.kind = MAIN_UNWATCHED});
    w->draining = true;
    w->idle_until_ns = now + IDLE_MS * NS_PER_MS;
    w->requests_until_ns = now + d->requests_ms * NS_PER_MS;
    w->tunnels_until_ns = now + d->tunnels_ms * NS_PER_MS;
    if (w->tunnels_until_ns < w->requests_until_ns)
        w->tunnels_until_ns = w->requests_until_ns;
    proxy_drain(w->proxy);
    timer_in_ms(&w->drain, DRAIN_MS);
}

static void on_expire(struct timer *t)
{
    struct worker *w = container_of(t, struct worker, expire);
    proxy_kill_old(w->proxy, w->expiring, ERR_DEADLINE);
    if (w->expiring_next == w->expiring)
        return;
    w->expiring = w->expiring_next;
    timer_in_ms(t, w->expire_ms);
}

/* Those that are told of while others have their time get theirs after it. */
static void expire(struct worker *w, uint64_t generation, unsigned ms)
{
    w->expire_ms = ms;
    w->expiring_next = generation;
    if (w->expire.due_ns != 0)
        return;
    w->expiring = generation;
    timer_in_ms(&w->expire, w->expire_ms);
}

/* Connections wait in the kernel's queue under the last tier. */
static void relieve(struct worker *w, enum overload tier)
{
    relief_apply(w->proxy, tier);
    if (tier == OVERLOAD_RESET) {
        relief_weigh(w->proxy);
        list_each (e, &w->watches)
            listener_pause(container_of(e, struct worker_watch, link)->listener);
        if (w->resume.due_ns == 0)
            timer_in_ms(&w->resume, RESUME_MS);
    }
    tell_main(w, (struct mail){.kind = MAIN_RELIEVED});
}

static void on_mail(void *user, const struct mail *m)
{
    static const struct worker_drain at_once = {0, 0};
    struct worker *w = user;
    if (w->ended)
        return; /* main knows already, and waits for nothing */
    switch ((enum worker_mail)m->kind) {
    case WORKER_ADOPT:
        adopt(w, m->p);
        break;
    case WORKER_SLOT_FREE:
        proxy_slot_free(w->proxy, m->p);
        break;
    case WORKER_DRAIN:
        begin_drain(w, m->p);
        break;
    case WORKER_KILL:
        begin_drain(w, &at_once);
        break;
    case WORKER_EXPIRE:
        expire(w, m->v, m->n);
        break;
    case WORKER_FILE:
        challenge_read(m->p);
        break;
    case WORKER_RELIEF:
        relieve(w, (enum overload)m->n);
        break;
    case WORKER_RESET:
        relief_reset(w->proxy, (uint16_t)m->n);
        tell_main(w, (struct mail){.kind = MAIN_RELIEVED});
        break;
    case WORKER_LOOK:
        gather_fill(m->p, w->proxy);
        tell_main(w, (struct mail){.kind = MAIN_LOOKED, .p = m->p});
        break;
    }
}

/* The end of the thread: nothing is in flight any more. */
static void take_down(struct worker *w)
{
    list_each (v, &w->watches)
        watch_end(container_of(v, struct worker_watch, link));
    forget_let_go(w, INT64_MAX);
    list_each (e, &w->listeners)
        container_of(e, struct worker_listener, link)->wanted = false;
    drop_unwanted(w);
    timer_stop(&w->beat);
    timer_stop(&w->resume);
    timer_stop(&w->expire);
    loop_run_tasks(w->loop);
    proxy_free(&w->proxy);
    conn_env_fini(&w->env);
}

static void *run(void *arg)
{
    struct worker *w = arg;
    char name[16];
    snprintf(name, sizeof name, "worker-%u", w->spec.index);
    (void)pthread_setname_np(pthread_self(), name);
    stall_begin(&w->stall, w->loop);
    enum err e = sandbox_enter(SANDBOX_WORKER);
    if (e != ERR_OK && e != ERR_UNSUPPORTED)
        tell_main(w, (struct mail){.kind = MAIN_UNSANDBOXED, .v = e});
    on_beat(&w->beat);
    loop_run(w->loop);
    take_down(w);
    return NULL;
}

enum err worker_new(const struct worker_spec *spec, struct worker **out)
{
    struct worker *w = mem_aligned(64, (sizeof *w + 63) / 64 * 64);
    *out = NULL;
    if (w == NULL)
        return ERR_NO_MEMORY;
    w->spec = *spec;
    list_init(&w->listeners);
    list_init(&w->let_go);
    list_init(&w->watches);
    enum err e = loop_ev_new(&w->loop);
    if (e == ERR_OK)
        e = conn_env_init(&w->env, w->loop);
    if (e == ERR_OK)
        e = mailbox_init(&w->box, w->loop, on_mail, w);
    struct proxy_spec proxy = {
        .worker = spec->index,
        .workers = spec->count,
        .env = &w->env,
        .admission = spec->admission,
        .stats = spec->stats,
        .hooks = {.edition_end = on_edition_end,
                  .slot_free = on_slot_free,
                  .log_line = on_log_line,
                  .span_line = on_span_line,
                  .read_file = on_read_file,
                  .user = w},
    };
    if (e == ERR_OK)
        e = proxy_new(&proxy, &w->proxy);
    *out = w;
    if (e != ERR_OK)
        return e;
    timer_init(&w->beat, w->loop, on_beat);
    timer_init(&w->resume, w->loop, on_resume);
    timer_init(&w->drain, w->loop, on_drain_time);
    timer_init(&w->expire, w->loop, on_expire);
    atomic_store(&w->beat_ns, loop_now_ns(w->loop));
    return ERR_OK;
}

enum err worker_start(struct worker *w)
{
    w->started = pthread_create(&w->thread, NULL, run, w) == 0;
    return w->started ? ERR_OK : ERR_SYSTEM;
}

void worker_free(struct worker **wp)
{
    struct worker *w = *wp;
    *wp = NULL;
    if (w == NULL)
        return;
    if (w->started)
        pthread_join(w->thread, NULL);
    else if (w->proxy != NULL)
        take_down(w);
    mailbox_fini(&w->box);
    if (w->loop != NULL)
        loop_free(&w->loop);
    mem_free(w);
}

enum err worker_post(struct worker *w, struct mail mail)
{
    return mailbox_post(&w->box, mail);
}

int64_t worker_beat_ns(const struct worker *w)
{
    return atomic_load_explicit(&w->beat_ns, memory_order_relaxed);
}

struct stall *worker_stall(struct worker *w)
{
    return &w->stall;
}

uint32_t worker_sockets(const struct worker *w)
{
    return atomic_load_explicit(&w->loop->sockets, memory_order_relaxed);
}

int64_t worker_longest_turn_ns(struct worker *w)
{
    return atomic_exchange_explicit(&w->longest_turn_ns, 0, memory_order_relaxed);
}
