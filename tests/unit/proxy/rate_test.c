/* Token buckets: exact alone, exact from several threads, what a full table does. */
#include "proxy/rate.h"

#include "base/clock.h"
#include "base/mem.h"
#include "check.h"

#include <pthread.h>

static struct rate_table *table;

static void begin(void)
{
    table = mem_alloc(sizeof *table);
    CHECK(table != NULL, "no memory");
}

static void end(void)
{
    mem_free(table);
}

static struct rate_rule rule(int64_t per_s, int64_t burst)
{
    int64_t interval = NS_PER_S / per_s;
    return (struct rate_rule){.interval_ns = interval, .burst_ns = interval * burst};
}

TEST(rate, burst_then_rate)
{
    struct rate_rule r = rule(10, 3);
    int64_t now = 5 * NS_PER_S;
    begin();
    for (int i = 0; i < 3; i++)
        CHECK_INT(rate_take(table, 1, &r, now), 0);
    CHECK_INT(rate_take(table, 1, &r, now), 100 * NS_PER_MS);
    CHECK_INT(rate_take(table, 1, &r, now + 99 * NS_PER_MS), 1 * NS_PER_MS);
    CHECK_INT(rate_take(table, 1, &r, now + 100 * NS_PER_MS), 0);
    CHECK_INT(rate_take(table, 1, &r, now + 100 * NS_PER_MS), 100 * NS_PER_MS);
    /* A pause fills the bucket, and no more than that. */
    now += 3600 * NS_PER_S;
    for (int i = 0; i < 3; i++)
        CHECK_INT(rate_take(table, 1, &r, now), 0);
    CHECK(rate_take(table, 1, &r, now) > 0, "more than the burst after a pause");
    end();
}

TEST(rate, keys_do_not_share)
{
    struct rate_rule r = rule(1, 1);
    begin();
    for (uint64_t key = 0; key < 1000; key++)
        CHECK_INT(rate_take(table, key * 0x9e3779b97f4a7c15u, &r, NS_PER_S), 0);
    for (uint64_t key = 2; key < 1000; key++)
        CHECK(rate_take(table, key * 0x9e3779b97f4a7c15u, &r, NS_PER_S) > 0, "%llu anew",
              (unsigned long long)key);
    end();
}

TEST(rate, a_full_set_lets_the_fullest_go)
{
    struct rate_rule slow = rule(1, 1), fast = rule(1000, 1);
    begin();
    /* one set: seven buckets far from full, one that is nearly so */
    for (uint64_t i = 1; i < RATE_WAYS; i++)
        CHECK_INT(rate_take(table, i * RATE_SETS + 1, &slow, NS_PER_S), 0);
    CHECK_INT(rate_take(table, RATE_WAYS * RATE_SETS + 1, &fast, NS_PER_S), 0);
    CHECK_INT(rate_take(table, 99 * RATE_SETS + 1, &slow, NS_PER_S), 0);
    for (uint64_t i = 1; i < RATE_WAYS; i++)
        CHECK(rate_take(table, i * RATE_SETS + 1, &slow, NS_PER_S) > 0, "bucket %d was given up",
              (int)i);
    CHECK(rate_take(table, 99 * RATE_SETS + 1, &slow, NS_PER_S) > 0, "the new one is not kept");
    end();
}

TEST(rate, another_rate_goes_on_where_the_old_one_was)
{
    struct rate_rule before = rule(10, 10), after = rule(10, 20);
    begin();
    for (int i = 0; i < 10; i++)
        CHECK_INT(rate_take(table, 7, &before, NS_PER_S), 0);
    for (int i = 0; i < 10; i++)
        CHECK_INT(rate_take(table, 7, &after, NS_PER_S), 0);
    CHECK(rate_take(table, 7, &after, NS_PER_S) > 0, "the bucket was filled anew");
    end();
}

#define THREADS 4
#define SECONDS 20
#define PER_S   1000
#define BURST   50
#define STEPS   (SECONDS * 1000)
#define ASKS    4 /* in each millisecond and by each thread */

static void *ask(void *counted)
{
    struct rate_rule r = rule(PER_S, BURST);
    long *taken = counted;
    for (int64_t step = 0; step <= STEPS; step++) {
        for (int i = 0; i < ASKS; i++)
            *taken += rate_take(table, 11, &r, NS_PER_S + step * NS_PER_MS) == 0;
    }
    return NULL;
}

/* However the threads run against each other, the bucket gives rate * time + burst. */
TEST(rate, exact_from_several_threads)
{
    pthread_t threads[THREADS];
    long taken[THREADS] = {0}, all = 0;
    begin();
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, ask, &taken[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        all += taken[i];
    }
    CHECK(all == (long)SECONDS * PER_S + BURST, "%ld taken", all);
    end();
}
