/* What a route asks of its requests and does to their heads, made from conf's structs. */
#include "run/snapshot_impl.h"

#include "run/pages.h"

struct key_rule snapshot_key(const struct conf_key *from)
{
    static const enum key_kind kinds[] = {
        [CONF_KEY_NONE] = KEY_NONE,     [CONF_KEY_CLIENT] = KEY_CLIENT, [CONF_KEY_ROUTE] = KEY_NONE,
        [CONF_KEY_HEADER] = KEY_HEADER, [CONF_KEY_COOKIE] = KEY_COOKIE, [CONF_KEY_PATH] = KEY_PATH,
        [CONF_KEY_QUERY] = KEY_QUERY,
    };
    return (struct key_rule){.kind = kinds[from->kind], .name = from->name.s};
}

/* conf has parsed it before: only memory can be missing. */
static enum err fill_template(struct snapshot *s, struct span text, struct template *out)
{
    struct span bad;
    return template_parse(text, &s->arena, out, &bad);
}

static enum err fill_split(struct snapshot *s, const struct conf_route *from,
                           struct policy_split *to)
{
    uint32_t sum = 0;
    to->pools = arena_take(&s->arena, from->share_count * sizeof *to->pools);
    to->ends = arena_take(&s->arena, from->share_count * sizeof *to->ends);
    if (to->pools == NULL || to->ends == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < from->share_count; i++) {
        sum += (uint32_t)from->shares[i].weight;
        to->pools[i] = &s->policy.pools[from->shares[i].pool - s->conf->pools];
        to->ends[i] = sum;
    }
    to->count = (uint32_t)from->share_count;
    to->by = snapshot_key(&from->split_by);
    return ERR_OK;
}

enum err snapshot_route_action(struct snapshot *s, const struct conf_route *from,
                               struct policy_route *to)
{
    switch (from->action) {
    case CONF_TO_POOL:
        to->action = POLICY_POOL;
        to->pool = &s->policy.pools[from->pool - s->conf->pools];
        break;
    case CONF_SPLIT:
        to->action = POLICY_SPLIT;
        return fill_split(s, from, &to->split);
    case CONF_RESPOND:
        to->action = POLICY_RESPOND;
        to->status = (uint16_t)from->respond.status;
        to->body = from->respond.body.s;
        to->type = from->respond.type.s;
        break;
    case CONF_REDIRECT:
        to->action = POLICY_REDIRECT;
        to->status = (uint16_t)from->redirect.status;
        return fill_template(s, from->redirect.to.s, &to->to);
    case CONF_NO_ACTION:
        break;
    }
    return ERR_OK;
}

static void add_networks(struct prefix_set *set, const struct conf_cidr *from, size_t n,
                         enum access_verdict verdict)
{
    for (size_t i = 0; i < n; i++) {
        struct cidr c = {.family = from[i].family == CONF_IPV4 ? AF_INET : AF_INET6,
                         .bits = from[i].bits};
        memcpy(c.bytes, from[i].bytes, sizeof c.bytes);
        prefix_set_add(set, &c, (uint8_t)verdict);
    }
}

static enum err fill_access(struct snapshot *s, const struct conf_access *from, struct access **to)
{
    if (!from->set)
        return ERR_OK;
    struct access *a = *to = arena_zero(&s->arena, sizeof *a);
    if (a == NULL)
        return ERR_NO_MEMORY;
    enum err e = prefix_set_init(&a->networks, &s->arena, from->allow_count + from->deny_count);
    if (e != ERR_OK)
        return e;
    add_networks(&a->networks, from->allow, from->allow_count, ACCESS_ALLOW);
    add_networks(&a->networks, from->deny, from->deny_count, ACCESS_DENY);
    for (size_t i = 0; i < from->allow_country_count; i++)
        access_country_add(&a->allow, from->allow_countries[i].s.p);
    for (size_t i = 0; i < from->deny_country_count; i++)
        access_country_add(&a->deny, from->deny_countries[i].s.p);
    a->closed = from->allow_count + from->allow_country_count > 0;
    return ERR_OK;
}

static enum err fill_rate(struct snapshot *s, const struct conf_rate_limit *from, struct span name,
                          struct policy_rate **to)
{
    if (!from->set)
        return ERR_OK;
    struct policy_rate *r = *to = arena_zero(&s->arena, sizeof *r);
    if (r == NULL)
        return ERR_NO_MEMORY;
    r->rule.interval_ns = 3600 * NS_PER_S / from->rate_per_hour;
    r->rule.burst_ns = r->rule.interval_ns * from->burst;
    r->per = snapshot_key(&from->per);
    r->seed = hash_plain(name);
    return ERR_OK;
}

static enum err fill_values(struct snapshot *s, const struct conf_header *from, size_t n,
                            const struct field_rule **to, size_t *count)
{
    struct field_rule *rules = arena_take(&s->arena, (n + 1) * sizeof *rules);
    if (rules == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        rules[i] = (struct field_rule){.id = field_id_of(from[i].name.s), .name = from[i].name.s};
        enum err e = fill_template(s, from[i].value.s, &rules[i].value);
        if (e != ERR_OK)
            return e;
    }
    *to = rules;
    *count = n;
    return ERR_OK;
}

static enum err fill_fields(struct snapshot *s, const struct conf_field_rules *from,
                            struct field_rules *to)
{
    struct field_rule *removed = arena_zero(&s->arena, (from->remove_count + 1) * sizeof *removed);
    if (removed == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < from->remove_count; i++) {
        removed[i].id = field_id_of(from->remove[i].s);
        removed[i].name = from->remove[i].s;
    }
    to->remove = removed;
    to->remove_count = from->remove_count;
    enum err e = fill_values(s, from->set, from->set_count, &to->set, &to->set_count);
    return e == ERR_OK ? fill_values(s, from->add, from->add_count, &to->add, &to->add_count) : e;
}

static struct span without_end(struct span prefix)
{
    while (prefix.n > 0 && prefix.p[prefix.n - 1] == '/')
        prefix.n--;
    return prefix;
}

static enum err fill_compress(struct snapshot *s, const struct conf_compress *from,
                              struct compress_rule **to)
{
    if (!from->set)
        return ERR_OK;
    struct compress_rule *rule = *to = arena_zero(&s->arena, sizeof *rule);
    struct span *types = arena_take(&s->arena, from->type_count * sizeof *types);
    if (rule == NULL || types == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < from->type_count; i++)
        types[i] = from->types[i].s;
    *rule = (struct compress_rule){types, from->type_count, (uint64_t)from->minimum_bytes};
    return ERR_OK;
}

enum err snapshot_pages(struct snapshot *s, const struct conf_pages *from, struct policy_pages *to)
{
    struct policy_page *v = arena_take(&s->arena, (from->count + 1) * sizeof *v);
    if (v == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < from->count; i++)
        v[i] = (struct policy_page){.status = (uint16_t)from->v[i].status,
                                    .body = pages_content(s->pages, from->v[i].index)};
    *to = (struct policy_pages){.v = v, .count = from->count};
    return ERR_OK;
}

/* After all else of the route: what a copy takes is the same without gates and without what is done
 * to answers. */
static enum err fill_mirror(struct snapshot *s, const struct conf_mirror *from,
                            struct policy_route *route)
{
    if (!from->set)
        return ERR_OK;
    struct policy_mirror *m = arena_zero(&s->arena, sizeof *m);
    if (m == NULL)
        return ERR_NO_MEMORY;
    int64_t each = from->inflight / s->workers;
    m->percent = (uint32_t)from->share_percent;
    m->inflight = each > 0 ? (uint32_t)each : 1;
    m->content_bytes = (uint64_t)from->content_bytes;
    m->route = (struct policy_route){.name = route->name,
                                     .action = POLICY_POOL,
                                     .pool = &s->policy.pools[from->pool - s->conf->pools],
                                     .request_fields = route->request_fields,
                                     .rewrite = route->rewrite,
                                     .paths = route->paths,
                                     .timeouts = route->timeouts,
                                     .rank = RANK_LOW,
                                     .stats = s->book->mirrors->by_worker};
    route->mirror = m;
    return ERR_OK;
}

enum err snapshot_route_shape(struct snapshot *s, const struct conf_route *from,
                              struct policy_route *to)
{
    to->rewrite = (struct rewrite){.strip = without_end(from->rewrite.strip_prefix.s),
                                   .add = without_end(from->rewrite.add_prefix.s)};
    enum err e = snapshot_pages(s, &from->pages, &to->pages);
    if (e == ERR_OK)
        e = fill_compress(s, &from->compress, &to->compress);
    if (e == ERR_OK)
        e = fill_access(s, &from->access, &to->access);
    if (e == ERR_OK)
        e = fill_rate(s, &from->rate_limit, from->name.s, &to->rate);
    if (e == ERR_OK)
        e = fill_fields(s, &from->request_headers, &to->request_fields);
    if (e == ERR_OK)
        e = fill_fields(s, &from->response_headers, &to->response_fields);
    return e == ERR_OK ? fill_mirror(s, &from->mirror, to) : e;
}
