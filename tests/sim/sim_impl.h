/* sim_impl: what sim.c (time, turns) and sim_sock.c (the network) share. */
#ifndef MERIDIAN_TESTS_SIM_IMPL_H
#define MERIDIAN_TESTS_SIM_IMPL_H

#include "base/hash.h"
#include "sim.h"

#define SIM_SOCKETS 4096
#define SIM_BACKLOG 1024

enum sock_kind { SOCK_FRESH, SOCK_LISTENING, SOCK_CONNECTING, SOCK_STREAM_, SOCK_BROKEN };

/* Something on its way to a socket. */
struct segment {
    struct segment *next;
    int64_t at_ns;
    bool fin, reset;
    size_t n, taken;
    char bytes[];
};

struct sock {
    int fd;
    enum sock_kind kind;
    struct addr local, peer_addr;
    struct sock *peer;
    struct io *io;    /* who watches */
    int error;        /* negated errno, told once */
    int64_t ready_ns; /* connecting: when the answer comes, 0 never; waiting: when it shows */
    struct segment *first, *last; /* towards here, in order */
    int64_t last_at_ns;
    size_t coming; /* bytes towards here, arrived or not */
    bool fin_seen, fin_sent;
    bool reset_back;   /* the peer is gone: an answer to what was sent is on its way */
    struct sock *next; /* of those that wait at the same listener */
    /* listening */
    struct sock *waiting, *last_waiting;
    size_t waiting_count;
};

struct sim {
    struct rng rng;
    bool much; /* of odd seeds every turn counts as one with many events */
    struct sim_faults faults;
    struct sim_counts counts;
    int64_t now_ns, wall_offset_ns;
    uint64_t trace;
    uint16_t next_port;
    bool starving; /* some loop is starved */
    struct link loops;
    struct loop_ops ops; /* set once */
    struct sock *socks[SIM_SOCKETS];
    size_t open;
    int top; /* no descriptor from here on was ever open */
};

struct sim_loop {
    struct loop base;
    struct link link;
    struct sim *sim;
    struct link ios, timers, wakes;
    bool stopped, starved, ready;
    int64_t frozen_until_ns;
};

static inline struct sim_loop *sim_loop_of(struct loop *l)
{
    return container_of(l, struct sim_loop, base);
}

/* Whether a fault with that chance (of ten thousand) happens now. */
bool sim_chance(struct sim *sim, unsigned of_10000);
void sim_note(struct sim *sim, uint64_t what, uint64_t value);
_Noreturn void sim_die(const char *what, int fd);

/* sim_sock.c */
/* What a watcher of that descriptor would be told now. */
unsigned sim_ready(struct sim *sim, const struct io *io);
void sim_watch(struct sim *sim, struct io *io, unsigned events);
/* The next time at which something arrives, after now; INT64_MAX: never. */
int64_t sim_next_arrival(const struct sim *sim);
void sim_sock_ops(struct loop_ops *ops);
void sim_sock_free_all(struct sim *sim);

#endif
