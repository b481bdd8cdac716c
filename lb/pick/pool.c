#include "pick/pool.h"

#include "base/mem.h"
#include "pick/ring.h"

static bool has_ring(const struct pick_knobs *knobs)
{
    return knobs->algorithm == PICK_CONSISTENT_HASH || knobs->keyed;
}

static bool hash_in_range(const struct pool_conf *conf)
{
    return !has_ring(&conf->knobs) ||
           (conf->member_count <= PICK_HASHED_MOST && conf->knobs.hash_load_percent > 100 &&
            conf->knobs.hash_load_percent <= 1000);
}

static bool conf_in_range(const struct pool_conf *conf)
{
    if (conf->site_count == 0 || conf->site_count > LIMIT_SITES ||
        conf->member_count > LIMIT_CONF_NODES || conf->knobs.choices == 0 ||
        conf->knobs.choices > PICK_CHOICES_MOST || conf->knobs.panic_percent > 100 ||
        !hash_in_range(conf))
        return false;
    for (size_t i = 0; i < conf->member_count; i++) {
        const struct pool_member_conf *m = &conf->members[i];
        if (m->site >= conf->site_count || m->weight == 0 || m->weight > PICK_WEIGHT_MOST ||
            m->rank >= PICK_TIERS)
            return false;
    }
    return true;
}

static enum err add_site(struct registry *r, struct pick_pool *pool,
                         const struct pool_site_conf *conf)
{
    struct pool_site *site = &pool->sites[pool->site_count++];
    site->here_ms = conf->here_ms;
    site->fixed = conf->fixed;
    site->name = mem_copy_str(conf->name.p, conf->name.n);
    if (site->name == NULL)
        return ERR_NO_MEMORY;
    return registry_site(r, pool->state, conf->name, &site->state);
}

/* Members stand together by site, each site's in configuration order. */
static enum err add_members(struct registry *r, struct pick_pool *pool,
                            const struct pool_conf *conf, int64_t slow_from_ms)
{
    for (uint32_t s = 0; s < pool->site_count; s++) {
        struct pool_site *site = &pool->sites[s];
        site->members = pool->members + pool->member_count;
        for (size_t i = 0; i < conf->member_count; i++) {
            const struct pool_member_conf *from = &conf->members[i];
            if (from->site != s)
                continue;
            struct pool_member *m = &pool->members[pool->member_count];
            m->weight = from->weight;
            m->max_inflight = from->max_inflight;
            m->site = s;
            m->tier = (uint8_t)from->rank;
            if (m->tier >= pool->tier_count)
                pool->tier_count = m->tier + 1U;
            enum err err = registry_endpoint(r, pool->state, from->backend, from->address,
                                             slow_from_ms, &m->endpoint);
            if (err != ERR_OK)
                return err;
            pool->member_count++;
            site->count++;
        }
    }
    return ERR_OK;
}

static enum err fill(struct registry *r, struct pick_pool *pool, const struct pool_conf *conf,
                     int64_t slow_from_ms)
{
    pool->knobs = conf->knobs;
    pool->tier_count = 1;
    pool->sites = mem_array(conf->site_count, sizeof *pool->sites);
    pool->members = mem_array(conf->member_count + 1, sizeof *pool->members);
    if (pool->sites == NULL || pool->members == NULL)
        return ERR_NO_MEMORY;
    enum err err = registry_pool(r, conf->name, &pool->state);
    for (size_t i = 0; err == ERR_OK && i < conf->site_count; i++)
        err = add_site(r, pool, &conf->sites[i]);
    if (err == ERR_OK)
        err = add_members(r, pool, conf, slow_from_ms);
    if (err == ERR_OK && has_ring(&conf->knobs))
        err = ring_new(pool->members, pool->member_count, &pool->ring);
    return err;
}

const char *pick_algorithm_name(enum pick_algorithm algorithm)
{
    static const char *const names[] = {"nearest", "round_robin", "least_connections",
                                        "two_choices", "consistent_hash"};
    return names[algorithm];
}

enum err pick_pool_new(struct registry *r, const struct pool_conf *conf, int64_t slow_from_ms,
                       struct pick_pool **out)
{
    if (!conf_in_range(conf))
        return ERR_RANGE;
    struct pick_pool *pool = mem_alloc(sizeof *pool);
    if (pool == NULL)
        return ERR_NO_MEMORY;
    enum err err = fill(r, pool, conf, slow_from_ms);
    if (err != ERR_OK)
        pick_pool_free(&pool);
    *out = pool;
    return err;
}

void pick_pool_free(struct pick_pool **pool)
{
    struct pick_pool *p = *pool;
    if (p == NULL)
        return;
    for (uint32_t i = 0; i < p->member_count; i++)
        endpoint_unref(&p->members[i].endpoint);
    for (uint32_t i = 0; i < p->site_count; i++) {
        site_state_unref(&p->sites[i].state);
        mem_free(p->sites[i].name);
    }
    pool_state_unref(&p->state);
    ring_free(&p->ring);
    mem_free(p->sites);
    mem_free(p->members);
    mem_free(p);
    *pool = NULL;
}
