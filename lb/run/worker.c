#include "run/worker_impl.h"

#include "base/mem.h"
#include "proxy/relief.h"
#include "run/pressure.h"
#include "run/sandbox.h"

#include <signal.h>
#include <stdio.h>

#define BEAT_MS  1000
#define DRAIN_MS 20

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

static bool on_shed(void *user, unsigned worker, struct pool_state *pool, enum rank rank)
{
    struct worker *w = user;
    struct mail mail = {.kind = WORKER_SHED, .p = pool, .n = rank};
    return mailbox_post_hint(&w->spec.peers[worker]->box, mail) == ERR_OK;
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

static void on_beat(struct timer *t)
{
    struct worker *w = container_of(t, struct worker, beat);
    w->loop->descriptors_most = pressure_descriptors_most();
    atomic_store_explicit(&w->beat_ns, loop_now_ns(w->loop), memory_order_relaxed);
    if (w->loop->longest_turn_ns > atomic_load_explicit(&w->longest_turn_ns, memory_order_relaxed))
        atomic_store_explicit(&w->longest_turn_ns, w->loop->longest_turn_ns, memory_order_relaxed);
    w->loop->longest_turn_ns = 0;
    worker_listen_again(w);
    if (!w->draining)
        worker_forget_numbers(w, loop_now_ns(w->loop) - BEAT_MS * NS_PER_MS);
    timer_in_ms(t, BEAT_MS);
}

static void adopt_logs(struct worker *w, const struct snapshot *s)
{
    w->proxy->access = s->access;
    w->proxy->access_line = &s->access_line;
    w->log = s->log != NULL ? s->log->writer : NULL;
    w->tracer = s->tracer;
}

/* The old one is held until nothing of it is used any more: a listener that has gone still takes
 * who waits in its queue. */
static void adopt(struct worker *w, const struct snapshot *s)
{
    struct edition *old = w->proxy->current != NULL ? edition_ref(w->proxy->current) : NULL;
    if (proxy_adopt(w->proxy, &s->policy) != ERR_OK) {
        edition_unref(w->proxy, &old);
        tell_main(w, (struct mail){.kind = MAIN_ADOPT_FAILED, .v = s->policy.generation});
        on_edition_end(w, &s->policy);
        return;
    }
    adopt_logs(w, s);
    enum err e = worker_listen(w, s);
    worker_drop_unwanted(w);
    edition_unref(w->proxy, &old);
    if (e != ERR_OK)
        tell_main(w, (struct mail){.kind = MAIN_LISTEN_FAILED, .v = e});
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
    worker_unwatch(w);
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
        worker_pause(w);
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
    case WORKER_SHED:
        proxy_shed(w->proxy, m->p, (enum rank)m->n);
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
    worker_unlisten(w);
    timer_stop(&w->beat);
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
    tls_mem_keep(&w->tls_pieces);
    loop_run(w->loop);
    take_down(w);
    tls_mem_keep(NULL);
    tls_pieces_fini(&w->tls_pieces);
    return NULL;
}

enum err worker_new(const struct worker_spec *spec, struct worker **out)
{
    struct worker *w = mem_aligned(64, (sizeof *w + 63) / 64 * 64);
    *out = NULL;
    if (w == NULL)
        return ERR_NO_MEMORY;
    w->spec = *spec;
    enum err e = loop_ev_new(&w->loop);
    if (e == ERR_OK)
        e = conn_env_init(&w->env, w->loop);
    w->tls_pieces.reserve = &w->env.reserve;
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
                  .shed = on_shed,
                  .log_line = on_log_line,
                  .span_line = on_span_line,
                  .read_file = on_read_file,
                  .user = w},
        .challenges = w->challenges,
    };
    if (e == ERR_OK)
        e = proxy_new(&proxy, &w->proxy);
    *out = w;
    if (e != ERR_OK)
        return e;
    worker_listen_init(w);
    timer_init(&w->beat, w->loop, on_beat);
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

void worker_join(struct worker *w)
{
    if (w->started)
        pthread_join(w->thread, NULL);
    w->started = false;
}

void worker_free(struct worker **wp)
{
    struct worker *w = *wp;
    *wp = NULL;
    if (w == NULL)
        return;
    worker_join(w);
    if (w->proxy != NULL)
        take_down(w);
    mailbox_fini(&w->box);
    if (w->loop != NULL)
        loop_free(&w->loop);
    mem_free(w);
}

enum err worker_post(struct worker *w, struct mail mail)
{
    bool urgent = mail.kind == WORKER_DRAIN || mail.kind == WORKER_KILL;
    return urgent ? mailbox_post_urgent(&w->box, mail) : mailbox_post(&w->box, mail);
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

const struct loop_turns *worker_turns(const struct worker *w)
{
    return &w->loop->turn_times;
}

int64_t worker_longest_turn_ns(struct worker *w)
{
    return atomic_exchange_explicit(&w->longest_turn_ns, 0, memory_order_relaxed);
}
