/* ctl_client: one question to a balancer's control socket, over a plain blocking socket of its own.
 * Only meridianctl uses it; the balancer never does. */
#ifndef MERIDIAN_ADMIN_CTL_CLIENT_H
#define MERIDIAN_ADMIN_CTL_CLIENT_H

#include "base/buf.h"

#define CTL_REPLY_MOST MIB(64)

/* The socket's path where none is given: /run/meridian/control.sock, or for users other than root
 * $XDG_RUNTIME_DIR/meridian/control.sock where that is there. Writes into out, NUL-terminated. */
void ctl_default_socket(char *out, size_t size);
/* Sends the request line (without its end) and reads the reply line into *reply. On failure
 * *problem says for people what is wrong and what may help. ERR_NOT_FOUND: nobody listens;
 * ERR_PERMISSION; ERR_IDLE_TIMEOUT; ERR_SYSTEM. */
MUST_CHECK
enum err ctl_ask(const char *socket_path, struct span request, struct buf *reply,
                 struct buf *problem);

#endif
