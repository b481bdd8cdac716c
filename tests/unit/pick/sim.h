/* sim: a discrete-event simulation of clients in six regions, servers in six sites and the real
 * lb/pick between them, on a virtual clock (BALANCING.md section 11, "Scenarios"). The same
 * arrivals and service times are also given to a greedy reference that knows all true waits.
 * Deterministic for a seed. */
#ifndef MERIDIAN_TESTS_PICK_SIM_H
#define MERIDIAN_TESTS_PICK_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SIM_SITES = 6, SIM_SERVERS = 64, SIM_NOBODY = -1 };

struct sim_conf {
    uint32_t sites;       /* at most SIM_SITES; a region of clients stands at each */
    uint32_t servers;     /* in each site */
    uint32_t slots;       /* of each server; requests beyond wait in order of arrival */
    uint32_t queue;       /* how many may wait at a server, beyond: 503; 0: any number */
    uint32_t weight;      /* configured */
    bool graded;          /* server i has 1, 2 or 4 times the weight and the slots */
    uint32_t instances;   /* balancers in each region with counters of their own; 0: one for all */
    double utilisation;   /* of every site by its own region */
    double warm_s, run_s; /* only the second part is measured, and what follows happens in it */
    double surge;         /* region 0 sends this many times as much; 0: as before */
    bool redirect;        /* clients are sent to sites, which choose a server themselves */
    bool outage;          /* site 0 refuses connections for run_s / 2 */
    int sick_status;      /* server 0 of site 0 answers this within 1 ms; 0: it is well */
};

struct sim_result {
    uint64_t requests, errors, cross; /* cross: served away from the region's own site */
    uint64_t region0, region0_cross;
    uint64_t good_in_time; /* good answers that came within the window */
    double p99_ms;         /* of good answers */
    uint64_t within_1s;
    uint64_t served[SIM_SERVERS];
};

/* reference: the greedy rule, least rtt + wait + service, instead of lb/pick. */
void sim_run(const struct sim_conf *conf, uint64_t seed, bool reference, struct sim_result *out);

#endif
