/* fake_loop: a loop with virtual time and servers that do one of three things, for tests of when
 * checks begin: hours pass in milliseconds. No bytes flow on it. */
#ifndef MERIDIAN_TESTS_HEALTH_FAKE_LOOP_H
#define MERIDIAN_TESTS_HEALTH_FAKE_LOOP_H

#include "net/loop.h"

#define FAKE_FDS 4096

enum fake_mode {
    FAKE_ACCEPTS, /* connects after latency_ns */
    FAKE_REFUSES,
    FAKE_SILENT, /* nothing ever happens */
};

struct fake_fd {
    bool used;
    struct io *io;    /* watched for writing */
    int64_t ready_ns; /* 0: never */
};

struct fake_loop {
    struct loop loop;
    struct link timers;
    struct fake_fd fds[FAKE_FDS];
    enum fake_mode (*mode_of)(const struct addr *to);
    int64_t latency_ns;
    int socket_error; /* sock_new answers this, if not 0 */
    unsigned connects, open, most_open;
    void (*on_connect)(struct fake_loop *f, const struct addr *to);
};

void fake_loop_init(struct fake_loop *f);
/* Lets virtual time pass. */
void fake_loop_pass(struct fake_loop *f, int64_t ns);
/* Time passes and nothing runs meanwhile, as if the process had been stopped. */
void fake_loop_stall(struct fake_loop *f, int64_t ns);

#endif
