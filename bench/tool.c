#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 4096, DESCRIPTORS_MAX = 65536 };

void tool_die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    exit(2);
}

void *tool_alloc(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory)
        tool_die("out of memory");
    return memory;
}

uint64_t tool_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

uint64_t tool_number(const char *what, const char *text, uint64_t min, uint64_t max)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = text ? strtoull(text, &end, 10) : 0;
    if (!text || *text < '0' || *text > '9' || *end || errno || value < min || value > max)
        tool_die("%s: a number from %llu to %llu is needed, not '%s'", what,
                 (unsigned long long)min, (unsigned long long)max, text ? text : "");
    return value;
}

struct sockaddr_in tool_loopback(const char *text)
{
    char host[64] = "127.0.0.1";
    const char *colon = strrchr(text, ':');
    if (colon) {
        size_t len = (size_t)(colon - text);
        if (!len || len >= sizeof host)
            tool_die("%s: not an address of this machine", text);
        memcpy(host, text, len);
        host[len] = '\0';
    }
    if (strcmp(host, "localhost") == 0)
        memcpy(host, "127.0.0.1", sizeof "127.0.0.1");
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1 ||
        ntohl(address.sin_addr.s_addr) >> 24 != IN_LOOPBACKNET)
        tool_die("%s: only loopback addresses (127.0.0.0/8) are accepted", text);
    address.sin_port = htons((uint16_t)tool_number("port", colon ? colon + 1 : text, 1, 65535));
    return address;
}

int tool_listen(const struct sockaddr_in *address, bool reuse_port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
        (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one)) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) ||
        bind(fd, (const struct sockaddr *)address, sizeof *address) || listen(fd, BACKLOG))
        tool_die("port %u: %s", ntohs(address->sin_port), strerror(errno));
    return fd;
}

int tool_connect(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) && errno != EINPROGRESS) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

void tool_watch(int epoll_fd, int op, int fd, uint32_t events, void *data)
{
    struct epoll_event event = {.events = events, .data.ptr = data};
    if (epoll_ctl(epoll_fd, op, fd, &event))
        tool_die("epoll_ctl: %s", strerror(errno));
}

int tool_signals(const int *signals)
{
    sigset_t set;
    sigemptyset(&set);
    for (; *signals; signals++)
        sigaddset(&set, *signals);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        tool_die("signalfd: %s", strerror(errno));
    return fd;
}

size_t tool_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        tool_die("getrlimit: %s", strerror(errno));
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS_MAX ? limit.rlim_max : DESCRIPTORS_MAX;
    setrlimit(RLIMIT_NOFILE, &limit);
    return (size_t)limit.rlim_cur;
}
