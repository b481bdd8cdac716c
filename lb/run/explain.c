/* explain: walks one imagined request through the same code that real ones use: geo, route, pick;
 * takes nothing and counts nothing. */
#include "run/balancer.h"

#include "base/mem.h"
#include "geo/near.h"
#include "http/uri.h"
#include "proxy/access.h"
#include "proxy/readings.h"
#include "proxy/redirect.h"
#include "proxy/split.h"
#include "proxy/sticky.h"

static void fill_place(const struct place *p, struct admin_place *out)
{
    out->known = p->known;
    out->country = span_str(p->country);
    out->continent = span_str(p->continent);
    out->subdivision = span_str(p->subdivision);
    out->located = p->has_location;
    out->latitude = (double)p->latitude;
    out->longitude = (double)p->longitude;
    out->radius_km = p->accuracy_km;
    out->source = !p->has_location ? "none" : p->central ? "country" : "database";
}

static enum err look_up(const struct balancer *b, struct span ip, struct addr *a,
                        struct place *place, struct buf *message)
{
    const uint8_t *bytes;
    if (addr_parse_host(ip, a) != ERR_OK) {
        buf_printf(message, "'%.*s' is not an IP address", SPAN_FMT(ip));
        return ERR_SYNTAX;
    }
    addr_unmap(a);
    size_t n = addr_bytes(a, &bytes);
    *place = (struct place){0};
    if (b->current->policy.geo != NULL)
        geo_lookup(b->current->policy.geo, n == 4 ? AF_INET : AF_INET6, bytes, place);
    return ERR_OK;
}

/* Text that is handed out must outlive the call that asked. */
static struct span kept(struct balancer *b, struct span s)
{
    return arena_copy(&b->answer, s);
}

static void keep_place(struct balancer *b, struct admin_place *p)
{
    p->country = kept(b, p->country);
    p->continent = kept(b, p->continent);
    p->subdivision = kept(b, p->subdivision);
}

struct question {
    const struct admin_explain_ask *ask;
    struct span authority, host, path, path_sent, query;
    struct addr client;
    struct request request; /* as much of it as keys and gates look at */
};

static struct span header_value(void *ctx, struct span name)
{
    const struct question *a = ctx;
    for (size_t i = 0; i < a->ask->header_count; i++) {
        if (span_eq_nocase(a->ask->headers[i].name, name))
            return a->ask->headers[i].value;
    }
    return SPAN_NONE;
}

static enum err parse_url(struct balancer *b, struct question *a, struct buf *message)
{
    struct uri uri;
    struct host host = {0};
    struct span url = arena_copy(&b->answer, a->ask->url);
    enum err e = url.p != NULL ? uri_parse(url, &uri) : ERR_NO_MEMORY;
    struct span named = e == ERR_OK ? uri.authority : SPAN_NONE;
    if (e == ERR_OK && named.n == 0)
        named = header_value(a, SPAN("host"));
    struct span copy = arena_copy(&b->answer, named);
    if (e == ERR_OK && copy.n != 0)
        e = host_parse((char *)(uintptr_t)copy.p, copy.n, &host);
    if (e != ERR_OK) {
        buf_printf(message, "'%.*s' is not a URL that can be asked for: %s", SPAN_FMT(a->ask->url),
                   err_phrase(e));
        return e;
    }
    a->host = host.host;
    a->authority = host.authority;
    a->query = uri.query; /* of the copy */
    a->path = uri.path.n != 0 ? uri.path : SPAN("/");
    char *p = (char *)(uintptr_t)a->path.p;
    return uri.path.n != 0 ? uri_resolve(p, a->path.n, &b->answer, &a->path, &a->path_sent)
                           : ERR_OK;
}

static bool measure(const struct balancer *b, const struct policy_pool *pool,
                    const struct place *place, float *distance_ms)
{
    const struct policy *policy = &b->current->policy;
    struct policy_location at = policy->here;
    bool somewhere = policy->has_here;
    if (!pool->from_client || pool->sites == NULL)
        return false;
    if (place->has_location) {
        at = (struct policy_location){(double)place->latitude, (double)place->longitude};
        somewhere = true;
    }
    for (uint32_t i = 0; i < pool->pick->site_count; i++) {
        double km =
            near_km(at.latitude, at.longitude, pool->sites[i].latitude, pool->sites[i].longitude);
        double radius = place->has_location ? place->accuracy_km : 0;
        distance_ms[i] = 0;
        if (somewhere)
            distance_ms[i] = (float)near_ms(km, radius, pool->pick->knobs.distance_weight);
    }
    return true;
}

/* "5.1.0.0/16" */
static struct span network_of(struct balancer *b, const struct addr *a, unsigned bits)
{
    struct addr net = *a;
    char host[ADDR_TEXT];
    const uint8_t *bytes;
    size_t n = addr_bytes(&net, &bytes);
    for (unsigned i = 0; i < n; i++) {
        unsigned left = bits > i * 8 ? bits - i * 8 : 0;
        if (left < 8)
            ((uint8_t *)(uintptr_t)bytes)[i] &= (uint8_t)(0xFF00u >> left);
    }
    size_t length = addr_print_host(&net, host);
    char *text = arena_printf(&b->answer, "%.*s/%u", (int)length, host, bits);
    return text != NULL ? span_str(text) : SPAN_NONE;
}

/* What each database says, for people who wonder which one is wrong. */
static void tell_databases(struct balancer *b, const struct addr *a, struct admin_geo *out)
{
    const struct geo_db *db = b->current->policy.geo;
    const uint8_t *bytes;
    int family = addr_bytes(a, &bytes) == 4 ? AF_INET : AF_INET6;
    size_t n = geo_count(db);
    struct admin_geo_database *rows = arena_zero(&b->answer, n * sizeof *rows + 1);
    char memory[GEO_NUMBER];
    for (size_t i = 0; rows != NULL && i < n; i++) {
        struct geo_said said;
        struct geo_facts facts;
        geo_said(db, i, family, bytes, &said);
        geo_facts(db, i, &facts);
        rows[i] = (struct admin_geo_database){.path = kept(b, span_str(facts.path)),
                                              .type = kept(b, span_str(facts.type)),
                                              .city = kept(b, said.city),
                                              .asn = kept(b, said.asn),
                                              .organization = kept(b, said.organization)};
        if (said.found)
            rows[i].network = network_of(b, a, said.bits);
        fill_place(&said.place, &rows[i].place);
        keep_place(b, &rows[i].place);
        out->database_count++;
    }
    out->databases = rows;
    out->city = kept(b, geo_known(db, family, bytes, GEO_CITY, memory));
    out->asn = kept(b, geo_known(db, family, bytes, GEO_ASN, memory));
    out->organization = kept(b, geo_known(db, family, bytes, GEO_ORGANIZATION, memory));
}

static bool goes_before(const struct admin_geo_site *a, const struct admin_geo_site *b)
{
    return a->allowed != b->allowed ? a->allowed : a->distance_ms < b->distance_ms;
}

/* The sites of one pool in the order of their distance. */
static void tell_pool(struct balancer *b, const struct policy_pool *pool, const struct place *place,
                      struct admin_geo_pool *out)
{
    uint64_t mask = PICK_ALL;
    float distance_ms[LIMIT_SITES];
    struct pool_view *view = pool_view_new(pool->pick, loop_now_ms(b->loop));
    struct admin_geo_site *sites =
        arena_zero(&b->answer, pool->pick->site_count * sizeof *sites + 1);
    bool from_client = measure(b, pool, place, distance_ms);
    *out = (struct admin_geo_pool){
        .pool = pool->name, .distance_from = pool->from_client ? "client" : "here", .sites = sites};
    if (pool->residency != NULL)
        out->outcome = residency_sites(pool->residency, place, &mask);
    for (uint32_t i = 0; view != NULL && sites != NULL && i < pool->pick->site_count; i++) {
        struct admin_geo_site site = {
            .name = span_str(pool->pick->sites[i].name),
            .allowed = (mask >> i & 1) != 0,
            .distance_ms = (double)(from_client ? distance_ms[i] : view->here_ms[i])};
        size_t at = out->site_count++;
        for (; at > 0 && goes_before(&site, &sites[at - 1]); at--)
            sites[at] = sites[at - 1];
        sites[at] = site;
    }
    pool_view_free(&view);
}

static void tell_pools(struct balancer *b, const struct place *place, struct admin_geo *out)
{
    const struct policy *policy = &b->current->policy;
    struct admin_geo_pool *rows = arena_zero(&b->answer, ADMIN_GEO_POOLS * sizeof *rows);
    out->pools = rows;
    for (uint32_t i = 0; rows != NULL && i < policy->pool_count; i++) {
        if (policy->pools[i].sites == NULL)
            continue;
        if (out->pool_count == ADMIN_GEO_POOLS)
            out->pools_left++;
        else
            tell_pool(b, &policy->pools[i], place, &rows[out->pool_count++]);
    }
}

enum err balancer_geo(void *ctx, struct span ip, struct admin_geo *out, struct buf *message)
{
    struct balancer *b = ctx;
    struct place place;
    struct addr a;
    arena_reset(&b->answer);
    *out = (struct admin_geo){.pool_count = 0};
    enum err e = look_up(b, ip, &a, &place, message);
    if (e != ERR_OK)
        return e;
    fill_place(&place, &out->place);
    keep_place(b, &out->place);
    tell_databases(b, &a, out);
    tell_pools(b, &place, out);
    return ERR_OK;
}

static struct span lower(struct balancer *b, struct span name)
{
    struct span s = arena_copy(&b->answer, name);
    for (size_t i = 0; s.p != NULL && i < s.n; i++)
        ((char *)(uintptr_t)s.p)[i] = ascii_lower(s.p[i]);
    return s;
}

static enum err imagine(struct balancer *b, struct question *a)
{
    struct request *r = &a->request;
    enum err e = addr_parse_host(a->ask->client, &a->client);
    *r = (struct request){.authority = a->authority,
                          .host = a->host,
                          .path = a->path,
                          .path_sent = a->path_sent,
                          .path_odd = uri_is_odd(a->path),
                          .query = a->query};
    for (size_t i = 0; e == ERR_OK && i < a->ask->header_count; i++) {
        struct span name = lower(b, a->ask->headers[i].name);
        e = fields_add(&r->fields, &b->answer, field_id_of(name), name, a->ask->headers[i].value);
    }
    addr_unmap(&a->client);
    return e;
}

/* All that were no candidates, with what stood in their way. */
static void explain_others(struct balancer *b, const struct pick_request *req,
                           struct admin_explain *out)
{
    const struct pick_pool *pool = req->view->pool;
    uint32_t most =
        pool->member_count < ADMIN_EXPLAIN_OTHERS ? pool->member_count : ADMIN_EXPLAIN_OTHERS;
    struct admin_explain_other *rows = arena_zero(&b->answer, most * sizeof *rows + 1);
    for (uint32_t i = 0; rows != NULL && i < pool->member_count; i++) {
        const struct pool_member *m = &pool->members[i];
        int64_t until = atomic_load_explicit(&m->endpoint->out_until, memory_order_relaxed);
        enum pick_why why = pick_why_not(req, &out->terms, i);
        if (why == PICK_WHY_NOTHING)
            continue;
        if (out->other_count == most) {
            out->others_left++;
            continue;
        }
        rows[out->other_count++] =
            (struct admin_explain_other){.endpoint = m->endpoint,
                                         .site = m->site,
                                         .inflight = endpoint_inflight(m->endpoint),
                                         .weight = pick_weight_now(req->view, i),
                                         .max_inflight = m->max_inflight,
                                         .out_ms = until > req->now_ms ? until - req->now_ms : 0,
                                         .why = why};
    }
    out->others = rows;
}

/* After the choice: what the client would be told. */
static void explain_redirect(struct balancer *b, const struct policy_pool *pool,
                             const struct question *asked, struct admin_explain *out)
{
    if (redirect_arrived(pool, &asked->request))
        out->outcome = ERR_REDIRECT_LOOP;
    for (uint32_t i = 0; out->outcome == ERR_OK && i < out->terms.site_count; i++) {
        if (out->terms.sites[i].verdict == PICK_CHOSEN)
            out->outcome =
                redirect_location(&pool->targets[i], &asked->request, &b->answer, &out->redirect);
    }
}

/* Where the cookie that was given leads. */
static const struct pool_member *
find_stick(const struct balancer *b, const struct policy_pool *pool, const struct question *asked)
{
    if (pool->sticky == NULL)
        return NULL;
    int64_t now_s = b->loop->ops->wall_ns(b->loop) / NS_PER_S;
    return sticky_find(pool->sticky, pool->pick, &asked->request, now_s).member;
}

static enum err explain_pick(struct balancer *b, const struct policy_pool *pool,
                             const struct question *asked, const struct place *place,
                             struct admin_explain *out)
{
    float distance_ms[LIMIT_SITES];
    struct rng rng;
    uint64_t sites = PICK_ALL;
    enum err refused =
        pool->residency != NULL ? residency_sites(pool->residency, place, &sites) : ERR_OK;
    struct pool_view *view = pool_view_new(pool->pick, loop_now_ms(b->loop));
    if (view == NULL)
        return ERR_NO_MEMORY;
    rng_seed_system(&rng);
    struct pick_request req = {
        .view = view,
        .distance_ms = measure(b, pool, place, distance_ms) ? distance_ms : NULL,
        .allowed = sites,
        .key = request_key(&pool->hash, &asked->request, &asked->client, NULL),
        .has_key = pool->hash.kind != KEY_NONE,
        .stick = find_stick(b, pool, asked),
        .no_last_resort = pool->targets != NULL,
        .now_ms = loop_now_ms(b->loop),
        .dice = pick_dice_rng(&rng),
        .explain = &out->terms,
    };
    out->outcome = pick_explain(&req);
    if (out->outcome == ERR_FULL && pool->queue_limit == 0)
        out->outcome = ERR_QUEUE_FULL;
    if (pool->sticky != NULL && out->outcome == ERR_OK)
        out->sticky = req.stick == NULL ? "made" : out->terms.stuck ? "kept" : "broken";
    if (pool->fail_fast && pool_has_fault(pool->pick->state))
        out->outcome = ERR_DEPENDENCY_DOWN;
    if (refused != ERR_OK)
        out->outcome = refused;
    out->distance_source = view->measured && req.distance_ms == NULL ? "measured" : "coordinates";
    explain_others(b, &req, out);
    for (uint32_t i = 0; i < pool->pick->site_count; i++)
        out->site_names[i] = span_str(pool->pick->sites[i].name);
    if (pool->targets != NULL)
        explain_redirect(b, pool, asked, out);
    pool_view_free(&view);
    return ERR_OK;
}

/* Of a split the key's part; where chance decides, the part that weighs most. */
static const struct policy_pool *part_of(const struct policy_split *split, const struct question *a)
{
    uint32_t most = 0, weight = 0;
    if (split->by.kind != KEY_NONE) {
        uint64_t key = request_key(&split->by, &a->request, &a->client, NULL);
        return split->pools[split_choose(split->ends, split->count, key)];
    }
    for (uint32_t i = 0; i < split->count; i++) {
        uint32_t own = split->ends[i] - (i > 0 ? split->ends[i - 1] : 0);
        most = own > weight ? i : most;
        weight = own > weight ? own : weight;
    }
    return split->pools[most];
}

/* In the order of real requests: who may come, then who serves. */
static enum err explain_route(struct balancer *b, const struct policy_route *route,
                              const struct question *asked, const struct place *place,
                              struct admin_explain *out)
{
    static const char *const actions[] = {"pool", "split", "respond", "redirect"};
    out->route = route->name;
    out->action = actions[route->action];
    if (route->access != NULL && !access_allows(route->access, &asked->client, place->country)) {
        out->outcome = ERR_FORBIDDEN;
        return ERR_OK;
    }
    const struct policy_pool *pool =
        route->action == POLICY_SPLIT ? part_of(&route->split, asked) : route->pool;
    if (pool == NULL)
        return ERR_OK;
    out->pool = pool->name;
    balancer_fault(b, pool->index, &out->fault);
    out->distance_from = pool->from_client ? "client" : "here";
    return explain_pick(b, pool, asked, place, out);
}

/* What a request would be told before any gate; H14 too. */
static enum err find_route(struct balancer *b, struct question *a, const struct route_request *req,
                           struct route_match *match)
{
    const struct route_table *table = b->current->policy.table;
    if (!method_served(method_parse(req->method)))
        return ERR_BAD_METHOD;
    enum err e = a->request.path_odd ? readings_find(table, req, &b->answer, match)
                                     : route_find(table, req, match);
    if (e != ERR_OK)
        return e;
    enum path_rule rule = b->current->policy.routes[match->index].paths;
    return readings_rule(rule, table, req, match, &a->request, &b->answer);
}

enum err balancer_explain(void *ctx, const struct admin_explain_ask *ask, struct admin_explain *out,
                          struct buf *message)
{
    struct balancer *b = ctx;
    struct question asked = {.ask = ask};
    struct place place;
    struct route_match match;
    arena_reset(&b->answer);
    struct addr client;
    enum err e = look_up(b, ask->client, &client, &place, message);
    if (e == ERR_OK)
        e = parse_url(b, &asked, message);
    if (e == ERR_OK)
        e = imagine(b, &asked);
    if (e != ERR_OK)
        return e;
    fill_place(&place, &out->place);
    keep_place(b, &out->place);
    struct route_request req = {.host = asked.host,
                                .path = asked.path,
                                .method = ask->method.n != 0 ? ask->method : SPAN("GET"),
                                .country = span_str(place.country),
                                .get = header_value,
                                .ctx = &asked};
    out->outcome = find_route(b, &asked, &req, &match);
    if (out->outcome != ERR_OK)
        return ERR_OK;
    return explain_route(b, &b->current->policy.routes[match.index], &asked, &place, out);
}
