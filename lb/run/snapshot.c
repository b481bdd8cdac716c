#include "run/snapshot_impl.h"

#include "base/limits.h"
#include "base/mem.h"
#include "run/hint.h"
#include "run/secret.h"

static struct front_limits limits_of(const struct conf *conf, const struct conf_listener *listener)
{
    static const enum odd_names odd_names[] = {[CONF_ODD_DROP] = ODD_NAMES_DROP,
                                               [CONF_ODD_REJECT] = ODD_NAMES_REJECT,
                                               [CONF_ODD_ALLOW] = ODD_NAMES_ALLOW};
    return (struct front_limits){
        .request_line = (size_t)conf->limits.request_line,
        .head = (size_t)conf->limits.head,
        .fields = (size_t)conf->limits.fields,
        .field = (size_t)conf->limits.field,
        .requests = (uint32_t)conf->limits.requests_per_connection,
        .streams = (uint32_t)conf->limits.streams,
        .head_ms = conf->timeouts.request_head_ms,
        .idle_ms = conf->timeouts.idle_ms,
        .send_ms = conf->timeouts.send_ms,
        .age_ms = conf->timeouts.connection_age_ms,
        .odd_names = odd_names[listener->odd_header_names],
    };
}

/* Where redirect_to_https points: the first port of a listener that has TLS. Sockets of the file
 * system have none, and what the service manager has bound is not known here. */
static uint16_t https_port(const struct conf *conf)
{
    for (size_t i = 0; i < conf->listener_count; i++) {
        const struct conf_listener *l = &conf->listeners[i];
        for (size_t b = 0; l->tls.set && b < l->bind_count; b++)
            if (l->binds[b].port != 0)
                return l->binds[b].port;
    }
    return 443;
}

static enum err bind_all(const struct snapshot_context *c, struct snapshot_listener *l,
                         struct conf_messages *to)
{
    for (size_t i = 0; i < l->conf->bind_count; i++) {
        const struct conf_address *at = &l->conf->binds[i];
        enum err e = sockets_get(c->sockets, at, &l->bounds[i]);
        if (e == ERR_OK)
            continue;
        hint_listen(to, at, e);
        return e;
    }
    return ERR_OK;
}

static enum err copy_networks(struct snapshot *s, const struct conf_cidr *from, size_t n,
                              struct cidr **to)
{
    *to = arena_zero(&s->arena, (n + 1) * sizeof **to);
    if (*to == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        (*to)[i].family = from[i].family == CONF_IPV4 ? AF_INET : AF_INET6;
        (*to)[i].bits = from[i].bits;
        memcpy((*to)[i].bytes, from[i].bytes, sizeof(*to)[i].bytes);
    }
    return ERR_OK;
}

static enum err fill_spoken_for(struct snapshot *s, struct snapshot_listener *l)
{
    const struct conf_proxy_protocol *from = &l->conf->proxy_protocol;
    struct cidr *networks;
    if (!from->set)
        return ERR_OK;
    enum err e = copy_networks(s, from->from, from->from_count, &networks);
    if (e != ERR_OK)
        return e;
    l->settings.spoken_for = networks;
    l->settings.spoken_for_count = from->from_count;
    return ERR_OK;
}

enum err snapshot_build_listeners(const struct snapshot_context *c, struct snapshot *s,
                                  struct conf_messages *to)
{
    const struct conf *conf = s->conf;
    s->listeners = arena_zero(&s->arena, conf->listener_count * sizeof *s->listeners);
    if (s->listeners == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < conf->listener_count; i++) {
        struct snapshot_listener *l = &s->listeners[s->listener_count++];
        l->conf = &conf->listeners[i];
        l->name = l->conf->name.s;
        l->servers = s->fronts[i].servers;
        l->settings = (struct proxy_listener){
            .acme_challenges = l->conf->acme_challenges.s,
            .redirect_to_https = l->conf->redirect_to_https,
            .https_port = https_port(conf),
            .speaks_h1 = (l->conf->protocols & CONF_PROTOCOL_H1) != 0,
            .speaks_h2 = (l->conf->protocols & CONF_PROTOCOL_H2) != 0,
            .limits = limits_of(conf, l->conf),
            .handshake_ms = conf->timeouts.handshake_ms,
        };
        l->bounds = arena_zero(&s->arena, l->conf->bind_count * sizeof(struct bound *));
        l->counts = stat_book_listener(c->stats, l->name);
        if (l->bounds == NULL || l->counts == NULL)
            return ERR_NO_MEMORY;
        enum err e = fill_spoken_for(s, l);
        if (e == ERR_OK)
            e = bind_all(c, l, to);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

static enum err build_trust(struct snapshot *s)
{
    const struct conf_trusted *t = &s->conf->trusted;
    enum err e = copy_networks(s, t->from, t->from_count, &s->policy.trusted);
    if (e != ERR_OK)
        return e;
    s->policy.trusted_count = t->from_count;
    s->policy.forwarded = t->header == CONF_X_FORWARDED_FOR ? POLICY_X_FORWARDED_FOR
                          : t->header == CONF_FORWARDED     ? POLICY_FORWARDED
                                                            : POLICY_FORWARDED_NONE;
    return ERR_OK;
}

static enum err take_geo(const struct snapshot_context *c, struct snapshot *s, struct material *m)
{
    if (m == NULL || m->geo_kept) {
        s->geo = c->geo;
        if (s->geo != NULL)
            s->geo->refs++;
    } else if (m->geo != NULL) {
        s->geo = mem_alloc(sizeof *s->geo);
        if (s->geo == NULL)
            return ERR_NO_MEMORY;
        s->geo->refs = 1;
        s->geo->db = m->geo;
        m->geo = NULL;
    }
    s->policy.geo = s->geo != NULL ? s->geo->db : NULL;
    return ERR_OK;
}

static void log_share_put(struct log_share **lp)
{
    struct log_share *l = *lp;
    *lp = NULL;
    if (l == NULL || --l->refs != 0)
        return;
    log_writer_free(&l->writer);
    mem_free(l->path);
    mem_free(l);
}

static enum err open_log(struct snapshot *s, const char *path)
{
    s->log = mem_alloc(sizeof *s->log);
    if (s->log == NULL)
        return ERR_NO_MEMORY;
    s->log->refs = 1;
    s->log->path = mem_copy_str(path, strlen(path));
    if (s->log->path == NULL)
        return ERR_NO_MEMORY;
    return log_writer_new(path, s->workers, &s->log->writer);
}

static enum err take_log_line(struct snapshot *s, const struct conf_log_line *line)
{
    static const enum access_format formats[] = {[CONF_LOG_JSON] = ACCESS_JSON,
                                                 [CONF_LOG_COMBINED] = ACCESS_COMBINED,
                                                 [CONF_LOG_TEMPLATE] = ACCESS_TEMPLATE};
    struct span bad;
    s->access = formats[line->format];
    if (s->access != ACCESS_TEMPLATE)
        return ERR_OK;
    return template_parse(line->template.s, &s->arena, &s->access_line, &bad);
}

static enum err take_log(const struct snapshot_context *c, struct snapshot *s,
                         struct conf_messages *to)
{
    const struct conf_log *log = &s->conf->log;
    if (span_eq(log->access_path.s, SPAN("off")))
        return ERR_OK;
    enum err e = take_log_line(s, &log->access_line);
    if (e != ERR_OK)
        return e;
    if (c->log != NULL && span_eq(span_str(c->log->path), log->access_path.s)) {
        s->log = c->log;
        s->log->refs++;
        return ERR_OK;
    }
    e = open_log(s, log->access_path.s.p);
    if (e != ERR_OK)
        conf_report(to, log->access_path.mark, "cannot open the access log '%.*s': %s",
                    SPAN_FMT(log->access_path.s), err_phrase(e));
    return e;
}

static enum err take_tracer(const struct snapshot_context *c, struct snapshot *s)
{
    const struct conf_tracing *t = &s->conf->tracing;
    s->policy.tracing = t->set;
    s->policy.trace_percent = (int)t->sample_percent;
    if (!t->set)
        return ERR_OK;
    struct tracer_spec spec = {.workers = s->workers,
                               .log = c->events,
                               .counts = c->spans,
                               .host = t->collector.text.s,
                               .path = t->path.s,
                               .service = t->service.s};
    sockets_addr(&t->collector, &spec.collector);
    s->tracer = tracer_ref(c->tracer, &spec);
    return s->tracer != NULL ? ERR_OK : tracer_new(&spec, &s->tracer);
}

static enum err build_admin(struct snapshot *s)
{
    const struct conf_admin *a = &s->conf->admin;
    const struct secret *token = s->material->what.admin_token;
    struct span *hosts = arena_zero(&s->arena, (a->host_count + 1) * sizeof *hosts);
    if (hosts == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < a->host_count; i++)
        hosts[i] = a->hosts[i].s;
    s->admin =
        (struct admin_access){.token = token != NULL ? span_of(token->bytes, token->n) : SPAN_NONE,
                              .remote = a->allow_remote,
                              .hosts = hosts,
                              .host_count = a->host_count};
    return ERR_OK;
}

static enum err build(const struct snapshot_context *c, struct snapshot *s,
                      struct conf_messages *to)
{
    const struct conf *conf = s->conf;
    s->policy.has_here = conf->here.set;
    s->policy.log_decisions = conf->log.access_decision;
    s->policy.here = (struct policy_location){conf->here.latitude, conf->here.longitude};
    s->policy.response_rate = (uint64_t)conf->limits.response_rate;
    s->policy.unrouted = c->stats->unrouted->by_worker;
    enum err e = snapshot_pages(s, &conf->pages, &s->policy.pages);
    if (e == ERR_OK)
        e = build_trust(s);
    if (e == ERR_OK)
        e = take_log(c, s, to);
    if (e == ERR_OK)
        e = take_tracer(c, s);
    if (e == ERR_OK)
        e = build_admin(s);
    if (e == ERR_OK)
        e = snapshot_build_pools(c, s);
    if (e == ERR_OK)
        e = snapshot_build_routes(c, s);
    return e == ERR_OK ? snapshot_build_listeners(c, s, to) : e;
}

/* False: no memory, and the material is where it was. */
static bool take_material(const struct snapshot_context *c, struct snapshot *s, struct material *m)
{
    if (m == NULL)
        c->material->refs++;
    s->material = m != NULL ? material_share_new(m) : c->material;
    if (s->material == NULL)
        return false;
    s->conf = s->material->what.conf;
    s->fronts = s->material->what.fronts;
    s->clients = s->material->what.clients;
    s->pages = s->material->what.pages;
    s->sticky_keys = s->material->what.sticky_keys;
    return true;
}

enum err snapshot_new(const struct snapshot_context *c, struct material *m, struct snapshot **out,
                      struct buf *messages)
{
    struct snapshot *s = mem_alloc(sizeof *s);
    struct conf_messages to;
    *out = NULL;
    if (s == NULL)
        return ERR_NO_MEMORY;
    arena_init(&s->arena, NULL, KIB(64), 0);
    list_init(&s->link);
    s->policy.generation = c->generation;
    s->workers = c->workers;
    s->book = c->stats;
    if (!take_material(c, s, m)) {
        mem_free(s);
        return ERR_NO_MEMORY;
    }
    conf_messages_init(&to, s->conf, messages);
    enum err e = take_geo(c, s, m);
    if (e == ERR_OK)
        e = build(c, s, &to);
    if (e != ERR_OK) {
        if (to.errors == 0)
            buf_printf(messages, "error: %s\n", err_phrase(e));
        snapshot_free(&s);
        return e;
    }
    *out = s;
    return ERR_OK;
}

static void free_listeners(struct snapshot *s)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        struct snapshot_listener *l = &s->listeners[i];
        for (size_t b = 0; l->bounds != NULL && b < l->conf->bind_count; b++)
            sockets_put(&l->bounds[b]);
        stat_book_put_listener(s->book, &l->counts);
    }
}

void snapshot_free(struct snapshot **sp)
{
    struct snapshot *s = *sp;
    *sp = NULL;
    if (s == NULL)
        return;
    free_listeners(s);
    route_table_free(&s->policy.table);
    for (uint32_t i = 0; i < s->policy.route_count; i++)
        stat_book_put(s->book, &s->stat_routes[i]);
    for (uint32_t i = 0; s->policy.pools != NULL && i < s->conf->pool_count; i++)
        pick_pool_free(&s->policy.pools[i].pick);
    geo_share_put(&s->geo);
    log_share_put(&s->log);
    tracer_unref(&s->tracer);
    material_share_put(&s->material);
    arena_reset(&s->arena);
    mem_free(s);
}

static struct health_page page_of(const struct conf_probe_page *from)
{
    struct health_page page = {
        .path = from->path.s, .host = from->host.s, .contains = from->contains.s};
    memcpy(page.status, from->status.bits, sizeof page.status);
    return page;
}

/* The one page of a check that asks for no more. */
static struct health_page only_page(const struct conf_health *h)
{
    struct conf_probe_page page = {
        .path = h->path, .host = h->host, .status = h->status, .contains = h->contains};
    return page_of(&page);
}

static enum health_kind kind_of(enum conf_probe probe)
{
    return probe == CONF_PROBE_HTTP || probe == CONF_PROBE_READY ? HEALTH_HTTP
           : probe == CONF_PROBE_GRPC                            ? HEALTH_GRPC
           : probe == CONF_PROBE_TCP                             ? HEALTH_TCP
                                                                 : HEALTH_OFF;
}

/* Who depends on something is asked whether he is ready, whatever the page is called. */
static struct health_check check_of(const struct snapshot *s, size_t i,
                                    struct span depends[HEALTH_DEPENDENCY_MOST])
{
    const struct conf_pool *pool = &s->conf->pools[i];
    const struct conf_health *h = &pool->health;
    bool two = h->probe == CONF_PROBE_READY;
    struct health_check c = {
        .kind = kind_of(h->probe),
        .pool = pool->name.s,
        .page = two ? page_of(&h->ready) : only_page(h),
        .ready = two || pool->depend_count != 0,
        .depends = depends,
        .service = h->service.s,
        .h2 = pool->protocol == CONF_HTTP_2,
        .header = pool->header == CONF_HEADER_V1   ? 1
                  : pool->header == CONF_HEADER_V2 ? 2
                                                   : 0,
        .interval_ms = h->interval_ms,
        .timeout_ms = h->timeout_ms,
        .fall = (unsigned)h->fall,
        .rise = (unsigned)h->rise,
        .content_most = (size_t)h->content,
    };
    if (two && h->live.set)
        c.live = page_of(&h->live);
    while (c.depend_count < pool->depend_count && c.depend_count < HEALTH_DEPENDENCY_MOST) {
        depends[c.depend_count] = pool->depends_on[c.depend_count].s;
        c.depend_count++;
    }
    if (s->clients[i] != NULL)
        c.tls = tls_client_ref(s->clients[i][s->workers]);
    return c;
}

/* How far a site is, its checks say; to pools that redirect also how fast it is. */
static void tell_site(const struct policy_pool *pool, const struct policy_endpoint *e,
                      struct health_plan *plan)
{
    const struct pool_site *site = &pool->pick->sites[e->site];
    health_plan_site(plan, site->state, pool->targets != NULL ? site->count : 0);
}

enum err snapshot_health(struct snapshot *s, struct health_plan **out)
{
    struct health_plan *plan = health_plan_new();
    enum err e = plan != NULL ? ERR_OK : ERR_NO_MEMORY;
    for (uint32_t i = 0; e == ERR_OK && i < s->policy.pool_count; i++) {
        const struct policy_pool *pool = &s->policy.pools[i];
        struct span depends[HEALTH_DEPENDENCY_MOST];
        struct health_check check = check_of(s, i, depends);
        size_t index;
        e = health_plan_check(plan, &check, &index);
        for (uint32_t k = 0; e == ERR_OK && k < pool->endpoint_count; k++) {
            const struct policy_endpoint *at = &pool->endpoints[k];
            e = health_plan_target(plan, index, at->endpoint, &at->address, at->server_name);
            if (e == ERR_OK)
                tell_site(pool, at, plan);
        }
    }
    if (e != ERR_OK)
        health_plan_free(&plan);
    *out = plan;
    return e;
}
