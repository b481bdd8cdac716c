/* spawn: starts a program that inherits descriptors the way a service manager hands them over
 * (LISTEN_FDS, sd_listen_fds(3)). Between both is a minder, a process that only waits: when it is
 * killed, the program becomes a child of the service manager, which neither waits for nor sees the
 * end of a main process that is none (sd_notify(3)). These are the only forks of the process. It
 * knows no meaning of what is given. Main thread. */
#ifndef MERIDIAN_RUN_SPAWN_H
#define MERIDIAN_RUN_SPAWN_H

#include "base/buf.h"

#include <signal.h>
#include <sys/types.h>

#define SPAWN_FDS  1024
#define SPAWN_KILL SIGUSR1 /* to the minder: it kills the program, and ends as that did */

struct spawn {
    int fds[SPAWN_FDS];
    int count;
    bool full;
    struct buf names; /* joined by colons */
};

struct spawned {
    pid_t minder, child; /* 0: there is none */
};

void spawn_init(struct spawn *s);
void spawn_fini(struct spawn *s);
/* One more, from 3 on, in this order; -1 is left out. fd stays the caller's. spawn: struct spawn.
 */
void spawn_give(void *spawn, int fd, struct span name);
/* ERR_FULL: too many descriptors; ERR_NO_MEMORY, ERR_NO_DESCRIPTOR, ERR_SYSTEM. That the program
 * cannot be run shows by its end with 127. */
MUST_CHECK
enum err spawn_run(struct spawn *s, const char *program, char *const *argv, struct spawned *out);
/* Waits for the minder's end. The program's exit status, 128 and a signal; negative: the minder
 * itself was killed by that signal. */
int spawn_wait(pid_t minder);

#endif
