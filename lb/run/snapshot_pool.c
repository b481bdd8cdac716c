#include "run/snapshot_impl.h"

#include "base/hash.h"
#include "conf/text.h"
#include "geo/near.h"
#include "run/sticky_keys.h"

/* The sites of one pool in the order in which its backends name them. */
struct site_list {
    const struct conf_site *sites[LIMIT_SITES];
    size_t count;
};

static uint32_t site_index(struct site_list *l, const struct conf_site *site)
{
    if (site == NULL)
        return 0;
    for (size_t i = 0; i < l->count; i++) {
        if (l->sites[i] == site)
            return (uint32_t)i;
    }
    if (l->count < LIMIT_SITES)
        l->sites[l->count++] = site;
    return (uint32_t)(l->count - 1);
}

static float here_ms(const struct conf *conf, const struct conf_site *site, double weight)
{
    if (site->distance_ms > 0)
        return (float)((double)site->distance_ms * weight);
    if (!conf->here.set)
        return 0;
    double km = near_km(conf->here.latitude, conf->here.longitude, site->location.latitude,
                        site->location.longitude);
    return (float)near_ms(km, 0, weight);
}

static struct pick_knobs knobs_of(const struct conf_balance *b)
{
    return (struct pick_knobs){
        .distance_weight = b->distance_weight,
        .spill_band = b->spill_band,
        .spill_gain = b->spill_gain,
        .spill_cap_ms = (double)b->spill_cap_ms,
        .choices = (uint32_t)b->choices,
        .slow_start_ms = (uint32_t)b->slow_start_ms,
        .panic_percent = (uint32_t)b->panic_percent,
        .algorithm = (enum pick_algorithm)b->algorithm,
        .hash_load_percent = (uint32_t)b->hash.load_percent,
        .measured = b->distance_source == CONF_MEASURED,
    };
}

/* The name given, else the Host that is sent, else the host name, else the address. */
static struct span server_name(struct snapshot *s, const struct conf_pool *pool,
                               const struct conf_backend *b, const struct addr *address)
{
    char text[ADDR_TEXT];
    if (!pool->tls.set)
        return SPAN_NONE;
    if (pool->tls.server_name.s.p != NULL)
        return pool->tls.server_name.s;
    if (pool->host == CONF_HOST_NAME)
        return text_authority_host(pool->host_name.s);
    if (b != NULL && b->address.family == CONF_NAME)
        return b->address.path;
    if (b != NULL && b->address.family == CONF_SERVICE)
        return text_service_domain(b->address.path);
    return arena_copy(&s->arena, span_of(text, addr_print_host(address, text)));
}

/* The addresses of one backend: its own, or those that its name has now. */
static size_t addresses_of(const struct name_book *names, const struct conf_backend *b,
                           struct name_address *own, const struct name_address **out)
{
    if (conf_address_is_name(&b->address))
        return name_book_find(names, b->address.path, out);
    *own = (struct name_address){.weight = 0};
    sockets_addr(&b->address, &own->addr);
    *out = own;
    return 1;
}

static void set_port(struct addr *a, uint16_t port)
{
    if (a->any.sa_family == AF_INET)
        a->v4.sin_port = htons(port);
    else
        a->v6.sin6_port = htons(port);
}

/* Of a service the name that was configured, not one that a name server has said. */
static struct span authority_of(struct snapshot *s, const struct conf_backend *b,
                                const struct addr *at, struct span address)
{
    struct span domain = text_service_domain(b->address.path);
    if (b->address.family == CONF_UNIX)
        return SPAN("localhost");
    if (b->address.family == CONF_NAME)
        return b->address.text.s;
    if (b->address.family != CONF_SERVICE)
        return address;
    char *text = arena_printf(&s->arena, "%.*s:%u", SPAN_FMT(domain), (unsigned)addr_port(at));
    return text != NULL ? span_str(text) : SPAN_NONE;
}

static enum err fill_member(struct snapshot *s, const struct conf_pool *pool,
                            const struct conf_backend *b, const struct name_address *said,
                            struct policy_endpoint *e, struct pool_member_conf *member)
{
    char print[ADDR_TEXT];
    uint32_t rank = (uint32_t)b->backup + said->rank;
    struct span text = arena_copy(&s->arena, span_of(print, addr_print(&e->address, print)));
    if (text.p == NULL)
        return ERR_NO_MEMORY;
    *member = (struct pool_member_conf){
        .backend = b->name.s,
        .address = text,
        .weight = said->weight != 0 ? said->weight : (uint32_t)b->weight,
        .max_inflight = (uint32_t)b->max_inflight,
        .rank = rank < PICK_TIERS ? rank : PICK_TIERS - 1,
    };
    e->name = b->name.s;
    e->authority = authority_of(s, b, &e->address, text);
    e->server_name = server_name(s, pool, b, &e->address);
    return e->authority.p != NULL ? ERR_OK : ERR_NO_MEMORY;
}

/* A backend without addresses has its site all the same, so that sites keep their order. */
static enum err fill_members(const struct snapshot_context *c, struct snapshot *s,
                             const struct conf_pool *from, struct policy_pool *to,
                             struct pool_member_conf *members, struct site_list *sites)
{
    for (size_t i = 0; i < from->backend_count; i++) {
        const struct conf_backend *b = &from->backends[i];
        struct name_address own;
        const struct name_address *addrs;
        uint32_t site = site_index(sites, b->site);
        size_t n = addresses_of(c->names, b, &own, &addrs);
        for (size_t k = 0; k < n; k++) {
            uint32_t at = to->endpoint_count++;
            to->endpoints[at].address = addrs[k].addr;
            if (b->address.family == CONF_NAME)
                set_port(&to->endpoints[at].address, b->address.port);
            enum err e = fill_member(s, from, b, &addrs[k], &to->endpoints[at], &members[at]);
            if (e != ERR_OK)
                return e;
            members[at].site = site;
        }
    }
    return ERR_OK;
}

static enum err fill_rows(struct snapshot *s, const struct conf_pool *from, struct policy_pool *to,
                          const struct snapshot_rows *rows, struct pool_member_conf *members,
                          struct site_list *sites)
{
    for (size_t i = 0; i < rows->count; i++) {
        uint32_t k = to->endpoint_count++;
        const struct row *row = rows->v[i].row;
        struct policy_endpoint *e = &to->endpoints[k];
        struct span text = arena_copy(&s->arena, row->address);
        if (text.p == NULL)
            return ERR_NO_MEMORY;
        members[k] = (struct pool_member_conf){
            .backend = text,
            .address = text,
            .site = site_index(sites, rows->v[i].site),
            .weight = row->weight,
        };
        e->name = e->authority = text;
        e->address = row->addr;
        e->server_name = server_name(s, from, NULL, &e->address);
    }
    return ERR_OK;
}

static size_t count_members(const struct snapshot_context *c, const struct conf_pool *from)
{
    size_t n = 0;
    struct name_address own;
    const struct name_address *addrs;
    for (size_t i = 0; i < from->backend_count; i++)
        n += addresses_of(c->names, &from->backends[i], &own, &addrs);
    return n;
}

static enum err fill_sites(struct snapshot *s, const struct conf_pool *from, struct policy_pool *to,
                           const struct site_list *sites, struct pool_site_conf *confs)
{
    if (sites->count == 0) {
        confs[0] = (struct pool_site_conf){.name = SPAN("default")};
        return ERR_OK;
    }
    to->sites = arena_take(&s->arena, sites->count * sizeof *to->sites);
    if (to->sites == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < sites->count; i++) {
        const struct conf_site *site = sites->sites[i];
        confs[i].name = site->name.s;
        confs[i].here_ms = here_ms(s->conf, site, from->balance.distance_weight);
        confs[i].fixed = site->distance_ms > 0;
        to->sites[i] = (struct policy_location){site->location.latitude, site->location.longitude};
    }
    return ERR_OK;
}

/* After the sites; that each has a URL was checked. */
static enum err fill_targets(struct snapshot *s, const struct conf_pool *from,
                             const struct site_list *sites, struct policy_pool *to)
{
    if (from->mode != CONF_REDIRECT_SITES)
        return ERR_OK;
    to->targets = arena_take(&s->arena, (sites->count + 1) * sizeof *to->targets);
    if (to->targets == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < sites->count; i++) {
        const struct conf_site *site = sites->sites[i];
        to->targets[i] =
            (struct policy_target){site->public_url.s, site->public_host, site->public_port};
    }
    to->redirect_status = (uint16_t)from->redirect_status;
    return ERR_OK;
}

static uint64_t settings_hash(const struct conf_pool *p)
{
    uint64_t protocol = (uint64_t)p->protocol + 1 + 8 * (uint64_t)p->header;
    if (!p->tls.set)
        return protocol;
    uint64_t h = hash_plain(p->tls.ca.s) * 31 + hash_plain(p->tls.server_name.s) * 7;
    return h + protocol * 8 + (p->tls.verify ? 3 : 5);
}

static uint32_t share(int64_t whole, unsigned workers)
{
    int64_t n = whole / workers;
    return n > 0 ? (uint32_t)n : 1;
}

static enum connpool_protocol protocol_of(enum conf_protocol p)
{
    return p == CONF_HTTP_2 ? CONNPOOL_H2 : p == CONF_HTTP_AUTO ? CONNPOOL_AUTO : CONNPOOL_HTTP_1_1;
}

static void fill_policy(const struct conf *conf, const struct conf_pool *from,
                        struct policy_pool *to, unsigned workers)
{
    to->name = from->name.s;
    to->protocol = protocol_of(from->protocol);
    to->header = (enum connpool_header)from->header;
    to->settings = settings_hash(from);
    to->host = from->host == CONF_HOST_PRESERVE  ? POLICY_HOST_PRESERVE
               : from->host == CONF_HOST_BACKEND ? POLICY_HOST_BACKEND
                                                 : POLICY_HOST_NAME;
    to->host_name = from->host_name.s;
    to->retries = (struct retry_rules){.on = from->retries.on,
                                       .extra = (unsigned)from->retries.extra,
                                       .budget_percent = (unsigned)from->retries.budget_percent};
    to->hedge = (struct hedge_rules){.on = from->hedge.set,
                                     .after_ns = from->hedge.after.ms * NS_PER_MS,
                                     .percent = (unsigned)from->hedge.after.percent,
                                     .budget_percent = (unsigned)from->hedge.budget_percent};
    to->queue_limit = (uint32_t)from->queue.limit;
    to->queue_ms = from->queue.timeout_ms;
    to->connections = share(conf->limits.backend_connections, workers);
    to->idle = share(conf->limits.backend_idle, workers);
    to->fail_fast = from->on_dependency_down == CONF_DOWN_FAIL_FAST;
    to->from_client = from->balance.distance_from == CONF_DISTANCE_CLIENT;
    if (from->balance.algorithm == CONF_CONSISTENT_HASH)
        to->hash = snapshot_key(&from->balance.hash.by);
    if (from->sticky.by.kind != CONF_KEY_NONE)
        to->hash = snapshot_key(&from->sticky.by);
}

/* After the members have their endpoints. */
static enum err fill_sticky(struct snapshot *s, size_t index, struct policy_pool *to)
{
    const struct conf_sticky *from = &s->conf->pools[index].sticky;
    if (!from->set || from->cookie.s.p == NULL)
        return ERR_OK;
    struct sticky *sticky = arena_zero(&s->arena, sizeof *sticky);
    if (sticky == NULL)
        return ERR_NO_MEMORY;
    *sticky = (struct sticky){.cookie = from->cookie.s,
                              .pool = to->name,
                              .key = sticky_keys_get(s->sticky_keys, index),
                              .ttl_s = from->ttl_ms / 1000};
    sticky->marks = arena_take(&s->arena, (to->pick->member_count + 1) * sizeof *sticky->marks);
    if (sticky->marks == NULL)
        return ERR_NO_MEMORY;
    sticky_mark_members(sticky, to->pick);
    to->sticky = sticky;
    return ERR_OK;
}

_Static_assert((int)PICK_NEAREST == (int)CONF_NEAREST &&
                   (int)PICK_CONSISTENT_HASH == (int)CONF_CONSISTENT_HASH,
               "the algorithms of both layers are in the same order");
_Static_assert((int)RETRY_CONNECT == (int)CONF_RETRY_CONNECT &&
                   (int)RETRY_504 == (int)CONF_RETRY_504,
               "the bits of both layers are the same");

_Static_assert((int)CONNPOOL_HEADER_V1 == (int)CONF_HEADER_V1 &&
                   (int)CONNPOOL_HEADER_V2 == (int)CONF_HEADER_V2,
               "the headers of both layers are in the same order");

/* pick_pool groups its members by site, each site's in configuration order. */
static void join_endpoints(struct policy_pool *p, const struct pool_member_conf *members)
{
    uint32_t k = 0;
    for (uint32_t site = 0; site < p->pick->site_count; site++) {
        for (uint32_t i = 0; i < p->endpoint_count; i++) {
            if (members[i].site != site)
                continue;
            p->endpoints[i].member = k;
            p->endpoints[i].site = site;
            p->endpoints[i].endpoint = p->pick->members[k++].endpoint;
        }
    }
}

static uint64_t site_bits(const struct site_list *sites, const struct conf_residency_rule *rule)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < rule->site_count; i++)
        for (size_t k = 0; k < sites->count; k++)
            if (sites->sites[k] == rule->places[i])
                bits |= UINT64_C(1) << k;
    return bits;
}

static enum err fill_rule(struct snapshot *s, const struct site_list *sites,
                          const struct conf_residency_rule *from, struct residency_rule *to)
{
    to->subdivisions = arena_take(&s->arena, (from->subdivision_count + 1) * sizeof(struct span));
    if (to->subdivisions == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < from->group_count; i++)
        residency_add_group(&to->countries, from->groups[i].s);
    for (size_t i = 0; i < from->country_count; i++)
        residency_add_group(&to->countries, from->countries[i].s);
    for (size_t i = 0; i < from->continent_count; i++)
        to->continents |= residency_continent(from->continents[i].s.p);
    for (size_t i = 0; i < from->subdivision_count; i++)
        to->subdivisions[to->subdivision_count++] = from->subdivisions[i].s;
    to->unknown = from->unknown;
    to->everybody = !from->unknown && from->group_count + from->country_count +
                                              from->continent_count + from->subdivision_count ==
                                          0;
    to->refusal = from->deny == 0 ? ERR_OK : from->deny == 451 ? ERR_RESIDENCY : ERR_FORBIDDEN;
    to->sites = site_bits(sites, from);
    return ERR_OK;
}

static enum err fill_residency(struct snapshot *s, const struct conf_residency *from,
                               const struct site_list *sites, struct policy_pool *to)
{
    if (!from->set)
        return ERR_OK;
    struct residency *r = to->residency = arena_zero(&s->arena, sizeof *r);
    if (r == NULL)
        return ERR_NO_MEMORY;
    r->rules = arena_zero(&s->arena, from->rule_count * sizeof *r->rules);
    r->unknown_allowed = from->unknown != 0;
    enum err e = r->rules != NULL ? ERR_OK : ERR_NO_MEMORY;
    for (size_t i = 0; e == ERR_OK && i < from->rule_count; i++)
        e = fill_rule(s, sites, &from->rules[i], &r->rules[r->count++]);
    return e;
}

static enum err build_pool(const struct snapshot_context *c, struct snapshot *s, size_t index)
{
    const struct conf_pool *from = &s->conf->pools[index];
    struct policy_pool *to = &s->policy.pools[index];
    struct site_list sites = {.count = 0};
    struct pool_site_conf site_confs[LIMIT_SITES];
    struct snapshot_rows rows;
    if (snapshot_rows(c, s, from, &rows) != ERR_OK)
        return ERR_NO_MEMORY;
    size_t n = (rows.file ? count_members(c, from) : 0) + rows.count;
    struct pool_member_conf *members = arena_take(&s->arena, (n + 1) * sizeof *members);
    to->endpoints = arena_zero(&s->arena, (n + 1) * sizeof *to->endpoints);
    if (members == NULL || to->endpoints == NULL)
        return ERR_NO_MEMORY;
    to->index = (uint32_t)index;
    to->tls = s->clients[index];
    fill_policy(s->conf, from, to, c->workers);
    enum err e = rows.file ? fill_members(c, s, from, to, members, &sites) : ERR_OK;
    if (e == ERR_OK)
        e = fill_rows(s, from, to, &rows, members, &sites);
    if (e == ERR_OK)
        e = fill_sites(s, from, to, &sites, site_confs);
    if (e == ERR_OK)
        e = fill_targets(s, from, &sites, to);
    if (e == ERR_OK)
        e = fill_residency(s, &from->residency, &sites, to);
    if (e != ERR_OK)
        return e;
    struct pick_knobs knobs = knobs_of(&from->balance);
    knobs.redirect = from->mode == CONF_REDIRECT_SITES;
    knobs.keyed = from->sticky.by.kind != CONF_KEY_NONE;
    struct pool_conf conf = {
        .name = from->name.s,
        .knobs = knobs,
        .sites = site_confs,
        .site_count = sites.count != 0 ? sites.count : 1,
        .members = members,
        .member_count = n,
    };
    e = pick_pool_new(c->registry, &conf, c->reload ? c->now_ms : 0, &to->pick);
    if (e != ERR_OK)
        return e;
    join_endpoints(to, members);
    return fill_sticky(s, index, to);
}

enum err snapshot_build_pools(const struct snapshot_context *c, struct snapshot *s)
{
    size_t n = s->conf->pool_count;
    s->policy.pools = arena_zero(&s->arena, n * sizeof *s->policy.pools);
    if (s->policy.pools == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        enum err e = build_pool(c, s, i);
        if (e != ERR_OK)
            return e;
        s->policy.pool_count++;
    }
    return ERR_OK;
}
