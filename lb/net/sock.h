/* sock: the system's sockets, non-blocking and close-on-exec, with the options that every socket of
 * ours has. It knows the operating system; it must not know loops or what the bytes mean. Only
 * loop_ev.c, listener_open and the session of the database, whose socket is its library's, use it:
 * all others go through the table of net/loop.h. Any thread.
 * Results are >= 0 or a negated errno value; interrupted calls are repeated. */
#ifndef MERIDIAN_NET_SOCK_H
#define MERIDIAN_NET_SOCK_H

#include "net/addr.h"

#include <sys/types.h>
#include <sys/uio.h>

/* The descriptor. */
int sock_new(int family);
/* Bound and listening; a stale unix socket that nobody listens on is replaced. */
int sock_listen(const struct addr *at, bool reuse_port);
/* 0: sockets with SO_REUSEPORT may join this one, which listens and was made without it. */
int sock_share_port(int fd);
/* TCP only. On: what has come is acknowledged now, and what comes next soon. Off: as if an answer
 * to carry it came soon; before sock_connect the handshake need not end by itself. */
void sock_quick_ack(int fd, bool on);
/* 0: connected; -EINPROGRESS: writable tells. */
int sock_connect(int fd, const struct addr *to);
int sock_error(int fd);
int sock_accept(int fd, struct addr *peer);
/* For a socket that listens: what it accepts does not wait for more bytes, takes at most
 * LIMIT_UNSENT more than the peer has room for, and acknowledges a request with its answer. */
void sock_tune_listener(int fd);
int sock_local(int fd, struct addr *out);
ssize_t sock_recv(int fd, void *into, size_t n);
/* Never raises SIGPIPE. */
ssize_t sock_send(int fd, const struct iovec *iov, int count);
int sock_shutdown(int fd);
/* Whether the peer's system has taken all that was sent; true where that is not known. */
bool sock_heard(int fd);
/* Bytes that a TCP socket has received in all; 0 where that is not known. */
uint64_t sock_received(int fd);
/* reset: what is unsent is dropped and the peer sees RST. */
void sock_close(int fd, bool reset);

#endif
