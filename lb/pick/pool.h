/* pool: what is configured of one pool for choosing (struct pick_pool, immutable, part of a
 * snapshot) and what of it can be used right now (struct pool_view). Knows no file, no address, no
 * place on earth: distances are milliseconds.
 *
 * A view belongs to one worker and one pick_pool. The worker makes it with pool_view_new, calls
 * pool_view_refresh before each pick (one atomic load where nothing has changed), and frees it
 * before the snapshot goes. It never allocates after pool_view_new. */
#ifndef MERIDIAN_PICK_POOL_H
#define MERIDIAN_PICK_POOL_H

#include "base/limits.h"
#include "pick/registry.h"

#define PICK_WEIGHT_DEFAULT 100
#define PICK_WEIGHT_MOST    LIMIT_WEIGHT
#define PICK_CHOICES_MOST   16
#define PICK_HASHED_MOST    10000       /* endpoints of a pool with PICK_CONSISTENT_HASH */
#define PICK_TIERS          LIMIT_RANKS /* 0: those in front; the others: groups of backups */

/* How a request finds its endpoint. The hard rules hold for all of them: the mask, health,
 * ejection, max_inflight, tried, drain, panic, and backups only where nobody else can serve. */
enum pick_algorithm {
    PICK_NEAREST,           /* BALANCING.md section 7: the cheapest site, the least busy of some */
    PICK_ROUND_ROBIN,       /* in turns by weight, each worker by itself */
    PICK_LEAST_CONNECTIONS, /* the least busy per weight of up to 16, over all sites */
    PICK_TWO_CHOICES,       /* the less busy per weight of two, over all sites */
    PICK_CONSISTENT_HASH    /* the request's key says it, but nobody gets more than its share */
};
const char *pick_algorithm_name(enum pick_algorithm algorithm); /* "nearest", "round_robin", … */

/* BALANCING.md section 8. */
struct pick_knobs {
    double distance_weight; /* 0..10; applied by whoever computes distances */
    double spill_band;      /* 1..10 */
    double spill_gain;      /* 0..10 */
    double spill_cap_ms;    /* 0..60000 */
    uint32_t choices;       /* 1..16 */
    uint32_t slow_start_ms; /* 0..3600000; 0 = none */
    uint32_t panic_percent; /* 0..100; 0 = no panic */
    enum pick_algorithm algorithm;
    bool measured; /* the distance from here is the measured round trip, where all sites have one */
    bool redirect; /* clients are sent to sites: pick_site, and what site_flow and site_checked say
                    */
    bool keyed; /* any algorithm: requests with a key stay with one endpoint, of the site chosen by
                   PICK_NEAREST, of all by the others */
    uint32_t hash_load_percent; /* 101..1000: the most that one may have in flight, of its share */
};
#define PICK_KNOBS_DEFAULT                                                                         \
    {                                                                                              \
        .distance_weight = 1.0, .spill_band = 1.5, .spill_gain = 3.0, .spill_cap_ms = 500.0,       \
        .choices = 3, .slow_start_ms = LIMIT_SLOW_START_MS, .panic_percent = 50,                   \
        .algorithm = PICK_NEAREST, .hash_load_percent = 125,                                       \
    }

/* What a pool is built from; everything is borrowed for the call. */
struct pool_site_conf {
    struct span name;
    float here_ms; /* distance from this balancer; used where a request brings no distances */
    bool fixed;    /* `measured` does not change it */
};
struct pool_member_conf {
    struct span backend, address;
    uint32_t site;         /* index */
    uint32_t weight;       /* 1..1000 */
    uint32_t max_inflight; /* 0 = no limit */
    uint32_t rank;         /* 0: in front; 1..: serves only where nobody of a lower one can */
};
struct pool_conf {
    struct span name;
    struct pick_knobs knobs;
    const struct pool_site_conf
        *sites; /* 1..LIMIT_SITES; a pool without sites has one, "default" */
    size_t site_count;
    const struct pool_member_conf *members;
    size_t member_count;
};

struct pool_member {
    struct endpoint *endpoint; /* referenced */
    uint32_t weight, max_inflight;
    uint32_t site; /* index */
    uint8_t tier;  /* its rank */
};
struct pool_site {
    char *name;
    float here_ms;
    bool fixed;
    struct site_state *state;    /* referenced */
    struct pool_member *members; /* in configuration order */
    uint32_t count;
};
struct pick_pool {
    struct pick_knobs knobs;
    struct pool_state *state; /* referenced */
    struct pool_site *sites;  /* in configuration order; bit i of a mask is sites[i] */
    struct pool_member *members;
    uint32_t site_count, member_count, tier_count;
    struct ring *ring; /* PICK_CONSISTENT_HASH or keyed, else NULL */
};

/* Main thread. slow_from_ms as registry_endpoint: now on a reload, 0 at process start.
 * ERR_NO_MEMORY, ERR_FULL, ERR_RANGE (no site or too many, an index or a weight out of range, too
 * many endpoints to be hashed). */
MUST_CHECK
enum err pick_pool_new(struct registry *r, const struct pool_conf *conf, int64_t slow_from_ms,
                       struct pick_pool **out);
void pick_pool_free(struct pick_pool **pool);

/* So many samples say how a site is. */
static inline uint64_t pool_samples_enough(const struct pick_pool *pool)
{
    return pool->knobs.redirect ? SITE_ROUNDS_ENOUGH : SITE_SAMPLES_ENOUGH;
}

struct view_item {
    struct endpoint *endpoint;
    uint32_t weight; /* effective: override and slow start applied */
    uint32_t max_inflight;
};
/* Those of one tier at one site.
 * items: [0, usable) UP and not ejected; [usable, alive) UP but ejected, and SOFT: for panic;
 * [alive, count) HARD: the last resort. DRAIN and MAINT are not in it. */
struct view_site {
    struct site_state *state;
    struct view_item *items;
    uint32_t *ends; /* ends[i]: sum of the weights of items[0..i] */
    /* guide[k]: the item that has unit k << guide_shift of the weights; each other unit with these
     * upper bits has that one, or one of the guide_span - 1 behind it */
    uint32_t *guide;
    uint32_t guide_span, guide_shift;
    uint32_t usable, alive, count;
    uint32_t members; /* configured endpoints of the site, of any tier */
    bool poor;        /* DOWN ones hold more than 100 - panic_percent % of the weight */
};
/* What some sites have, laid end to end. */
struct spread {
    uint32_t count, items;
    uint64_t ends[LIMIT_SITES]; /* sums of weights */
    uint8_t sites[LIMIT_SITES];
};
struct view_tier {
    /* bit i: site i has somebody usable, alive, or in it at all; has some and is not poor */
    uint64_t usable_sites, alive_sites, any_sites, healthy_sites;
    double base_ms; /* the least N of the usable sites, 0: none has enough samples */
    struct view_site *sites;
    struct view_turns *turns; /* picks move it on */
    struct spread usable;     /* the usable ones of all sites */
};
struct pool_view {
    const struct pick_pool *pool; /* borrowed */
    uint64_t generation;
    int64_t not_before_ms; /* large pools are not rebuilt for every single change */
    int64_t rebuild_at_ms; /* slow start or the end of an ejection */
    /* N of each site (0: too few samples), read once per ms: workers keep writing those lines, and
     * N moves with a time constant of 30 s */
    int64_t normals_ms;
    double normal_ms[LIMIT_SITES];
    float here_ms[LIMIT_SITES]; /* of each site, configured or measured, weight applied; as old */
    bool measured;              /* they are measured */
    uint32_t site_count, tier_count;
    struct view_tier tiers[PICK_TIERS];
    double heaviest;  /* the largest ratio of a weight in effect to the configured one */
    uint32_t *places; /* by member of the pool: where it is in its items, or VIEW_NOWHERE */
    uint8_t *groups;  /* of a site's members in configuration order; the builder's own */
};
#define VIEW_NOWHERE UINT32_MAX

/* NULL without memory. Built for now. */
struct pool_view *pool_view_new(const struct pick_pool *pool, int64_t now_ms);
void pool_view_free(struct pool_view **view);
/* Whether the next refresh may find others usable than before: the pool has changed, an ejection is
 * over. Owner thread. */
bool pool_view_due(const struct pool_view *view, int64_t now_ms);
/* Brings the view up to date where the pool has changed or time has moved on. Owner thread. */
void pool_view_refresh(struct pool_view *view, int64_t now_ms);

/* The least N over the sites of the mask, 0: none has enough samples. */
double pool_view_base(const struct pool_view *view, const struct view_tier *tier, uint64_t sites);

/* Endpoints that could be picked now (UP, ACTIVE, not ejected), over the allowed sites: /readyz. */
uint32_t pool_view_usable(const struct pool_view *view, uint64_t allowed);

/* The effective weight in slow start (BALANCING.md section 9); pure. */
uint32_t pool_slow_weight(uint32_t weight, int64_t since_up_ms, uint32_t slow_start_ms);

#endif
