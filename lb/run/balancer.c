#include "run/balancer.h"

#include "base/mem.h"
#include "net/tls_mem.h"
#include "run/descriptors.h"
#include "run/hint.h"
#include "run/panic.h"
#include "run/places.h"
#include "run/sandbox.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TICK_MS        1000
#define ROTATE_MS      (12 * 3600 * 1000)
#define ENDPOINTS_MOST 65536

static const int heard[] = {SIGHUP, SIGUSR1, SIGTERM, SIGINT, SIGQUIT, SIGUSR2};

static void order_all(struct balancer *b, struct mail mail)
{
    for (unsigned w = 0; w < b->worker_count; w++) {
        if (b->workers[w] != NULL)
            (void)!worker_post(b->workers[w], mail);
    }
}

void balancer_stop(struct balancer *b, bool now)
{
    upgrade_conclude(b);
    if (b->draining == 0) {
        upgrade_stopping(b);
        if (!b->upgrade.done)
            service_notify("STOPPING=1\nSTATUS=draining");
        log_event(b->log, LOG_INFO, "stopping", "now=%s", now ? "yes" : "no");
    }
    if (b->draining >= (now ? 2u : 1u))
        return;
    b->draining = now ? 2 : 1;
    if (now)
        order_all(b, (struct mail){.kind = WORKER_KILL});
    else
        order_all(b, (struct mail){.kind = WORKER_DRAIN, .p = &b->drain});
}

/* TERM and INT drain, a second one ends at once; QUIT drains without limit. */
static void on_signal(struct balancer *b, int signal)
{
    if (signal == SIGHUP || signal == SIGUSR1) {
        if (b->current->log != NULL)
            log_writer_reopen(b->current->log->writer);
        if (signal == SIGHUP)
            balancer_reload(b, NULL);
        return;
    }
    if (signal == SIGUSR2) {
        upgrade_begin(b);
        return;
    }
    bool first = !b->told_to_stop; /* one that drains for an upgrade has not been told yet */
    if (signal == SIGQUIT && b->draining == 0) {
        b->drain.requests_ms = INT64_MAX / 2 / NS_PER_MS;
        b->drain.tunnels_ms = b->drain.requests_ms;
    }
    b->told_to_stop = true;
    balancer_stop(b, b->draining != 0 && !(first && b->upgrade.done));
}

static void on_signals(struct io *io, unsigned events)
{
    struct balancer *b = container_of(io, struct balancer, signals);
    struct signalfd_siginfo info;
    (void)events;
    while (read(io->fd, &info, sizeof info) == (ssize_t)sizeof info)
        on_signal(b, (int)info.ssi_signo);
}

static void on_worker_done(struct balancer *b)
{
    if (++b->workers_done == b->worker_count)
        loop_stop(b->loop);
}

/* A worker that is that far behind looks for itself when its patience is over. */
static void tell_read(struct balancer *b, struct challenge *c)
{
    (void)!worker_post(b->workers[c->worker], (struct mail){.kind = WORKER_FILE, .p = c});
}

static void on_mail(void *user, const struct mail *m)
{
    struct balancer *b = user;
    switch ((enum main_mail)m->kind) {
    case MAIN_LET_GO:
        balancer_let_go(b, m->p);
        break;
    case MAIN_ADOPT_FAILED:
        log_event(b->log, LOG_ERROR, "adopt-failed", "worker=%u generation=%llu reason=no-memory",
                  m->n, (unsigned long long)m->v);
        break;
    case MAIN_LISTEN_FAILED:
        log_event(b->log, LOG_ERROR, "listen-failed",
                  "worker=%u reason=%s effect=\"it tries again each second\"", m->n,
                  err_name((enum err)m->v));
        break;
    case MAIN_UNWATCHED:
        if (++b->unwatched == b->worker_count)
            sockets_refuse(&b->sockets);
        break;
    case MAIN_WORKER_DONE:
        gather_worker_gone(&b->gather, m->n);
        pressure_worker_gone(b, m->n);
        on_worker_done(b);
        break;
    case MAIN_LOOKED:
        gather_answered(&b->gather, m->p);
        break;
    case MAIN_RELIEVED:
        pressure_answered(b, m->n);
        break;
    case MAIN_UNSANDBOXED:
        log_event(b->log, LOG_WARN, "no-sandbox", "worker=%u reason=%s", m->n,
                  err_name((enum err)m->v));
        break;
    case MAIN_NAMES:
        balancer_named(b, m->p);
        break;
    case MAIN_HELPER:
        balancer_loaded(b, m->p);
        break;
    case MAIN_ROWS:
        central_rows(b, m->p);
        break;
    case MAIN_AWAY:
        central_away(b, m->p);
        break;
    case MAIN_DEPENDENCY:
        central_dependency(b, m->p);
        break;
    case MAIN_WATCHED:
        watch_looked(b, m->p);
        break;
    case MAIN_FILE:
        if (!challenges_ask(&b->challenges, m->p, &b->box, MAIN_FILE_READ)) {
            ((struct challenge *)m->p)->result = ERR_FULL;
            tell_read(b, m->p);
        }
        break;
    case MAIN_FILE_READ:
        challenges_next(&b->challenges);
        tell_read(b, m->p);
        break;
    case MAIN_KEPT:
        central_saved(b, m->p);
        break;
    }
}

static void on_tick(struct timer *t)
{
    struct balancer *b = container_of(t, struct balancer, tick);
    if (b->draining == 0)
        watchdog_tick(b);
    registry_sweep(b->registry);
    watch_tick(b);
    panic_look(b);
    timer_in_ms(t, TICK_MS);
}

static void on_watchdog(struct timer *t)
{
    const struct balancer *b = container_of(t, struct balancer, watchdog);
    if (b->upgrade.done)
        return; /* the other process's signs of life count */
    service_notify("WATCHDOG=1");
    timer_in_ms(t, service_watchdog_ms());
}

static void on_rotate(struct timer *t)
{
    struct balancer *b = container_of(t, struct balancer, rotate);
    if (tls_tickets_rotate(b->tickets) != ERR_OK)
        log_event(b->log, LOG_ERROR, "ticket-rotation-failed", "effect=\"the old keys stay\"");
    timer_in_ms(t, ROTATE_MS);
}

static enum err hear_signals(struct balancer *b)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof heard / sizeof *heard; i++)
        sigaddset(&set, heard[i]);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return ERR_SYSTEM;
    io_init(&b->signals, b->loop, fd, on_signals);
    io_want(&b->signals, IO_READ);
    return ERR_OK;
}

static enum err make_workers(struct balancer *b)
{
    enum err e = ERR_OK;
    b->workers = mem_array(b->worker_count, sizeof(struct worker *));
    if (b->workers == NULL)
        return ERR_NO_MEMORY;
    for (unsigned i = 0; e == ERR_OK && i < b->worker_count; i++) {
        struct worker_spec spec = {
            .index = i,
            .count = b->worker_count,
            .main = &b->box,
            .peers = b->workers,
            .admission = b->admission,
            .stats = b->stats.by_worker[i],
        };
        e = worker_new(&spec, &b->workers[i]);
    }
    return e;
}

static enum err make_parts(struct balancer *b)
{
    struct health_news news = {&b->box, MAIN_NAMES, MAIN_DEPENDENCY};
    list_init(&b->old);
    list_init(&b->jobs);
    name_book_init(&b->names);
    orders_init(&b->orders);
    list_init(&b->next_jobs);
    arena_init(&b->answer, NULL, KIB(4), KIB(64));
    b->admission = mem_aligned(64, (sizeof *b->admission + 63) / 64 * 64);
    b->registry = registry_new(ENDPOINTS_MOST);
    if (b->admission == NULL || b->registry == NULL)
        return ERR_NO_MEMORY;
    hash_key_new(&b->admission->key);
    enum err e = sockets_init(&b->sockets, b->worker_count, b->log);
    if (e == ERR_OK)
        upgrade_inherit(b);
    if (e == ERR_OK)
        e = stat_book_init(&b->stats, b->worker_count);
    if (e == ERR_OK)
        e = conn_env_init(&b->env, b->loop);
    if (e == ERR_OK)
        e = mailbox_init(&b->box, b->loop, on_mail, b);
    if (e == ERR_OK)
        e = make_workers(b);
    if (e == ERR_OK)
        e = health_thread_new(b->log, &news, &b->health);
    return e == ERR_OK ? helper_new(&b->box, MAIN_HELPER, &b->helper) : e;
}

/* The admin interface: a written address that cannot be had ends the start, a default one is a
 * warning (SURFACE.md section 3). */
static enum err open_admin(struct balancer *b, struct buf *messages)
{
    const struct conf_admin *a = &b->current->conf->admin;
    const char *control = a->socket.s.p;
    struct addr http;
    char at[ADDR_TEXT], place[PATH_MAX];
    struct conf_messages to;
    conf_messages_init(&to, b->current->conf, messages);
    enum err e = admin_new(&b->env, &balancer_admin_ops, b, b->log, &b->admin);
    if (e != ERR_OK)
        return e;
    admin_inherit(b->admin, b->control_fd, b->http_fd);
    admin_set_access(b->admin, &b->current->admin);
    if (a->socket.mark.line == 0) {
        places_control_socket(place, sizeof place);
        control = place;
    }
    e = admin_listen_control(b->admin, control);
    if (e != ERR_OK && a->socket.mark.line != 0) {
        hint_control(&to, &a->socket, e);
        return e;
    }
    if (e != ERR_OK)
        log_event(b->log, LOG_WARN, "no-control-socket", "path=%s reason=%s",
                  LOG_QUOTE(span_str(control)), err_name(e));
    if (!a->http_on)
        return ERR_OK;
    sockets_addr(&a->http, &http);
    at[addr_print(&http, at)] = '\0';
    e = admin_listen_http(b->admin, &http);
    if (e != ERR_OK && a->http.text.mark.line != 0) {
        hint_listen(&to, &a->http, e);
        return e;
    }
    if (e != ERR_OK)
        log_event(b->log, LOG_WARN, "no-admin-http", "address=%s reason=%s",
                  LOG_QUOTE(span_str(at)), err_name(e));
    return ERR_OK;
}

static void start_timers(struct balancer *b)
{
    timer_init(&b->tick, b->loop, on_tick);
    timer_init(&b->renew, b->loop, balancer_renew);
    timer_init(&b->watchdog, b->loop, on_watchdog);
    timer_init(&b->rotate, b->loop, on_rotate);
    timer_in_ms(&b->tick, TICK_MS);
    pressure_begin(b);
    watchdog_begin(b);
    timer_in_ms(&b->rotate, ROTATE_MS);
    if (service_watchdog_ms() > 0)
        timer_in_ms(&b->watchdog, service_watchdog_ms());
}

static enum err start(struct balancer *b, struct material *m, struct buf *messages)
{
    enum err e = make_parts(b);
    b->connections_auto = descriptors_connections();
    if (e == ERR_OK)
        e = descriptors_check(m->conf, messages);
    if (e == ERR_OK)
        e = kept_init(&b->kept, m->conf);
    if (e == ERR_OK)
        central_begin(b, m->conf);
    if (e == ERR_OK)
        e = balancer_publish(b, m, messages);
    if (e == ERR_OK)
        sockets_close_unused(&b->sockets);
    if (e == ERR_OK)
        e = open_admin(b, messages);
    if (e == ERR_OK)
        e = hear_signals(b);
    for (unsigned w = 0; e == ERR_OK && w < b->worker_count; w++)
        e = worker_start(b->workers[w]);
    if (e == ERR_OK)
        start_timers(b);
    return e;
}

static void stop_threads(struct balancer *b)
{
    if (b->workers != NULL && b->workers_done < b->worker_count)
        order_all(b, (struct mail){.kind = WORKER_KILL});
    challenges_fini(&b->challenges);
    for (unsigned w = 0; b->workers != NULL && w < b->worker_count; w++) {
        if (b->workers[w] != NULL)
            worker_join(b->workers[w]);
    }
    upgrade_tell_rest(b);
    for (unsigned w = 0; b->workers != NULL && w < b->worker_count; w++)
        worker_free(&b->workers[w]);
    mem_free(b->workers);
    health_thread_free(&b->health);
    helper_free(&b->helper);
    watch_fini(b);
    central_fini(b);
}

static void take_down(struct balancer *b)
{
    admin_free(&b->admin);
    balancer_forget_jobs(b);
    stop_threads(b);
    upgrade_fini(b);
    gather_fini(&b->gather);
    sockets_leave(&b->sockets);
    if (b->loading != NULL) {
        material_fini(b->loading);
        mem_free(b->loading);
    }
    b->current = NULL;
    list_each (e, &b->old) {
        struct snapshot *s = container_of(e, struct snapshot, link);
        list_remove(e);
        snapshot_free(&s);
    }
    if (b->registry != NULL)
        registry_sweep(b->registry);
    registry_free(&b->registry);
    sockets_fini(&b->sockets);
    name_book_fini(&b->names);
    orders_fini(&b->orders);
    kept_fini(&b->kept);
    stat_book_fini(&b->stats);
    tls_tickets_free(&b->tickets);
    if (b->signals.loop != NULL) {
        io_want(&b->signals, 0);
        close(b->signals.fd);
    }
    mailbox_fini(&b->box);
    conn_env_fini(&b->env);
    loop_free(&b->loop);
    arena_reset(&b->answer);
    mem_free(b->admission);
}

static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof heard / sizeof *heard; i++)
        sigaddset(&set, heard[i]);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void tell_ready(const struct balancer *b)
{
    struct buf at;
    buf_init(&at, KIB(4));
    for (size_t i = 0; i < b->current->listener_count; i++) {
        const struct conf_listener *l = b->current->listeners[i].conf;
        for (size_t k = 0; k < l->bind_count; k++)
            buf_printf(&at, "%s%.*s", buf_len(&at) == 0 ? "" : " ", SPAN_FMT(l->binds[k].text.s));
    }
    log_event(b->log, LOG_INFO, "ready", "version=%s workers=%u connections=%u pid=%d listen=%s",
              MERIDIAN_VERSION, b->worker_count, atomic_load(&b->admission->connections_most),
              (int)getpid(), LOG_QUOTE(buf_span(&at)));
    buf_fini(&at);
}

static int serve(struct balancer *b, struct material *m)
{
    struct buf messages;
    buf_init(&messages, MIB(1));
    enum err e = start(b, m, &messages);
    material_fini(m);
    if (e != ERR_OK) {
        if (buf_len(&messages) == 0)
            buf_printf(&messages, "meridian: cannot start: %s\n", err_phrase(e));
        fwrite(messages.p, 1, messages.n, stderr);
        buf_fini(&messages);
        take_down(b);
        return e == ERR_SYNTAX ? EXIT_CONFIG : EXIT_RESOURCE;
    }
    buf_fini(&messages);
    tell_ready(b);
    upgrade_ready(b);
    loop_run(b->loop);
    log_event(b->log, LOG_INFO, "stopped", "exit=0");
    take_down(b);
    return 0;
}

/* S2: before there are threads, which begin with what this one has given up. */
static void enter_sandbox(struct balancer *b, const struct conf *conf)
{
    enum err e = conf->sandbox ? sandbox_enter(SANDBOX_PROCESS) : ERR_OK;
    if (e == ERR_UNSUPPORTED && !sandbox_built())
        log_event(b->log, LOG_INFO, "no-sandbox", "reason=not-built");
    else if (e != ERR_OK)
        log_event(b->log, LOG_WARN, "no-sandbox", "reason=%s", err_name(e));
}

int balancer_run(const struct options *options)
{
    struct balancer b = {.options = options, .started_ns = clock_mono_ns()};
    struct material m = {.path = options->config};
    block_signals();
    upgrade_init(&b);
    enum err e = tls_tickets_new(&b.tickets);
    if (e == ERR_OK)
        e = loop_ev_new(&b.loop);
    if (e != ERR_OK) {
        fprintf(stderr, "meridian: cannot start: %s\n", err_phrase(e));
        return EXIT_RESOURCE;
    }
    m.tickets = b.tickets;
    material_load(&m);
    if (m.result != ERR_OK) {
        fwrite(m.messages.p, 1, m.messages.n, stderr);
        material_fini(&m);
        tls_tickets_free(&b.tickets);
        loop_free(&b.loop);
        return EXIT_CONFIG;
    }
    b.worker_count = m.workers;
    if (buf_len(&m.messages) != 0)
        fwrite(m.messages.p, 1, m.messages.n, stderr);
    b.log = log_new(STDERR_FILENO, m.conf->log.level, m.conf->log.events == CONF_EVENTS_JSON,
                    getenv("JOURNAL_STREAM") != NULL);
    if (!tls_mem_locked())
        log_event(b.log, LOG_INFO, "keys-not-locked", "effect=\"private keys may be swapped out\"");
    if (stall_prepare() != ERR_OK)
        log_event(b.log, LOG_WARN, "no-stall-trace", "effect=\"slow turns show no call stack\"");
    enter_sandbox(&b, m.conf);
    int code = serve(&b, &m);
    log_free(&b.log);
    return code;
}
