#include "base/mem.h"
#include "net/tls_ctx_impl.h"
#include "net/tls_mem.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>

/* AES-128 first: of the suites that are all strong enough it costs the least. */
#define SUITES_1_2                                                                                 \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define SUITES_1_3 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS     "X25519:P-256:P-384"

enum err tls_context_setup(SSL_CTX *ctx, enum tls_minimum minimum)
{
    int lowest = minimum == TLS_MINIMUM_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    if (!SSL_CTX_set_min_proto_version(ctx, lowest) || !SSL_CTX_set_cipher_list(ctx, SUITES_1_2) ||
        !SSL_CTX_set_ciphersuites(ctx, SUITES_1_3) || !SSL_CTX_set1_groups_list(ctx, GROUPS))
        return ERR_INTERNAL;
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_max_cert_list(ctx, 16 * 1024);
    SSL_CTX_set_verify_depth(ctx, 4);
    return ERR_OK;
}

void tls_context_free(SSL_CTX *ctx)
{
    tls_mem_let_go(true);
    SSL_CTX_free(ctx);
    tls_mem_let_go(false);
}

unsigned char *tls_alpn_wire(const char *const *names, size_t count, unsigned *bytes)
{
    size_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) == 0 || strlen(names[i]) > 255)
            return NULL;
        sum += strlen(names[i]) + 1;
    }
    unsigned char *wire = mem_alloc(sum), *at = wire;
    for (size_t i = 0; wire != NULL && i < count; i++) {
        size_t n = strlen(names[i]);
        *at++ = (unsigned char)n;
        memcpy(at, names[i], n);
        at += n;
    }
    *bytes = (unsigned)sum;
    return wire;
}

const char *tls_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    return reason != NULL ? reason : "refused without a reason";
}

static const char *system_trouble(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return "no such file";
    case EACCES:
    case EPERM:
        return "permission denied: the user that Meridian runs as must be able to read it";
    case EISDIR:
        return "this is a directory";
    case ELOOP:
        return err_phrase(ERR_SYMLINK);
    default:
        return "it cannot be read";
    }
}

/* What OpenSSL noted first and last, in words that say what to do; NULL: nothing better known. */
static const char *file_trouble(unsigned long first, unsigned long last)
{
    int lib = ERR_GET_LIB(last), reason = ERR_GET_REASON(last);
    if (ERR_SYSTEM_ERROR(first))
        return system_trouble(ERR_GET_REASON(first));
    if (lib == ERR_LIB_PEM && reason == PEM_R_BAD_PASSWORD_READ)
        return "it is protected by a passphrase: store it without one, readable only by "
               "Meridian's user";
    if ((lib == ERR_LIB_PEM && reason == PEM_R_NO_START_LINE) || lib == ERR_LIB_OSSL_DECODER)
        return "not in PEM form: it has no such part between BEGIN and END lines";
    return NULL;
}

bool tls_is_file(struct buf *message, const char *what, const char *path)
{
    struct stat s;
    if (stat(path, &s) != 0 || S_ISREG(s.st_mode))
        return true;
    buf_printf(message, "%s %s: %s", what, path,
               S_ISDIR(s.st_mode) ? "this is a directory; name the file in it"
                                  : "this is not a file");
    return false;
}

void tls_say_file(struct buf *message, const char *what, const char *path)
{
    unsigned long last = ERR_peek_last_error();
    const char *trouble = file_trouble(ERR_peek_error(), last);
    const char *reason = ERR_reason_error_string(last);
    if (trouble != NULL)
        buf_printf(message, "%s %s: %s", what, path, trouble);
    else
        buf_printf(message, "%s %s: it is damaged (%s)", what, path,
                   reason != NULL ? reason : "no reason known");
    ERR_clear_error();
}
