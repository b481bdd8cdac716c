/* listener: a listening socket on one worker's loop: accepts in batches, pauses when descriptors
 * run out (RELIABILITY section 5), and hands each connection's descriptor up. It must not know TLS
 * or HTTP. Owner thread, except where said. */
#ifndef MERIDIAN_NET_LISTENER_H
#define MERIDIAN_NET_LISTENER_H

#include "net/loop.h"

struct listener;

/* fd belongs to the receiver. Return false to say "no more now": accepting pauses until
 * listener_resume (L1, L3). */
typedef bool (*listener_on_accept)(void *user, int fd, const struct addr *peer);

/* Opens a socket: SO_REUSEPORT for TCP where reuse_port, IPV6_V6ONLY, backlog 4096; a stale unix
 * socket nobody listens on is replaced. ERR_IN_USE, ERR_PERMISSION, ERR_SYSTEM. Any thread. */
MUST_CHECK
enum err listener_open(const struct addr *at, bool reuse_port, int *fd);
/* Lets sockets that are opened with reuse_port join this TCP one, at its address or at another one
 * of its port. It was opened without, which nobody can who would meet another process there:
 * opened with SO_REUSEPORT it would quietly share the connections of one of the same user.
 * ERR_SYSTEM. Any thread. */
MUST_CHECK
enum err listener_share(int fd);
/* Watches fd (borrowed: sockets outlive workers' watching) on this loop. */
MUST_CHECK
enum err listener_start(struct loop *loop, int fd, listener_on_accept on_accept, void *user,
                        struct listener **out);
/* Accepts all that wait in the queue (bounded), then stops watching; does not close fd. */
void listener_stop(struct listener **l);
void listener_pause(struct listener *l);
void listener_resume(struct listener *l);

#endif
