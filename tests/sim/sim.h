/* sim: a simulated network and clock behind the table of net/loop.h, so that a whole proxy with its
 * clients and servers runs in one thread, in no real time, and the same seed gives the same run
 * (RELIABILITY A2). Faults are drawn from the seed. It knows sockets and time, not what the bytes
 * mean. Misuse that a kernel would let pass (a closed descriptor used, a watched one closed) ends
 * the process with a message.
 *
 *     struct sim_faults faults = {.short_read = 3000, .reset = 50, .delay_most_ns = 2 * NS_PER_MS};
 *     struct sim *sim = sim_new(seed, &faults);
 *     struct loop *worker = sim_loop_new(sim), *backend = sim_loop_new(sim), *clients = ...;
 *     struct addr at;
 *     addr_parse(SPAN("10.0.0.1:80"), &at);               // any address exists
 *     int fd = worker->ops->sock_listen(worker, &at, true);
 *     listener_start(worker, fd, on_accept, user, &l);     // as in production
 *     conn_connect(&client_env, &(struct conn_target){.addr = &at}, ...);
 *     if (!sim_run_until(sim, all_answered, test, 60 * NS_PER_S))
 *         fail("seed %llu: %s", seed, sim_idle(sim) ? "nothing will happen any more" : "too slow");
 *     sim_run_for(sim, 5 * NS_PER_S);                      // let time-outs pass
 *     CHECK_INT(sim_sockets(sim), 0);                      // after everything was closed
 *     loop_free(&worker);                                  // each loop, then
 *     sim_free(&sim);
 */
#ifndef MERIDIAN_TESTS_SIM_H
#define MERIDIAN_TESTS_SIM_H

#include "net/loop.h"

/* Chances are of ten thousand. Zero: never. */
struct sim_faults {
    unsigned short_read, short_write; /* of a call that could take or give more than one byte */
    unsigned reset;                   /* of a send or a receive: both ends see a reset */
    unsigned refuse;                  /* of a connect: refused although somebody listens */
    unsigned black_hole;              /* of a connect: never answered */
    unsigned no_descriptor;           /* of a new socket or an accept: EMFILE */
    unsigned again;                   /* of a send, a receive or an accept: not now after all */
    unsigned spent;                   /* of looking whether a turn has lasted too long: it has */
    bool bytewise;                    /* short ones are of one byte (F17) */
    int64_t delay_most_ns;            /* of each chunk, uniform from 0; chunks stay in order */
    int64_t accept_delay_most_ns;     /* until a connection shows at the listener */
    size_t buffer;                    /* bytes on the way per direction; 0: KIB(64) */
};

struct sim_counts {
    uint64_t turns, connects, accepts, bytes;
    uint64_t short_reads, short_writes, resets, refused, black_holes, no_descriptors, agains;
};

struct sim;

/* faults are copied; NULL: none. */
struct sim *sim_new(uint64_t seed, const struct sim_faults *faults);
/* After all its loops were freed. */
void sim_free(struct sim **sim);
/* From now on. */
void sim_set_faults(struct sim *sim, const struct sim_faults *faults);
/* A loop of this simulation, freed with loop_free. */
struct loop *sim_loop_new(struct sim *sim);

/* Allocations may fail in that loop's turns and nowhere else (mem_fail_at, mem_fail_some). */
void sim_starve(struct loop *l);
/* That loop stands still for so long, as a stopped process does (F27). */
void sim_freeze(struct loop *l, int64_t ns);

int64_t sim_now_ns(const struct sim *sim);
/* The wall clock jumps; the monotonic one does not. */
void sim_jump_wall(struct sim *sim, int64_t by_ns);

/* Runs until done(user); false where `most_ns` of simulated time passed or nothing can happen any
 * more. */
bool sim_run_until(struct sim *sim, bool (*done)(void *user), void *user, int64_t most_ns);
void sim_run_for(struct sim *sim, int64_t ns);
/* One turn of one loop, or a step of the clock to what comes next; false where nothing will. */
bool sim_step(struct sim *sim);
/* Whether nothing can happen any more: no timer, nothing on the way, nobody ready. */
bool sim_idle(struct sim *sim);

/* Open sockets, for leaks. */
size_t sim_sockets(const struct sim *sim);
const struct sim_counts *sim_counts(const struct sim *sim);
/* A digest of all that happened: equal for equal seeds and equal programs. */
uint64_t sim_trace(const struct sim *sim);

#endif
