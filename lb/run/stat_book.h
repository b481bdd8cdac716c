/* stat_book: where route_stats and worker_stats live: found again by the route's name over reloads,
 * one per worker each. Main thread only; the workers write what it hands out. */
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

struct stat_book {
    unsigned workers;
    struct link routes;
    struct worker_stats **by_worker;
    struct stat_route *unrouted, *mirrors;
};

MUST_CHECK
enum err stat_book_init(struct stat_book *b, unsigned workers);
void stat_book_fini(struct stat_book *b);
/* Finds or creates, with one reference. NULL without memory. */
struct stat_route *stat_book_route(struct stat_book *b, struct span name);
void stat_book_put(struct stat_book *b, struct stat_route **r);

#endif
