#include "base/mem.h"
#include "net/tls_ctx_impl.h"

#include <openssl/err.h>
#include <stdlib.h>

static int by_name(const void *a, const void *b)
{
    const struct tls_name *x = a, *y = b;
    int order = span_cmp(x->name, y->name);
    return order != 0 ? order : (x->cert > y->cert) - (x->cert < y->cert);
}

/* Sorted; where two certificates have a name, the earlier one serves it. */
static enum err build_names(struct tls_server *s)
{
    size_t total = 0, n = 0;
    for (size_t i = 0; i < s->count; i++)
        total += s->certs[i]->name_count;
    s->names = mem_array(total + 1, sizeof *s->names);
    if (s->names == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < s->count; i++)
        for (size_t k = 0; k < s->certs[i]->name_count; k++)
            s->names[n++] = (struct tls_name){.name = span_str(s->certs[i]->names[k]), .cert = i};
    qsort(s->names, n, sizeof *s->names, by_name);
    for (size_t i = 0; i < n; i++)
        if (s->name_count == 0 || !span_eq(s->names[s->name_count - 1].name, s->names[i].name))
            s->names[s->name_count++] = s->names[i];
    return ERR_OK;
}

static bool find_name(const struct tls_server *s, struct span name, size_t *cert)
{
    size_t low = 0, high = s->name_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = span_cmp(s->names[mid].name, name);
        if (order == 0) {
            *cert = s->names[mid].cert;
            return true;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

/* Exact, then a wildcard of one label (RFC 6125 section 6.4.3), then the first certificate. */
static size_t choose(const struct tls_server *s, const char *sni)
{
    char name[256];
    size_t n = strlen(sni), cert = 0;
    if (n == 0 || n >= sizeof name)
        return 0;
    for (size_t i = 0; i < n; i++)
        name[i] = ascii_lower(sni[i]);
    if (name[n - 1] == '.')
        n--;
    if (find_name(s, span_of(name, n), &cert))
        return cert;
    size_t dot = span_find(span_of(name, n), '.');
    if (dot == 0 || dot >= n)
        return 0;
    name[dot - 1] = '*';
    return find_name(s, span_of(name + dot - 1, n - dot + 1), &cert) ? cert : 0;
}

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    const struct tls_server *s = arg;
    const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    if (sni == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    size_t cert = choose(s, sni);
    if (cert != 0 && SSL_set_SSL_CTX(ssl, s->contexts[cert]) == NULL)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return SSL_TLSEXT_ERR_OK;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_bytes,
                   const unsigned char *offered, unsigned offered_bytes, void *arg)
{
    const struct tls_server *s = arg;
    (void)ssl;
    int r = SSL_select_next_proto((unsigned char **)out, out_bytes, s->alpn, s->alpn_bytes, offered,
                                  offered_bytes);
    return r == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static enum err require_client_certificate(SSL_CTX *ctx, const char *ca, struct buf *message)
{
    ERR_clear_error();
    if (!tls_is_file(message, "client CA file", ca))
        return ERR_CORRUPT;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ca);
    if (names == NULL || SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        tls_say_file(message, "client CA file", ca);
        return ERR_CORRUPT;
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return ERR_OK;
}

/* The fingerprints of the authorities, of which there may be none. */
static bool digest_authorities(SSL_CTX *ctx, EVP_MD_CTX *sum)
{
    const STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(SSL_CTX_get_cert_store(ctx));
    bool good = true;
    for (int i = 0; good && i < sk_X509_OBJECT_num(all); i++) {
        unsigned char one[EVP_MAX_MD_SIZE];
        unsigned n = 0;
        const X509 *authority = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
        good = authority == NULL || (X509_digest(authority, EVP_sha256(), one, &n) == 1 &&
                                     EVP_DigestUpdate(sum, one, n) == 1);
    }
    return good;
}

/* A session stands for the client certificate that it began with, so it counts only where the same
 * authorities are asked: neither at another listener nor after a reload with others (H8). */
static bool set_session_context(SSL_CTX *ctx)
{
    unsigned char id[SSL_MAX_SSL_SESSION_ID_LENGTH];
    bool asks = (SSL_CTX_get_verify_mode(ctx) & SSL_VERIFY_PEER) != 0;
    unsigned n = 0;
    EVP_MD_CTX *sum = EVP_MD_CTX_new();
    bool good = sum != NULL && EVP_DigestInit_ex(sum, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(sum, asks ? "asked" : "free", asks ? 5 : 4) == 1 &&
                digest_authorities(ctx, sum) && EVP_DigestFinal_ex(sum, id, &n) == 1;
    EVP_MD_CTX_free(sum);
    return good && SSL_CTX_set_session_id_context(ctx, id, n) == 1;
}

/* Tickets carry all state: nothing is kept here per session. After the authorities are known. */
static enum err setup_sessions(struct tls_server *s, SSL_CTX *ctx)
{
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (!set_session_context(ctx) || SSL_CTX_set_num_tickets(ctx, 1) != 1)
        return ERR_INTERNAL;
    SSL_CTX_set_app_data(ctx, s);
    if (s->tickets == NULL)
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    else
        SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, tls_tickets_use);
    return ERR_OK;
}

static enum err build_context(struct tls_server *s, size_t i, const struct tls_server_spec *spec,
                              struct buf *message)
{
    struct tls_cert *cert = s->certs[i];
    SSL_CTX *ctx = s->contexts[i] = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL)
        return ERR_NO_MEMORY;
    enum err e = tls_context_setup(ctx, spec->minimum);
    if (e == ERR_OK && SSL_CTX_use_cert_and_key(ctx, cert->leaf, cert->key, cert->chain, 1) != 1) {
        buf_printf(message, "the certificate cannot be used: %s", tls_reason());
        e = ERR_CORRUPT;
    }
    if (e == ERR_OK && spec->client_ca != NULL)
        e = require_client_certificate(ctx, spec->client_ca, message);
    if (e == ERR_OK)
        e = setup_sessions(s, ctx);
    if (s->alpn != NULL)
        SSL_CTX_set_alpn_select_cb(ctx, on_alpn, s);
    return e;
}

static enum err build(struct tls_server *s, const struct tls_server_spec *spec, struct buf *message)
{
    enum err e = ERR_OK;
    s->bio = tls_bio_new();
    s->contexts = mem_array(spec->cert_count, sizeof(SSL_CTX *));
    s->certs = mem_array(spec->cert_count, sizeof(struct tls_cert *));
    if (spec->alpn_count > 0)
        s->alpn = tls_alpn_wire(spec->alpn, spec->alpn_count, &s->alpn_bytes);
    if (s->bio == NULL || s->contexts == NULL || s->certs == NULL ||
        (spec->alpn_count > 0 && s->alpn == NULL))
        return ERR_NO_MEMORY;
    s->client_auth_id = spec->client_ca != NULL ? 1 : 0;
    for (; s->count < spec->cert_count; s->count++) {
        s->certs[s->count] = spec->certs[s->count];
        tls_cert_ref(s->certs[s->count]);
    }
    for (size_t i = 0; i < s->count && e == ERR_OK; i++)
        e = build_context(s, i, spec, message);
    if (e != ERR_OK)
        return e;
    SSL_CTX_set_tlsext_servername_callback(s->contexts[0], on_server_name);
    SSL_CTX_set_tlsext_servername_arg(s->contexts[0], s);
    return build_names(s);
}

enum err tls_server_new(const struct tls_server_spec *spec, struct tls_server **out,
                        struct buf *message)
{
    *out = NULL;
    if (spec->cert_count == 0) {
        buf_put_str(message, "TLS needs at least one certificate");
        return ERR_RANGE;
    }
    struct tls_server *s = mem_alloc(sizeof *s);
    if (s == NULL)
        return ERR_NO_MEMORY;
    atomic_init(&s->refs, 1);
    s->tickets = spec->tickets;
    enum err e = build(s, spec, message);
    if (e != ERR_OK) {
        tls_server_free(&s);
        return e;
    }
    *out = s;
    return ERR_OK;
}

struct tls_server *tls_server_ref(struct tls_server *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void tls_server_free(struct tls_server **server)
{
    struct tls_server *s = *server;
    *server = NULL;
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < s->count; i++) {
        tls_context_free(s->contexts[i]);
        tls_cert_unref(&s->certs[i]);
    }
    mem_free(s->contexts);
    mem_free(s->certs);
    mem_free(s->names);
    mem_free(s->alpn);
    BIO_meth_free(s->bio);
    mem_free(s);
}
