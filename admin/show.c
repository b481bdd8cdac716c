#include "admin/admin_impl.h"

const char *backend_state(const struct admin_backend *b)
{
    if (b->admin != ENDPOINT_ACTIVE) {
        return endpoint_admin_name(b->admin);
    }
    return b->health == ENDPOINT_UP && b->out_ms > 0 ? "out" : endpoint_health_name(b->health);
}

static const char *probe_reason(const struct admin_backend *b)
{
    return b->probes > 0 ? err_name(b->probe_err) : NULL;
}

void show_server(struct admin *a, struct json *j)
{
    struct admin_server s = {0};
    if (a->ops->server == NULL) {
        return;
    }
    a->ops->server(a->ctx, &s);
    json_str(j, "version", s.version);
    json_i64(j, "pid", s.pid);
    json_str(j, "config", s.config);
    json_double(j, "uptime_seconds", (double)s.uptime_ms / 1000, 3);
    json_u64(j, "generation", s.generation);
    json_u64(j, "generations_old", s.generations_old);
    json_u64(j, "workers", s.workers);
    json_bool(j, "ready", s.not_ready == NULL);
    json_str(j, "not_ready", s.not_ready);
    json_bool(j, "draining", s.draining);
    json_u64(j, "connections", s.connections);
    json_u64(j, "connections_total", s.connections_total);
    json_u64(j, "requests_running", s.requests_running);
    json_u64(j, "requests_total", s.requests_total);
    json_u64(j, "reloads", s.reloads);
    json_u64(j, "reloads_failed", s.reloads_failed);
    json_bool(j, "last_reload_failed", s.last_reload_failed);
    if (s.last_reload_ns != 0) {
        char at[24];
        clock_print_rfc3339(at, s.last_reload_ns);
        json_span(j, "last_reload", span_of(at, sizeof at));
    }
    json_str(j, "log_level", log_level_name(s.log_level));
    json_str(j, "overload", s.overload);
    json_u64(j, "memory_bytes", s.memory);
    json_u64(j, "memory_limit_bytes", s.memory_most);
    json_u64(j, "descriptors", s.descriptors);
    json_u64(j, "descriptors_limit", s.descriptors_most);
}

void show_fault(struct json *j, const struct admin_fault *f)
{
    json_bool(j, "dependency_down", admin_has_fault(f));
    if (!admin_has_fault(f))
        return;
    json_str(j, "dependency_reason", f->reason);
    json_span(j, "dependency", f->dependency);
    json_double(j, "dependency_seconds", (double)f->since_ms / 1000, 3);
    json_str(j, "on_dependency_down", f->fail_fast ? "fail_fast" : "pass");
}

static void each_pool(void *user, const struct admin_pool *p)
{
    struct json *j = user;
    json_object(j, NULL);
    json_span(j, "name", p->name);
    json_u64(j, "endpoints", p->endpoints);
    json_u64(j, "usable", p->usable);
    json_u64(j, "sites", p->sites);
    json_u64(j, "routes", p->routes);
    json_u64(j, "inflight", p->inflight);
    json_u64(j, "waiting", p->waiting);
    json_u64(j, "requests", p->requests);
    json_u64(j, "errors", p->errors);
    json_str(j, "probe", p->probe);
    json_bool(j, "panic", p->panic);
    show_fault(j, &p->fault);
    json_object_end(j);
}

void show_pools(struct admin *a, struct json *j)
{
    json_array(j, "pools");
    if (a->ops->pools != NULL) {
        a->ops->pools(a->ctx, each_pool, j);
    }
    json_array_end(j);
}

/* Oldest first, the newest at the end. */
static void show_history(struct json *j, const struct admin_backend *b)
{
    char text[64];
    uint32_t n = b->probes < 64 ? b->probes : 64;
    for (uint32_t i = 0; i < n; i++) {
        text[i] = (b->history >> (n - 1 - i) & 1) != 0 ? '+' : '-';
    }
    json_span(j, "history", span_of(text, n));
}

static void show_counts(struct json *j, const struct admin_backend *b)
{
    json_u64(j, "inflight", b->inflight);
    json_u64(j, "max_inflight", b->max_inflight);
    json_u64(j, "requests", b->requests);
    json_u64(j, "responses", b->responses);
    json_u64(j, "errors", b->errors);
    json_u64(j, "connect_errors", b->connect_errors);
    json_u64(j, "ejections", b->ejections);
}

void backend_reason(struct buf *out, const struct admin_backend *b)
{
    buf_put_str(out, pick_why_text(b->why));
    if ((b->why == PICK_WHY_SOFT || b->why == PICK_WHY_HARD) && b->probes > 0 &&
        b->probe_err != ERR_OK)
        buf_printf(out, ": %s", err_phrase(b->probe_err));
    if (b->why == PICK_WHY_OUT)
        buf_printf(out, "; back in %.1f s", (double)b->out_ms / 1000);
    if (b->why == PICK_WHY_FULL)
        buf_printf(out, " of %u", b->max_inflight);
    if (b->why == PICK_WHY_SLOW_START)
        buf_printf(out, ", %u of %u", b->weight_now, b->weight);
    if (b->panic)
        buf_put_str(out, "; panic: used all the same");
    if (b->why == PICK_WHY_NOTHING && !b->routed)
        buf_put_str(out, "no route leads to its pool");
}

static void show_why(struct json *j, const struct admin_backend *b)
{
    char memory[256];
    struct buf text;
    buf_fixed(&text, memory, sizeof memory);
    backend_reason(&text, b);
    bool lost = b->why == PICK_WHY_NOTHING && !b->routed;
    json_str(j, "reason", lost ? "no-route" : pick_why_name(b->why));
    json_span(j, "reason_text", buf_span(&text));
}

static void each_backend(void *user, const struct admin_backend *b)
{
    struct json *j = user;
    json_object(j, NULL);
    json_span(j, "pool", b->pool);
    json_span(j, "name", b->name);
    json_span(j, "address", b->address);
    json_span(j, "site", b->site);
    json_str(j, "state", backend_state(b));
    json_str(j, "health", endpoint_health_name(b->health));
    json_str(j, "admin", endpoint_admin_name(b->admin));
    json_bool(j, "admin_forced", b->admin_forced);
    json_u64(j, "rank", b->rank);
    json_u64(j, "weight", b->weight);
    json_u64(j, "weight_configured", b->weight_configured);
    json_bool(j, "weight_forced", b->weight_forced);
    json_u64(j, "weight_now", b->weight_now);
    show_why(j, b);
    json_double(j, "ejected_seconds", (double)b->out_ms / 1000, 3);
    if (b->health_since_ms >= 0) {
        json_double(j, "health_seconds", (double)b->health_since_ms / 1000, 3);
    }
    show_counts(j, b);
    show_history(j, b);
    json_str(j, "probe_reason", probe_reason(b));
    json_double(j, "probe_seconds", (double)b->probe_us / 1e6, 6);
    json_double(j, "recent_ms", b->recent_ms, 3);
    json_double(j, "normal_ms", b->normal_ms, 3);
    json_object_end(j);
}

void show_backends(struct admin *a, struct span pool, struct json *j)
{
    json_array(j, "backends");
    if (a->ops->backends != NULL) {
        a->ops->backends(a->ctx, pool, each_backend, j);
    }
    json_array_end(j);
}

static void each_listener(void *user, const struct admin_listener *l)
{
    struct json *j = user;
    json_object(j, NULL);
    json_span(j, "name", l->name);
    json_span(j, "address", l->address);
    json_bool(j, "tls", l->tls);
    json_u64(j, "connections", l->connections);
    json_u64(j, "accepted", l->accepted);
    json_object_end(j);
}

static void each_end(void *user, enum err reason, uint64_t n)
{
    struct json *j = user;
    json_object(j, NULL);
    json_str(j, "reason", err_name(reason));
    json_str(j, "meaning", err_phrase(reason));
    json_u64(j, "requests", n);
    json_object_end(j);
}

void show_ends(struct admin *a, struct json *j)
{
    json_array(j, "ends");
    if (a->ops->ends != NULL) {
        a->ops->ends(a->ctx, each_end, j);
    }
    json_array_end(j);
}

void show_listeners(struct admin *a, struct json *j)
{
    json_array(j, "listeners");
    if (a->ops->listeners != NULL) {
        a->ops->listeners(a->ctx, each_listener, j);
    }
    json_array_end(j);
}

static void each_route(void *user, const struct admin_route *r)
{
    struct json *j = user;
    json_object(j, NULL);
    json_span(j, "name", r->name);
    json_span(j, "host", r->host);
    json_span(j, "path", r->path);
    json_str(j, "action", r->action);
    json_span(j, "target", r->target);
    json_u64(j, "requests", r->requests);
    json_object_end(j);
}

void show_routes(struct admin *a, struct json *j)
{
    json_array(j, "routes");
    if (a->ops->routes != NULL) {
        a->ops->routes(a->ctx, each_route, j);
    }
    json_array_end(j);
}

static void each_certificate(void *user, const struct admin_certificate *c)
{
    struct json *j = user;
    char at[24];
    /* Dates that nanoseconds since 1970 cannot hold are shown as the last that they can. */
    int64_t last_s = INT64_MAX / NS_PER_S;
    int64_t expires_s = c->expires_s < last_s ? c->expires_s : last_s;
    clock_print_rfc3339(at, (expires_s > 0 ? expires_s : 0) * NS_PER_S);
    json_object(j, NULL);
    json_span(j, "listener", c->listener);
    json_span(j, "path", c->path);
    json_span(j, "names", c->names);
    json_span(j, "expires", span_of(at, sizeof at));
    json_i64(j, "left_seconds", c->left_s);
    json_object_end(j);
}

void show_certificates(struct admin *a, struct json *j)
{
    json_array(j, "certificates");
    if (a->ops->certificates != NULL) {
        a->ops->certificates(a->ctx, each_certificate, j);
    }
    json_array_end(j);
}

static void located(struct json *j, bool known, double latitude, double longitude)
{
    if (!known)
        return;
    json_double(j, "latitude", latitude, 2);
    json_double(j, "longitude", longitude, 2);
}

static void each_site(void *user, const struct admin_site *s)
{
    struct json *j = user;
    json_object(j, NULL);
    json_span(j, "name", s->name);
    located(j, s->located, s->latitude, s->longitude);
    json_u64(j, "endpoints", s->endpoints);
    json_u64(j, "usable", s->usable);
    json_u64(j, "inflight", s->inflight);
    json_object_end(j);
}

static void each_clients(void *user, const struct admin_clients *c)
{
    struct json *j = user;
    json_object(j, NULL);
    json_span(j, "country", c->country);
    located(j, c->located, c->latitude, c->longitude);
    json_span(j, "site", c->site);
    json_u64(j, "clients", c->clients);
    json_object_end(j);
}

void show_map(struct admin *a, struct json *j)
{
    json_array(j, "sites");
    if (a->ops->sites != NULL)
        a->ops->sites(a->ctx, each_site, j);
    json_array_end(j);
    json_array(j, "clients");
    if (a->ops->clients != NULL)
        a->ops->clients(a->ctx, each_clients, j);
    json_array_end(j);
}

static void each_dependency(void *user, const struct admin_dependency *d)
{
    struct json *j = user;
    json_object(j, NULL);
    json_span(j, "name", d->name);
    json_str(j, "level", d->level);
    json_str(j, "state", !d->known ? "unknown" : d->down ? "down" : "up");
    json_span(j, "reason", d->down ? d->why : SPAN_NONE);
    if (d->known)
        json_double(j, "since_seconds", (double)d->since_ms / 1000, 3);
    json_double(j, "probe_seconds", (double)d->took_us / 1e6, 6);
    json_u64(j, "good", d->good);
    json_u64(j, "bad", d->bad);
    json_object_end(j);
}

static void show_dependencies(struct admin *a, struct json *j)
{
    json_array(j, "dependencies");
    if (a->ops->dependencies != NULL)
        a->ops->dependencies(a->ctx, each_dependency, j);
    json_array_end(j);
}

static void each_idle_row(void *user, const struct admin_row *row)
{
    struct json *j = user;
    json_object(j, NULL);
    json_span(j, "pool", row->pool);
    json_span(j, "address", row->address);
    json_str(j, "reason", row->why);
    json_object_end(j);
}

void show_database(struct admin *a, struct json *j)
{
    struct admin_database d = {0};
    if (a->ops->database == NULL)
        return;
    a->ops->database(a->ctx, &d);
    show_dependencies(a, j);
    json_bool(j, "followed", d.followed);
    if (!d.followed)
        return;
    json_bool(j, "up", d.up);
    if (!d.up)
        json_span(j, "reason", d.why);
    json_str(j, "origin", d.origin);
    if (d.contact_ms >= 0)
        json_double(j, "contact_seconds", (double)d.contact_ms / 1000, 3);
    json_double(j, "poll_seconds", (double)d.poll_us / 1e6, 6);
    json_u64(j, "rows", d.rows);
    json_u64(j, "used", d.used);
    json_u64(j, "skipped", d.skipped);
    json_u64(j, "suspects", d.suspects);
    json_u64(j, "mass_expiries", d.mass_expiries);
    json_u64(j, "connects", d.connects);
    json_u64(j, "failures", d.failures);
    json_u64(j, "polls", d.polls);
    json_u64(j, "wakeups", d.wakeups);
    json_u64(j, "changes", d.changes);
    json_u64(j, "flushes", d.flushes);
    json_u64(j, "resumes", d.resumes);
    json_u64(j, "reads", d.reads);
    json_u64(j, "saves", d.saves);
    json_u64(j, "saves_failed", d.saves_failed);
    json_array(j, "idle");
    if (a->ops->idle_rows != NULL)
        a->ops->idle_rows(a->ctx, each_idle_row, j);
    json_array_end(j);
}

void show_connections(struct json *j, const struct admin_connection *rows, size_t n)
{
    json_array(j, "connections");
    for (size_t i = 0; i < n; i++) {
        const struct admin_connection *c = &rows[i];
        json_object(j, NULL);
        json_span(j, "listener", c->listener);
        json_span(j, "client", c->client);
        json_u64(j, "worker", c->worker);
        json_str(j, "protocol", c->protocol);
        json_str(j, "tls", c->tls);
        json_str(j, "state", c->state);
        json_span(j, "pool", c->pool);
        json_span(j, "backend", c->backend);
        json_double(j, "age_seconds", (double)c->age_ms / 1000, 3);
        json_u64(j, "requests", c->requests);
        json_u64(j, "bytes_in", c->bytes_in);
        json_u64(j, "bytes_out", c->bytes_out);
        json_object_end(j);
    }
    json_array_end(j);
}
