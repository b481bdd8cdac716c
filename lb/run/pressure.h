/* pressure: how full memory and descriptors are, looked at ten times a second on the main thread,
 * and which tier of overload follows (RELIABILITY L35, section 5). It tells the workers, who do
 * what a tier asks for, and finds whom the last tier resets. It must not know requests. */
#ifndef MERIDIAN_RUN_PRESSURE_H
#define MERIDIAN_RUN_PRESSURE_H

#include "net/loop.h"
#include "proxy/overload.h"

struct balancer;
struct conf_limits;

struct pressure {
    struct timer timer;
    enum overload tier;
    struct overload_load memory, descriptors;
    uint32_t other_descriptors; /* that are not connections' */
    uint64_t asked, gone;       /* a bit for each worker: has not answered yet; has ended */
    int64_t asked_ns;
    enum overload told; /* the workers */
    bool weighing;      /* and they weigh */
    _Atomic uint64_t entered[OVERLOAD_TIERS], resets;
};

/* Descriptors that workers may use of those that the process may have now; 0: no bound. Some are
 * for the admin interface, checks and reloads (section 5). Any thread. */
int pressure_descriptors_most(void);

/* Begins to look. */
void pressure_begin(struct balancer *b);
/* The bounds of a configuration that has just been published. */
void pressure_follow(struct balancer *b, const struct conf_limits *limits);
/* A worker has done what it was asked for. */
void pressure_answered(struct balancer *b, unsigned worker);
/* It has ended. */
void pressure_worker_gone(struct balancer *b, unsigned worker);

#endif
