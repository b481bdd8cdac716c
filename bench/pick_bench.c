/* Measures what one pick and one route look-up cost, on one thread: BALANCING.md section 11 wants
 * at most 500 ns for a pick among 10,000 backends in 64 sites; a look-up must not grow with the
 * number of routes. The other algorithms stand beside it. Prints nanoseconds and, for routes, the
 * ratio. Links lb/pick itself, no other part. */
#include "base/clock.h"
#include "base/mem.h"
#include "pick/pick.h"
#include "pick/route.h"

#include <stdio.h>
#include <stdlib.h>

enum { BACKENDS = 10000, SITES = 64, HELD = 4096, PICKS = 2000000, LOOKUPS = 2000000, ROUNDS = 5 };
enum { NAME = 24, ROUTES_MOST = 10000, REQUESTS = 4096 };

static void fail(const char *what)
{
    fprintf(stderr, "pick_bench: %s\n", what);
    exit(1);
}

static void *memory(size_t count, size_t size)
{
    void *p = mem_array(count, size);
    if (p == NULL)
        fail("no memory");
    return p;
}

static struct pick_pool *make_pool(struct registry *registry, uint32_t backends, uint32_t sites,
                                   enum pick_algorithm algorithm)
{
    char(*names)[NAME] = memory(backends, NAME);
    struct pool_member_conf *members = memory(backends, sizeof *members);
    struct pool_site_conf *places = memory(sites, sizeof *places);
    struct pick_pool *pool = NULL;
    for (uint32_t i = 0; i < backends; i++) {
        snprintf(names[i], NAME, "b%u", i);
        members[i] = (struct pool_member_conf){.backend = span_str(names[i]),
                                               .address = SPAN("192.0.2.1:80"),
                                               .site = i % sites,
                                               .weight = 1 + i % 100};
    }
    for (uint32_t i = 0; i < sites; i++)
        places[i] = (struct pool_site_conf){.name = span_str(names[i])};
    struct pool_conf conf = {.name = SPAN("bench"),
                             .knobs = PICK_KNOBS_DEFAULT,
                             .sites = places,
                             .site_count = sites,
                             .members = members,
                             .member_count = backends};
    conf.knobs.algorithm = algorithm;
    if (pick_pool_new(registry, &conf, 0, &pool) != ERR_OK)
        fail("the pool cannot be built");
    mem_free(places);
    mem_free(members);
    mem_free(names);
    return pool;
}

/* All sites have samples, some carry load; requests come from everywhere. */
static void warm(const struct pick_pool *pool, struct rng *rng)
{
    for (uint32_t s = 0; s < pool->site_count; s++)
        for (int i = 0; i < 64; i++)
            site_sample(pool->sites[s].state, 15 + 40 * rng_unit(rng), (uint32_t)i, 1000 + i);
}

static double time_picks(struct pool_view *view, struct rng *rng)
{
    static struct pick_ticket held[HELD];
    float(*distances)[SITES] = memory(HELD, sizeof *distances);
    for (size_t i = 0; i < HELD; i++)
        for (size_t s = 0; s < SITES; s++)
            distances[i][s] = (float)(300 * rng_unit(rng));
    int64_t start = clock_thread_ns();
    for (size_t i = 0; i < PICKS; i++) {
        struct pick_ticket *t = &held[i % HELD];
        int64_t now_ms = 2000 + (int64_t)(i / 1000);
        pick_release(t);
        pool_view_refresh(view, now_ms);
        struct pick_request req = {.view = view,
                                   .distance_ms = distances[i % HELD],
                                   .allowed = PICK_ALL,
                                   .now_ms = now_ms,
                                   .key = rng_u64(rng),
                                   .has_key = true,
                                   .dice = pick_dice_rng(rng)};
        if (pick(&req, t) != ERR_OK)
            fail("nobody was picked");
    }
    double ns = (double)(clock_thread_ns() - start) / PICKS;
    for (size_t i = 0; i < HELD; i++)
        pick_release(&held[i]);
    mem_free(distances);
    return ns;
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

static double bench_picks(uint32_t backends, uint32_t sites, enum pick_algorithm algorithm)
{
    struct rng rng;
    double ns = 1e9;
    rng_seed(&rng, 1);
    struct registry *registry = registry_new(backends);
    if (registry == NULL)
        fail("no memory");
    struct pick_pool *pool = make_pool(registry, backends, sites, algorithm);
    warm(pool, &rng);
    struct pool_view *view = pool_view_new(pool, 2000);
    if (view == NULL)
        fail("no memory");
    for (int i = 0; i < ROUNDS; i++)
        ns = least(ns, time_picks(view, &rng));
    pool_view_free(&view);
    pick_pool_free(&pool);
    registry_free(&registry);
    return ns;
}

static struct span no_field(void *ctx, struct span name)
{
    (void)ctx;
    (void)name;
    return SPAN_NONE;
}

static double time_lookups(const struct route_table *t, const struct route_request *requests)
{
    struct route_match match;
    int64_t start = clock_thread_ns();
    for (size_t i = 0; i < LOOKUPS; i++)
        if (route_find(t, &requests[i % REQUESTS], &match) != ERR_OK)
            fail("a route was not found");
    return (double)(clock_thread_ns() - start) / LOOKUPS;
}

/* Routes by path under one host, or one host for each. */
static double bench_routes(uint32_t count, bool hosts)
{
    static char names[ROUTES_MOST][NAME * 2];
    static struct route_rule rules[ROUTES_MOST];
    static struct route_request requests[REQUESTS];
    struct route_table *t = NULL;
    struct rng rng;
    double ns = 1e9;
    rng_seed(&rng, 1);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], hosts ? "h%u.example.com" : "/v1/service-%u/items", i);
        rules[i] = (struct route_rule){.host = hosts ? span_str(names[i]) : SPAN_NONE,
                                       .path = hosts ? SPAN("/") : span_str(names[i]),
                                       .index = i};
    }
    for (uint32_t i = 0; i < REQUESTS; i++) {
        const struct route_rule *r = &rules[rng_below(&rng, count)];
        requests[i] = (struct route_request){
            .host = r->host, .path = r->path, .method = SPAN("GET"), .get = no_field};
    }
    if (route_table_new(rules, count, &t) != ERR_OK)
        fail("the table cannot be built");
    for (int i = 0; i < ROUNDS; i++)
        ns = least(ns, time_lookups(t, requests));
    route_table_free(&t);
    return ns;
}

static void print_routes(const char *what, bool hosts)
{
    double few = bench_routes(100, hosts), many = bench_routes(ROUTES_MOST, hosts);
    printf("route look-up, by %-5s   100: %6.1f ns   10000: %6.1f ns   ratio %.2f\n", what, few,
           many, many / few);
}

static void print_picks(enum pick_algorithm algorithm)
{
    static const struct {
        uint32_t backends, sites;
    } rows[] = {{10, 1}, {BACKENDS, 1}, {BACKENDS, SITES}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("pick, %-17s %5u backends in %2u sites  %6.1f ns%s\n",
               pick_algorithm_name(algorithm), rows[i].backends, rows[i].sites,
               bench_picks(rows[i].backends, rows[i].sites, algorithm),
               algorithm != PICK_NEAREST ? ""
               : rows[i].sites == SITES  ? "   (at most 500)"
                                         : "   (at most 200)");
}

/* pick_bench [picks | routes] */
int main(int argc, char **argv)
{
    bool all = argc < 2;
    for (int a = PICK_NEAREST; a <= PICK_CONSISTENT_HASH; a++)
        if (all || strcmp(argv[1], "picks") == 0)
            print_picks((enum pick_algorithm)a);
    if (all || strcmp(argv[1], "routes") == 0) {
        print_routes("path", false);
        print_routes("host", true);
    }
    return 0;
}
