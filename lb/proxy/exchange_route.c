/* What is decided before anybody is picked: the route, who may come, how often, and to which pool.
 */
#include "proxy/exchange_impl.h"

#include "base/limits.h"
#include "proxy/readings.h"

static struct span field_value(void *ctx, struct span name)
{
    const struct request *r = ctx;
    const struct field *f = fields_find(&r->fields, name);
    return f != NULL ? f->value : SPAN_NONE;
}

static struct route_request ask_of(struct exchange *x)
{
    struct request *r = x->request;
    return (struct route_request){
        .host = r->host,
        .path = r->path,
        .method = r->method_name,
        .country = x->origin != NULL ? span_str(x->origin->place.country) : SPAN_NONE,
        .get = field_value,
        .ctx = r,
    };
}

/* H14: where another reading of the path would lead to another route, it is refused; so is what the
 * route does not want. */
enum err exchange_find_route(struct exchange *x, struct route_match *match)
{
    struct route_request ask = ask_of(x);
    const struct policy *policy = x->edition->policy;
    struct arena *arena = x->front->arena;
    enum err e = x->request->path_odd ? readings_find(policy->table, &ask, arena, match)
                                      : route_find(policy->table, &ask, match);
    if (e != ERR_OK || policy->routes[match->index].paths == PATHS_RESOLVE)
        return e;
    return readings_rule(policy->routes[match->index].paths, policy->table, &ask, match, x->request,
                         arena);
}

static enum err choose_route(struct exchange *x)
{
    struct route_match match;
    enum err e = exchange_find_route(x, &match);
    if (e == ERR_OK)
        x->route = &x->edition->policy->routes[match.index];
    return e;
}

static void take_times(struct exchange *x)
{
    x->timeouts = x->route->timeouts;
    x->request_rate = x->route->request_rate;
    x->response_rate = x->edition->policy->response_rate;
}

static void take_route(struct exchange *x)
{
    x->stats = route_stats_hold(x->route->stats[x->proxy->worker]);
    take_times(x);
    if (x->request->upgrade == UPGRADE_NONE)
        exchange_limit(x, x->timeouts.total_ms * NS_PER_MS);
    x->body_most = x->route->body_bytes;
}

static enum err check_request(const struct exchange *x)
{
    const struct request *r = x->request;
    if (r->content == CONTENT_LENGTH && x->body_most != 0 && r->length > x->body_most)
        return ERR_BODY_TOO_LARGE;
    if (r->upgrade != UPGRADE_NONE && !x->route->websocket)
        return ERR_TUNNEL_REFUSED;
    return ERR_OK;
}

/* Whoever has no address (an internal request) has nothing to be judged by. */
static enum err check_access(const struct exchange *x)
{
    const struct access *a = x->route->access;
    if (a == NULL || x->origin == NULL)
        return ERR_OK;
    return access_allows(a, &x->origin->addr, x->origin->place.country) ? ERR_OK : ERR_FORBIDDEN;
}

static uint64_t key_of(const struct exchange *x, const struct key_rule *rule,
                       const struct hash_key *secret)
{
    return request_key(rule, x->request, x->origin != NULL ? &x->origin->addr : NULL, secret);
}

static enum err check_rate(struct exchange *x)
{
    const struct policy_rate *limit = x->route->rate;
    struct admission *admission = x->proxy->admission;
    if (limit == NULL || x->origin == NULL)
        return ERR_OK;
    uint64_t key = key_of(x, &limit->per, &admission->key) ^ limit->seed;
    int64_t wait_ns = rate_take(&admission->rates, key, &limit->rule, loop_now_ns(x->proxy->loop));
    if (wait_ns == 0)
        return ERR_OK;
    x->retry_after_s = (unsigned)((wait_ns + NS_PER_S - 1) / NS_PER_S);
    return ERR_RATE_LIMIT;
}

static void choose_pool(struct exchange *x)
{
    const struct policy_route *route = x->route;
    x->pool = route->pool;
    if (route->action != POLICY_SPLIT)
        return;
    const struct policy_split *split = &route->split;
    uint64_t random =
        split->by.kind != KEY_NONE ? key_of(x, &split->by, NULL) : rng_u64(&x->proxy->rng);
    x->pool = split->pools[split_choose(split->ends, split->count, random)];
}

enum err exchange_route(struct exchange *x)
{
    enum err e = x->route != NULL ? ERR_OK : choose_route(x); /* an errand has one */
    if (e != ERR_OK)
        return e;
    take_route(x);
    e = check_access(x);
    if (e == ERR_OK)
        e = check_rate(x);
    if (e == ERR_OK)
        e = check_request(x);
    if (e == ERR_OK)
        choose_pool(x);
    return e;
}

/* The pool of that name, where the route still leads to it. */
static const struct policy_pool *pool_again(const struct policy_route *route, struct span name)
{
    const struct policy_split *split = &route->split;
    if (route->action == POLICY_POOL)
        return span_eq(route->pool->name, name) ? route->pool : NULL;
    for (uint32_t i = 0; route->action == POLICY_SPLIT && i < split->count; i++)
        if (span_eq(split->pools[i]->name, name))
            return split->pools[i];
    return NULL;
}

/* Whether the same route and pool would take it in the edition that it has now; finds them. */
static bool route_again(struct exchange *x)
{
    struct span route = x->route->name, pool = x->pool->name;
    if (choose_route(x) != ERR_OK || !span_eq(x->route->name, route))
        return false;
    x->pool = pool_again(x->route, pool);
    return x->pool != NULL && x->pool->targets == NULL &&
           x->edition->pools[x->pool->index].slot == x->slot && check_access(x) == ERR_OK &&
           check_request(x) == ERR_OK;
}

static bool has_endpoint(const struct policy_pool *pool, const struct endpoint *e)
{
    for (uint32_t i = 0; i < pool->endpoint_count; i++)
        if (pool->endpoints[i].endpoint == e)
            return true;
    return false;
}

/* Those that are gone are not held by the new edition. */
static void forget_gone(struct exchange *x)
{
    unsigned kept = 0;
    bool last = false;
    for (unsigned i = 0; i < x->tried_count; i++) {
        last = has_endpoint(x->pool, x->tried[i]);
        if (last)
            x->tried[kept++] = x->tried[i];
    }
    x->tried_count = kept;
    x->refused = x->refused && last; /* that was the last one */
}

void exchange_rehome(struct exchange *x, struct edition *to)
{
    struct edition *edition = x->edition;
    struct origin *origin = x->origin;
    const struct policy_route *route = x->route;
    const struct policy_pool *pool = x->pool;
    if (x->client != NULL) {
        x->origin = client_origin(x->client, to->policy, x->request);
    } else {
        x->origin = origin_hold(origin);
    }
    x->edition = edition_ref(to);
    if ((x->client != NULL && x->origin == NULL) || !route_again(x)) {
        origin_let_go(&x->origin);
        edition_unref(x->proxy, &x->edition);
        x->edition = edition;
        x->origin = origin;
        x->route = route;
        x->pool = pool;
        return;
    }
    take_times(x);
    forget_gone(x);
    x->stick = NULL;
    exchange_find_stick(x);
    origin_let_go(&origin);
    edition_unref(x->proxy, &edition);
}

/* Rounded down, but not to nothing: the exchange ends by itself when the time is up. */
static struct span left_ms(const struct exchange *x)
{
    int64_t left = (x->deadline_ns - loop_now_ns(x->proxy->loop)) / NS_PER_MS;
    char *text = arena_take(x->front->arena, 20);
    return text != NULL ? span_of(text, u64_print(text, left > 0 ? (uint64_t)left : 1)) : SPAN_NONE;
}

void exchange_facts(const struct exchange *x, struct expand_facts *out)
{
    const struct client *c = x->client;
    *out = (struct expand_facts){.request = x->request, .id = x->id};
    if (x->route != NULL)
        out->route = x->route->name;
    if (x->deadline_ns != 0)
        out->left_ms = left_ms(x);
    if (x->origin != NULL) {
        out->place = &x->origin->place;
        out->address = &x->origin->addr;
        out->geo = x->edition != NULL ? x->edition->policy->geo : NULL;
        out->client = span_of(x->origin->text, x->origin->text_size);
    }
    if (c != NULL) {
        out->peer = span_of(c->peer.text, c->peer.text_size);
        out->listener = c->listener->name;
    }
}
