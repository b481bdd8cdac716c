#include "run/service.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKETS_MOST 1024

/* NOTIFY_SOCKET: a path, or "@" and an abstract name. */
static bool notify_address(struct sockaddr_un *to, socklen_t *size)
{
    const char *name = getenv("NOTIFY_SOCKET");
    size_t n = name != NULL ? strlen(name) : 0;
    if (n < 2 || n >= sizeof to->sun_path || (name[0] != '/' && name[0] != '@'))
        return false;
    *to = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(to->sun_path, name, n);
    if (name[0] == '@')
        to->sun_path[0] = '\0';
    *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    return true;
}

static void send_notice(const char *text, size_t n, int fd)
{
    struct sockaddr_un to;
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = (char *)(uintptr_t)text, .iov_len = n};
    struct msghdr msg = {.msg_name = &to, .msg_iov = &iov, .msg_iovlen = 1};
    if (!notify_address(&to, &msg.msg_namelen))
        return;
    if (fd >= 0) {
        msg.msg_control = control.space;
        msg.msg_controllen = sizeof control.space;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s < 0)
        return;
    /* A manager that does not read must not hold up the main thread: a notice is dropped then. */
    struct timeval patience = {.tv_usec = 100000};
    (void)setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    while (sendmsg(s, &msg, MSG_NOSIGNAL) < 0 && errno == EINTR) {
    }
    close(s);
}

void service_notify(const char *format, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (n > 0 && (size_t)n < sizeof text)
        send_notice(text, (size_t)n, -1);
}

void service_store(int fd, const char *name)
{
    char text[256];
    int n = snprintf(text, sizeof text, "FDSTORE=1\nFDNAME=%s", name);
    if (n > 0 && (size_t)n < sizeof text)
        send_notice(text, (size_t)n, fd);
}

void service_forget(struct span name)
{
    service_notify("FDSTOREREMOVE=1\nFDNAME=%.*s", SPAN_FMT(name));
}

bool service_present(void)
{
    return getenv("NOTIFY_SOCKET") != NULL;
}

static bool env_u64(const char *name, uint64_t *out)
{
    const char *s = getenv(name);
    return s != NULL && span_u64(span_str(s), out) == ERR_OK;
}

int64_t service_watchdog_ms(void)
{
    uint64_t us, pid;
    if (!env_u64("WATCHDOG_USEC", &us) || us == 0 || us > INT64_MAX)
        return 0;
    if (getenv("WATCHDOG_PID") != NULL &&
        (!env_u64("WATCHDOG_PID", &pid) || pid != (uint64_t)getpid()))
        return 0;
    return (int64_t)(us / 2000);
}

void service_sockets(struct service_sockets *out)
{
    uint64_t pid, count;
    *out = (struct service_sockets){.first = 3};
    if (!env_u64("LISTEN_PID", &pid) || pid != (uint64_t)getpid() ||
        !env_u64("LISTEN_FDS", &count) || count > SOCKETS_MOST)
        return;
    out->count = (unsigned)count;
    out->names = getenv("LISTEN_FDNAMES");
}

struct span service_socket_name(const struct service_sockets *s, unsigned i)
{
    struct span rest = span_str(s->names), name = SPAN_NONE;
    for (unsigned k = 0; k <= i; k++) {
        if (rest.n == 0)
            return SPAN_NONE;
        rest = span_cut(rest, ':', &name);
    }
    return name;
}
