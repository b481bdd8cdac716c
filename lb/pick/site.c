#include "pick/site.h"

#include <math.h>

#define RECENT_S     1.0 /* time constants of T and A, and of N */
#define NORMAL_S     30.0
#define WEIGHT_MOST  (1.0 / 64)
#define WEIGHT_LEAST (1.0 / 512)

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

void site_sample(struct site_state *s, double x_ms, uint32_t q, int64_t now_ms)
{
    if (atomic_flag_test_and_set_explicit(&s->busy, memory_order_acquire))
        return;
    double x = x_ms >= SITE_SAMPLE_LEAST ? x_ms : SITE_SAMPLE_LEAST; /* NaN becomes the least */
    uint64_t samples = atomic_load_explicit(&s->samples, memory_order_relaxed) + 1;
    int64_t last = atomic_load_explicit(&s->last_ms, memory_order_relaxed);
    double dt = samples > 1 && now_ms > last ? (double)(now_ms - last) / 1000.0 : 0.0;
    double mean = 1.0 / (double)samples;
    double recent = fmax(mean, fmin(fmax(1.0 - exp(-dt / RECENT_S), WEIGHT_LEAST), WEIGHT_MOST));
    double normal = fmax(mean, fmin(1.0 - exp(-dt / NORMAL_S), WEIGHT_MOST));
    mix(&s->t, recent, x);
    mix(&s->a, recent, (double)q);
    mix(&s->n, normal, x);
    atomic_store_explicit(&s->samples, samples, memory_order_relaxed);
    if (samples == 1 || now_ms > last) /* clocks of workers differ by a turn: never back */
        atomic_store_explicit(&s->last_ms, now_ms, memory_order_relaxed);
    atomic_flag_clear_explicit(&s->busy, memory_order_release);
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
