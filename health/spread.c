#include "health/spread.h"

#include "base/clock.h"

#define OVERLAP_LEAST 64   /* L31 */
#define PER_S_LEAST   16.0 /* fewer checks per second than this are no burst */
/* 1.9 times the normal rate, and what the tolerance of one second adds, stay below twice. */
#define FACTOR       1.9
#define TOLERANCE_NS (20 * NS_PER_MS)

void spread_clear(struct spread *s)
{
    s->per_s = 0;
    s->overlap = 0;
}

void spread_add(struct spread *s, int64_t interval_ms, int64_t timeout_ms)
{
    s->per_s += 1000.0 / (double)interval_ms;
    s->overlap += (double)timeout_ms / (double)interval_ms;
}

void spread_settle(struct spread *s)
{
    double per_s = s->per_s * FACTOR > PER_S_LEAST ? s->per_s * FACTOR : PER_S_LEAST;
    s->step_ns = (int64_t)((double)NS_PER_S / per_s);
    s->most = s->overlap > OVERLAP_LEAST ? (size_t)s->overlap : OVERLAP_LEAST;
}

int64_t spread_when_ns(const struct spread *s)
{
    return s->free_ns - TOLERANCE_NS;
}

void spread_begin(struct spread *s, int64_t now_ns)
{
    s->free_ns = (s->free_ns > now_ns ? s->free_ns : now_ns) + s->step_ns;
}
