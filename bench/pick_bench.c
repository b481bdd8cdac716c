/* Measures what one pick and one route look-up cost, on one thread: BALANCING.md section 11 wants
 * at most 500 ns for a pick among 10,000 backends in 64 sites; a look-up must not grow with the
 * number of routes. The other algorithms stand beside it. Prints nanoseconds and, for routes, the
 * ratio. Links lb/pick itself, no other part.
 *
 * Twice: warm, where nothing else uses the processor's caches, and so large pools and tables are
 * behind what small ones are; and cold, where each pick or look-up is in another one of so many
 * alike that none is in the caches any more: what a balancer feels that has done other work in
 * between. A cold figure is a count of the accesses to memory that wait for each other. */
#include "base/clock.h"
#include "base/mem.h"
#include "pick/pick.h"
#include "pick/route.h"

#include <stdio.h>
#include <stdlib.h>

enum { BACKENDS = 10000, SITES = 64, HELD = 4096, PICKS = 2000000, LOOKUPS = 2000000, ROUNDS = 5 };
enum { NAME = 24, ROUTES_MOST = 10000, REQUESTS = 4096 };
enum { COLD_SHARE = 10, COPIES_MOST = 32768 };
#define COLD_BYTES ((size_t)256 << 20) /* of all that are alike: more than caches hold */

/* Alike, used in turns; one where it is warm. */
struct copies {
    size_t count;
    union {
        struct {
            struct registry *registry;
            struct pick_pool *pool;
            struct pool_view *view;
        };
        struct route_table *routes;
    } v[COPIES_MOST];
};
static struct copies copies;

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

/* Another one: until there are enough of them, or one is. */
static bool want_copy(bool cold, size_t begun_bytes)
{
    if (!cold)
        return copies.count == 0;
    return copies.count < COPIES_MOST && mem_used() - begun_bytes < COLD_BYTES;
}

static double time_picks(size_t picks, struct rng *rng)
{
    static struct pick_ticket held[HELD];
    float(*distances)[SITES] = memory(HELD, sizeof *distances);
    for (size_t i = 0; i < HELD; i++)
        for (size_t s = 0; s < SITES; s++)
            distances[i][s] = (float)(300 * rng_unit(rng));
    int64_t start = clock_thread_ns();
    for (size_t i = 0, at = 0; i < picks; i++, at = at + 1 < copies.count ? at + 1 : 0) {
        struct pick_ticket *t = &held[i % HELD];
        struct pool_view *view = copies.v[at].view;
        int64_t now_ms = 2000 + (int64_t)(i / 1000 / copies.count);
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
    double ns = (double)(clock_thread_ns() - start) / (double)picks;
    for (size_t i = 0; i < HELD; i++)
        pick_release(&held[i]);
    mem_free(distances);
    return ns;
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

static double bench_picks(uint32_t backends, uint32_t sites, enum pick_algorithm algorithm,
                          bool cold)
{
    struct rng rng;
    double ns = 1e9;
    size_t begun_bytes = mem_used();
    rng_seed(&rng, 1);
    for (copies.count = 0; want_copy(cold, begun_bytes); copies.count++) {
        struct registry *registry = registry_new(backends);
        if (registry == NULL)
            fail("no memory");
        struct pick_pool *pool = make_pool(registry, backends, sites, algorithm);
        warm(pool, &rng);
        struct pool_view *view = pool_view_new(pool, 2000);
        if (view == NULL)
            fail("no memory");
        copies.v[copies.count].registry = registry;
        copies.v[copies.count].pool = pool;
        copies.v[copies.count].view = view;
    }
    for (int i = 0; i < ROUNDS; i++)
        ns = least(ns, time_picks(cold ? PICKS / COLD_SHARE : PICKS, &rng));
    for (size_t i = 0; i < copies.count; i++) {
        pool_view_free(&copies.v[i].view);
        pick_pool_free(&copies.v[i].pool);
        registry_free(&copies.v[i].registry);
    }
    return ns;
}

static struct span no_field(void *ctx, struct span name)
{
    (void)ctx;
    (void)name;
    return SPAN_NONE;
}

static double time_lookups(size_t lookups, const struct route_request *requests, struct rng *rng)
{
    struct route_match match;
    int64_t start = clock_thread_ns();
    for (size_t i = 0, at = 0; i < lookups; i++, at = at + 1 < copies.count ? at + 1 : 0)
        if (route_find(copies.v[at].routes, &requests[rng_u64(rng) % REQUESTS], &match) != ERR_OK)
            fail("a route was not found");
    return (double)(clock_thread_ns() - start) / (double)lookups;
}

/* Routes by path under one host, or one host for each. */
static double bench_routes(uint32_t count, bool hosts, bool cold)
{
    static char names[ROUTES_MOST][NAME * 2];
    static struct route_rule rules[ROUTES_MOST];
    static struct route_request requests[REQUESTS];
    struct rng rng;
    double ns = 1e9;
    size_t begun_bytes = mem_used();
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
    for (copies.count = 0; want_copy(cold, begun_bytes); copies.count++)
        if (route_table_new(rules, count, &copies.v[copies.count].routes) != ERR_OK)
            fail("the table cannot be built");
    for (int i = 0; i < ROUNDS; i++)
        ns = least(ns, time_lookups(cold ? LOOKUPS / COLD_SHARE : LOOKUPS, requests, &rng));
    for (size_t i = 0; i < copies.count; i++)
        route_table_free(&copies.v[i].routes);
    return ns;
}

static void print_routes(const char *what, bool hosts, bool cold)
{
    double few = bench_routes(100, hosts, cold), many = bench_routes(ROUTES_MOST, hosts, cold);
    printf("route look-up, by %s, %s   100: %6.1f ns   10000: %6.1f ns   ratio %.2f\n", what,
           cold ? "cold" : "warm", few, many, many / few);
}

static void print_picks(enum pick_algorithm algorithm)
{
    static const struct {
        uint32_t backends, sites;
    } rows[] = {{10, 1}, {BACKENDS, 1}, {BACKENDS, SITES}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf("pick, %-17s %5u backends in %2u sites  %6.1f ns%s\n",
               pick_algorithm_name(algorithm), rows[i].backends, rows[i].sites,
               bench_picks(rows[i].backends, rows[i].sites, algorithm, false),
               algorithm != PICK_NEAREST ? ""
               : rows[i].sites == SITES  ? "   (at most 500)"
                                         : "   (at most 200)");
}

static void print_cold_picks(void)
{
    for (uint32_t sites = 1; sites <= SITES; sites *= SITES)
        printf("pick, %-17s %5u backends in %2u sites  %6.1f ns   cold\n",
               pick_algorithm_name(PICK_NEAREST), BACKENDS, sites,
               bench_picks(BACKENDS, sites, PICK_NEAREST, true));
}

/* pick_bench [picks | routes] */
int main(int argc, char **argv)
{
    bool all = argc < 2;
    for (int a = PICK_NEAREST; a <= PICK_CONSISTENT_HASH; a++)
        if (all || strcmp(argv[1], "picks") == 0)
            print_picks((enum pick_algorithm)a);
    if (all || strcmp(argv[1], "picks") == 0)
        print_cold_picks();
    for (int cold = 0; cold <= 1 && (all || strcmp(argv[1], "routes") == 0); cold++) {
        print_routes("path", false, cold);
        print_routes("host", true, cold);
    }
    return 0;
}
