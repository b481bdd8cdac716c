/* site: the runtime state of one (pool, site): in-flight and the response-time estimator of
 * BALANCING.md section 6. Outlives snapshots like endpoints do; two pools at one place share
 * nothing. Knows numbers only. In-flight keeps it alive, as with endpoints. */
#ifndef MERIDIAN_PICK_SITE_H
#define MERIDIAN_PICK_SITE_H

#include "pick/endpoint.h"

#define SITE_CLIENTS        256  /* kinds of clients that are told apart */
#define SITE_SAMPLES_ENOUGH 32   /* fewer: no load term, does not set the base */
#define SITE_ROUNDS_ENOUGH  4    /* the same, where the samples are rounds of checks */
#define SITE_SAMPLE_LEAST   0.01 /* ms */
#define SITE_WAY_MINUTES    10   /* the least connect time of so many is the way */

struct site_state {
    /* shared, atomic: one cache line, read for every site by every pick */
    _Alignas(64) _Atomic int32_t inflight; /* sum over its endpoints */
    atomic_flag busy;                      /* try-flag of the estimator's writer */
    _Atomic uint64_t t, n, a; /* doubles as bits: recent ms, normal ms, in-flight seen */
    _Atomic uint64_t samples;
    _Atomic int64_t last_ms; /* monotonic, of the last sample */
    _Atomic uint32_t refs;
    _Atomic uint32_t way; /* site_way: a float's bits; health thread writes */
    /* shared, atomic */
    struct out_ring outs;
    _Atomic uint32_t clients[SITE_CLIENTS]; /* that were sent here, by kind: what a kind is, is for
                                               whoever counts; once per client, not per request */
    /* shared, atomic: where requests are redirected to the site instead of passed on */
    _Atomic uint64_t flow;      /* site_flow: a float's bits << 32 | ms of its last change */
    _Atomic uint64_t held;      /* site_steady: a double's bits */
    _Atomic uint64_t redirects; /* all of them */
    /* health thread */
    struct {
        double sum_ms, sum_q;
        uint32_t count; /* 0: none has begun */
        int64_t begun_ms;
    } round;
    struct {
        float least_ms[SITE_WAY_MINUTES]; /* by minute, modulo; 0: nothing was heard */
        int64_t minute;                   /* of the newest */
    } ways;
    /* set once */
    struct pool_state *pool;
    char *name;
    /* main thread */
    struct link link;
};

struct site_state *site_state_ref(struct site_state *s);
/* The registry frees it at its next sweep. Any thread. */
void site_state_unref(struct site_state **s);

/* A copy of the figures, each read by itself. */
struct site_load {
    double t_ms, n_ms, a;
    uint64_t samples;
    uint32_t inflight;
};
struct site_load site_load(const struct site_state *s);
/* N where there are enough samples, else 0. */
static inline double site_normal(const struct site_state *s, uint64_t enough)
{
    uint64_t bits = atomic_load_explicit(&s->n, memory_order_relaxed);
    double n;
    memcpy(&n, &bits, sizeof n);
    uint64_t samples = atomic_load_explicit(&s->samples, memory_order_relaxed);
    return samples >= enough ? n : 0;
}

/* One response-time sample: x_ms is first response byte minus the later of dispatch and last
 * request byte, less the measured round trip; q is the site's in-flight just before dispatch.
 * Dropped where another thread is writing. Any thread. */
void site_sample(struct site_state *s, double x_ms, uint32_t q, int64_t now_ms);

/* Where clients are redirected to a site, its requests cannot be seen: the redirects of the last
 * second stand for them, exponentially decayed (BALANCING.md section 2). Any thread. */
double site_flow(const struct site_state *s, int64_t now_ms);
void site_redirected(struct site_state *s, int64_t now_ms);
/* Hysteresis of redirects: the load as it is told to clients. It rises at once, and falls only
 * behind, by at most SITE_HOLD_MS and never to more than twice the true one, so that clients are
 * not sent to and fro by small changes. Any thread. */
#define SITE_HOLD_MS 20.0
double site_steady(struct site_state *s, double load_ms);
/* The time that one check of one of the site's endpoints took. A round of as many checks as there
 * are `members`, or of interval_ms, is one sample (section 6). Health thread. */
void site_checked(struct site_state *s, double x_ms, uint32_t members, int64_t interval_ms,
                  int64_t now_ms);

/* The measured round trip to the site in ms: the least time of TCP connects over the last 10
 * minutes in which there were any; 0: not known yet. Any thread. */
static inline double site_way(const struct site_state *s)
{
    uint32_t bits = atomic_load_explicit(&s->way, memory_order_relaxed);
    float ms;
    memcpy(&ms, &bits, sizeof ms);
    return (double)ms;
}
/* A check has connected to one of the site's endpoints in that time. Health thread. */
void site_connected(struct site_state *s, double connect_ms, int64_t now_ms);

/* Sets the figures outright: tests and hand-over from another process. */
void site_set(struct site_state *s, const struct site_load *load, int64_t now_ms);

#endif
