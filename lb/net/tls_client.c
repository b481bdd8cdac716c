#include "base/mem.h"
#include "net/addr.h"
#include "net/conn.h"
#include "net/tls_ctx_impl.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

static bool same_server(const struct tls_session *s, const struct tls_origin *o)
{
    return s->session != NULL && s->key == o->key && s->name_hash == o->name_hash;
}

/* Where a new session goes: a free place; the least recently used one of this server where it has
 * enough; else the least recently used one of all. */
static struct tls_session *place_for(struct tls_client *c, const struct tls_origin *o)
{
    struct tls_session *oldest = &c->sessions[0], *own = NULL;
    unsigned owned = 0;
    for (size_t i = 0; i < TLS_SESSIONS; i++) {
        struct tls_session *s = &c->sessions[i];
        if (same_server(s, o)) {
            owned++;
            if (own == NULL || s->used < own->used)
                own = s;
        }
        if (oldest->session != NULL && (s->session == NULL || s->used < oldest->used))
            oldest = s;
    }
    return owned >= TLS_SESSIONS_SERVER ? own : oldest;
}

/* OpenSSL hands over one reference; 1 keeps it. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    const struct tls_origin *o = SSL_get_app_data(ssl);
    struct tls_client *c = o->client;
    struct tls_session *s = place_for(c, o);
    SSL_SESSION_free(s->session);
    *s = (struct tls_session){
        .session = session, .key = o->key, .name_hash = o->name_hash, .used = ++c->clock};
    return 1;
}

/* TLS 1.3 tickets are used once, so that nobody can tell that two connections belong together
 * (RFC 8446 appendix C.4) and because servers may accept them only once. */
static void use_session(struct tls_client *c, SSL *ssl, const struct tls_origin *o)
{
    struct tls_session *newest = NULL;
    for (size_t i = 0; i < TLS_SESSIONS; i++) {
        struct tls_session *s = &c->sessions[i];
        if (same_server(s, o) && (newest == NULL || s->used > newest->used))
            newest = s;
    }
    if (newest == NULL)
        return;
    newest->used = ++c->clock;
    SSL_set_session(ssl, newest->session);
    if (SSL_SESSION_get_protocol_version(newest->session) < TLS1_3_VERSION &&
        SSL_SESSION_is_resumable(newest->session))
        return;
    SSL_SESSION_free(newest->session);
    newest->session = NULL;
}

/* SNI holds host names only (RFC 6066 section 3); certificates are for either. */
static bool set_name(struct tls_client *c, SSL *ssl, struct span server_name)
{
    char name[256];
    struct addr ip;
    const uint8_t *bytes;
    if (server_name.n >= sizeof name)
        return false;
    memcpy(name, server_name.p, server_name.n);
    name[server_name.n] = '\0';
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (addr_parse_host(server_name, &ip) == ERR_OK) {
        size_t n = addr_bytes(&ip, &bytes);
        return !c->verify || X509_VERIFY_PARAM_set1_ip(param, bytes, n) == 1;
    }
    if (SSL_set_tlsext_host_name(ssl, name) != 1)
        return false;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return !c->verify || SSL_set1_host(ssl, name) == 1;
}

/* Instead of what the context offers. */
static bool offer(SSL *ssl, struct span protocol)
{
    unsigned char wire[1 + 32];
    if (protocol.n == 0)
        return true;
    if (protocol.n >= sizeof wire)
        return false;
    wire[0] = (unsigned char)protocol.n;
    memcpy(wire + 1, protocol.p, protocol.n);
    return SSL_set_alpn_protos(ssl, wire, (unsigned)protocol.n + 1) == 0;
}

SSL *tls_client_ssl(struct tls_client *c, const struct conn_target *to, struct tls_origin *origin)
{
    SSL *ssl = SSL_new(c->context);
    if (ssl == NULL)
        return NULL;
    SSL_set_app_data(ssl, origin);
    if ((to->server_name.n > 0 && !set_name(c, ssl, to->server_name)) || !offer(ssl, to->alpn)) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    use_session(c, ssl, origin);
    return ssl;
}

static enum err load_ca(SSL_CTX *ctx, const char *ca, struct buf *message)
{
    ERR_clear_error();
    if (ca != NULL && !tls_is_file(message, "CA file", ca))
        return ERR_CORRUPT;
    if (ca == NULL ? SSL_CTX_set_default_verify_paths(ctx) == 1
                   : SSL_CTX_load_verify_locations(ctx, ca, NULL) == 1)
        return ERR_OK;
    tls_say_file(message, "CA file", ca != NULL ? ca : "of the system");
    return ERR_CORRUPT;
}

static enum err set_alpn(SSL_CTX *ctx, const struct tls_client_spec *spec)
{
    unsigned n = 0;
    if (spec->alpn_count == 0)
        return ERR_OK;
    unsigned char *wire = tls_alpn_wire(spec->alpn, spec->alpn_count, &n);
    bool set = wire != NULL && SSL_CTX_set_alpn_protos(ctx, wire, n) == 0;
    mem_free(wire);
    return set ? ERR_OK : ERR_NO_MEMORY;
}

static enum err build(struct tls_client *c, const struct tls_client_spec *spec, struct buf *message)
{
    c->verify = spec->verify;
    c->bio = tls_bio_new();
    c->context = SSL_CTX_new(TLS_client_method());
    if (c->bio == NULL || c->context == NULL)
        return ERR_NO_MEMORY;
    enum err e = tls_context_setup(c->context, TLS_MINIMUM_1_2);
    if (e == ERR_OK && spec->verify)
        e = load_ca(c->context, spec->ca, message);
    if (e == ERR_OK)
        e = set_alpn(c->context, spec);
    SSL_CTX_set_verify(c->context, spec->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(c->context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c->context, on_session);
    return e;
}

enum err tls_client_new(const struct tls_client_spec *spec, struct tls_client **out,
                        struct buf *message)
{
    struct tls_client *c = mem_alloc(sizeof *c);
    *out = NULL;
    if (c == NULL)
        return ERR_NO_MEMORY;
    atomic_init(&c->refs, 1);
    enum err e = build(c, spec, message);
    if (e != ERR_OK) {
        tls_client_free(&c);
        return e;
    }
    *out = c;
    return ERR_OK;
}

struct tls_client *tls_client_ref(struct tls_client *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void tls_client_free(struct tls_client **client)
{
    struct tls_client *c = *client;
    *client = NULL;
    if (c == NULL || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < TLS_SESSIONS; i++)
        SSL_SESSION_free(c->sessions[i].session);
    tls_context_free(c->context);
    BIO_meth_free(c->bio);
    mem_free(c);
}
