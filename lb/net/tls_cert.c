#include "base/clock.h"
#include "base/mem.h"
#include "net/tls_ctx_impl.h"
#include "net/tls_mem.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <time.h>

/* Names of one certificate beyond this are not served by SNI. */
#define NAMES_MOST 1024

/* Clients take 100 KiB of certificates at most, and few check more than ten. A file with more is
 * one that something was added to at each renewal, where it was to be replaced. */
#define CHAIN_MOST 16

#define KEY_BUFFER 4096

/* Passphrases are not asked for: nobody is there to answer. */
static int no_passphrase(char *into, int size, int writing, void *user)
{
    (void)into, (void)size, (void)writing, (void)user;
    return -1;
}

static enum err read_chain(struct tls_cert *c, const char *path, struct buf *message)
{
    ERR_clear_error();
    if (!tls_is_file(message, "certificate", path))
        return ERR_CORRUPT;
    BIO *file = BIO_new_file(path, "r");
    c->leaf = file != NULL ? PEM_read_bio_X509(file, NULL, no_passphrase, NULL) : NULL;
    if (c->leaf == NULL) {
        tls_say_file(message, "certificate", path);
        BIO_free(file);
        return ERR_CORRUPT;
    }
    c->chain = sk_X509_new_null();
    X509 *next = NULL;
    while (sk_X509_num(c->chain) < CHAIN_MOST && c->chain != NULL &&
           (next = PEM_read_bio_X509(file, NULL, no_passphrase, NULL)) != NULL)
        if (sk_X509_push(c->chain, next) == 0)
            X509_free(next);
    BIO_free(file);
    if (sk_X509_num(c->chain) >= CHAIN_MOST) {
        buf_printf(message,
                   "certificate %s: more than %d certificates are in this file; the server's own "
                   "and its intermediates are wanted, once each",
                   path, CHAIN_MOST);
        return ERR_CORRUPT;
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
        tls_say_file(message, "certificate chain in", path);
        return ERR_CORRUPT;
    }
    ERR_clear_error();
    return ERR_OK;
}

/* The file's bytes pass through memory of ours, which is wiped, and not through stdio's own. */
static EVP_PKEY *read_private(const char *path)
{
    char *bytes = OPENSSL_malloc(KEY_BUFFER);
    BIO *file = bytes != NULL ? BIO_new_file(path, "r") : NULL;
    FILE *stream = NULL;
    EVP_PKEY *key = NULL;
    if (file != NULL && BIO_get_fp(file, &stream) == 1 &&
        setvbuf(stream, bytes, _IOFBF, KEY_BUFFER) == 0)
        key = PEM_read_bio_PrivateKey(file, NULL, no_passphrase, NULL);
    BIO_free(file);
    OPENSSL_clear_free(bytes, KEY_BUFFER);
    return key;
}

/* The first signature makes what later ones use: numbers that tell the key as well as itself. */
static void make_ready(EVP_PKEY *key)
{
    unsigned char signature[1024];
    size_t n = sizeof signature;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1)
        (void)EVP_DigestSign(ctx, signature, &n, (const unsigned char *)"", 0);
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
}

static enum err read_key(struct tls_cert *c, const char *path, struct buf *message)
{
    if (!tls_is_file(message, "private key", path))
        return ERR_CORRUPT;
    tls_mem_secret(true);
    c->key = read_private(path);
    if (c->key != NULL)
        make_ready(c->key);
    tls_mem_secret(false);
    if (c->key != NULL)
        return ERR_OK;
    tls_say_file(message, "private key", path);
    return ERR_CORRUPT;
}

static enum err check_match(struct tls_cert *c, const char *chain_path, const char *key_path,
                            struct buf *message)
{
    if (X509_check_private_key(c->leaf, c->key) == 1)
        return ERR_OK;
    bool later = false;
    for (int i = 0; i < sk_X509_num(c->chain) && !later; i++)
        later = X509_check_private_key(sk_X509_value(c->chain, i), c->key) == 1;
    ERR_clear_error();
    if (later)
        buf_printf(message,
                   "the key %s belongs to a later certificate in %s: the server's own must be the "
                   "first in the file",
                   key_path, chain_path);
    else
        buf_printf(message, "the key %s does not belong to the certificate %s", key_path,
                   chain_path);
    return ERR_CORRUPT;
}

/* OpenSSL has rules of its own, on key sizes for example: better told now than at a handshake. */
static enum err check_usable(struct tls_cert *c, const char *path, struct buf *message)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL)
        return ERR_NO_MEMORY;
    bool usable = SSL_CTX_use_cert_and_key(ctx, c->leaf, c->key, c->chain, 1) == 1;
    SSL_CTX_free(ctx);
    if (usable)
        return ERR_OK;
    buf_printf(message, "certificate %s cannot be used: %s", path, tls_reason());
    return ERR_UNSUPPORTED;
}

static int64_t seconds_of(const ASN1_TIME *t)
{
    struct tm tm;
    return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static void check_dates(struct tls_cert *c, const char *path, struct buf *message)
{
    char when[24];
    int64_t now_s = clock_wall_ns() / NS_PER_S;
    int64_t begins = seconds_of(X509_get0_notBefore(c->leaf));
    c->expires = seconds_of(X509_get0_notAfter(c->leaf));
    bool expired = c->expires <= now_s;
    if (!expired && begins <= now_s)
        return;
    clock_print_rfc3339(when, (expired ? c->expires : begins) * NS_PER_S);
    buf_printf(message, "certificate %s %s %.10s: clients will refuse it%s", path,
               expired ? "expired on" : "is not valid before", when,
               expired ? ", renew it" : ", check the clock");
}

/* Lower case; text with bytes that no host name has is passed over. */
static enum err add_name(struct tls_cert *c, const ASN1_STRING *text)
{
    const char *p = (const char *)ASN1_STRING_get0_data(text);
    size_t n = (size_t)ASN1_STRING_length(text);
    if (n == 0 || n > 253 || memchr(p, '\0', n) != NULL)
        return ERR_OK;
    char *copy = mem_copy_str(p, n);
    if (copy == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < n; i++)
        copy[i] = ascii_lower(copy[i]);
    c->names[c->name_count++] = copy;
    return ERR_OK;
}

static enum err add_alternative_names(struct tls_cert *c)
{
    enum err e = ERR_OK;
    GENERAL_NAMES *all = X509_get_ext_d2i(c->leaf, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(all) && e == ERR_OK; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);
        if (name->type == GEN_DNS && c->name_count < NAMES_MOST)
            e = add_name(c, name->d.dNSName);
    }
    GENERAL_NAMES_free(all);
    return e;
}

static enum err read_names(struct tls_cert *c)
{
    c->names = mem_array(NAMES_MOST, sizeof *c->names);
    if (c->names == NULL)
        return ERR_NO_MEMORY;
    enum err e = add_alternative_names(c);
    if (e != ERR_OK || c->name_count > 0)
        return e;
    X509_NAME *subject = X509_get_subject_name(c->leaf);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    return at >= 0 ? add_name(c, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)))
                   : ERR_OK;
}

static void destroy(struct tls_cert *c)
{
    for (size_t i = 0; i < c->name_count; i++)
        mem_free(c->names[i]);
    mem_free(c->names);
    tls_mem_let_go(true);
    X509_free(c->leaf);
    sk_X509_pop_free(c->chain, X509_free);
    EVP_PKEY_free(c->key);
    tls_mem_let_go(false);
    mem_free(c);
}

enum err tls_cert_load(const char *chain_path, const char *key_path, struct tls_cert **out,
                       struct buf *message)
{
    struct tls_cert *c = mem_alloc(sizeof *c);
    *out = NULL;
    if (c == NULL)
        return ERR_NO_MEMORY;
    atomic_init(&c->refs, 1);
    enum err e = read_chain(c, chain_path, message);
    if (e == ERR_OK)
        e = read_key(c, key_path, message);
    if (e == ERR_OK)
        e = check_match(c, chain_path, key_path, message);
    if (e == ERR_OK)
        e = check_usable(c, chain_path, message);
    if (e == ERR_OK)
        e = read_names(c);
    if (e != ERR_OK) {
        destroy(c);
        return e;
    }
    check_dates(c, chain_path, message);
    *out = c;
    return ERR_OK;
}

void tls_cert_ref(struct tls_cert *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
}

void tls_cert_unref(struct tls_cert **c)
{
    struct tls_cert *gone = *c;
    *c = NULL;
    if (gone != NULL && atomic_fetch_sub_explicit(&gone->refs, 1, memory_order_acq_rel) == 1)
        destroy(gone);
}

int64_t tls_cert_expires(const struct tls_cert *c)
{
    return c->expires;
}

size_t tls_cert_names(const struct tls_cert *c, const char *const **out)
{
    *out = (const char *const *)c->names;
    return c->name_count;
}
