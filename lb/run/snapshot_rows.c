/* Which rows of the registry serve in a pool. What the file says wins; what it does not allow is
 * left out and counted. */
#include "db/allow.h"
#include "run/snapshot_impl.h"

static enum err allow_of(struct snapshot *s, const struct conf_registry *r, struct cidr **out)
{
    struct cidr *set = arena_zero(&s->arena, (r->allow_count + 1) * sizeof *set);
    *out = set;
    if (set == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < r->allow_count; i++) {
        set[i].family = r->allow[i].family == CONF_IPV4 ? AF_INET : AF_INET6;
        set[i].bits = r->allow[i].bits;
        memcpy(set[i].bytes, r->allow[i].bytes, sizeof set[i].bytes);
    }
    return ERR_OK;
}

static bool in_file(const struct conf_pool *pool, const struct addr *a)
{
    for (size_t i = 0; i < pool->backend_count; i++) {
        struct addr known;
        sockets_addr(&pool->backends[i].address, &known);
        if (addr_eq(&known, a))
            return true;
    }
    return false;
}

static bool stands_there(const struct conf_pool *pool, const struct conf_site *site)
{
    for (size_t i = 0; i < pool->backend_count; i++) {
        if (pool->backends[i].site == site)
            return true;
    }
    return false;
}

/* False: the row's site does not fit the pool. In a pool all servers have a site or none has. */
static bool site_of(const struct conf *conf, const struct conf_pool *pool, struct span name,
                    const struct conf_site **out)
{
    *out = NULL;
    if (pool->backends[0].site == NULL)
        return name.n == 0;
    for (size_t i = 0; i < conf->site_count; i++) {
        if (span_eq(conf->sites[i].name.s, name))
            *out = &conf->sites[i];
    }
    return *out != NULL && (conf->site_count <= LIMIT_SITES || stands_there(pool, *out));
}

/* The text of rows goes with them; this stays as long as the snapshot. */
static enum err note_idle(struct snapshot *s, const struct row *row, const char *why)
{
    if (s->idle == NULL)
        s->idle = arena_zero(&s->arena, ROWS_IDLE_MOST * sizeof *s->idle);
    if (s->idle == NULL)
        return ERR_NO_MEMORY;
    if (s->idle_count == ROWS_IDLE_MOST)
        return ERR_OK;
    struct row_idle *idle = &s->idle[s->idle_count++];
    *idle = (struct row_idle){arena_copy(&s->arena, row->pool), arena_copy(&s->arena, row->address),
                              why};
    return idle->pool.p != NULL && idle->address.p != NULL ? ERR_OK : ERR_NO_MEMORY;
}

/* NULL: it serves. */
static const char *why_idle(const struct conf_pool *pool, const struct row *row)
{
    if (pool->registry.mode == CONF_REGISTRY_MERGE && in_file(pool, &row->addr))
        return "backends has the address, and wins";
    return row->desired != ROW_ACTIVE ? row_desired_name(row->desired)
           : row->weight == 0         ? "weight 0"
                                      : NULL;
}

enum err snapshot_rows(const struct snapshot_context *c, struct snapshot *s,
                       const struct conf_pool *pool, struct snapshot_rows *out)
{
    const struct conf_registry *r = &pool->registry;
    const struct row *rows;
    struct cidr *allow;
    *out = (struct snapshot_rows){.file = true};
    if (!r->set || r->mode == CONF_REGISTRY_OFF)
        return ERR_OK;
    size_t named = 0, n = row_set_pool(c->rows, pool->name.s, &rows);
    out->v = arena_zero(&s->arena, (n + 1) * sizeof *out->v);
    if (out->v == NULL || allow_of(s, r, &allow) != ERR_OK)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        struct snapshot_row *to = &out->v[out->count];
        const char *why = !allow_has(allow, r->allow_count, &rows[i].addr) ? "not in allow"
                          : !site_of(s->conf, pool, rows[i].site, &to->site)
                              ? "site: none of the pool's sites"
                              : NULL;
        s->rows_skipped += why != NULL;
        named += why == NULL;
        why = why != NULL ? why : why_idle(pool, &rows[i]);
        if (why != NULL && note_idle(s, &rows[i], why) != ERR_OK)
            return ERR_NO_MEMORY;
        to->row = &rows[i];
        out->count += why == NULL;
    }
    out->file =
        r->mode == CONF_REGISTRY_MERGE || (named == 0 && !(r->allow_empty && c->rows != NULL));
    s->rows_used += out->count;
    return ERR_OK;
}
