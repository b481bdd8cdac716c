/* Reload: load and check on the helper's thread, publish on the main one; a broken configuration
 * changes nothing (RELIABILITY C1). */
#include "run/balancer.h"

#include "base/limits.h"
#include "base/mem.h"
#include "run/descriptors.h"

struct reload_job {
    struct link link;
    struct admin_job *job;
};

static void load(void *arg)
{
    material_load(arg);
}

static void apply_limits(struct balancer *b, const struct conf *conf)
{
    atomic_store(&b->admission->handshakes_most, (uint32_t)conf->limits.handshakes);
    atomic_store(&b->admission->source_most, (uint32_t)conf->limits.connections_per_source);
    uint32_t most =
        conf->limits.connections != 0 ? (uint32_t)conf->limits.connections : b->connections_auto;
    atomic_store(&b->admission->connections_most, most);
    pressure_follow(b, &conf->limits);
    log_set_level(b->log, conf->log.level);
    log_set_json(b->log, conf->log.events == CONF_EVENTS_JSON);
    b->drain.requests_ms = conf->drain.requests_ms;
    b->drain.tunnels_ms = conf->drain.tunnels_ms;
}

static void free_when_let_go(struct balancer *b, struct snapshot *s)
{
    if (s == NULL || s->holders != 0 || s == b->current)
        return;
    list_remove(&s->link);
    if (s->log != NULL)
        totals_lost(&b->totals, s->log->writer);
    snapshot_free(&s);
    registry_sweep(b->registry);
    mem_trim();
}

void balancer_let_go(struct balancer *b, const struct policy *policy)
{
    struct snapshot *s = (struct snapshot *)(uintptr_t)policy;
    s->holders--;
    free_when_let_go(b, s);
}

/* C2: the oldest of too many get the time of a drain, and a reload does not wait for them. */
static void expire_old(struct balancer *b)
{
    const struct link *e = b->old.prev;
    for (unsigned n = 0; n < LIMIT_GENERATIONS && e != &b->old; n++)
        e = e->prev;
    if (e == &b->old)
        return;
    int64_t ms = b->drain.requests_ms < INT32_MAX ? b->drain.requests_ms : INT32_MAX;
    struct mail mail = {.kind = WORKER_EXPIRE,
                        .n = (unsigned)ms,
                        .v = container_of(e, const struct snapshot, link)->policy.generation};
    for (unsigned w = 0; w < b->worker_count; w++)
        (void)!worker_post(b->workers[w], mail); /* the next reload says it again */
}

/* Servers that were not there before: what operators have said holds for them too. */
static void greet_new(const struct balancer *b, const struct snapshot *s)
{
    for (uint32_t i = 0; i < s->policy.pool_count; i++) {
        const struct policy_pool *p = &s->policy.pools[i];
        orders_greet(&b->orders, p->name, p->pick, p->sites != NULL);
    }
}

enum err balancer_publish(struct balancer *b, struct material *m, struct buf *messages)
{
    struct snapshot_context c = {
        .workers = b->worker_count,
        .generation = b->generation + 1,
        .now_ms = loop_now_ms(b->loop),
        .reload = b->current != NULL,
        .registry = b->registry,
        .names = &b->names,
        .sockets = &b->sockets,
        .stats = &b->stats,
        .material = b->current != NULL ? b->current->material : NULL,
        .rows = b->central.rows,
        .geo = b->current != NULL ? b->current->geo : NULL,
        .log = b->current != NULL ? b->current->log : NULL,
        .tracer = b->current != NULL ? b->current->tracer : NULL,
        .spans = &b->totals.spans,
        .events = b->log,
    };
    struct snapshot *s, *before = b->current;
    struct health_plan *plan;
    enum err e = snapshot_new(&c, m, &s, messages);
    if (e == ERR_OK)
        e = snapshot_health(s, &plan);
    if (e != ERR_OK) {
        snapshot_free(&s);
        return e;
    }
    greet_new(b, s);
    b->generation++;
    b->current = s;
    list_append(&b->old, &s->link);
    apply_limits(b, s->conf);
    if (b->admin != NULL)
        admin_set_access(b->admin, &s->admin);
    upgrade_take_state(b);
    for (unsigned w = 0; w < b->worker_count; w++) {
        /* A worker that far behind is a stuck one; the watchdog ends the process. */
        if (worker_post(b->workers[w], (struct mail){.kind = WORKER_ADOPT, .p = s}) == ERR_OK)
            s->holders++;
    }
    if (health_thread_plan(b->health, &plan) != ERR_OK)
        log_event(b->log, LOG_ERROR, "health-plan-lost", "reason=full");
    free_when_let_go(b, before);
    expire_old(b);
    central_follow(b, m != NULL);
    if (m != NULL)
        balancer_plan_names(b);
    return ERR_OK;
}

static const struct conf_backend *backend_of(const struct conf *conf, struct span pool,
                                             struct span backend)
{
    for (size_t i = 0; i < conf->pool_count; i++) {
        for (size_t k = 0; k < conf->pools[i].backend_count; k++) {
            if (span_eq(conf->pools[i].name.s, pool) &&
                span_eq(conf->pools[i].backends[k].name.s, backend))
                return &conf->pools[i].backends[k];
        }
    }
    return NULL;
}

/* A weight that the file changes, and that has been given by hand too: it has no effect. */
static void warn_outranked(const struct snapshot *now, const struct conf *conf,
                           struct buf *messages)
{
    for (size_t i = 0; i < now->policy.pool_count; i++) {
        const struct policy_pool *p = &now->policy.pools[i];
        struct span last = SPAN_NONE;
        for (uint32_t k = 0; k < p->endpoint_count; k++) {
            const struct policy_endpoint *e = &p->endpoints[k];
            uint32_t forced = atomic_load_explicit(&e->endpoint->weight, memory_order_relaxed);
            if (forced == 0 || span_eq(e->name, last))
                continue;
            const struct conf_backend *was = backend_of(now->conf, p->name, e->name),
                                      *is = backend_of(conf, p->name, e->name);
            last = e->name;
            if (was != NULL && is != NULL && was->weight != is->weight)
                buf_printf(messages,
                           "warning: pools.%.*s.backends.%.*s.weight: %lld has no effect while %u "
                           "holds, which was set by hand; meridianctl reset %.*s/%.*s ends it\n",
                           SPAN_FMT(p->name), SPAN_FMT(e->name), (long long)is->weight, forced,
                           SPAN_FMT(p->name), SPAN_FMT(e->name));
        }
    }
}

static void warn_kept(const struct balancer *b, const struct conf *conf, struct buf *messages)
{
    unsigned wanted = material_workers(conf);
    if (conf->workers != 0 && wanted != b->worker_count)
        buf_printf(messages,
                   "warning: workers: %u is kept; a change to %u takes effect at a restart\n",
                   b->worker_count, wanted);
    kept_warn(&b->kept, conf, messages);
    warn_outranked(b->current, conf, messages);
}

static void finish_jobs(struct balancer *b, enum err why, struct span messages)
{
    list_each (e, &b->jobs) {
        struct reload_job *j = container_of(e, struct reload_job, link);
        list_remove(&j->link);
        admin_job_done(j->job, why, messages);
        mem_free(j);
    }
}

static bool is_warning(struct span line)
{
    return span_starts(line, SPAN("warning: ")) || span_contains(line, SPAN(": warning: "));
}

/* An event for each message. The line of the file below it, which is indented, is for who reads
 * messages one below the other. */
static void log_messages(const struct balancer *b, struct span messages)
{
    while (messages.n != 0) {
        struct span line;
        messages = span_cut(messages, '\n', &line);
        if (line.n != 0 && line.p[0] != ' ')
            log_event(b->log, is_warning(line) ? LOG_WARN : LOG_ERROR, "config", "message=%s",
                      LOG_QUOTE(line));
    }
}

/* Before those who wait have their answer. */
static const char *asked_by(const struct balancer *b)
{
    return list_empty(&b->jobs) ? "signal" : "control";
}

/* What a reload found: how many changes, and one line for each of the first. */
struct found {
    size_t count;
    struct buf lines;
};

#define TOLD_MOST 3 /* in the log; meridianctl shows more */

static void tell_reloaded(struct balancer *b, const struct found *found)
{
    const struct conf *conf = b->current->conf;
    struct buf what;
    struct span rest = buf_span(&found->lines), line;
    size_t backends = 0;
    for (size_t i = 0; i < conf->pool_count; i++)
        backends += conf->pools[i].backend_count;
    buf_init(&what, KIB(4));
    for (size_t i = 0; i < found->count && i < TOLD_MOST && rest.n != 0; i++) {
        rest = span_cut(rest, '\n', &line);
        buf_printf(&what, "%s%.*s", i == 0 ? "" : "; ", SPAN_FMT(span_trim(line)));
    }
    log_event(b->log, LOG_INFO, "reloaded",
              "generation=%llu by=%s listeners=%zu pools=%zu backends=%zu routes=%zu changes=%zu "
              "first=%s",
              (unsigned long long)b->generation, asked_by(b), conf->listener_count,
              conf->pool_count, backends, conf->route_count, found->count,
              LOG_QUOTE(buf_span(&what)));
    buf_fini(&what);
}

/* found: of what is published; any where it is refused. */
static void account(struct balancer *b, enum err e, struct span messages, const struct found *found)
{
    b->reloads++;
    b->last_reload_failed = e != ERR_OK;
    b->last_reload_ns = clock_wall_ns();
    if (e == ERR_OK) {
        tell_reloaded(b, found);
    } else {
        b->reloads_failed++;
        log_event(b->log, LOG_ERROR, "reload-refused",
                  "by=%s reason=%s effect=\"the running configuration stays\"", asked_by(b),
                  err_name(e));
    }
    log_messages(b, messages);
    service_notify("READY=1\nSTATUS=generation %llu%s", (unsigned long long)b->generation,
                   e == ERR_OK ? "" : "; the last reload was refused");
}

/* Without memory whoever waits is told so. */
static void begin(struct balancer *b)
{
    struct material *m = mem_alloc(sizeof *m);
    if (m == NULL) {
        account(b, ERR_NO_MEMORY, SPAN_NONE, NULL);
        finish_jobs(b, ERR_NO_MEMORY, SPAN("no memory for the reload\n"));
        return;
    }
    m->path = b->options->config;
    m->workers = b->worker_count;
    m->tickets = b->tickets;
    m->present = b->current->geo;
    b->loading = m;
    service_notify("RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=loading the configuration",
                   (long long)(clock_mono_ns() / 1000));
    (void)!helper_do(b->helper, load, m); /* it is free: nothing was being loaded */
}

void balancer_reload(struct balancer *b, struct admin_job *job)
{
    bool running = b->loading != NULL;
    if (b->draining != 0) {
        if (job != NULL)
            admin_job_done(job, ERR_SHUTDOWN, SPAN_NONE);
        return;
    }
    if (upgrade_runs(b)) {
        if (job == NULL)
            upgrade_reload_later(b);
        else
            admin_job_done(job, ERR_AGAIN,
                           SPAN("an upgrade is under way; reload when the log says upgraded or "
                                "upgrade-failed"));
        return;
    }
    if (job != NULL) {
        struct reload_job *j = mem_alloc(sizeof *j);
        if (j == NULL) {
            admin_job_done(job, ERR_NO_MEMORY, SPAN("no memory for the reload"));
            return;
        }
        j->job = job;
        list_append(running ? &b->next_jobs : &b->jobs, &j->link);
    }
    if (running)
        b->reload_again = true;
    else
        begin(b);
}

/* Whether a certificate of that file that is over is served already: then nothing is lost by it. */
static bool serves_expired(const struct snapshot *s, struct span path, int64_t now_s)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        for (size_t k = 0; k < s->fronts[i].cert_count; k++) {
            if (span_eq(s->listeners[i].conf->tls.certificates[k].chain.s, path) &&
                tls_cert_expires(s->fronts[i].certs[k]) < now_s)
                return true;
        }
    }
    return false;
}

/* C3: a certificate that is over does not come in by a reload. */
static enum err refuse_expired(const struct balancer *b, const struct material *m,
                               struct buf *messages)
{
    int64_t now_s = clock_wall_ns() / NS_PER_S;
    struct conf_messages to;
    conf_messages_init(&to, m->conf, messages);
    for (size_t i = 0; i < m->conf->listener_count; i++) {
        for (size_t k = 0; k < m->fronts[i].cert_count; k++) {
            const struct conf_text *chain = &m->conf->listeners[i].tls.certificates[k].chain;
            int64_t expires_s = tls_cert_expires(m->fronts[i].certs[k]);
            char at[24];
            if (expires_s >= now_s || serves_expired(b->current, chain->s, now_s))
                continue;
            clock_print_rfc3339(at, (expires_s > 0 ? expires_s : 0) * NS_PER_S);
            conf_report(&to, chain->mark,
                        "certificate %.*s expired on %.10s; a reload takes none that is over",
                        SPAN_FMT(chain->s), at);
        }
    }
    return to.errors == 0 ? ERR_OK : ERR_SYNTAX;
}

void balancer_loaded(struct balancer *b, struct material *m)
{
    struct buf messages;
    struct found changes = {.count = 0};
    enum err e = b->draining != 0 ? ERR_SHUTDOWN : m->result;
    helper_done(b->helper);
    b->loading = NULL;
    buf_init(&messages, MIB(1));
    if (e == ERR_OK)
        warn_kept(b, m->conf, &messages);
    buf_put_span(&messages, buf_span(&m->messages));
    buf_init(&changes.lines, KIB(64));
    if (e == ERR_OK)
        e = refuse_expired(b, m, &messages);
    if (e == ERR_OK)
        e = descriptors_check(m->conf, &messages);
    if (e == ERR_OK)
        changes.count = conf_changes(b->current->conf, m->conf, &changes.lines);
    if (e == ERR_OK)
        e = balancer_publish(b, m, &messages);
    if (b->draining == 0)
        account(b, e, buf_span(&messages), &changes);
    if (e == ERR_OK) {
        buf_printf(&messages, "reloaded: generation %llu\n", (unsigned long long)b->generation);
        buf_put_span(&messages, buf_span(&changes.lines));
    }
    finish_jobs(b, e, buf_span(&messages));
    buf_fini(&changes.lines);
    buf_fini(&messages);
    material_fini(m);
    mem_free(m);
    list_each (j, &b->next_jobs) {
        list_remove(j);
        list_append(&b->jobs, j);
    }
    if (b->draining != 0) {
        finish_jobs(b, ERR_SHUTDOWN, SPAN_NONE);
    } else if (b->reload_again) {
        b->reload_again = false;
        begin(b);
    }
}

void balancer_forget_jobs(struct balancer *b)
{
    struct link *lists[2] = {&b->jobs, &b->next_jobs};
    for (size_t i = 0; i < 2; i++) {
        list_each (e, lists[i]) {
            list_remove(e);
            mem_free(container_of(e, struct reload_job, link));
        }
    }
}
