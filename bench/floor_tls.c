#include "floor_tls.h"

#include "tool.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

static int bio_write(BIO *bio, const char *data, size_t len, size_t *written)
{
    struct floor_tls *tls = BIO_get_data(bio);
    if (tls->out_cap - tls->out_len < len) {
        tls->out_cap = 2 * (tls->out_len + len);
        tls->out = realloc(tls->out, tls->out_cap);
        if (!tls->out)
            tool_die("out of memory");
    }
    memcpy(tls->out + tls->out_len, data, len);
    tls->out_len += len;
    *written = len;
    return 1;
}

static int bio_read(BIO *bio, char *into, size_t size, size_t *got)
{
    struct floor_tls *tls = BIO_get_data(bio);
    size_t len = tls->in_len < size ? tls->in_len : size;
    BIO_clear_retry_flags(bio);
    if (!len) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(into, tls->in, len);
    tls->in += len;
    tls->in_len -= len;
    *got = len;
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

void floor_tls_prepare(struct floor_tls *tls, const char *chain, const char *key)
{
    tls->context = SSL_CTX_new(TLS_server_method());
    tls->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "floor");
    if (!tls->context || !tls->method ||
        !SSL_CTX_set_min_proto_version(tls->context, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(tls->context, "TLS_AES_128_GCM_SHA256") ||
        SSL_CTX_use_certificate_chain_file(tls->context, chain) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls->context, key, SSL_FILETYPE_PEM) != 1)
        tool_die("the certificate cannot be used");
    SSL_CTX_set_mode(tls->context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_num_tickets(tls->context, 1);
    BIO_meth_set_write_ex(tls->method, bio_write);
    BIO_meth_set_read_ex(tls->method, bio_read);
    BIO_meth_set_ctrl(tls->method, bio_control);
}

SSL *floor_tls_new(struct floor_tls *tls)
{
    SSL *ssl = SSL_new(tls->context);
    BIO *bio = ssl ? BIO_new(tls->method) : NULL;
    if (!bio) {
        SSL_free(ssl);
        return NULL;
    }
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_accept_state(ssl);
    return ssl;
}

ssize_t floor_tls_open(struct floor_tls *tls, SSL *ssl, const char *raw, size_t len, char *plain,
                       size_t cap)
{
    size_t total = 0;
    tls->in = raw;
    tls->in_len = len;
    do {
        size_t got = 0;
        int result = SSL_read_ex(ssl, plain + total, cap - total, &got);
        total += got;
        if (result == 1)
            continue;
        if (SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ) {
            ERR_clear_error();
            return -1;
        }
    } while (tls->in_len);
    return (ssize_t)total;
}

bool floor_tls_seal(SSL *ssl, const char *data, size_t len)
{
    size_t written;
    return !len || SSL_write_ex(ssl, data, len, &written) == 1;
}
