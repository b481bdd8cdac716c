/* endpoint: the runtime state of one endpoint (pool, backend, socket address) and of its pool. It
 * outlives snapshots: a reload finds it again by its key (DESIGN.md section 1, "Snapshots"). Knows
 * counters, health and administrative state; knows no socket, no probe and no configuration file.
 *
 * Life: the registry (main thread) makes and frees it. It stays while somebody holds a reference
 * (snapshots, connection pools) or a request is in flight on it: `inflight` itself keeps it alive,
 * so the decrement must be the last thing that a request does to it. */
#ifndef MERIDIAN_PICK_ENDPOINT_H
#define MERIDIAN_PICK_ENDPOINT_H

#include "base/list.h"
#include "base/str.h"

#include <stdatomic.h>

/* RELIABILITY B1. SOFT: a bad answer, a time-out, not ready. HARD: refused, unreachable, not alive.
 */
enum endpoint_health { ENDPOINT_UP, ENDPOINT_SOFT, ENDPOINT_HARD };
enum endpoint_admin { ENDPOINT_ACTIVE, ENDPOINT_DRAIN, ENDPOINT_MAINT };

#define OUT_SLOTS 32 /* seconds; more than LIMIT_EJECT_MOST_MS */

/* How many endpoints are ejected, without a list of them: one slot per second of return, each
 * (second << 32 | count). A slot whose second has passed counts nothing. */
struct out_ring {
    _Atomic uint64_t slot[OUT_SLOTS];
};
void out_ring_add(struct out_ring *ring, int64_t until_ms);
/* Counts to the end of the second of return, so it is never too low. */
uint32_t out_ring_count(const struct out_ring *ring, int64_t now_ms);

#define POOL_LESSER 2 /* ranks of requests below the first */

/* What is shared by all generations of one pool. Freed by the registry after its last endpoint. */
struct pool_state {
    /* set once */
    char *name;
    /* main thread */
    struct link link;
    struct {
        uint64_t edition, generation; /* of the configuration and of this, when it was looked at */
        int64_t again_ms;             /* time alone may change something then */
        int64_t since_ms;             /* of the mode, while it is not the normal one */
        int64_t down_ms;              /* since when it has nobody who passes; 0: it has */
        uint8_t mode;                 /* enum pick_mode */
    } seen;                           /* run/panic.h */
    /* shared, atomic */
    _Atomic uint32_t refs;
    _Atomic uint64_t generation; /* pool_changed; views compare it */
    struct out_ring outs;
    atomic_flag ejecting;
    /* health thread writes: its servers fail for something that they share, so that nobody is
     * ejected for what he answers. 0: they do not; else why (health/shared.h). */
    _Atomic uint8_t fault;
    _Atomic uint8_t fault_dependency; /* index in what the pool depends on */
    _Atomic int64_t fault_ms;         /* monotonic: when that began or ended; 0: never */
    _Atomic uint64_t faults;          /* how often it began */
    /* kept by the proxy's admission: requests that wait for a slot, one bit per worker that has
     * some */
    _Atomic uint32_t waiting;
    _Atomic uint64_t waiting_workers;
    /* the same of those that more important ones may take the place of, by rank */
    _Atomic uint64_t lesser_workers[POOL_LESSER];
};

static inline bool pool_has_fault(const struct pool_state *pool)
{
    return atomic_load_explicit(&pool->fault, memory_order_relaxed) != 0;
}
/* Health thread only; why 0: it is over. */
void pool_set_fault(struct pool_state *pool, uint8_t why, uint8_t dependency, int64_t now_ms);
#define POOL_RAMP_MS 10000 /* in which traffic that was held back comes again */
/* Of 256 requests so many go to a pool that lets none through while it has a fault. */
uint32_t pool_open_share(const struct pool_state *pool, int64_t now_ms);

/* Says that health, weights or ejections of the pool have changed: every worker builds its view
 * anew before its next pick. Any thread. */
void pool_changed(struct pool_state *pool);

struct endpoint {
    /* shared, atomic: what each request reads and writes */
    _Alignas(64) _Atomic uint32_t inflight;
    _Atomic uint32_t refs;
    _Atomic int64_t out_until;      /* monotonic ms; ejected while now < out_until; 0: not */
    _Atomic uint8_t health;         /* enum endpoint_health; written by the health thread only */
    _Atomic uint8_t admin;          /* enum endpoint_admin; written by the main thread only */
    _Atomic uint32_t weight;        /* override 1..1000 by the operator; 0: the configured one */
    _Atomic uint32_t fails;         /* consecutive failures */
    _Atomic uint32_t connect_fails; /* consecutive refused, unreachable, connect time-outs */
    _Atomic uint32_t busy;          /* consecutive busy answers as a light outlier */
    _Atomic uint64_t ejects;    /* eject_count << 48 | ms of the last failure; endpoint_failed */
    _Atomic uint64_t requests;  /* taken; only shown, but written by each too */
    _Atomic uint64_t responses; /* any answer; the same */
    /* shared, atomic: what is written for few requests or none */
    _Alignas(64) _Atomic int64_t up_since; /* monotonic ms of the last DOWN -> UP; 0: never */
    _Atomic uint64_t errors;               /* failures as BALANCING.md section 6 counts them */
    _Atomic uint64_t connect_errors;
    _Atomic uint64_t ejections;
    _Atomic uint64_t history; /* last 64 probes, newest in bit 0, 1 = good; health thread writes */
    _Atomic uint32_t probes;  /* how many bits of it are filled, at most 64 */
    _Atomic int64_t health_since; /* monotonic ms of the last change of health; 0: never */
    _Atomic uint32_t probe_us;    /* how long the last probe took; health thread writes */
    _Atomic uint8_t probe_err;    /* enum err of the last probe, ERR_OK where it was good */
    _Atomic bool lifeless;        /* checks say that it does not even live; health thread writes */
    /* set once */
    _Alignas(64) struct pool_state *pool;
    char *key;                    /* "pool/backend@address" */
    struct span backend, address; /* inside key */
    /* main thread */
    bool known; /* orders by hand that were given before it was there have been carried out */
    struct {
        uint64_t ejections;
        bool out;
    } told; /* run/ejected.h */
    struct link link;
    struct endpoint *next; /* in the registry's bucket */
    uint64_t hash;
};
_Static_assert(offsetof(struct endpoint, up_since) == 64, "a request needs one cache line of it");

/* "pool/backend@address", NUL-terminated, lives as long as the endpoint. */
static inline const char *endpoint_name(const struct endpoint *e)
{
    return e->key;
}

struct endpoint *endpoint_ref(struct endpoint *e);
/* Gives the reference back; the registry frees the endpoint at its next sweep. Any thread. */
void endpoint_unref(struct endpoint **e);

static inline enum endpoint_health endpoint_health(const struct endpoint *e)
{
    return (enum endpoint_health)atomic_load_explicit(&e->health, memory_order_relaxed);
}
/* Whether checks let it live, be it ready or not. */
static inline bool endpoint_lives(const struct endpoint *e)
{
    return !atomic_load_explicit(&e->lifeless, memory_order_relaxed);
}
static inline enum endpoint_admin endpoint_admin(const struct endpoint *e)
{
    return (enum endpoint_admin)atomic_load_explicit(&e->admin, memory_order_relaxed);
}
/* Of so many places of a server those that are left to others by who leaves so many eighths (L34).
 * Where they are few, none; but with PLACES_BESIEGED added, which is said while places have to be
 * taken from those who hold them for nothing, one at least. */
#define PLACES_BESIEGED 8u
static inline uint32_t endpoint_places_left(uint32_t most, unsigned modest)
{
    unsigned eighths = modest % PLACES_BESIEGED;
    if (eighths == 0 || most < 2 || (most < 64 && modest < PLACES_BESIEGED))
        return 0;
    return most >= 8 ? most / 8 * eighths : 1;
}
static inline uint32_t endpoint_inflight(const struct endpoint *e)
{
    return atomic_load_explicit(&e->inflight, memory_order_relaxed);
}
static inline bool endpoint_out(const struct endpoint *e, int64_t now_ms)
{
    return now_ms < atomic_load_explicit(&e->out_until, memory_order_relaxed);
}
/* Whether it can be picked now: up, active, not ejected. */
static inline bool endpoint_usable(const struct endpoint *e, int64_t now_ms)
{
    return endpoint_health(e) == ENDPOINT_UP && endpoint_admin(e) == ENDPOINT_ACTIVE &&
           !endpoint_out(e, now_ms);
}
const char *endpoint_health_name(enum endpoint_health health); /* "up", "soft", "hard" */
const char *endpoint_admin_name(enum endpoint_admin admin); /* "active", "drain", "maintenance" */

/* Health thread only. DOWN -> UP begins slow start and clears the failure counts. True: it changed.
 */
bool endpoint_set_health(struct endpoint *e, enum endpoint_health health, int64_t now_ms);
/* Health thread only: appends one probe's result to the history. */
void endpoint_probed(struct endpoint *e, bool good);
/* Main thread only. True: it changed. */
bool endpoint_set_admin(struct endpoint *e, enum endpoint_admin admin);
/* Main thread only: 1..1000, or 0 to end the override. */
void endpoint_set_weight(struct endpoint *e, uint32_t weight);
/* Ends an ejection at once (operator). Any thread. */
void endpoint_readmit(struct endpoint *e);

/* How often it has been ejected, less one per 60 s without failure (BALANCING.md section 9). */
uint32_t endpoint_eject_count(const struct endpoint *e, int64_t now_ms);
/* One failure at now; returns the decayed count. */
uint32_t endpoint_failed(struct endpoint *e, int64_t now_ms);
/* Out until `until_ms`; counted as an ejection for the back-off where `counts`. */
void endpoint_eject(struct endpoint *e, int64_t until_ms, bool counts);

#endif
