/* stats: what one worker counts, in cache lines of its own. Written by the owner with relaxed
 * stores, read by the main thread with relaxed loads when somebody asks; no lock, no shared line
 * (one writer each). Outlives snapshots: found again by the route's name. */
#ifndef MERIDIAN_PROXY_STATS_H
#define MERIDIAN_PROXY_STATS_H

#include "base/err.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef _Atomic uint64_t counter;

/* Owner thread only. */
static inline void counter_add(counter *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
                          memory_order_relaxed);
}
static inline uint64_t counter_get(const counter *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

/* Upper ends of the duration histogram in microseconds; one more bucket is everything above. */
#define STATS_BUCKETS 16
extern const uint32_t stats_bucket_us[STATS_BUCKETS - 1];

struct histogram {
    counter bucket[STATS_BUCKETS];
    counter sum_us;
};
void histogram_add(struct histogram *h, int64_t us);

struct route_stats {
    /* set once */
    _Alignas(64) const char *name; /* the route's; lives as long as this */
    /* owner thread writes, the last thing that a request does; main reads before it frees */
    _Atomic uint32_t holders; /* requests that count here; they may outlive their policy */
    /* owner thread writes */
    counter classes[6];          /* responses by status / 100; [0]: none was sent */
    counter bytes_in, bytes_out; /* from and to clients, heads included */
    counter attempts, retries;
    counter hedges, hedges_won, hedges_refused; /* second attempts beside the first */
    counter sticks_broken;
    counter mirrors, mirrors_ended, mirrors_dropped;
    struct histogram seconds;    /* request head to end of response */
    struct histogram first_byte; /* dispatch to the server's first byte */
};

/* Owner thread, while the policy is held. */
static inline struct route_stats *route_stats_hold(struct route_stats *s)
{
    uint32_t holders = atomic_load_explicit(&s->holders, memory_order_relaxed);
    atomic_store_explicit(&s->holders, holders + 1, memory_order_relaxed);
    return s;
}
static inline void route_stats_let_go(struct route_stats **s)
{
    if (*s == NULL)
        return;
    uint32_t holders = atomic_load_explicit(&(*s)->holders, memory_order_relaxed);
    atomic_store_explicit(&(*s)->holders, holders - 1, memory_order_release);
    *s = NULL;
}

struct listener_stats {
    _Alignas(64) counter accepted; /* owner thread writes */
    counter open; /* the same; the last thing that a connection does here, and main reads it before
                     it frees */
};

/* Owner thread. More than one listener of the worker may count under one name: one that has gone
 * and still has connections, and the one that came after it. So a connection that ends is taken
 * away; how many of its own a listener has left says nothing about the others. */
static inline void listener_stats_take(struct listener_stats *s)
{
    counter_add(&s->accepted, 1);
    counter_add(&s->open, 1);
}
static inline void listener_stats_give(struct listener_stats *s)
{
    uint64_t open = atomic_load_explicit(&s->open, memory_order_relaxed);
    atomic_store_explicit(&s->open, open - 1, memory_order_release);
}

struct worker_stats {
    _Alignas(64) counter ends[ERR_COUNT]; /* exchanges by end reason */
    counter connections, connections_open, refused, handshakes_failed;
    counter exchanges_open, tunnels_open, waiting;
    counter backend_connections, backend_reused;
    counter log_dropped, spans_dropped;
    counter fields_dropped; /* of requests, for their names (H3) */
};

#endif
