/* tls_mem: where OpenSSL has its memory from: mem, so that it counts (RELIABILITY A3); and what is
 * taken while a key is read or made ready: pages that are locked and in no core dump (S2). A
 * handshake takes and gives back some thousand pieces: who makes many keeps them for the next one.
 * Knows no connection. */
#ifndef MERIDIAN_NET_TLS_MEM_H
#define MERIDIAN_NET_TLS_MEM_H

#include "base/err.h"
#include "base/small.h"

#include <stdbool.h>

/* Once, on the main thread, before anything else of TLS. ERR_INTERNAL: too late, OpenSSL has memory
 * of its own already. Without it, all memory is OpenSSL's own. */
MUST_CHECK
enum err tls_mem_begin(void);
/* From here on what this thread takes of OpenSSL's memory is secret, until it says so no more.
 * Where the room for secrets is used up, it is ordinary memory. */
void tls_mem_secret(bool on);
#define TLS_RECORDS_KEPT 4

/* What one thread keeps of OpenSSL's memory for the next time. Zero-initialised is valid. */
struct tls_pieces {
    struct small_store small;
    unsigned count;
    void *records[TLS_RECORDS_KEPT]; /* buffers of a record each */
    /* Borrowed; lends what the heap has not, since many requests end with a connection of HTTP/2
     * (F16). NULL: nothing does. */
    struct reserve *reserve;
};

/* From here on this thread takes OpenSSL's memory from there and gives it back to it, so that it
 * costs neither the heap nor an entry in its account each time. The caller's; NULL ends it, before
 * tls_pieces_fini. Secrets stay where they are. */
void tls_mem_keep(struct tls_pieces *pieces);
/* From here on nothing that this thread gives back is kept, until it says so no more: where what
 * goes is of sizes that no handshake needs, as contexts, and would only take the place of others.
 */
void tls_mem_let_go(bool on);
/* Frees what is kept. */
void tls_pieces_fini(struct tls_pieces *pieces);
/* Whether secrets are kept out of swap: the limit of locked memory may be too low. */
bool tls_mem_locked(void);

#endif
