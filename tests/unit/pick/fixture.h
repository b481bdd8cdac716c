/* fixture: a small pool for tests of lb/pick, with scripted or seeded draws, and the scale of
 * randomised tests: MERIDIAN_CASES is the percentage of the full count (default 1, RELIABILITY
 * section 11), MERIDIAN_SEED replays a run. */
#ifndef MERIDIAN_TESTS_PICK_FIXTURE_H
#define MERIDIAN_TESTS_PICK_FIXTURE_H

#include "check.h"
#include "pick/pick.h"

#define FIXTURE_MOST 4096
#define FULL_CASES   100000

struct fixture {
    struct registry *registry;
    struct pick_pool *pool;
    struct pool_view *view;
    struct rng rng;
    int64_t now_ms;
};

struct fixture_shape {
    uint32_t sites;
    uint32_t members;        /* in each site */
    const uint32_t *weights; /* sites * members of them; NULL: all 100 */
    const uint8_t *ranks;    /* the same; NULL: all are in front */
    uint32_t max_inflight;
    struct pick_knobs knobs;
};
#define SHAPE(sites_, members_, ...)                                                               \
    (struct fixture_shape)                                                                         \
    {                                                                                              \
        .sites = (sites_), .members = (members_), .knobs = PICK_KNOBS_DEFAULT, __VA_ARGS__         \
    }

/* At now_ms = 1000000, all endpoints UP, no slow start. */
void fixture_make(struct fixture *f, struct fixture_shape shape);
void fixture_free(struct fixture *f);
/* Builds the pool anew, as a reload does: the same names, this shape. */
void fixture_reload(struct fixture *f, struct fixture_shape shape);
struct endpoint *fixture_endpoint(const struct fixture *f, uint32_t site, uint32_t member);
/* Endpoint in flight, without touching the site. */
void fixture_inflight(const struct fixture *f, uint32_t site, uint32_t member, uint32_t q);
/* Site figures with enough samples. */
void fixture_load(const struct fixture *f, uint32_t site, uint32_t q, double a, double t, double n);
/* A request over all sites with the fixture's generator. */
struct pick_request fixture_request(struct fixture *f);
/* All in flight, endpoints and sites. */
uint64_t fixture_sum(const struct fixture *f);

/* Draws from a list, then zeros. */
struct script {
    const uint64_t *draws;
    size_t count, at;
};
struct pick_dice script_dice(struct script *s);
/* A draw that lands on `part` of `whole`. */
uint64_t script_at(uint64_t part, uint64_t whole);

size_t cases(size_t full);
/* Seeds from MERIDIAN_SEED or the system, and prints it. */
void seed_of(const char *test, struct rng *rng);

#endif
