/* The central database: what the keys about it mean together. */
#include "conf/check.h"

#define DEPENDENCIES_MOST 16 /* as health has it */
#define SOURCES_MOST      DEPENDENCIES_MOST

const struct conf_data_source *conf_registry_source(const struct conf *conf)
{
    for (size_t i = 0; i < conf->pool_count; i++) {
        const struct conf_registry *r = &conf->pools[i].registry;
        if (r->set && r->mode != CONF_REGISTRY_OFF && r->source != NULL)
            return r->source;
    }
    return NULL;
}

static const struct conf_data_source *find_source(const struct conf *conf, struct span name)
{
    for (size_t i = 0; i < conf->source_count; i++) {
        if (span_eq(conf->sources[i].name.s, name))
            return &conf->sources[i];
    }
    return NULL;
}

static const struct conf_data_source *need_source(struct reader *r, const struct conf *conf,
                                                  const struct conf_text *name)
{
    const struct conf_data_source *source = find_source(conf, name->s);
    if (source == NULL)
        conf_report(r->m, name->mark,
                    "source '%.*s' is not defined under data_sources; define it there",
                    SPAN_FMT(name->s));
    return source;
}

static void check_dependency(struct reader *r, const struct conf *conf, struct conf_dependency *d)
{
    if (d->source_name.s.p != NULL)
        d->source = need_source(r, conf, &d->source_name);
    if (d->level != CONF_LEVEL_LAG && d->max_lag_ms != 10000)
        conf_report(r->m, d->name.mark,
                    "dependency '%.*s': max_lag is for level: lag; leave it out",
                    SPAN_FMT(d->name.s));
}

void check_sources(struct reader *r, struct conf *conf)
{
    if (conf->source_count > SOURCES_MOST)
        conf_report(r->m, conf->sources[SOURCES_MOST].name.mark,
                    "too many data sources; at most %d are allowed", SOURCES_MOST);
    if (conf->dependency_count > DEPENDENCIES_MOST)
        conf_report(r->m, conf->dependencies[DEPENDENCIES_MOST].name.mark,
                    "too many dependencies; at most %d are allowed", DEPENDENCIES_MOST);
    for (size_t i = 0; i < conf->dependency_count; i++)
        check_dependency(r, conf, &conf->dependencies[i]);
}

static const struct conf_dependency *find_dependency(const struct conf *conf, struct span name)
{
    for (size_t i = 0; i < conf->dependency_count; i++) {
        if (span_eq(conf->dependencies[i].name.s, name))
            return &conf->dependencies[i];
    }
    return NULL;
}

static void check_depends(struct reader *r, const struct conf *conf, struct conf_pool *pool)
{
    pool->dependencies = reader_zero(r, pool->depend_count, sizeof *pool->dependencies);
    for (size_t i = 0; pool->dependencies != NULL && i < pool->depend_count; i++) {
        const struct conf_text *name = &pool->depends_on[i];
        pool->dependencies[i] = find_dependency(conf, name->s);
        if (pool->dependencies[i] == NULL)
            conf_report(r->m, name->mark,
                        "'%.*s' is not defined under dependencies; define it there",
                        SPAN_FMT(name->s));
        for (size_t k = 0; k < i; k++) {
            if (span_eq(pool->depends_on[k].s, name->s))
                conf_report(r->m, name->mark, "'%.*s' is named twice; once is enough",
                            SPAN_FMT(name->s));
        }
    }
}

/* Without an answer about being ready there is nothing that a dependency could excuse. */
static void check_ready(struct reader *r, const struct conf_pool *pool)
{
    enum conf_probe probe = pool->health.probe;
    bool asks = probe == CONF_PROBE_READY || probe == CONF_PROBE_HTTP || probe == CONF_PROBE_GRPC;
    if (pool->health.live.set && probe != CONF_PROBE_READY)
        conf_report(r->m, pool->health.live.mark,
                    "health.live needs health.ready beside it; for a single page use health.http");
    if (pool->depend_count != 0 && !asks)
        conf_report(r->m, pool->depends_on[0].mark,
                    "depends_on needs checks that say whether a server is ready; set health.ready, "
                    "health.http or health.grpc");
    if (pool->depend_count == 0 && pool->on_dependency_down != CONF_DOWN_PASS)
        conf_report(r->m, pool->name.mark, "pool '%.*s': on_dependency_down needs depends_on",
                    SPAN_FMT(pool->name.s));
}

/* As the column `pool` of the table has it. */
static bool is_row_name(struct span name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!(c >= 'a' && c <= 'z') && !ascii_digit(c) && c != '_' && c != '-')
            return false;
    }
    return true;
}

static void check_row_name(struct reader *r, const struct conf_pool *pool)
{
    const struct conf_text *name = &pool->name;
    if (pool->registry.set && pool->registry.mode != CONF_REGISTRY_OFF && !is_row_name(name->s))
        conf_report(r->m, name->mark,
                    "no row of the registry can name pool '%.*s': there, names are small letters, "
                    "digits, '_' and '-'; rename the pool, or leave registry out",
                    SPAN_FMT(source_clip(name->s)));
}

/* One session follows the registry: all pools have theirs in the same database. */
static void check_registry_source(struct reader *r, const struct conf *conf,
                                  struct conf_registry *registry)
{
    const struct conf_data_source *all = conf_registry_source(conf);
    registry->source = need_source(r, conf, &registry->source_name);
    if (registry->source == NULL || all == NULL || registry->mode == CONF_REGISTRY_OFF ||
        registry->source == all)
        return;
    conf_report(r->m, registry->source_name.mark,
                "another pool's registry is in '%.*s'; the registries of all pools must be in the "
                "same data source",
                SPAN_FMT(all->name.s));
}

void check_central(struct reader *r, const struct conf *conf, struct conf_pool *pool)
{
    struct conf_registry *registry = &pool->registry;
    if (registry->set && registry->source_name.s.p != NULL)
        check_registry_source(r, conf, registry);
    if (registry->allow_empty && registry->mode != CONF_REGISTRY_AUTHORITATIVE)
        conf_report(r->m, registry->mark,
                    "allow_empty is for mode: authoritative; leave it out, or set that mode");
    check_row_name(r, pool);
    check_depends(r, conf, pool);
    check_ready(r, pool);
}
