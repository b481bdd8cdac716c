#include "conf/check.h"

#define HASHED_MOST 10000 /* as lb/pick has it */

/* What makes two addresses one: "family:bytes:port:path". */
static struct span address_key(struct reader *r, const struct conf_address *a)
{
    uint64_t half[2];
    memcpy(half, a->bytes, sizeof half);
    char *key = arena_printf(r->arena, "%d:%016llx%016llx:%u:%.*s", (int)a->family,
                             (unsigned long long)half[0], (unsigned long long)half[1],
                             (unsigned)a->port, SPAN_FMT(a->path));
    if (key == NULL)
        r->no_memory = true;
    return span_str(key);
}

static void check_binds(struct reader *r, const struct conf *conf)
{
    size_t room = 1;
    for (size_t i = 0; i < conf->listener_count; i++)
        room += conf->listeners[i].bind_count;
    struct names names;
    if (!names_init(&names, r, room))
        return;
    const struct conf_address *http = &conf->admin.http;
    if (conf->admin.http_on)
        names_add(&names, address_key(r, http), http, &http->text.mark);
    for (size_t i = 0; i < conf->listener_count; i++)
        for (size_t j = 0; j < conf->listeners[i].bind_count; j++) {
            const struct conf_address *a = &conf->listeners[i].binds[j];
            if (a->family != CONF_NO_ADDRESS)
                names_add(&names, address_key(r, a), a, &a->text.mark);
        }
    names_sort(&names);
    for (size_t i = 1; i < names.count; i++) {
        const struct conf_address *first = names.entries[i - 1].thing,
                                  *second = names.entries[i].thing;
        if (!span_eq(names.entries[i].name, names.entries[i - 1].name))
            continue;
        if (first->text.mark.line == 0)
            conf_report(r->m, second->text.mark,
                        "'%.*s' is the default of admin.http; choose another "
                        "address, or set admin.http",
                        SPAN_FMT(source_clip(second->text.s)));
        else
            conf_report(r->m, second->text.mark, "'%.*s' is bound twice, first at %.*s:%u:%u",
                        SPAN_FMT(source_clip(second->text.s)),
                        SPAN_FMT(source_name(r->m->source, &first->text.mark)),
                        (unsigned)first->text.mark.line, (unsigned)first->text.mark.column);
    }
}

/* What is told of certificates names them by their files. */
static void check_chains(struct reader *r, const struct conf_front_tls *tls)
{
    struct names names;
    if (!names_init(&names, r, tls->certificate_count))
        return;
    for (size_t i = 0; i < tls->certificate_count; i++) {
        const struct conf_text *chain = &tls->certificates[i].chain;
        if (chain->s.p != NULL)
            names_add(&names, chain->s, chain, &chain->mark);
    }
    names_sort(&names);
    for (size_t i = 1; i < names.count; i++) {
        const struct conf_mark *first = names.entries[i - 1].mark;
        if (span_eq(names.entries[i].name, names.entries[i - 1].name))
            conf_report(r->m, *names.entries[i].mark, "'%.*s' is given twice, first at %.*s:%u:%u",
                        SPAN_FMT(source_clip(names.entries[i].name)),
                        SPAN_FMT(source_name(r->m->source, first)), (unsigned)first->line,
                        (unsigned)first->column);
    }
}

static void check_listeners(struct reader *r, const struct conf *conf)
{
    for (size_t i = 0; i < conf->listener_count; i++) {
        const struct conf_listener *l = &conf->listeners[i];
        if (l->redirect_to_https && l->tls.set)
            conf_report(r->m, l->name.mark,
                        "listener '%.*s' has tls and redirect_to_https; a redirect "
                        "to itself would never end",
                        SPAN_FMT(l->name.s));
        check_chains(r, &l->tls);
    }
    check_binds(r, conf);
}

/* The site of each backend: known, and in one pool all have one or none has. */
static void check_sites(struct reader *r, struct conf_pool *pool, const struct names *sites)
{
    const struct conf_backend *with = NULL, *without = NULL;
    for (size_t i = 0; i < pool->backend_count; i++) {
        struct conf_backend *b = &pool->backends[i];
        if (b->site_name.s.p == NULL) {
            without = without != NULL ? without : b;
            continue;
        }
        with = with != NULL ? with : b;
        b->site = names_find(sites, b->site_name.s);
        if (b->site != NULL || !source_wanted(r->m)) {
            r->m->errors += b->site == NULL;
            continue;
        }
        struct span near = names_near(sites, b->site_name.s);
        conf_report(r->m, b->site_name.mark, "site '%.*s' is not defined under sites%s%.*s%s",
                    SPAN_FMT(b->site_name.s), near.n > 0 ? "; did you mean '" : "", SPAN_FMT(near),
                    near.n > 0 ? "'?" : "");
    }
    if (with != NULL && without != NULL)
        conf_report(r->m, without->name.mark,
                    "backend '%.*s' has no site but '%.*s' has one; in a pool "
                    "either all backends have a site or none has",
                    SPAN_FMT(without->name.s), SPAN_FMT(with->name.s));
}

/* At most LIMIT_SITES different sites. */
static void check_site_count(struct reader *r, const struct conf *conf,
                             const struct conf_pool *pool)
{
    if (pool->backend_count <= LIMIT_SITES || conf->site_count <= LIMIT_SITES)
        return;
    bool *seen = reader_zero(r, conf->site_count, sizeof *seen);
    size_t count = 0;
    for (size_t i = 0; seen != NULL && i < pool->backend_count; i++) {
        const struct conf_site *site = pool->backends[i].site;
        if (site == NULL || seen[site - conf->sites])
            continue;
        seen[site - conf->sites] = true;
        if (++count == LIMIT_SITES + 1)
            conf_report(r->m, pool->backends[i].site_name.mark,
                        "pool '%.*s' stands at too many sites; at most %d are allowed",
                        SPAN_FMT(pool->name.s), LIMIT_SITES);
    }
}

/* Whether all sites say how far they are. */
static bool all_told(const struct conf_pool *pool)
{
    for (size_t i = 0; i < pool->backend_count; i++)
        if (pool->backends[i].site == NULL || pool->backends[i].site->distance_ms == 0)
            return false;
    return !pool->registry.set;
}

/* BALANCING.md section 3: what is measured are connects of checks, from here. */
static void check_source(struct reader *r, const struct conf_pool *pool)
{
    const struct conf_balance *b = &pool->balance;
    if (b->distance_source != CONF_MEASURED)
        return;
    if (b->distance_from != CONF_DISTANCE_HERE)
        conf_report(r->m, b->mark,
                    "distance_source: measured is the way from here; set distance_from: here");
    if (pool->health.probe == CONF_PROBE_OFF)
        conf_report(r->m, b->mark, "distance_source: measured needs checks; remove health.off");
}

/* BALANCING.md section 2: where distance is measured from. */
static void check_distance(struct reader *r, const struct conf *conf, struct conf_pool *pool)
{
    struct conf_balance *b = &pool->balance;
    if (b->distance_from == CONF_DISTANCE_CLIENT && conf->database_count == 0)
        conf_report(r->m, b->mark, "distance_from: client needs a database; set geo.databases");
    check_source(r, pool);
    if (b->distance_from == CONF_DISTANCE_HERE && b->distance_source != CONF_MEASURED &&
        !conf->here.set && !all_told(pool))
        conf_report(r->m, b->mark,
                    "distance_from: here needs a place; set here.location, the distance of each "
                    "site of the pool, or distance_source: measured");
    if (b->distance_from == CONF_DISTANCE_NONE && conf->database_count > 0)
        b->distance_from = CONF_DISTANCE_CLIENT;
    else if (b->distance_from == CONF_DISTANCE_NONE && conf->here.set)
        b->distance_from = CONF_DISTANCE_HERE;
}

static bool real_is(double a, double b)
{
    return a >= b && a <= b;
}

/* Nothing is accepted and ignored: what only `nearest` and `consistent_hash` know. */
static void check_algorithm(struct reader *r, const struct conf_pool *pool)
{
    const struct conf_balance *b = &pool->balance;
    bool costs = b->distance_source != CONF_COORDINATES || !real_is(b->distance_weight, 1.0) ||
                 !real_is(b->spill_band, 1.5) || !real_is(b->spill_gain, 3.0) ||
                 b->spill_cap_ms != 500 || b->choices != 3;
    if (b->algorithm != CONF_NEAREST && costs)
        conf_report(r->m, b->algorithm_mark,
                    "this algorithm knows no distance, no spill and no choices; remove those keys, "
                    "or let algorithm be nearest");
    bool hash = b->hash.by.kind != CONF_KEY_CLIENT || b->hash.load_percent != 125;
    if (b->algorithm != CONF_CONSISTENT_HASH && hash)
        conf_report(r->m, b->algorithm_mark,
                    "this algorithm has no hash; remove that key, or let algorithm be "
                    "consistent_hash");
    if (b->algorithm == CONF_CONSISTENT_HASH && pool->backend_count > HASHED_MOST)
        conf_report(r->m, b->algorithm_mark, "consistent_hash with %zu backends; at most %d",
                    pool->backend_count, HASHED_MOST);
}

/* Nothing is accepted and ignored. */
static void check_sticky(struct reader *r, const struct conf_pool *pool)
{
    const struct conf_sticky *s = &pool->sticky;
    bool keyed = s->by.kind != CONF_KEY_NONE;
    if (!s->set)
        return;
    if (keyed && s->key.s.p != NULL)
        conf_report(r->m, s->key.mark, "sticky.key signs cookies; leave it out, or give a cookie");
    if (keyed && s->ttl_ms != 3600000)
        conf_report(r->m, s->mark, "sticky.ttl is for a cookie; leave it out, or give a cookie");
    if (keyed && pool->balance.algorithm == CONF_CONSISTENT_HASH)
        conf_report(r->m, s->mark,
                    "consistent_hash keeps requests together itself; leave sticky.by out and set "
                    "balance.hash.by");
    if (keyed && pool->backend_count > HASHED_MOST)
        conf_report(r->m, s->mark, "sticky.by with %zu backends; at most %d", pool->backend_count,
                    HASHED_MOST);
}

/* A race would say where a client stays. */
static void check_hedge(struct reader *r, const struct conf_pool *pool)
{
    if (pool->hedge.set && pool->sticky.set)
        conf_report(r->m, pool->hedge.mark,
                    "hedge asks another server than the one that sticky keeps a client with; leave "
                    "one of them out");
}

static void check_pool(struct reader *r, const struct conf *conf, struct conf_pool *pool,
                       const struct names *sites)
{
    check_sites(r, pool, sites);
    check_site_count(r, conf, pool);
    check_distance(r, conf, pool);
    check_algorithm(r, pool);
    check_sticky(r, pool);
    check_hedge(r, pool);
    check_redirect_pool(r, conf, pool);
    check_residency(r, conf, pool, sites);
    check_central(r, conf, pool);
    if (pool->health.probe == CONF_PROBE_GRPC && pool->protocol == CONF_HTTP_1_1)
        conf_report(r->m, pool->name.mark,
                    "pool '%.*s': health.grpc needs HTTP/2; set protocol: h2",
                    SPAN_FMT(pool->name.s));
}

static bool is_loopback(const struct conf_address *a)
{
    static const uint8_t one[16] = {[15] = 1};
    return a->family == CONF_IPV4 ? a->bytes[0] == 127 : memcmp(a->bytes, one, sizeof one) == 0;
}

static void check_admin(struct reader *r, const struct conf_admin *a)
{
    if (a->http_on && !a->allow_remote && !is_loopback(&a->http))
        conf_report(r->m, a->http.text.mark,
                    "admin.http is '%.*s'; it must be a loopback address, such as "
                    "\"127.0.0.1:9977\"; set admin.allow_remote: true to let others reach it",
                    SPAN_FMT(a->http.text.s));
    if (a->http_on)
        return;
    if (a->token.s.p != NULL)
        conf_report(r->m, a->token.mark, "admin.token is for admin.http, which is off");
    if (a->host_count > 0)
        conf_report(r->m, a->hosts[0].mark, "admin.hosts is for admin.http, which is off");
}

void check_conf(struct reader *r, struct conf *conf)
{
    struct names sites, pools;
    if (!names_init(&sites, r, conf->site_count) || !names_init(&pools, r, conf->pool_count))
        return;
    for (size_t i = 0; i < conf->site_count; i++)
        check_public_url(&conf->sites[i]);
    for (size_t i = 0; i < conf->site_count; i++)
        names_add(&sites, conf->sites[i].name.s, &conf->sites[i], &conf->sites[i].name.mark);
    for (size_t i = 0; i < conf->pool_count; i++)
        names_add(&pools, conf->pools[i].name.s, &conf->pools[i], &conf->pools[i].name.mark);
    names_sort(&sites);
    names_sort(&pools);
    check_listeners(r, conf);
    check_sources(r, conf);
    for (size_t i = 0; i < conf->pool_count; i++)
        check_pool(r, conf, &conf->pools[i], &sites);
    check_routes(r, conf, &pools);
    check_admin(r, &conf->admin);
}
