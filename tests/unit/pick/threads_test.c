/* Many threads pick, note and release on shared endpoints while others change health, weights and
 * ejections; afterwards nothing is in flight. Under ThreadSanitizer this proves that all sharing is
 * by atomics. */
#include "fixture.h"

#include <pthread.h>

enum { THREADS = 4, HELD = 8, MOST = 6 };

struct worker {
    struct fixture *f;
    uint64_t seed;
    size_t rounds;
    uint64_t picked, failed, over;
};

static void *run_worker(void *arg)
{
    struct worker *w = arg;
    struct pick_ticket held[HELD] = {0};
    struct rng rng;
    rng_seed(&rng, w->seed);
    struct pool_view *view = pool_view_new(w->f->pool, w->f->now_ms);
    for (size_t i = 0; view != NULL && i < w->rounds; i++) {
        int64_t now = w->f->now_ms + (int64_t)i / 4;
        struct pick_ticket *t = &held[rng_below(&rng, HELD)];
        pool_view_refresh(view, now);
        pick_done(t, (enum pick_outcome)rng_below(&rng, PICK_ABORTED + 1), 5, now);
        struct pick_request req = {
            .view = view, .allowed = PICK_ALL, .now_ms = now, .dice = pick_dice_rng(&rng)};
        enum err err = pick(&req, t);
        w->picked += err == ERR_OK;
        w->failed += err != ERR_OK;
        w->over += err == ERR_OK && endpoint_inflight(t->endpoint) > MOST;
    }
    for (size_t i = 0; i < HELD; i++)
        pick_done(&held[i], PICK_ABORTED, 0, w->f->now_ms);
    pool_view_free(&view);
    return NULL;
}

static void *run_health(void *arg)
{
    struct worker *w = arg;
    struct rng rng;
    rng_seed(&rng, w->seed);
    for (size_t i = 0; i < w->rounds / 8; i++) {
        uint64_t m = rng_below(&rng, w->f->pool->member_count);
        struct endpoint *e = w->f->pool->members[m].endpoint;
        endpoint_set_health(e, (enum endpoint_health)rng_below(&rng, 3), w->f->now_ms);
        endpoint_probed(e, endpoint_health(e) == ENDPOINT_UP);
        if (i % 8 == 0)
            endpoint_readmit(e);
    }
    return NULL;
}

static void run_together(enum pick_algorithm algorithm)
{
    struct fixture f;
    struct fixture_shape shape = SHAPE(3, 3, .max_inflight = MOST);
    pthread_t threads[THREADS + 1];
    struct worker workers[THREADS + 1];
    shape.knobs.algorithm = algorithm;
    fixture_make(&f, shape);
    for (size_t i = 0; i <= THREADS; i++) {
        workers[i] =
            (struct worker){.f = &f, .seed = i + 1, .rounds = 2000 + cases((size_t)4 * FULL_CASES)};
        CHECK(pthread_create(&threads[i], NULL, i < THREADS ? run_worker : run_health,
                             &workers[i]) == 0,
              "thread %zu", i);
    }
    for (uint32_t k = 0; k < 200; k++) { /* the main thread's part */
        endpoint_set_weight(f.pool->members[k % 9].endpoint, k % 5);
        endpoint_set_admin(f.pool->members[k % 9].endpoint, (enum endpoint_admin)(k % 3));
    }
    for (uint32_t k = 0; k < 9; k++)
        endpoint_set_admin(f.pool->members[k].endpoint, ENDPOINT_ACTIVE);
    for (size_t i = 0; i <= THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0, "thread %zu", i);
    for (size_t i = 0; i < THREADS; i++) {
        CHECK(workers[i].picked > 0, "worker %zu picked", i);
        CHECK_INT(workers[i].over, 0);
    }
    CHECK_INT(fixture_sum(&f), 0);
    fixture_free(&f);
}

TEST(threads, what_is_taken_together_is_given_back)
{
    for (int a = PICK_NEAREST; a <= PICK_CONSISTENT_HASH; a++)
        run_together((enum pick_algorithm)a);
}
