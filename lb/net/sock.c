#include "net/sock.h"

#include "base/limits.h"

#include <errno.h>
#include <linux/tcp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BACKLOG 4096

static int set_value(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0 ? 0 : -errno;
}

static int set_option(int fd, int level, int option)
{
    return set_value(fd, level, option, 1);
}

static bool is_ip(int family)
{
    return family == AF_INET || family == AF_INET6;
}

int sock_new(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* Messages are written whole, so that waiting for more only costs time. */
    if (is_ip(family))
        (void)set_option(fd, IPPROTO_TCP, TCP_NODELAY);
    return fd;
}

static int prepare_listener(int fd, const struct addr *at, bool reuse_port)
{
    int e = 0;
    if (!is_ip(at->any.sa_family))
        return 0;
    e = set_option(fd, SOL_SOCKET, SO_REUSEADDR);
    if (e == 0 && reuse_port)
        e = set_option(fd, SOL_SOCKET, SO_REUSEPORT);
    if (e == 0 && at->any.sa_family == AF_INET6)
        e = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    sock_tune_listener(fd);
    return e;
}

/* Removes a unix socket that no process listens on any more. */
static bool remove_stale(const struct addr *at)
{
    struct stat st;
    if (at->any.sa_family != AF_UNIX || lstat(at->un.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = sock_new(AF_UNIX);
    if (fd < 0)
        return false;
    bool stale = sock_connect(fd, at) == -ECONNREFUSED;
    close(fd);
    return stale && unlink(at->un.sun_path) == 0;
}

static int bind_to(int fd, const struct addr *at)
{
    if (bind(fd, &at->any, at->len) == 0)
        return 0;
    int e = -errno;
    if (e == -EADDRINUSE && remove_stale(at))
        e = bind(fd, &at->any, at->len) == 0 ? 0 : -errno;
    return e;
}

int sock_listen(const struct addr *at, bool reuse_port)
{
    int fd = sock_new(at->any.sa_family);
    if (fd < 0)
        return fd;
    int e = prepare_listener(fd, at, reuse_port);
    if (e == 0)
        e = bind_to(fd, at);
    if (e == 0 && listen(fd, BACKLOG) != 0)
        e = -errno;
    if (e == 0 && is_ip(at->any.sa_family))
        sock_quick_ack(fd, false); /* listen() has switched it on */
    if (e == 0)
        return fd;
    close(fd);
    return e;
}

int sock_share_port(int fd)
{
    return set_option(fd, SOL_SOCKET, SO_REUSEPORT);
}

int sock_connect(int fd, const struct addr *to)
{
    /* An interrupted connect goes on by itself: it must not be called again. */
    if (connect(fd, &to->any, to->len) == 0)
        return 0;
    return errno == EINTR ? -EINPROGRESS : -errno;
}

void sock_quick_ack(int fd, bool on)
{
    (void)set_value(fd, IPPROTO_TCP, TCP_QUICKACK, on);
}

int sock_error(int fd)
{
    int e = 0;
    socklen_t len = sizeof e;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0)
        return -errno;
    return -e;
}

int sock_accept(int fd, struct addr *peer)
{
    int got;
    memset(peer, 0, sizeof *peer);
    do {
        peer->len = sizeof peer->un;
        got = accept4(fd, &peer->any, &peer->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    return got; /* with the options of the socket that listens (tcp(7)) */
}

/* The kernel takes megabytes for a peer that reads nothing, so that a few thousand of them use up
 * what it has for all connections; and how far the peer has come is seen only in large steps. And
 * it acknowledges the first bytes of a connection by themselves, which is one packet of twelve of a
 * connection for one request. */
void sock_tune_listener(int fd)
{
    (void)set_option(fd, IPPROTO_TCP, TCP_NODELAY);
    sock_quick_ack(fd, false);
    (void)set_value(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)LIMIT_UNSENT);
}

int sock_local(int fd, struct addr *out)
{
    memset(out, 0, sizeof *out);
    out->len = sizeof out->un;
    if (getsockname(fd, &out->any, &out->len) == 0)
        return 0;
    out->len = 0;
    return -errno;
}

/* Receives and sends go to the kernel directly: those of the C library are points of cancellation,
 * which in a program with threads costs two locked operations a call. Nobody is cancelled here. */

ssize_t sock_recv(int fd, void *into, size_t n)
{
    ssize_t got;
    do {
        got = syscall(SYS_recvfrom, fd, into, n, 0, NULL, NULL);
    } while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

ssize_t sock_send(int fd, const struct iovec *iov, int count)
{
    struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
    ssize_t sent;
    do {
        /* The kernel need not fetch a list of one. */
        sent = count == 1
                   ? syscall(SYS_sendto, fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL, NULL, 0)
                   : syscall(SYS_sendmsg, fd, &m, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

int sock_shutdown(int fd)
{
    return shutdown(fd, SHUT_WR) == 0 ? 0 : -errno;
}

void sock_close(int fd, bool reset)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    if (reset)
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

bool sock_heard(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return true;
    /* What is acknowledged may count the handshake as one byte. */
    return info.tcpi_bytes_acked >= info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
}

uint64_t sock_received(int fd)
{
    struct tcp_info info = {0};
    socklen_t n = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 ? info.tcpi_bytes_received : 0;
}
