#include "base/hash.h"
#include "base/mem.h"
#include "net/tls_ctx_impl.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

/* One ticket key: AES-256-CBC and HMAC-SHA256 under random secrets that never leave this machine:
 * only the process that takes this one's place gets them. */
struct ticket_key {
    unsigned char name[16];
    unsigned char cipher[32];
    unsigned char mac[32];
};

struct tls_tickets {
    /* set once */
    EVP_CIPHER *cipher;
    /* shared, under the lock, which is held for a copy only */
    atomic_flag lock;
    struct ticket_key current, previous;
    bool has_previous;
};

static void lock(struct tls_tickets *t)
{
    while (atomic_flag_test_and_set_explicit(&t->lock, memory_order_acquire))
        continue;
}

static void unlock(struct tls_tickets *t)
{
    atomic_flag_clear_explicit(&t->lock, memory_order_release);
}

enum err tls_tickets_new(struct tls_tickets **out)
{
    struct tls_tickets *t = OPENSSL_secure_zalloc(sizeof *t); /* S2 */
    if (t == NULL)
        return ERR_NO_MEMORY;
    atomic_flag_clear(&t->lock);
    t->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    enum err e = t->cipher != NULL ? random_bytes(&t->current, sizeof t->current) : ERR_NO_MEMORY;
    if (e != ERR_OK)
        tls_tickets_free(&t);
    *out = t;
    return e;
}

void tls_tickets_free(struct tls_tickets **t)
{
    if (*t == NULL)
        return;
    EVP_CIPHER_free((*t)->cipher);
    OPENSSL_secure_clear_free(*t, sizeof **t);
    *t = NULL;
}

enum err tls_tickets_rotate(struct tls_tickets *t)
{
    struct ticket_key fresh;
    enum err e = random_bytes(&fresh, sizeof fresh);
    if (e != ERR_OK)
        return e;
    lock(t);
    t->previous = t->current;
    t->current = fresh;
    t->has_previous = true;
    unlock(t);
    OPENSSL_cleanse(&fresh, sizeof fresh);
    return ERR_OK;
}

size_t tls_tickets_export(struct tls_tickets *t, unsigned char out[TLS_TICKETS_BYTES])
{
    size_t one = sizeof t->current;
    _Static_assert(2 * sizeof t->current <= TLS_TICKETS_BYTES, "both keys fit");
    lock(t);
    bool both = t->has_previous;
    memcpy(out, &t->current, one);
    memcpy(out + one, &t->previous, one);
    unlock(t);
    return both ? 2 * one : one;
}

void tls_tickets_import(struct tls_tickets *t, const unsigned char *keys, size_t n)
{
    size_t one = sizeof t->current;
    if (n != one && n != 2 * one)
        return;
    lock(t);
    memcpy(&t->current, keys, one);
    t->has_previous = n == 2 * one;
    if (t->has_previous)
        memcpy(&t->previous, keys + one, one);
    unlock(t);
}

/* Copies the key of that name; whether it is the current one. False where there is none. */
static bool find_key(struct tls_tickets *t, const unsigned char *name, struct ticket_key *out,
                     bool *current)
{
    lock(t);
    *current = CRYPTO_memcmp(t->current.name, name, sizeof t->current.name) == 0;
    bool previous =
        t->has_previous && CRYPTO_memcmp(t->previous.name, name, sizeof t->previous.name) == 0;
    *out = *current ? t->current : t->previous;
    unlock(t);
    return *current || previous;
}

static bool set_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
    char digest[] = "SHA256";
    OSSL_PARAM p[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, p) == 1;
}

static int encrypt_with(struct tls_tickets *t, unsigned char *name, unsigned char *iv,
                        EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    struct ticket_key key;
    lock(t);
    key = t->current;
    unlock(t);
    memcpy(name, key.name, sizeof key.name);
    bool done = random_bytes(iv, (size_t)EVP_CIPHER_get_iv_length(t->cipher)) == ERR_OK &&
                EVP_EncryptInit_ex2(cipher, t->cipher, key.cipher, iv, NULL) == 1 &&
                set_mac(mac, &key);
    OPENSSL_cleanse(&key, sizeof key);
    return done ? 1 : -1;
}

int tls_tickets_use(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                    EVP_MAC_CTX *mac, int encrypt)
{
    struct tls_server *server = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct tls_tickets *t = server->tickets;
    struct ticket_key key;
    bool current;
    if (encrypt)
        return encrypt_with(t, name, iv, cipher, mac);
    if (!find_key(t, name, &key, &current))
        return 0;
    bool done =
        set_mac(mac, &key) && EVP_DecryptInit_ex2(cipher, t->cipher, key.cipher, iv, NULL) == 1;
    OPENSSL_cleanse(&key, sizeof key);
    if (!done)
        return -1;
    /* A client uses a TLS 1.3 ticket once: it always needs a new one (RFC 8446 appendix C.4). */
    return current && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
}
