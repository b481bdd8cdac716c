#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

struct names {
    char site[LIMIT_SITES][8];
    char backend[FIXTURE_MOST][16];
};

static struct pick_pool *make_pool(struct fixture *f, struct fixture_shape shape, int64_t slow_from)
{
    static struct names names;
    static struct pool_site_conf sites[LIMIT_SITES];
    static struct pool_member_conf members[FIXTURE_MOST];
    size_t n = 0;
    for (uint32_t s = 0; s < shape.sites; s++) {
        snprintf(names.site[s], sizeof names.site[s], "s%u", s % 100);
        sites[s] = (struct pool_site_conf){.name = span_str(names.site[s])};
        for (uint32_t m = 0; m < shape.members; m++, n++) {
            snprintf(names.backend[n], sizeof names.backend[n], "b%u-%u", s % 1000, m % 100000);
            members[n] = (struct pool_member_conf){
                .backend = span_str(names.backend[n]),
                .address = SPAN("192.0.2.1:80"),
                .site = s,
                .weight = shape.weights != NULL ? shape.weights[n] : PICK_WEIGHT_DEFAULT,
                .max_inflight = shape.max_inflight,
                .rank = shape.ranks != NULL ? shape.ranks[n] : 0,
            };
        }
    }
    struct pool_conf conf = {.name = SPAN("p"),
                             .knobs = shape.knobs,
                             .sites = sites,
                             .site_count = shape.sites,
                             .members = members,
                             .member_count = n};
    struct pick_pool *pool = NULL;
    CHECK(pick_pool_new(f->registry, &conf, slow_from, &pool) == ERR_OK, "pool");
    return pool;
}

void fixture_make(struct fixture *f, struct fixture_shape shape)
{
    *f = (struct fixture){.now_ms = 1000000};
    f->registry = registry_new(FIXTURE_MOST);
    CHECK(f->registry != NULL, "registry");
    f->pool = make_pool(f, shape, 0);
    f->view = pool_view_new(f->pool, f->now_ms);
    CHECK(f->view != NULL, "view");
    rng_seed(&f->rng, 1);
}

void fixture_reload(struct fixture *f, struct fixture_shape shape)
{
    struct pick_pool *old = f->pool;
    pool_view_free(&f->view);
    f->pool = make_pool(f, shape, f->now_ms);
    pick_pool_free(&old);
    registry_sweep(f->registry);
    f->view = pool_view_new(f->pool, f->now_ms);
    CHECK(f->view != NULL, "view");
}

/* Figures that a test has set by hand are no requests: without them everything can be freed. */
static void quieten(const struct pick_pool *pool)
{
    for (uint32_t i = 0; i < pool->member_count; i++)
        atomic_store(&pool->members[i].endpoint->inflight, 0);
    for (uint32_t i = 0; i < pool->site_count; i++)
        atomic_store(&pool->sites[i].state->inflight, 0);
}

void fixture_free(struct fixture *f)
{
    quieten(f->pool);
    pool_view_free(&f->view);
    pick_pool_free(&f->pool);
    registry_free(&f->registry);
}

struct endpoint *fixture_endpoint(const struct fixture *f, uint32_t site, uint32_t member)
{
    return f->pool->sites[site].members[member].endpoint;
}

void fixture_inflight(const struct fixture *f, uint32_t site, uint32_t member, uint32_t q)
{
    atomic_store(&fixture_endpoint(f, site, member)->inflight, q);
}

void fixture_load(const struct fixture *f, uint32_t site, uint32_t q, double a, double t, double n)
{
    struct site_load load = {.t_ms = t, .n_ms = n, .a = a, .samples = 1000, .inflight = q};
    site_set(f->pool->sites[site].state, &load, f->now_ms);
}

struct pick_request fixture_request(struct fixture *f)
{
    f->view->normals_ms = 0; /* loads set within the millisecond are to be seen */
    pool_view_refresh(f->view, f->now_ms);
    return (struct pick_request){
        .view = f->view, .allowed = PICK_ALL, .now_ms = f->now_ms, .dice = pick_dice_rng(&f->rng)};
}

uint64_t fixture_sum(const struct fixture *f)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < f->pool->member_count; i++)
        sum += endpoint_inflight(f->pool->members[i].endpoint);
    for (uint32_t i = 0; i < f->pool->site_count; i++)
        sum += (uint64_t)llabs(atomic_load(&f->pool->sites[i].state->inflight));
    return sum;
}

static uint64_t next_draw(void *ctx)
{
    struct script *s = ctx;
    return s->at < s->count ? s->draws[s->at++] : 0;
}

struct pick_dice script_dice(struct script *s)
{
    return (struct pick_dice){.draw = next_draw, .ctx = s};
}

uint64_t script_at(uint64_t part, uint64_t whole)
{
    return (uint64_t)((((unsigned __int128)part << 64) + whole - 1) / whole);
}

size_t cases(size_t full)
{
    const char *percent = getenv("MERIDIAN_CASES");
    uint64_t scale = 1;
    if (percent != NULL && span_u64(span_str(percent), &scale) != ERR_OK)
        scale = 1;
    size_t n = full * scale / 100;
    return n > 0 ? n : 1;
}

void seed_of(const char *test, struct rng *rng)
{
    const char *given = getenv("MERIDIAN_SEED");
    uint64_t seed;
    if (given == NULL || span_u64(span_str(given), &seed) != ERR_OK) {
        rng_seed_system(rng);
        seed = rng_u64(rng) >> 1; /* fits span_u64 */
    }
    printf("%s: MERIDIAN_SEED=%llu\n", test, (unsigned long long)seed);
    rng_seed(rng, seed);
}
