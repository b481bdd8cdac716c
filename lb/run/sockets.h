/* sockets: the listening sockets of the process. They outlive snapshots, found again by their
 * address, and are only closed when no snapshot wants them and every worker has stopped watching. A
 * TCP address has one SO_REUSEPORT socket per worker; unix sockets and inherited ones may be shared
 * by all. What the process opens itself is kept by the service manager too (its descriptor store),
 * under names listener.ADDRESS.NUMBER, so that the next process inherits it after a crash or a
 * restart and nobody is refused (RELIABILITY G5). It knows addresses and descriptors; it must not
 * know TLS or listeners' settings. Main thread only. */
#ifndef MERIDIAN_RUN_SOCKETS_H
#define MERIDIAN_RUN_SOCKETS_H

#include "base/list.h"
#include "base/log.h"
#include "conf/conf.h"
#include "net/addr.h"
#include "run/service.h"

struct bound {
    struct link link;
    struct addr at;
    char *name;     /* as configured: "0.0.0.0:443", "unix:/path", "systemd:NAME" */
    uint32_t refs;  /* snapshots */
    unsigned count; /* of fds */
    int *fds; /* worker w watches all i with i % workers == w; a single shared one: everybody */
    bool shared;
    bool inherited; /* at least one of them, from whoever started us: it stays his */
    bool kept;      /* by the service manager, under our names */
    bool passed_on; /* another process serves them now */
};

struct sockets {
    unsigned workers;
    struct link all;
    struct service_sockets given;
    bool *used; /* of those given: adopted, or closed */
    struct log *log;
};

MUST_CHECK
enum err sockets_init(struct sockets *s, unsigned workers, struct log *log);
/* Closes, with a warning, what was inherited and is named by no listener: connections to it would
 * wait for ever. */
void sockets_close_unused(struct sockets *s);
/* An inherited descriptor that no listener is meant to have, by name; it is the caller's. -1: none.
 */
int sockets_take(struct sockets *s, struct span name);
/* Calls give for every listening socket with the name by which the next process finds it. */
void sockets_each(struct sockets *s, void (*give)(void *user, int fd, struct span name),
                  void *user);
/* Another process serves them all now: this one leaves their files and what the service manager
 * keeps alone. */
void sockets_handed_over(struct sockets *s);
/* Closes what this process has opened itself, so that new connections are refused while it drains,
 * or wait for the next process where the service manager keeps them; inherited sockets stay for the
 * next process. What a process before this one had opened is ours. What another one serves now
 * stays open, as closing it would not end what the kernel tells our loops about it. No worker may
 * be watching. */
void sockets_refuse(struct sockets *s);
/* Closes everything here; what the service manager keeps stays with it. No worker runs. */
void sockets_leave(struct sockets *s);
/* The same, and frees. */
void sockets_fini(struct sockets *s);
/* Finds or opens; takes one reference. Inherited sockets with the address, or the name of
 * systemd:NAME, are used before new ones are opened. ERR_IN_USE, ERR_PERMISSION, ERR_NOT_FOUND (no
 * such name was inherited), ERR_NO_DESCRIPTOR, … */
MUST_CHECK
enum err sockets_get(struct sockets *s, const struct conf_address *at, struct bound **out);
/* Gives the reference back; closes at the last one. */
void sockets_put(struct bound **b);
/* The conf layer's address as a socket address. */
void sockets_addr(const struct conf_address *from, struct addr *to);

#endif
