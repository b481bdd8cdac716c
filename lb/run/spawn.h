/* spawn: starts a program that inherits descriptors the way a service manager hands them over
 * (LISTEN_FDS, sd_listen_fds(3)). It is the only fork of the process. It knows no meaning of what
 * is given. Main thread. */
#ifndef MERIDIAN_RUN_SPAWN_H
#define MERIDIAN_RUN_SPAWN_H

#include "base/buf.h"

#include <sys/types.h>

#define SPAWN_FDS 1024

struct spawn {
    int fds[SPAWN_FDS];
    int count;
    bool full;
    struct buf names; /* joined by colons */
};

void spawn_init(struct spawn *s);
void spawn_fini(struct spawn *s);
/* One more, from 3 on, in this order; -1 is left out. fd stays the caller's. spawn: struct spawn.
 */
void spawn_give(void *spawn, int fd, struct span name);
/* ERR_FULL: too many descriptors; ERR_NO_MEMORY, ERR_SYSTEM. That the program cannot be run shows
 * by its end with 127. */
MUST_CHECK
enum err spawn_run(struct spawn *s, const char *program, char *const *argv, pid_t *child);

#endif
