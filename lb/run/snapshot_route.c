#include "run/snapshot_impl.h"

static struct policy_timeouts timeouts_of(const struct conf_timeouts *t)
{
    return (struct policy_timeouts){
        .request_body_ms = t->request_body_ms,
        .send_ms = t->send_ms,
        .connect_ms = t->connect_ms,
        .first_byte_ms = t->first_byte_ms,
        .response_body_ms = t->response_body_ms,
        .backend_send_ms = t->backend_send_ms,
        .tunnel_idle_ms = t->tunnel_idle_ms,
        .total_ms = t->total_ms,
    };
}

static const struct span *spans_of(struct snapshot *s, const struct conf_text *from, size_t n)
{
    struct span *out = arena_take(&s->arena, (n + 1) * sizeof *out);
    for (size_t i = 0; out != NULL && i < n; i++)
        out[i] = from[i].s;
    return out;
}

static enum err fill_rule(struct snapshot *s, const struct conf_match *m, uint32_t index,
                          struct route_rule *rule)
{
    struct route_header *headers = arena_take(&s->arena, (m->header_count + 1) * sizeof *headers);
    *rule = (struct route_rule){
        .host = m->host.s,
        .path = m->path.s,
        .exact = m->exact,
        .methods = spans_of(s, m->methods, m->method_count),
        .method_count = m->method_count,
        .headers = headers,
        .header_count = m->header_count,
        .countries = spans_of(s, m->countries, m->country_count),
        .country_count = m->country_count,
        .index = index,
    };
    if (rule->methods == NULL || headers == NULL || rule->countries == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < m->header_count; i++)
        headers[i] = (struct route_header){m->headers[i].name.s, m->headers[i].value.s};
    return ERR_OK;
}

static enum err fill_route(const struct snapshot_context *c, struct snapshot *s, size_t i)
{
    static const enum path_rule path_rules[] = {[CONF_PATHS_RESOLVE] = PATHS_RESOLVE,
                                                [CONF_PATHS_KEEP] = PATHS_KEEP,
                                                [CONF_PATHS_NORMALISE] = PATHS_NORMALISE,
                                                [CONF_PATHS_REJECT] = PATHS_REJECT};
    const struct conf_route *from = &s->conf->routes[i];
    struct policy_route *to = &s->policy.routes[i];
    struct stat_route *stats = stat_book_route(c->stats, from->name.s);
    if (stats == NULL)
        return ERR_NO_MEMORY;
    s->stat_routes[s->policy.route_count++] = stats;
    to->name = from->name.s;
    to->timeouts = timeouts_of(&from->timeouts);
    to->body_bytes = (uint64_t)from->body_bytes;
    to->request_rate = (uint64_t)from->request_rate;
    to->websocket = from->websocket;
    to->streaming = from->streaming;
    to->rank = (enum rank)from->priority;
    to->paths = path_rules[from->paths];
    to->stats = stats->by_worker;
    enum err e = snapshot_route_action(s, from, to);
    return e == ERR_OK ? snapshot_route_shape(s, from, to) : e;
}

enum err snapshot_build_routes(const struct snapshot_context *c, struct snapshot *s)
{
    size_t n = s->conf->route_count;
    struct route_rule *rules = arena_take(&s->arena, n * sizeof *rules);
    s->policy.routes = arena_zero(&s->arena, n * sizeof *s->policy.routes);
    s->stat_routes = arena_zero(&s->arena, n * sizeof(struct stat_route *));
    if (rules == NULL || s->policy.routes == NULL || s->stat_routes == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        enum err e = fill_rule(s, &s->conf->routes[i].match, (uint32_t)i, &rules[i]);
        if (e == ERR_OK)
            e = fill_route(c, s, i);
        if (e != ERR_OK)
            return e;
    }
    return route_table_new(rules, n, &s->policy.table);
}
