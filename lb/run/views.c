/* What the admin interface sees of the balancer, as plain rows; and what operators may do. */
#include "run/balancer.h"

#include "health/shared.h"
#include "run/panic.h"

#include <unistd.h>

static uint64_t sum(const struct balancer *b, size_t offset)
{
    uint64_t n = 0;
    for (unsigned w = 0; w < b->stats.slots; w++)
        n += counter_get(
            (const counter *)(const void *)((const char *)b->stats.by_worker[w] + offset));
    return n;
}
#define SUM(b, field) sum(b, offsetof(struct worker_stats, field))

static uint32_t pool_usable(const struct policy_pool *p, int64_t now_ms)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->endpoint_count; i++)
        n += endpoint_usable(p->endpoints[i].endpoint, now_ms);
    return n;
}

/* /readyz: a pool without any usable server takes this balancer out. */
static const char *not_ready(const struct balancer *b)
{
    if (b->draining != 0)
        return "draining";
    for (uint32_t i = 0; i < b->current->policy.pool_count; i++) {
        if (pool_usable(&b->current->policy.pools[i], loop_now_ms(b->loop)) != 0)
            return NULL;
    }
    return b->current->policy.pool_count == 0 ? NULL : "no pool has a usable server";
}

static uint64_t total_requests(const struct balancer *b)
{
    uint64_t n = 0;
    for (unsigned w = 0; w < b->stats.slots; w++) {
        for (int i = 0; i < ERR_COUNT; i++)
            n += counter_get(&b->stats.by_worker[w]->ends[i]);
    }
    return n;
}

static uint32_t old_generations(const struct balancer *b)
{
    uint32_t n = 0;
    for (const struct link *e = b->old.next; e != &b->old; e = e->next)
        n += container_of(e, const struct snapshot, link) != b->current;
    return n;
}

static void view_server(void *ctx, struct admin_server *out)
{
    const struct balancer *b = ctx;
    *out = (struct admin_server){
        .version = MERIDIAN_VERSION,
        .config = b->options->config,
        .pid = (int)getpid(),
        .uptime_ms = (clock_mono_ns() - b->started_ns) / NS_PER_MS,
        .wall_ns = clock_wall_ns(),
        .generation = b->generation,
        .generations_old = old_generations(b),
        .workers = b->worker_count,
        .draining = b->draining != 0,
        .not_ready = not_ready(b),
        .connections = SUM(b, connections_open),
        .requests_running = SUM(b, exchanges_open),
        .connections_total = SUM(b, connections),
        .requests_total = total_requests(b),
        .reloads = b->reloads,
        .reloads_failed = b->reloads_failed,
        .last_reload_failed = b->last_reload_failed,
        .last_reload_ns = b->last_reload_ns,
        .log_level = log_get_level(b->log),
        .overload = overload_name(b->pressure.tier),
        .memory = b->pressure.memory.used,
        .memory_most = b->pressure.memory.most,
        .descriptors = b->pressure.descriptors.used,
        .descriptors_most = b->pressure.descriptors.most,
    };
}

static void view_listeners(void *ctx, void (*each)(void *user, const struct admin_listener *l),
                           void *user)
{
    const struct balancer *b = ctx;
    for (size_t i = 0; i < b->current->listener_count; i++) {
        const struct snapshot_listener *l = &b->current->listeners[i];
        struct buf at;
        buf_init(&at, KIB(4));
        for (size_t k = 0; k < l->conf->bind_count; k++)
            buf_printf(&at, "%s%.*s", k == 0 ? "" : ", ", SPAN_FMT(l->conf->binds[k].text.s));
        struct admin_listener row = {
            .name = l->name, .address = buf_span(&at), .tls = l->servers != NULL};
        for (unsigned w = 0; w < b->stats.slots; w++) {
            row.connections += counter_get(&l->counts->by_worker[w].open);
            row.accepted += counter_get(&l->counts->by_worker[w].accepted);
        }
        each(user, &row);
        buf_fini(&at);
    }
}

static bool leads_to(const struct policy_route *r, const struct policy_pool *pool)
{
    if (r->pool == pool || (r->mirror != NULL && r->mirror->route.pool == pool))
        return true;
    for (uint32_t i = 0; r->action == POLICY_SPLIT && i < r->split.count; i++) {
        if (r->split.pools[i] == pool)
            return true;
    }
    return false;
}

static uint32_t routes_to(const struct policy *p, const struct policy_pool *pool)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->route_count; i++)
        n += leads_to(&p->routes[i], pool);
    return n;
}

static const char *probe_name(enum conf_probe p)
{
    static const char *const names[] = {"tcp", "http", "grpc", "ready", "off"};
    return names[p];
}

void balancer_fault(const struct balancer *b, uint32_t pool, struct admin_fault *out)
{
    const struct conf_pool *conf = &b->current->conf->pools[pool];
    const struct pool_state *state = b->current->policy.pools[pool].pick->state;
    uint8_t why = atomic_load_explicit(&state->fault, memory_order_relaxed);
    uint8_t which = atomic_load_explicit(&state->fault_dependency, memory_order_relaxed);
    int64_t at_ms = atomic_load_explicit(&state->fault_ms, memory_order_relaxed);
    bool named = (why == SHARED_PROBE || why == SHARED_BLAMED) && which < conf->depend_count;
    *out = (struct admin_fault){
        .reason = shared_reason_name((enum shared_reason)why),
        .dependency = named ? conf->depends_on[which].s : SPAN_NONE,
        .since_ms = at_ms != 0 ? loop_now_ms(b->loop) - at_ms : -1,
        .count = atomic_load_explicit(&state->faults, memory_order_relaxed),
        .fail_fast = conf->on_dependency_down == CONF_DOWN_FAIL_FAST,
    };
}

static void view_pools(void *ctx, void (*each)(void *user, const struct admin_pool *p), void *user)
{
    const struct balancer *b = ctx;
    const struct policy *policy = &b->current->policy;
    for (uint32_t i = 0; i < policy->pool_count; i++) {
        const struct policy_pool *p = &policy->pools[i];
        struct admin_pool row = {
            .name = p->name,
            .endpoints = p->endpoint_count,
            .usable = pool_usable(p, loop_now_ms(b->loop)),
            .sites = p->sites != NULL ? p->pick->site_count : 0,
            .routes = routes_to(policy, p),
            .waiting = atomic_load_explicit(&p->pick->state->waiting, memory_order_relaxed),
            .probe = probe_name(b->current->conf->pools[i].health.probe),
            .panic = panic_mode(p->pick->state) != PICK_NORMAL,
        };
        balancer_fault(b, i, &row.fault);
        for (uint32_t k = 0; k < p->endpoint_count; k++) {
            const struct endpoint *e = p->endpoints[k].endpoint;
            row.inflight += endpoint_inflight(e);
            row.requests += atomic_load_explicit(&e->requests, memory_order_relaxed);
            row.errors += atomic_load_explicit(&e->errors, memory_order_relaxed);
        }
        each(user, &row);
    }
}

#define SEEN(field) atomic_load_explicit(&e->field, memory_order_relaxed)

static void show_backend(const struct balancer *b, const struct policy_pool *p,
                         const struct policy_endpoint *pe, const struct pool_view *view,
                         void (*each)(void *user, const struct admin_backend *row), void *user)
{
    const struct endpoint *e = pe->endpoint;
    const struct pool_member *m = &p->pick->members[pe->member];
    const struct pool_site *site = &p->pick->sites[m->site];
    int64_t now_ms = loop_now_ms(b->loop), out = SEEN(out_until), since = SEEN(health_since);
    uint32_t forced = SEEN(weight);
    struct site_load load = site_load(site->state);
    enum pick_why why = view != NULL ? pick_why_idle(view, pe->member, now_ms) : PICK_WHY_NOTHING;
    struct admin_backend row = {
        .pool = p->name,
        .name = pe->name,
        .address = e->address,
        .site = p->sites != NULL ? span_str(site->name) : SPAN_NONE,
        .rank = m->tier,
        .weight = forced != 0 ? forced : m->weight,
        .weight_configured = m->weight,
        .weight_forced = forced != 0,
        .admin_forced = endpoint_admin(e) != ENDPOINT_ACTIVE,
        .health = endpoint_health(e),
        .admin = endpoint_admin(e),
        .out_ms = out > now_ms ? out - now_ms : 0,
        .health_since_ms = since != 0 ? now_ms - since : -1,
        .inflight = endpoint_inflight(e),
        .max_inflight = m->max_inflight,
        .requests = SEEN(requests),
        .responses = SEEN(responses),
        .errors = SEEN(errors),
        .connect_errors = SEEN(connect_errors),
        .ejections = SEEN(ejections),
        .history = SEEN(history),
        .probes = SEEN(probes),
        .probe_err = (enum err)SEEN(probe_err),
        .probe_us = SEEN(probe_us),
        .recent_ms = load.samples != 0 ? load.t_ms : 0,
        .normal_ms = load.samples != 0 ? load.n_ms : 0,
        .weight_now = view != NULL ? pick_weight_now(view, pe->member) : m->weight,
        .why = why,
        .panic = view != NULL && pick_used_anyway(view, why),
        .routed = routes_to(&b->current->policy, p) != 0,
    };
    each(user, &row);
}

static void view_backends(void *ctx, struct span pool,
                          void (*each)(void *user, const struct admin_backend *row), void *user)
{
    const struct balancer *b = ctx;
    const struct policy *policy = &b->current->policy;
    for (uint32_t i = 0; i < policy->pool_count; i++) {
        const struct policy_pool *p = &policy->pools[i];
        if (pool.n != 0 && !span_eq(pool, p->name))
            continue;
        struct pool_view *view = pool_view_new(p->pick, loop_now_ms(b->loop));
        for (uint32_t k = 0; k < p->endpoint_count; k++)
            show_backend(b, p, &p->endpoints[k], view, each, user);
        pool_view_free(&view);
    }
}

static uint64_t route_requests(const struct balancer *b, const struct policy_route *r)
{
    uint64_t n = 0;
    for (unsigned w = 0; w < b->stats.slots; w++) {
        for (int c = 0; c < 6; c++)
            n += counter_get(&r->stats[w]->classes[c]);
    }
    return n;
}

/* The pool, the pools of a split, or the URL as configured. */
static struct span route_target(const struct conf_route *r, struct buf *memory)
{
    buf_clear(memory);
    for (size_t i = 0; i < r->share_count; i++)
        buf_printf(memory, "%s%.*s", i > 0 ? ", " : "", SPAN_FMT(r->shares[i].name.s));
    return r->share_count > 0 ? buf_span(memory)
           : r->pool != NULL  ? r->pool->name.s
                              : r->redirect.to.s;
}

static void view_routes(void *ctx, void (*each)(void *user, const struct admin_route *r),
                        void *user)
{
    static const char *const actions[] = {"pool", "split", "respond", "redirect"};
    const struct balancer *b = ctx;
    char memory[KIB(5)]; /* of a split: 64 names of 63 bytes */
    struct buf target;
    buf_fixed(&target, memory, sizeof memory);
    for (uint32_t i = 0; i < b->current->policy.route_count; i++) {
        const struct policy_route *r = &b->current->policy.routes[i];
        struct admin_route row = {
            .name = r->name,
            .host = b->current->conf->routes[i].match.host.s,
            .path = b->current->conf->routes[i].match.path.s,
            .action = actions[r->action],
            .target = route_target(&b->current->conf->routes[i], &target),
            .requests = route_requests(b, r),
        };
        each(user, &row);
    }
}

static void view_certificates(void *ctx,
                              void (*each)(void *user, const struct admin_certificate *c),
                              void *user)
{
    const struct balancer *b = ctx;
    int64_t now_s = clock_wall_ns() / NS_PER_S;
    for (size_t i = 0; i < b->current->listener_count; i++) {
        const struct material_front *f = &b->current->fronts[i];
        for (size_t k = 0; k < f->cert_count; k++) {
            const char *const *names;
            struct buf joined;
            size_t n = tls_cert_names(f->certs[k], &names);
            buf_init(&joined, KIB(16));
            for (size_t j = 0; j < n; j++)
                buf_printf(&joined, "%s%s", j == 0 ? "" : " ", names[j]);
            int64_t expires = tls_cert_expires(f->certs[k]);
            struct admin_certificate row = {
                .listener = b->current->listeners[i].name,
                .path = b->current->listeners[i].conf->tls.certificates[k].chain.s,
                .names = buf_span(&joined),
                .expires_s = expires,
                .left_s = expires - now_s,
            };
            each(user, &row);
            buf_fini(&joined);
        }
    }
}

#define FACT(name) atomic_load_explicit(&c->facts.name, memory_order_relaxed)

static void view_database(void *ctx, struct admin_database *out)
{
    static const char *const origins[] = {"none", "file", "database"};
    const struct balancer *b = ctx;
    const struct central *c = &b->central;
    *out = (struct admin_database){
        .followed = c->where.conninfo != NULL,
        .up = FACT(up),
        .why = span_str(c->why),
        .origin = origins[c->rows != NULL ? c->origin : CENTRAL_NONE],
        .contact_ms = tags_lease_age_ms(&c->tags),
        .poll_us = FACT(poll_us),
        .rows = c->rows != NULL ? c->rows->count : 0,
        .used = b->current->rows_used,
        .skipped = c->skipped + b->current->rows_skipped,
        .suspects = c->leases.suspects,
        .mass_expiries = c->leases.brakes,
        .connects = FACT(connects),
        .failures = FACT(failures),
        .polls = FACT(polls),
        .wakeups = FACT(wakeups),
        .changes = FACT(changes),
        .flushes = FACT(flushes),
        .resumes = FACT(resumes),
        .reads = FACT(reads),
        .saves = c->saves,
        .saves_failed = c->saves_failed,
    };
}

static void view_idle_rows(void *ctx, void (*each)(void *user, const struct admin_row *row),
                           void *user)
{
    const struct balancer *b = ctx;
    const struct row_set *rows = b->central.rows;
    const struct snapshot *s = b->current;
    for (size_t i = 0; rows != NULL && i < rows->bad_count; i++) {
        const struct row_idle *idle = &rows->bad[i];
        each(user, &(struct admin_row){idle->pool, idle->address, idle->why});
    }
    for (size_t i = 0; i < s->idle_count; i++) {
        const struct row_idle *idle = &s->idle[i];
        each(user, &(struct admin_row){idle->pool, idle->address, idle->why});
    }
}

static void view_dependencies(void *ctx, void (*each)(void *user, const struct admin_dependency *d),
                              void *user)
{
    static const char *const levels[] = {"accept", "query", "primary", "lag"};
    const struct balancer *b = ctx;
    const struct conf *conf = b->current->conf;
    for (size_t i = 0; i < conf->dependency_count && i < HEALTH_DEPENDENCY_MOST; i++) {
        const struct central_dependency *d = &b->central.dependencies[i];
        int64_t since_ms = atomic_load_explicit(&d->facts.since_ms, memory_order_relaxed);
        struct admin_dependency row = {
            .name = conf->dependencies[i].name.s,
            .level = levels[conf->dependencies[i].level],
            .known = since_ms != 0,
            .down = atomic_load_explicit(&d->facts.down, memory_order_relaxed),
            .why = span_str(d->why),
            .since_ms = loop_now_ms(b->loop) - since_ms,
            .good = atomic_load_explicit(&d->facts.good, memory_order_relaxed),
            .bad = atomic_load_explicit(&d->facts.bad, memory_order_relaxed),
            .took_us = atomic_load_explicit(&d->facts.took_us, memory_order_relaxed),
        };
        each(user, &row);
    }
}

/* Does it with all that are there, and keeps it for those that come. */
static enum err on_targets(struct balancer *b, struct span target, const struct order_what *what,
                           void (*also)(struct endpoint *e), size_t *count)
{
    struct order_target t;
    enum err e = order_target_parse(target, &t);
    *count = 0;
    for (uint32_t i = 0; e == ERR_OK && i < b->current->policy.pool_count; i++) {
        const struct policy_pool *p = &b->current->policy.pools[i];
        for (uint32_t k = 0; k < p->endpoint_count; k++) {
            const struct pool_site *site = &p->pick->sites[p->endpoints[k].site];
            struct endpoint *at = p->endpoints[k].endpoint;
            if (!order_target_has(&t, p->name, p->sites != NULL ? span_str(site->name) : SPAN_NONE,
                                  at))
                continue;
            order_apply(what, at);
            if (also != NULL)
                also(at);
            pool_changed(p->pick->state);
            ++*count;
        }
    }
    if (*count == 0)
        return ERR_NOT_FOUND;
    return orders_add(&b->orders, target, what);
}

static enum err do_set_admin(void *ctx, struct span target, enum endpoint_admin to, size_t *count)
{
    struct order_what what = {.admin_said = true, .admin = to};
    return on_targets(ctx, target, &what, NULL, count);
}

static enum err do_set_weight(void *ctx, struct span target, uint32_t weight, size_t *count)
{
    struct order_what what = {.weight_said = true, .weight = weight};
    if (weight == 0 || weight > PICK_WEIGHT_MOST)
        return ERR_RANGE;
    return on_targets(ctx, target, &what, NULL, count);
}

static enum err do_reset(void *ctx, struct span target, size_t *count)
{
    struct order_what what = {.admin_said = true, .weight_said = true};
    return on_targets(ctx, target, &what, endpoint_readmit, count);
}

static void do_reload(void *ctx, struct admin_job *job)
{
    balancer_reload(ctx, job);
}

static void do_connections(void *ctx, struct admin_job *job)
{
    struct balancer *b = ctx;
    gather_begin(&b->gather, b->workers, b->worker_count, job);
}

static void do_stop(void *ctx, bool now)
{
    balancer_stop(ctx, now);
}

static void do_log_level(void *ctx, enum log_level level)
{
    struct balancer *b = ctx;
    log_set_level(b->log, level);
}

const struct admin_ops balancer_admin_ops = {
    .server = view_server,
    .listeners = view_listeners,
    .pools = view_pools,
    .backends = view_backends,
    .routes = view_routes,
    .sites = balancer_sites,
    .clients = balancer_clients,
    .certificates = view_certificates,
    .database = view_database,
    .idle_rows = view_idle_rows,
    .dependencies = view_dependencies,
    .ends = balancer_ends,
    .metrics = balancer_metrics,
    .set_admin = do_set_admin,
    .set_weight = do_set_weight,
    .reset = do_reset,
    .reload = do_reload,
    .connections = do_connections,
    .stop = do_stop,
    .set_log_level = do_log_level,
    .explain = balancer_explain,
    .geo = balancer_geo,
};
