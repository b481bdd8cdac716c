/* The TLS side of the floor: the least that OpenSSL costs when one receive feeds any number of
 * records and all records of one pass leave in one send. Knows no socket and no HTTP. */
#ifndef BENCH_FLOOR_TLS_H
#define BENCH_FLOOR_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

/* What every connection of the process shares: received bytes not yet read, records not yet sent.
 */
struct floor_tls {
    SSL_CTX *context;
    BIO_METHOD *method;
    const char *in;
    size_t in_len;
    size_t out_len, out_cap;
    char *out;
};

void floor_tls_prepare(struct floor_tls *tls, const char *chain, const char *key);

/* A server's connection; NULL without memory. */
SSL *floor_tls_new(struct floor_tls *tls);

/* Turns `len` received bytes into content at `plain`, answers of the handshake gather in tls->out.
 * The number of bytes of content, which fit because content is shorter; -1: the connection ends. */
ssize_t floor_tls_open(struct floor_tls *tls, SSL *ssl, const char *raw, size_t len, char *plain,
                       size_t cap);

/* Adds records with the content to tls->out. */
bool floor_tls_seal(SSL *ssl, const char *data, size_t len);

#endif
