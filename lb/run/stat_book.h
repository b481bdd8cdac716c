/* stat_book: where the counters of routes, listeners and workers live: found again by name over
 * reloads. Of each there is one for every worker, which alone writes it, and one more that the main
 * thread writes: what processes before this one have counted. Main thread only. */
#ifndef MERIDIAN_RUN_STAT_BOOK_H
#define MERIDIAN_RUN_STAT_BOOK_H

#include "base/list.h"
#include "base/str.h"
#include "proxy/stats.h"

struct stat_route {
    struct link link;
    char *name;
    uint32_t refs; /* snapshots */
    struct route_stats **by_worker;
};

struct stat_listener {
    struct link link;
    char *name;
    uint32_t refs; /* snapshots */
    struct listener_stats *by_worker;
};

struct stat_book {
    unsigned workers;
    unsigned slots; /* of each by_worker: the workers' and, last, main's */
    struct link routes, listeners;
    struct worker_stats **by_worker;
    struct stat_route *unrouted, *mirrors;
};

MUST_CHECK
enum err stat_book_init(struct stat_book *b, unsigned workers);
void stat_book_fini(struct stat_book *b);
/* Finds or creates, with one reference. NULL without memory. */
struct stat_route *stat_book_route(struct stat_book *b, struct span name);
void stat_book_put(struct stat_book *b, struct stat_route **r);
/* The same for a listener. */
struct stat_listener *stat_book_listener(struct stat_book *b, struct span name);
void stat_book_put_listener(struct stat_book *b, struct stat_listener **l);

#endif
