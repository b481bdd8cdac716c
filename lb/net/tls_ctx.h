/* tls_ctx: certificates and settings as OpenSSL contexts: loaded and checked once off the hot path
 * (tls_material), then made into one context per worker and certificate (DEPENDENCIES: contention,
 * +11 %). It knows files, names and keys; it must not know connections' bytes. */
#ifndef MERIDIAN_NET_TLS_CTX_H
#define MERIDIAN_NET_TLS_CTX_H

#include "base/buf.h"

/* Ticket keys, shared by all workers and kept across reloads (RELIABILITY L29): random, current and
 * previous. Any thread; a spin lock of a few instructions inside. */
struct tls_tickets;
MUST_CHECK
enum err tls_tickets_new(struct tls_tickets **out);
void tls_tickets_free(struct tls_tickets **t);
/* The current becomes the previous one; a new random one is made. */
MUST_CHECK
enum err tls_tickets_rotate(struct tls_tickets *t);
/* The keys as they are, for the process that takes this one's place; returns how many bytes. They
 * are secret: wipe the copy. */
#define TLS_TICKETS_BYTES 160
size_t tls_tickets_export(struct tls_tickets *t, unsigned char out[TLS_TICKETS_BYTES]);
/* Another number of bytes than an export has changes nothing. */
void tls_tickets_import(struct tls_tickets *t, const unsigned char *keys, size_t n);

/* One certificate chain with its key, immutable, reference-counted (atomic). */
struct tls_cert;
/* Blocking: reads files. The key must match and the chain parse; an expired one is loaded and says
 * so in `message` (C3). message: what is wrong and how to mend it, without the file's position. */
MUST_CHECK
enum err tls_cert_load(const char *chain_path, const char *key_path, struct tls_cert **out,
                       struct buf *message);
void tls_cert_ref(struct tls_cert *c);
void tls_cert_unref(struct tls_cert **c);
/* Seconds since 1970 at which it expires; the names it is for (SAN DNS, else CN), for status. */
int64_t tls_cert_expires(const struct tls_cert *c);
size_t tls_cert_names(const struct tls_cert *c, const char *const **out);

enum tls_minimum { TLS_MINIMUM_1_2, TLS_MINIMUM_1_3 };

struct tls_server_spec {
    struct tls_cert *const *certs; /* the first is the default where no name matches */
    size_t cert_count;
    enum tls_minimum minimum;
    const char *client_ca;   /* path of PEM certificates, or NULL: no mutual TLS */
    const char *const *alpn; /* preference order, e.g. {"h2", "http/1.1"} */
    size_t alpn_count;
    struct tls_tickets *tickets; /* borrowed, outlives it */
};
struct tls_server;
/* One per worker and listener; SNI exact, then wildcard of one label, then the first. Blocking
 * (reads client_ca). Free when no accepted connection needs it: contexts are counted by OpenSSL, so
 * freeing while connections live is allowed. */
MUST_CHECK
enum err tls_server_new(const struct tls_server_spec *spec, struct tls_server **out,
                        struct buf *message);
/* One more owner; each frees its own. Any thread. */
struct tls_server *tls_server_ref(struct tls_server *s);
void tls_server_free(struct tls_server **s);

struct tls_client_spec {
    const char *ca; /* path of PEM certificates; NULL: the system's store */
    bool verify;    /* chain, dates, and the name given at connect */
    const char *const *alpn;
    size_t alpn_count;
};
/* One per worker and pool, with a bounded session cache (resumption that really happens). */
struct tls_client;
MUST_CHECK
enum err tls_client_new(const struct tls_client_spec *spec, struct tls_client **out,
                        struct buf *message);
/* One more owner; each frees its own. Any thread. */
struct tls_client *tls_client_ref(struct tls_client *c);
void tls_client_free(struct tls_client **c);

#endif
