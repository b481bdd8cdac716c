#include "base/mem.h"
#include "fixture.h"

#include <stdio.h>

TEST(registry, finds_what_it_made_and_sweeps_what_nobody_holds)
{
    struct registry *r = registry_new(1000);
    struct pool_state *pool = NULL;
    struct endpoint *held[300];
    CHECK(registry_pool(r, SPAN("api"), &pool) == ERR_OK, "pool");
    for (size_t i = 0; i < 300; i++) { /* more than the first buckets */
        char name[16];
        snprintf(name, sizeof name, "b%zu", i);
        CHECK(registry_endpoint(r, pool, span_str(name), SPAN("[::1]:80"), 0, &held[i]) == ERR_OK,
              "endpoint %zu", i);
    }
    CHECK_INT(registry_count(r), 300);
    CHECK(registry_find(r, SPAN("api/b17@[::1]:80")) == held[17], "by its key");
    CHECK(registry_find(r, SPAN("api/b17@[::1]:8")) == NULL, "no other");
    struct endpoint *again = NULL;
    CHECK(registry_endpoint(r, pool, SPAN("b17"), SPAN("[::1]:80"), 5, &again) == ERR_OK, "again");
    CHECK(again == held[17] && atomic_load(&again->up_since) == 0, "the same, unchanged");
    endpoint_unref(&again);
    CHECK_INT(registry_sweep(r), 0);
    atomic_store(&held[5]->inflight, 1); /* a request keeps it alive without a reference */
    struct endpoint *busy = held[5];
    for (size_t i = 0; i < 300; i++)
        endpoint_unref(&held[i]);
    CHECK_INT(registry_sweep(r), 299);
    CHECK(registry_find(r, SPAN("api/b5@[::1]:80")) == busy, "still there");
    atomic_store(&busy->inflight, 0);
    pool_state_unref(&pool);
    CHECK_INT(registry_sweep(r), 1);
    registry_free(&r);
}

static void count_one(void *ctx, struct endpoint *e)
{
    *(size_t *)ctx += e->backend.n;
}

TEST(registry, is_bounded)
{
    struct registry *r = registry_new(2);
    struct pool_state *pool = NULL;
    struct endpoint *a = NULL, *b = NULL, *c = NULL;
    size_t seen = 0;
    CHECK(registry_pool(r, SPAN("api"), &pool) == ERR_OK, "pool");
    CHECK_INT(registry_endpoint(r, pool, SPAN("a"), SPAN("x"), 0, &a), ERR_OK);
    CHECK_INT(registry_endpoint(r, pool, SPAN("b"), SPAN("x"), 0, &b), ERR_OK);
    CHECK_INT(registry_endpoint(r, pool, SPAN("c"), SPAN("x"), 0, &c), ERR_FULL);
    CHECK_INT(registry_endpoint(r, pool, SPAN("b"), SPAN("x"), 0, &c), ERR_OK);
    registry_each(r, count_one, &seen);
    CHECK_INT(seen, 2);
    endpoint_unref(&a);
    endpoint_unref(&b);
    endpoint_unref(&c);
    pool_state_unref(&pool);
    registry_free(&r);
}

static struct pool_conf two_sites(void)
{
    static const struct pool_site_conf sites[] = {{SPAN("a"), 1, false}, {SPAN("b"), 2, false}};
    static const struct pool_member_conf members[] = {{SPAN("x"), SPAN("1"), 0, 100, 0, 0},
                                                      {SPAN("y"), SPAN("1"), 1, 100, 0, 0},
                                                      {SPAN("z"), SPAN("1"), 0, 100, 0, 0}};
    return (struct pool_conf){.name = SPAN("p"),
                              .knobs = PICK_KNOBS_DEFAULT,
                              .sites = sites,
                              .site_count = 2,
                              .members = members,
                              .member_count = 3};
}

/* Every allocation in turn fails: an error, no leak, and the registry goes on. */
TEST(registry, survives_without_memory)
{
    struct registry *r = registry_new(100);
    struct pool_conf conf = two_sites();
    struct pick_pool *pool = NULL;
    conf.knobs.algorithm = PICK_CONSISTENT_HASH; /* has a ring to build, too */
    enum err err = ERR_NO_MEMORY;
    uint64_t n = 0;
    while (err != ERR_OK) {
        mem_fail_at(++n);
        err = pick_pool_new(r, &conf, 0, &pool);
        mem_fail_at(0);
        CHECK(err == ERR_OK ? pool != NULL : err == ERR_NO_MEMORY && pool == NULL, "at %d", (int)n);
        registry_sweep(r);
    }
    CHECK(n > 10, "it was tried %d times", (int)n);
    CHECK_INT(pool->sites[0].count, 2);
    CHECK_STR(endpoint_name(pool->sites[0].members[1].endpoint), "p/z@1");
    pick_pool_free(&pool);
    registry_free(&r);
}

TEST(registry, a_pool_out_of_range_is_refused)
{
    struct registry *r = registry_new(100);
    struct pick_pool *pool = NULL;
    struct pool_member_conf m = {SPAN("x"), SPAN("1"), 0, 100, 0, 0};
    struct pool_conf good = two_sites(), bad = good;
    bad.members = &m;
    bad.member_count = 1;
    m.site = 2;
    CHECK_INT(pick_pool_new(r, &bad, 0, &pool), ERR_RANGE);
    m.site = 0;
    m.weight = 0;
    CHECK_INT(pick_pool_new(r, &bad, 0, &pool), ERR_RANGE);
    m.weight = 1001;
    CHECK_INT(pick_pool_new(r, &bad, 0, &pool), ERR_RANGE);
    bad = good;
    bad.site_count = 0;
    CHECK_INT(pick_pool_new(r, &bad, 0, &pool), ERR_RANGE);
    bad = good;
    bad.knobs.choices = 17;
    CHECK_INT(pick_pool_new(r, &bad, 0, &pool), ERR_RANGE);
    bad = good;
    bad.knobs.algorithm = PICK_CONSISTENT_HASH;
    bad.knobs.hash_load_percent = 100;
    CHECK_INT(pick_pool_new(r, &bad, 0, &pool), ERR_RANGE);
    registry_free(&r);
}
