#include "pick/site.h"

#include <math.h>

#define RECENT_S     1.0 /* time constants of T and A, and of N */
#define NORMAL_S     30.0
#define WEIGHT_MOST  (1.0 / 64)
#define WEIGHT_LEAST (1.0 / 512)
#define WEIGHT_ROUND 0.4    /* of T and A, where a sample is a round of checks */
#define WAY_LEAST_MS 0.001f /* 0 says that it is not known */
#define MINUTE_MS    60000
#define FLOW_MS      (1000.0 / 3) /* 95 % of what counts is of the last second */

struct site_state *site_state_ref(struct site_state *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void site_state_unref(struct site_state **site)
{
    if (*site != NULL)
        atomic_fetch_sub_explicit(&(*site)->refs, 1, memory_order_release);
    *site = NULL;
}

static double load_double(const _Atomic uint64_t *from)
{
    uint64_t bits = atomic_load_explicit(from, memory_order_relaxed);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static void store_double(_Atomic uint64_t *to, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    atomic_store_explicit(to, bits, memory_order_relaxed);
}

struct site_load site_load(const struct site_state *s)
{
    int32_t inflight = atomic_load_explicit(&s->inflight, memory_order_relaxed);
    return (struct site_load){
        .t_ms = load_double(&s->t),
        .n_ms = load_double(&s->n),
        .a = load_double(&s->a),
        .samples = atomic_load_explicit(&s->samples, memory_order_relaxed),
        .inflight = inflight > 0 ? (uint32_t)inflight : 0,
    };
}

static void mix(_Atomic uint64_t *average, double weight, double v)
{
    double was = load_double(average);
    store_double(average, was + weight * (v - was));
}

/* False where another thread is writing. */
static bool begin_sample(struct site_state *s)
{
    return !atomic_flag_test_and_set_explicit(&s->busy, memory_order_acquire);
}

/* How a sample counts: `recent` for T and A, `normal` for N. */
struct weights {
    double recent, normal;
};

static void end_sample(struct site_state *s, double x_ms, double q, struct weights w,
                       int64_t now_ms)
{
    double x = x_ms >= SITE_SAMPLE_LEAST ? x_ms : SITE_SAMPLE_LEAST; /* NaN becomes the least */
    uint64_t samples = atomic_load_explicit(&s->samples, memory_order_relaxed) + 1;
    int64_t last = atomic_load_explicit(&s->last_ms, memory_order_relaxed);
    double mean = 1.0 / (double)samples;
    mix(&s->t, fmax(mean, w.recent), x);
    mix(&s->a, fmax(mean, w.recent), q);
    mix(&s->n, fmax(mean, w.normal), x);
    atomic_store_explicit(&s->samples, samples, memory_order_relaxed);
    if (samples == 1 || now_ms > last) /* clocks of workers differ by a turn: never back */
        atomic_store_explicit(&s->last_ms, now_ms, memory_order_relaxed);
    atomic_flag_clear_explicit(&s->busy, memory_order_release);
}

/* Since the last sample, 0 for the first one. */
static double seconds_since(const struct site_state *s, int64_t now_ms)
{
    int64_t last = atomic_load_explicit(&s->last_ms, memory_order_relaxed);
    bool first = atomic_load_explicit(&s->samples, memory_order_relaxed) == 0;
    return !first && now_ms > last ? (double)(now_ms - last) / 1000.0 : 0.0;
}

void site_sample(struct site_state *s, double x_ms, uint32_t q, int64_t now_ms)
{
    if (!begin_sample(s))
        return;
    double dt = seconds_since(s, now_ms);
    struct weights w = {.recent = WEIGHT_LEAST};
    if (dt > 0) { /* else many of one millisecond, and nothing to exponentiate */
        w.recent = fmin(fmax(1.0 - exp(-dt / RECENT_S), WEIGHT_LEAST), WEIGHT_MOST);
        w.normal = fmin(1.0 - exp(-dt / NORMAL_S), WEIGHT_MOST);
    }
    end_sample(s, x_ms, (double)q, w, now_ms);
}

static double flow_at(uint64_t flow, int64_t now_ms)
{
    uint32_t bits = (uint32_t)(flow >> 32);
    float level;
    memcpy(&level, &bits, sizeof level);
    int32_t passed_ms = (int32_t)((uint32_t)now_ms - (uint32_t)flow); /* clocks may differ a bit */
    return passed_ms > 0 ? (double)level * exp(-passed_ms / FLOW_MS) : (double)level;
}

double site_flow(const struct site_state *s, int64_t now_ms)
{
    return flow_at(atomic_load_explicit(&s->flow, memory_order_relaxed), now_ms);
}

void site_redirected(struct site_state *s, int64_t now_ms)
{
    uint64_t was = atomic_load_explicit(&s->flow, memory_order_relaxed), next;
    do {
        float level = (float)(flow_at(was, now_ms) + 1);
        uint32_t bits;
        memcpy(&bits, &level, sizeof bits);
        next = (uint64_t)bits << 32 | (uint32_t)now_ms;
    } while (!atomic_compare_exchange_weak_explicit(&s->flow, &was, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    atomic_fetch_add_explicit(&s->redirects, 1, memory_order_relaxed);
}

double site_steady(struct site_state *s, double load_ms)
{
    double held = load_double(&s->held);
    double told = fmax(load_ms, fmin(held, load_ms + fmin(SITE_HOLD_MS, load_ms)));
    if (told < held || told > held)
        store_double(&s->held, told);
    return told;
}

void site_checked(struct site_state *s, double x_ms, uint32_t members, int64_t interval_ms,
                  int64_t now_ms)
{
    if (s->round.count == 0) {
        s->round.begun_ms = now_ms;
        s->round.sum_ms = s->round.sum_q = 0;
    }
    s->round.count++;
    s->round.sum_ms += x_ms;
    s->round.sum_q += site_flow(s, now_ms);
    if (s->round.count < members && now_ms - s->round.begun_ms < interval_ms)
        return;
    double mean = s->round.sum_ms / s->round.count, q = s->round.sum_q / s->round.count;
    s->round.count = 0;
    if (!begin_sample(s))
        return;
    struct weights w = {.recent = WEIGHT_ROUND,
                        .normal = fmin(1.0, seconds_since(s, now_ms) / NORMAL_S)};
    end_sample(s, mean, q, w, now_ms);
}

/* Minutes in which nothing was heard hold nothing. */
static void turn_to_minute(struct site_state *s, int64_t minute)
{
    int64_t ahead = minute - s->ways.minute;
    for (int64_t i = 1; i <= ahead && i <= SITE_WAY_MINUTES; i++)
        s->ways.least_ms[(s->ways.minute + i) % SITE_WAY_MINUTES] = 0;
    if (ahead > 0)
        s->ways.minute = minute;
}

void site_connected(struct site_state *s, double connect_ms, int64_t now_ms)
{
    float ms = fmaxf((float)connect_ms, WAY_LEAST_MS), least = ms;
    turn_to_minute(s, now_ms / MINUTE_MS);
    float *now = &s->ways.least_ms[s->ways.minute % SITE_WAY_MINUTES];
    if (*now <= 0 || ms < *now)
        *now = ms;
    for (int i = 0; i < SITE_WAY_MINUTES; i++)
        if (s->ways.least_ms[i] > 0)
            least = fminf(least, s->ways.least_ms[i]);
    uint32_t bits;
    memcpy(&bits, &least, sizeof bits);
    atomic_store_explicit(&s->way, bits, memory_order_relaxed);
}

void site_set(struct site_state *s, const struct site_load *load, int64_t now_ms)
{
    store_double(&s->t, load->t_ms);
    store_double(&s->n, load->n_ms);
    store_double(&s->a, load->a);
    atomic_store_explicit(&s->samples, load->samples, memory_order_relaxed);
    atomic_store_explicit(&s->inflight, (int32_t)load->inflight, memory_order_relaxed);
    atomic_store_explicit(&s->last_ms, now_ms, memory_order_relaxed);
}
