/* What the benchmark programs share: options, the clock, sockets. It knows nothing of HTTP. Every
 * function ends the program with status 2 and one line on stderr where the operator made a mistake:
 * these are tools of a developer's terminal, not parts of the balancer. */
#ifndef BENCH_TOOL_H
#define BENCH_TOOL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Prints the message and exits with status 2. */
_Noreturn void tool_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Zeroed memory; ends the program where there is none. */
void *tool_alloc(size_t count, size_t size);

/* Monotonic time in nanoseconds. */
uint64_t tool_now_ns(void);

/* The number in `text`, which must lie in min..max; `what` names the option in the message. */
uint64_t tool_number(const char *what, const char *text, uint64_t min, uint64_t max);

/* "host:port" or "port", where host is localhost or within 127.0.0.0/8. Anything else is refused:
 * these tools must not be aimed at other people's machines. */
struct sockaddr_in tool_loopback(const char *text);

/* A non-blocking listening socket. */
int tool_listen(const struct sockaddr_in *address, bool reuse_port);

/* A non-blocking socket whose connect has begun, without Nagle's delay; -1 with errno on failure.
 */
int tool_connect(const struct sockaddr_in *address);

/* Adds or changes the interest of `fd`; the event carries `data`. */
void tool_watch(int epoll_fd, int op, int fd, uint32_t events, void *data);

/* A non-blocking signalfd of the listed signals (ends with 0), which are blocked from now on. */
int tool_signals(const int *signals);

/* Raises the soft limit of descriptors to the hard one and returns it. */
size_t tool_descriptors(void);

#endif
