/* tls_mem: where OpenSSL has its memory from: mem, so that it counts (RELIABILITY A3); and what is
 * taken while a key is read or made ready: pages that are locked and in no core dump (S2). Knows no
 * connection. */
#ifndef MERIDIAN_NET_TLS_MEM_H
#define MERIDIAN_NET_TLS_MEM_H

#include "base/err.h"

#include <stdbool.h>

/* Once, on the main thread, before anything else of TLS. ERR_INTERNAL: too late, OpenSSL has memory
 * of its own already. Without it, all memory is OpenSSL's own. */
MUST_CHECK
enum err tls_mem_begin(void);
/* From here on what this thread takes of OpenSSL's memory is secret, until it says so no more.
 * Where the room for secrets is used up, it is ordinary memory. */
void tls_mem_secret(bool on);
/* Whether secrets are kept out of swap: the limit of locked memory may be too low. */
bool tls_mem_locked(void);

#endif
