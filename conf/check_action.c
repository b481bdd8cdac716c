/* What a route does: its one target, and what may stand beside it. */
#include "conf/check.h"

static const struct conf_pool *find_pool(struct reader *r, const struct conf_text *name,
                                         const struct names *pools)
{
    const struct conf_pool *pool = names_find(pools, name->s);
    if (pool != NULL)
        return pool;
    struct span near = source_wanted(r->m) ? names_near(pools, name->s) : SPAN_NONE;
    conf_report(r->m, name->mark, "pool '%.*s' is not defined under pools%s%.*s%s",
                SPAN_FMT(name->s), near.n > 0 ? "; did you mean '" : "", SPAN_FMT(near),
                near.n > 0 ? "'?" : "");
    return NULL;
}

/* The one target of a route; that there is one was checked by the schema. */
static void find_target(struct reader *r, struct conf_route *route, const struct names *pools)
{
    if (route->pool_name.s.p != NULL) {
        route->action = CONF_TO_POOL;
        route->pool = find_pool(r, &route->pool_name, pools);
    } else if (route->share_count > 0) {
        route->action = CONF_SPLIT;
    } else if (route->respond.set) {
        route->action = CONF_RESPOND;
    } else if (route->redirect.set) {
        route->action = CONF_REDIRECT;
    }
    for (size_t i = 0; i < route->share_count; i++)
        route->shares[i].pool = find_pool(r, &route->shares[i].name, pools);
    if (route->mirror.pool_name.s.p != NULL)
        route->mirror.pool = find_pool(r, &route->mirror.pool_name, pools);
}

static void check_answer(struct reader *r, const struct conf_route *route)
{
    bool bare = route->respond.status == 204 || route->respond.status == 205 ||
                route->respond.status == 304;
    if (route->respond.set && bare && route->respond.body.s.n > 0)
        conf_report(r->m, route->respond.body.mark,
                    "a response with status %d has no content; leave "
                    "body out",
                    (int)route->respond.status);
}

/* Nothing is accepted and ignored. */
static void check_beside(struct reader *r, const struct conf_route *route)
{
    bool answers = route->action == CONF_RESPOND || route->action == CONF_REDIRECT;
    if (answers && route->websocket)
        conf_report(r->m, route->mark, "websocket is for routes to a pool; leave it out");
    if (answers && route->streaming)
        conf_report(r->m, route->mark, "streaming is for routes to a pool; leave it out");
    if (answers && route->request_headers.written)
        conf_report(r->m, route->request_headers.mark,
                    "request_headers is for routes to a pool; leave it out");
    if (answers && route->rewrite.set)
        conf_report(r->m, route->rewrite.mark, "rewrite is for routes to a pool; leave it out");
    if (answers && route->paths == CONF_PATHS_KEEP)
        conf_report(r->m, route->mark, "path_handling: keep is for routes to a pool; leave it out");
    if (route->paths == CONF_PATHS_KEEP && route->rewrite.set)
        conf_report(r->m, route->rewrite.mark,
                    "rewrite would act on '..' segments that path_handling: keep leaves; leave out "
                    "one of them");
    if (answers && route->mirror.set)
        conf_report(r->m, route->mirror.mark, "mirror is for routes to a pool; leave it out");
    if (route->split_by.kind != CONF_KEY_NONE && route->action != CONF_SPLIT &&
        route->action != CONF_NO_ACTION)
        conf_report(r->m, route->mark, "split_by is for routes with split; leave it out");
}

/* A network that is in both lists, for which none of them is the longer. */
static void check_networks(struct reader *r, const struct conf_access *a)
{
    for (size_t i = 0; i < a->deny_count; i++) {
        const struct conf_cidr *deny = &a->deny[i];
        for (size_t k = 0; k < a->allow_count; k++) {
            const struct conf_cidr *allow = &a->allow[k];
            if (deny->text.s.p != NULL && deny->family == allow->family &&
                deny->bits == allow->bits &&
                memcmp(deny->bytes, allow->bytes, sizeof deny->bytes) == 0)
                conf_report(r->m, deny->text.mark, "'%.*s' is allowed too, at %.*s:%u:%u",
                            SPAN_FMT(deny->text.s),
                            SPAN_FMT(source_name(r->m->source, &allow->text.mark)),
                            (unsigned)allow->text.mark.line, (unsigned)allow->text.mark.column);
        }
    }
}

static void check_countries(struct reader *r, const struct conf *conf,
                            const struct conf_route *route)
{
    const struct conf_access *a = &route->access;
    if (conf->database_count > 0)
        return;
    if (a->allow_country_count + a->deny_country_count > 0)
        conf_report(r->m, a->mark, "countries need a database; set geo.databases");
    if (route->match.country_count > 0)
        conf_report(r->m, route->match.countries[0].mark,
                    "countries need a database; set geo.databases");
}

static void check_empty(struct reader *r, const struct conf_route *route)
{
    const struct conf_access *a = &route->access;
    if (a->set &&
        a->allow_count + a->deny_count + a->allow_country_count + a->deny_country_count == 0)
        conf_report(r->m, a->mark, "access is empty; leave it out, or say who may come");
    const struct conf_rewrite *w = &route->rewrite;
    if (w->set && w->strip_prefix.s.p == NULL && w->add_prefix.s.p == NULL)
        conf_report(r->m, w->mark, "rewrite is empty; give strip_prefix or add_prefix");
}

/* One second's worth. */
static void fill_burst(struct conf_rate_limit *limit)
{
    int64_t second = limit->rate_per_hour / 3600;
    if (limit->burst == 0)
        limit->burst = second > 0 ? second : 1;
}

void check_action(struct reader *r, const struct conf *conf, struct conf_route *route,
                  const struct names *pools)
{
    find_target(r, route, pools);
    check_answer(r, route);
    check_beside(r, route);
    check_redirect_route(r, route);
    check_networks(r, &route->access);
    check_countries(r, conf, route);
    if (route->mark.width > 0)
        check_empty(r, route);
    fill_burst(&route->rate_limit);
}
