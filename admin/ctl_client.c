#include "admin/ctl_client.h"

#include "base/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define SYSTEM_SOCKET "/run/meridian/control.sock"
#define REPLY_WAIT_S  120 /* a reload reads files and may take long */

void ctl_default_socket(char *out, size_t size)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (geteuid() != 0 && runtime != NULL && runtime[0] == '/') {
        int n = snprintf(out, size, "%s/meridian/control.sock", runtime);
        if (n > 0 && (size_t)n < size && access(out, F_OK) == 0) {
            return;
        }
    }
    snprintf(out, size, "%s", SYSTEM_SOCKET);
}

static enum err no_answer(const char *path, struct buf *problem)
{
    buf_printf(problem,
               "the balancer at %s closed the connection without an answer; it is ending, or %d "
               "others ask it already: try again",
               path, LIMIT_ADMIN_CONNECTIONS);
    return ERR_SYSTEM;
}

static enum err nobody_listens(const char *path, struct buf *problem)
{
    struct stat file;
    if (stat(path, &file) == 0 && !S_ISSOCK(file.st_mode))
        buf_printf(problem,
                   "%s is no socket; that of the balancer is " SYSTEM_SOCKET
                   ", or what admin.socket says",
                   path);
    else
        buf_printf(problem, "no balancer listens at %s; is it running? Another socket: -s SOCKET",
                   path);
    return ERR_NOT_FOUND;
}

static enum err explain_errno(int errnum, const char *path, struct buf *problem)
{
    switch (errnum) {
    case ENOENT:
    case ECONNREFUSED:
        return nobody_listens(path, problem);
    case EACCES:
    case EPERM:
        buf_printf(problem,
                   "no permission to use %s; it is for root and the members of the balancer's "
                   "group",
                   path);
        return ERR_PERMISSION;
    case ECONNRESET:
        return no_answer(path, problem);
    case EAGAIN:
        buf_printf(problem, "the balancer at %s did not answer within %d s", path, REPLY_WAIT_S);
        return ERR_IDLE_TIMEOUT;
    default:
        buf_printf(problem, "%s: %s", path, strerror(errnum));
        return ERR_SYSTEM;
    }
}

/* Connected, or a negated errno value. */
static int dial(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct timeval wait = {.tv_sec = REPLY_WAIT_S};
    size_t n = strlen(path);
    if (n >= sizeof at.sun_path) {
        return -ENAMETOOLONG;
    }
    memcpy(at.sun_path, path, n);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) != 0 ||
        connect(fd, (const struct sockaddr *)&at, sizeof at) != 0) {
        int e = errno;
        close(fd);
        return -e;
    }
    return fd;
}

/* 0 or a negated errno value. A balancer that refuses early has answered already: EPIPE is none. */
static int send_all(int fd, struct span s)
{
    while (s.n > 0) {
        ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno == EPIPE ? 0 : -errno;
        }
        s = span_sub(s, (size_t)n, s.n);
    }
    return 0;
}

/* Up to the line end or the end. */
static int receive_line(int fd, struct buf *reply)
{
    for (;;) {
        if (!buf_reserve(reply, KIB(64))) {
            return -ENOMEM;
        }
        ssize_t n = recv(fd, reply->p + reply->n, KIB(64), 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : 0;
        }
        struct span piece = span_of(reply->p + reply->n, (size_t)n);
        size_t end = span_find(piece, '\n');
        reply->n += end;
        if (end < piece.n) {
            return 0;
        }
    }
}

enum err ctl_ask(const char *socket_path, struct span request, struct buf *reply,
                 struct buf *problem)
{
    int fd = dial(socket_path);
    int e = fd < 0 ? fd : send_all(fd, request);
    if (e >= 0) {
        e = send_all(fd, SPAN("\n"));
    }
    if (e >= 0) {
        e = receive_line(fd, reply);
    }
    if (fd >= 0) {
        close(fd);
    }
    if (e < 0) {
        return explain_errno(-e, socket_path, problem);
    }
    return buf_len(reply) != 0 ? ERR_OK : no_answer(socket_path, problem);
}
