/* service: the service manager's protocols, by hand (DEPENDENCIES: linking libsystemd brings seven
 * libraries): notification datagrams and inherited sockets. It knows environment variables and one
 * datagram socket; it must not know what is served. Main thread. */
#ifndef MERIDIAN_RUN_SERVICE_H
#define MERIDIAN_RUN_SERVICE_H

#include "base/str.h"

#include <stdint.h>

/* Sends one notification ("READY=1\nSTATUS=…"); nothing where NOTIFY_SOCKET is not set. */
void service_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same with a descriptor to be kept (FDSTORE=1). */
void service_store(int fd, const char *name);
/* Ends the keeping of all descriptors with that name. */
void service_forget(struct span name);
/* Whether there is a manager that could keep descriptors. */
bool service_present(void);
/* Half of WATCHDOG_USEC in ms where it is meant for this process, else 0. */
int64_t service_watchdog_ms(void);

struct service_sockets {
    unsigned count;
    int first;         /* descriptor number 3 */
    const char *names; /* LISTEN_FDNAMES, colon-separated; NULL: none */
};
/* LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES. */
void service_sockets(struct service_sockets *out);
/* The name of socket i; empty where none is given. */
struct span service_socket_name(const struct service_sockets *s, unsigned i);

#endif
