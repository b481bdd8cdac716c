#include "pick/registry.h"

#include "base/hash.h"
#include "base/mem.h"

#define BUCKETS_FIRST 64

struct registry {
    /* set once */
    size_t most;
    /* main thread */
    struct endpoint **buckets; /* chained by endpoint.next */
    size_t bucket_count;       /* a power of two */
    size_t count, site_count;
    struct link endpoints, sites, pools; /* in order of creation */
};

struct registry *registry_new(size_t most)
{
    struct registry *r = mem_alloc(sizeof *r);
    if (r == NULL)
        return NULL;
    r->buckets = mem_array(BUCKETS_FIRST, sizeof(struct endpoint *));
    if (r->buckets == NULL) {
        mem_free(r);
        return NULL;
    }
    r->most = most;
    r->bucket_count = BUCKETS_FIRST;
    list_init(&r->endpoints);
    list_init(&r->sites);
    list_init(&r->pools);
    return r;
}

static struct endpoint **bucket_of(const struct registry *r, uint64_t hash)
{
    return &r->buckets[hash & (r->bucket_count - 1)];
}

/* Where memory is short the chains just stay longer. */
static void grow(struct registry *r)
{
    size_t count = r->bucket_count * 2;
    struct endpoint **buckets = mem_array(count, sizeof(struct endpoint *));
    if (buckets == NULL)
        return;
    mem_free(r->buckets);
    r->buckets = buckets;
    r->bucket_count = count;
    list_each (l, &r->endpoints) {
        struct endpoint *e = container_of(l, struct endpoint, link);
        struct endpoint **bucket = bucket_of(r, e->hash);
        e->next = *bucket;
        *bucket = e;
    }
}

static void pool_unref(struct pool_state *pool)
{
    atomic_fetch_sub_explicit(&pool->refs, 1, memory_order_release);
}

void pool_state_unref(struct pool_state **pool)
{
    if (*pool != NULL)
        pool_unref(*pool);
    *pool = NULL;
}

static void pool_ref(struct pool_state *pool)
{
    atomic_fetch_add_explicit(&pool->refs, 1, memory_order_relaxed);
}

enum err registry_pool(struct registry *r, struct span name, struct pool_state **out)
{
    list_each (l, &r->pools) {
        struct pool_state *pool = container_of(l, struct pool_state, link);
        if (span_eq(span_str(pool->name), name)) {
            pool_ref(pool);
            *out = pool;
            return ERR_OK;
        }
    }
    struct pool_state *pool = mem_alloc(sizeof *pool);
    if (pool == NULL)
        return ERR_NO_MEMORY;
    pool->name = mem_copy_str(name.p, name.n);
    if (pool->name == NULL) {
        mem_free(pool);
        return ERR_NO_MEMORY;
    }
    atomic_flag_clear(&pool->ejecting);
    pool_ref(pool);
    list_append(&r->pools, &pool->link);
    *out = pool;
    return ERR_OK;
}

static struct site_state *find_site(struct registry *r, const struct pool_state *pool,
                                    struct span name)
{
    list_each (l, &r->sites) {
        struct site_state *site = container_of(l, struct site_state, link);
        if (site->pool == pool && span_eq(span_str(site->name), name))
            return site;
    }
    return NULL;
}

static struct site_state *site_new(struct pool_state *pool, struct span name)
{
    struct site_state *site = mem_aligned(_Alignof(struct site_state), sizeof *site);
    if (site == NULL)
        return NULL;
    site->name = mem_copy_str(name.p, name.n);
    if (site->name == NULL) {
        mem_free(site);
        return NULL;
    }
    atomic_flag_clear(&site->busy);
    site->pool = pool;
    pool_ref(pool);
    return site;
}

enum err registry_site(struct registry *r, struct pool_state *pool, struct span name,
                       struct site_state **out)
{
    struct site_state *site = find_site(r, pool, name);
    if (site == NULL) {
        if (r->site_count >= r->most)
            return ERR_FULL;
        site = site_new(pool, name);
        if (site == NULL)
            return ERR_NO_MEMORY;
        list_append(&r->sites, &site->link);
        r->site_count++;
    }
    atomic_fetch_add_explicit(&site->refs, 1, memory_order_relaxed);
    *out = site;
    return ERR_OK;
}

static struct endpoint *find_key(const struct registry *r, uint64_t hash, struct span key)
{
    for (struct endpoint *e = *bucket_of(r, hash); e != NULL; e = e->next)
        if (e->hash == hash && span_eq(span_str(e->key), key))
            return e;
    return NULL;
}

struct endpoint *registry_find(const struct registry *r, struct span key)
{
    return find_key(r, hash_plain(key), key);
}

static char *join_key(const char *pool, struct span backend, struct span address)
{
    size_t n = strlen(pool);
    char *key = mem_alloc(n + backend.n + address.n + 3);
    if (key == NULL)
        return NULL;
    char *at = key;
    memcpy(at, pool, n);
    at += n;
    *at++ = '/';
    memcpy(at, backend.p, backend.n);
    at += backend.n;
    *at++ = '@';
    memcpy(at, address.p, address.n);
    return key;
}

/* Takes the key. */
static struct endpoint *endpoint_new(struct pool_state *pool, char *key, size_t backend_n,
                                     int64_t slow_from_ms)
{
    struct endpoint *e = mem_aligned(_Alignof(struct endpoint), sizeof *e);
    if (e == NULL)
        return NULL;
    size_t pool_n = strlen(pool->name);
    e->key = key;
    e->backend = span_of(key + pool_n + 1, backend_n);
    e->address = span_str(key + pool_n + 1 + backend_n + 1);
    e->pool = pool;
    pool_ref(pool);
    atomic_store_explicit(&e->up_since, slow_from_ms, memory_order_relaxed);
    return e;
}

static void add_endpoint(struct registry *r, struct endpoint *e, uint64_t hash)
{
    if (r->count >= r->bucket_count)
        grow(r);
    struct endpoint **bucket = bucket_of(r, hash);
    e->hash = hash;
    e->next = *bucket;
    *bucket = e;
    list_append(&r->endpoints, &e->link);
    r->count++;
}

enum err registry_endpoint(struct registry *r, struct pool_state *pool, struct span backend,
                           struct span address, int64_t slow_from_ms, struct endpoint **out)
{
    char *key = join_key(pool->name, backend, address);
    if (key == NULL)
        return ERR_NO_MEMORY;
    uint64_t hash = hash_plain(span_str(key));
    struct endpoint *e = find_key(r, hash, span_str(key));
    if (e != NULL) {
        mem_free(key);
        *out = endpoint_ref(e);
        return ERR_OK;
    }
    enum err err = r->count >= r->most ? ERR_FULL : ERR_OK;
    if (err == ERR_OK && (e = endpoint_new(pool, key, backend.n, slow_from_ms)) == NULL)
        err = ERR_NO_MEMORY;
    if (err != ERR_OK) {
        mem_free(key);
        return err;
    }
    add_endpoint(r, e, hash);
    *out = endpoint_ref(e);
    return ERR_OK;
}

static void drop_endpoint(struct registry *r, struct endpoint *e)
{
    struct endpoint **at = bucket_of(r, e->hash);
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    list_remove(&e->link);
    r->count--;
    pool_unref(e->pool);
    mem_free(e->key);
    mem_free(e);
}

static void drop_site(struct registry *r, struct site_state *site)
{
    list_remove(&site->link);
    r->site_count--;
    pool_unref(site->pool);
    mem_free(site->name);
    mem_free(site);
}

/* In-flight is read first: whoever has a request in flight may still take a reference before it
 * ends. Acquire pairs with the release of the last decrement: its writes are seen before the free.
 */
static bool unused(const _Atomic uint32_t *refs, uint32_t inflight)
{
    return inflight == 0 && atomic_load_explicit(refs, memory_order_acquire) == 0;
}

static size_t sweep_endpoints(struct registry *r)
{
    size_t gone = 0;
    list_each (l, &r->endpoints) {
        struct endpoint *e = container_of(l, struct endpoint, link);
        if (unused(&e->refs, atomic_load_explicit(&e->inflight, memory_order_acquire))) {
            drop_endpoint(r, e);
            gone++;
        }
    }
    return gone;
}

size_t registry_sweep(struct registry *r)
{
    size_t gone = sweep_endpoints(r);
    list_each (l, &r->sites) {
        struct site_state *site = container_of(l, struct site_state, link);
        int32_t inflight = atomic_load_explicit(&site->inflight, memory_order_acquire);
        if (unused(&site->refs, (uint32_t)inflight))
            drop_site(r, site);
    }
    list_each (p, &r->pools) {
        struct pool_state *pool = container_of(p, struct pool_state, link);
        if (unused(&pool->refs, 0)) {
            list_remove(&pool->link);
            mem_free(pool->name);
            mem_free(pool);
        }
    }
    return gone;
}

void registry_free(struct registry **r)
{
    if (*r == NULL)
        return;
    registry_sweep(*r);
    mem_free((*r)->buckets);
    mem_free(*r);
    *r = NULL;
}

size_t registry_count(const struct registry *r)
{
    return r->count;
}

void registry_each(struct registry *r, void (*each)(void *ctx, struct endpoint *e), void *ctx)
{
    list_each (l, &r->endpoints) {
        each(ctx, container_of(l, struct endpoint, link));
    }
}

void registry_each_pool(struct registry *r, void (*each)(void *ctx, struct pool_state *p),
                        void *ctx)
{
    list_each (l, &r->pools)
        each(ctx, container_of(l, struct pool_state, link));
}

void registry_each_site(struct registry *r, void (*each)(void *ctx, struct site_state *s),
                        void *ctx)
{
    list_each (l, &r->sites)
        each(ctx, container_of(l, struct site_state, link));
}
