/* tls_ctx_impl: what the files of net/tls*.c share. No other file may include it. */
#ifndef MERIDIAN_NET_TLS_CTX_IMPL_H
#define MERIDIAN_NET_TLS_CTX_IMPL_H

#include "net/tls_ctx.h"

#include <openssl/ssl.h>

#include <stdatomic.h>

/* One certificate's names (and "*.…" names), sorted, for the server's table. */
struct tls_name {
    struct span name; /* lower case; borrowed from the certificate */
    size_t cert;
};

struct tls_cert {
    /* set once */
    X509 *leaf;
    STACK_OF(X509) * chain; /* without the leaf */
    EVP_PKEY *key;
    char **names;
    size_t name_count;
    int64_t expires;
    /* shared, atomic */
    _Atomic unsigned refs;
};

struct tls_server {
    /* set once */
    BIO_METHOD *bio;
    SSL_CTX **contexts; /* one per certificate */
    struct tls_cert **certs;
    size_t count;
    struct tls_name *names;
    size_t name_count;
    unsigned char *alpn; /* wire form, preference order */
    unsigned alpn_bytes;
    unsigned client_auth_id;
    struct tls_tickets *tickets; /* borrowed */
    /* shared, atomic: the owner and each connection */
    _Atomic unsigned refs;
};

/* A session kept for the next connection to the same server. */
struct tls_session {
    SSL_SESSION *session; /* NULL: the place is free */
    uint64_t key, name_hash;
    uint64_t used; /* the cache's clock at the last use */
};

#define TLS_SESSIONS        256 /* per client context; the least recently used goes */
#define TLS_SESSIONS_SERVER 4   /* of one key: as TLS 1.3 tickets are used once */

struct tls_client {
    /* set once */
    BIO_METHOD *bio;
    SSL_CTX *context;
    bool verify;
    /* owner thread */
    struct tls_session sessions[TLS_SESSIONS];
    uint64_t clock;
    /* shared, atomic: the owner and each connection */
    _Atomic unsigned refs;
};

/* Which server a client's SSL is for: its application data. */
struct tls_origin {
    struct tls_client *client;
    uint64_t key, name_hash;
};

/* tls.c: how OpenSSL reads and writes a struct tls. NULL without memory. */
BIO_METHOD *tls_bio_new(void);

struct conn_target;
/* tls_client.c */
/* An SSL that will verify and name what it should, with a kept session where there is one. origin
 * must outlive it. NULL without memory. */
SSL *tls_client_ssl(struct tls_client *c, const struct conn_target *to, struct tls_origin *origin);
/* tls_common.c */
/* Versions, suites, groups and options that both sides share (L28). */
MUST_CHECK
enum err tls_context_setup(SSL_CTX *ctx, enum tls_minimum minimum);
/* NULL is nothing. */
void tls_context_free(SSL_CTX *ctx);
/* The wire form of protocol names (RFC 7301 section 3.1); NULL without memory or where too long. */
unsigned char *tls_alpn_wire(const char *const *names, size_t count, unsigned *bytes);
/* The oldest error that OpenSSL has noted, as a phrase; empties its list. */
const char *tls_reason(void);
/* Whether OpenSSL may read it: what is no file could keep it waiting for ever; says so. What is not
 * there is left for OpenSSL to find. */
bool tls_is_file(struct buf *message, const char *what, const char *path);
/* Says which file could not be used and why, from errno or OpenSSL's errors. */
void tls_say_file(struct buf *message, const char *what, const char *path);

/* tls_tickets.c: OpenSSL's callback; the context's application data is the tls_server. */
int tls_tickets_use(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                    EVP_MAC_CTX *mac, int encrypt);

#endif
