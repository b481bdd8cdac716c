/* check_redirect: pools that send clients to the sites' own URLs, and the routes to them. */
#include "conf/check.h"
#include "conf/text.h"

void check_public_url(struct conf_site *site)
{
    uint64_t port;
    if (site->public_url.s.p == NULL || text_public_url(site->public_url.s) != NULL)
        return;
    site->public_host = text_url_host(site->public_url.s, &port);
    site->public_port = (uint16_t)port;
}

static void check_urls(struct reader *r, const struct conf *conf, const struct conf_pool *pool)
{
    for (size_t i = 0; i < pool->backend_count; i++) {
        const struct conf_backend *b = &pool->backends[i];
        if (b->site_name.s.p == NULL)
            conf_report(r->m, b->name.mark,
                        "backend '%.*s' of a pool with mode: redirect has no site; give it one "
                        "that has a public_url",
                        SPAN_FMT(b->name.s));
        else if (b->site != NULL && b->site->public_url.s.p == NULL)
            conf_report(r->m, b->site_name.mark,
                        "site '%.*s' has no public_url to send clients to; give it one under sites",
                        SPAN_FMT(b->site_name.s));
    }
    for (size_t i = 0; pool->registry.set && i < conf->site_count; i++)
        if (conf->sites[i].public_url.s.p == NULL)
            conf_report(r->m, conf->sites[i].name.mark,
                        "site '%.*s' has no public_url, and rows of pool '%.*s', which has mode: "
                        "redirect, may stand there; give it one",
                        SPAN_FMT(conf->sites[i].name.s), SPAN_FMT(pool->name.s));
}

/* Requests never reach the servers from here. */
static const char *ignored_key(const struct conf_pool *pool)
{
    for (size_t i = 0; i < pool->backend_count; i++)
        if (pool->backends[i].max_inflight != 0)
            return "max_inflight";
    if (pool->sticky.set)
        return "sticky";
    if (pool->retries.extra != LIMIT_RETRY_EXTRA)
        return "retries";
    if (pool->hedge.set)
        return "hedge";
    if (pool->queue.limit != LIMIT_QUEUE || pool->queue.timeout_ms != LIMIT_QUEUE_WAIT_MS)
        return "queue";
    if (pool->host != CONF_HOST_PRESERVE)
        return "host";
    return pool->balance.distance_from == CONF_DISTANCE_HERE ? "distance_from: here" : NULL;
}

void check_redirect_pool(struct reader *r, const struct conf *conf, const struct conf_pool *pool)
{
    const char *ignored = ignored_key(pool);
    if (pool->mode != CONF_REDIRECT_SITES) {
        if (pool->redirect_status != 307)
            conf_report(r->m, pool->name.mark,
                        "pool '%.*s': redirect_status is for mode: redirect; leave it out",
                        SPAN_FMT(pool->name.s));
        return;
    }
    check_urls(r, conf, pool);
    if (conf->database_count == 0)
        conf_report(r->m, pool->mode_mark,
                    "mode: redirect needs to know where clients are; set geo.databases");
    if (pool->health.probe != CONF_PROBE_HTTP && pool->health.probe != CONF_PROBE_GRPC)
        conf_report(r->m, pool->mode_mark,
                    "mode: redirect knows from checks how fast sites answer; set health.http or "
                    "health.grpc");
    if (pool->balance.algorithm != CONF_NEAREST)
        conf_report(r->m, pool->mode_mark,
                    "mode: redirect chooses a site; let balance.algorithm be nearest");
    if (ignored != NULL)
        conf_report(r->m, pool->mode_mark,
                    "%s is for pools that pass requests on; leave it out with mode: redirect",
                    ignored);
}

static bool is_target(const struct conf_pool *pool, struct span host)
{
    for (size_t i = 0; i < pool->backend_count; i++)
        if (pool->backends[i].site != NULL && span_eq(pool->backends[i].site->public_host, host))
            return true;
    return false;
}

static void check_route_keys(struct reader *r, const struct conf_route *route)
{
    if (route->websocket)
        conf_report(r->m, route->mark,
                    "websocket is for pools that pass requests on; leave it out");
    if (route->streaming)
        conf_report(r->m, route->mark,
                    "streaming is for pools that pass requests on; leave it out");
    if (route->request_headers.written)
        conf_report(r->m, route->request_headers.mark,
                    "request_headers is for pools that pass requests on; leave it out");
    if (route->rewrite.set)
        conf_report(r->m, route->rewrite.mark,
                    "rewrite is for pools that pass requests on; leave it out");
    if (route->paths == CONF_PATHS_KEEP)
        conf_report(r->m, route->mark,
                    "path_handling: keep is for pools that pass requests on; leave it out");
    if (route->mirror.set)
        conf_report(r->m, route->mirror.mark,
                    "mirror is for pools that pass requests on; leave it out");
    if (route->compress.set)
        conf_report(r->m, route->compress.mark,
                    "compress is for pools that pass requests on; leave it out");
}

void check_redirect_route(struct reader *r, const struct conf_route *route)
{
    if (route->mirror.pool != NULL && route->mirror.pool->mode == CONF_REDIRECT_SITES)
        conf_report(r->m, route->mirror.pool_name.mark,
                    "copies go to a pool that passes requests on; '%.*s' has mode: redirect",
                    SPAN_FMT(route->mirror.pool_name.s));
    if (route->pool == NULL || route->pool->mode != CONF_REDIRECT_SITES)
        return;
    check_route_keys(r, route);
    if (route->match.host.s.n > 0 && is_target(route->pool, route->match.host.s))
        conf_report(r->m, route->match.host.mark,
                    "'%.*s' is where pool '%.*s' sends clients to: they would be sent there again "
                    "and again; let a pool with mode: proxy serve this host",
                    SPAN_FMT(route->match.host.s), SPAN_FMT(route->pool->name.s));
}
