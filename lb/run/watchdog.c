#include "run/watchdog.h"

#include "run/balancer.h"

#include <stdlib.h>

#define MISSED_MOST 3
#define SLOW_NS     (100 * NS_PER_MS)

/* C8: three of our own ticks without a sign of life. A stopped process misses ticks itself, so it
 * goes on. */
static void watch(struct balancer *b, unsigned i, int64_t beat_ns, const char *who)
{
    struct watchdog *d = &b->dog;
    d->missed[i] = beat_ns == d->beats[i] ? d->missed[i] + 1 : 0;
    d->beats[i] = beat_ns;
    if (d->missed[i] >= MISSED_MOST) {
        log_event(b->log, LOG_ERROR, "stuck", "thread=%s index=%u effect=abort", who, i);
        abort();
    }
}

void watchdog_tick(struct balancer *b)
{
    for (unsigned w = 0; w < b->worker_count; w++) {
        watch(b, w, worker_beat_ns(b->workers[w]), "worker");
        int64_t turn = worker_longest_turn_ns(b->workers[w]);
        if (turn > SLOW_NS)
            log_event(b->log, LOG_WARN, "slow-turn", "worker=%u ms=%lld", w,
                      (long long)(turn / NS_PER_MS));
    }
    watch(b, b->worker_count, health_thread_beat_ns(b->health), "health");
}

static void look(struct balancer *b, struct stall *t, const char *who, unsigned i)
{
    char memory[STALL_FRAMES * 64];
    struct buf out;
    buf_fixed(&out, memory, sizeof memory);
    if (stall_look(t, &out))
        log_event(b->log, LOG_WARN, "turn-lasts", "thread=%s index=%u backtrace=\"%.*s\"", who, i,
                  SPAN_FMT(buf_span(&out)));
}

static void on_look(struct timer *t)
{
    struct watchdog *d = container_of(t, struct watchdog, look);
    struct balancer *b = container_of(d, struct balancer, dog);
    for (unsigned w = 0; w < b->worker_count; w++)
        look(b, worker_stall(b->workers[w]), "worker", w);
    look(b, health_thread_stall(b->health), "health", 0);
    timer_in_ms(t, STALL_LOOK_MS);
}

void watchdog_begin(struct balancer *b)
{
    timer_init(&b->dog.look, b->loop, on_look);
    timer_in_ms(&b->dog.look, STALL_LOOK_MS);
}
