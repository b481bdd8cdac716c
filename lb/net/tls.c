#include "net/tls.h"

#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/tls_ctx_impl.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

/* The most plaintext that one record holds (RFC 8446 section 5.1). */
#define RECORD           KIB(16)
#define RECORD_ROOM      KIB(17) /* with all that is put around it */
#define KEY_UPDATES_MOST 16      /* L28, per minute */

struct tls {
    /* set once */
    SSL *ssl;
    struct tls_server *server; /* counted; one of the two */
    struct tls_client *client;
    struct tls_origin origin;
    struct tls_home home;
    /* owner thread */
    struct span fed;     /* not yet used */
    struct chunk *kept;  /* where fed points into, after tls_keep */
    struct chain gather; /* plaintext; each chunk at most RECORD */
    char *sni;
    const char *failure;
    int64_t update_window_ns; /* when the present minute began */
    unsigned updates;         /* KeyUpdates in it */
    bool done;                /* handshake */
    bool heard;               /* something came */
    bool clear;               /* and it was text */
    bool more;                /* reading stopped before the input was used up */
    bool dead;                /* OpenSSL must not be called any more */
    bool ended;               /* close_notify is written */
};

/* ---- OpenSSL's view of the connection ---- */

static int bio_write(BIO *bio, const char *p, size_t n, size_t *written)
{
    struct tls *t = BIO_get_data(bio);
    if (!chain_put_lent(t->home.out, t->home.store, t->home.reserve, span_of(p, n)))
        return 0;
    *written = n;
    return 1;
}

static int bio_read(BIO *bio, char *into, size_t size, size_t *got)
{
    struct tls *t = BIO_get_data(bio);
    size_t n = t->fed.n < size ? t->fed.n : size;
    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(into, t->fed.p, n);
    t->fed = span_sub(t->fed, n, t->fed.n);
    *got = n;
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD *tls_bio_new(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "meridian connection");
    if (m == NULL)
        return NULL;
    BIO_meth_set_write_ex(m, bio_write);
    BIO_meth_set_read_ex(m, bio_read);
    BIO_meth_set_ctrl(m, bio_control);
    return m;
}

/* Counts the peer's KeyUpdate messages: each costs us a key derivation and an answer. */
static void on_message(int sent, int version, int type, const void *p, size_t n, SSL *ssl,
                       void *arg)
{
    struct tls *t = arg;
    (void)version, (void)ssl;
    if (sent || type != SSL3_RT_HANDSHAKE || n == 0 ||
        *(const unsigned char *)p != SSL3_MT_KEY_UPDATE)
        return;
    int64_t now = loop_now_ns(t->home.loop);
    if (now - t->update_window_ns >= 60 * NS_PER_S) {
        t->update_window_ns = now;
        t->updates = 0;
    }
    t->updates++;
}

/* ---- life ---- */

static enum err attach(struct tls *t, const BIO_METHOD *method)
{
    BIO *bio = t->ssl != NULL ? BIO_new(method) : NULL;
    if (bio == NULL)
        return ERR_NO_MEMORY;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_msg_callback(t->ssl, on_message);
    SSL_set_msg_callback_arg(t->ssl, t);
    return ERR_OK;
}

enum err tls_accept(const struct tls_home *home, struct tls_server *server, struct tls **out)
{
    struct tls *t = reserve_alloc(home->reserve, sizeof *t);
    if (t == NULL)
        return ERR_NO_MEMORY;
    t->home = *home;
    t->server = tls_server_ref(server);
    t->ssl = SSL_new(server->contexts[0]);
    enum err e = attach(t, server->bio);
    if (e != ERR_OK) {
        tls_free(&t);
        return e;
    }
    SSL_set_accept_state(t->ssl);
    *out = t;
    return ERR_OK;
}

enum err tls_connect(const struct tls_home *home, const struct conn_target *to, struct tls **out)
{
    struct tls *t = reserve_alloc(home->reserve, sizeof *t);
    if (t == NULL)
        return ERR_NO_MEMORY;
    t->home = *home;
    t->client = tls_client_ref(to->tls);
    t->origin = (struct tls_origin){
        .client = t->client, .key = to->session_key, .name_hash = hash_plain(to->server_name)};
    t->ssl = tls_client_ssl(t->client, to, &t->origin);
    enum err e = attach(t, t->client->bio);
    if (e != ERR_OK) {
        tls_free(&t);
        return e;
    }
    SSL_set_connect_state(t->ssl);
    *out = t;
    return ERR_OK;
}

void tls_free(struct tls **t)
{
    struct tls *gone = *t;
    *t = NULL;
    if (gone == NULL)
        return;
    /* Without this OpenSSL takes the end for a broken one and forgets the session. */
    if (gone->ssl != NULL && gone->done && !gone->dead)
        SSL_set_shutdown(gone->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(gone->ssl);
    buf_store_give(gone->home.store, &gone->kept);
    chain_clear(&gone->gather, gone->home.store);
    tls_server_free(&gone->server);
    tls_client_free(&gone->client);
    mem_free(gone->sni);
    mem_free(gone);
}

/* ---- input ---- */

void tls_feed(struct tls *t, struct span raw)
{
    assert(t->fed.n == 0);
    if (!t->heard && raw.n > 0) {
        t->heard = true;
        t->clear = ascii_alpha(raw.p[0]);
    }
    t->fed = raw;
}

bool tls_fed_text(const struct tls *t)
{
    return t->clear;
}

enum err tls_keep(struct tls *t)
{
    if (t->fed.n == 0) {
        buf_store_give(t->home.store, &t->kept);
        return ERR_OK;
    }
    if (t->kept != NULL)
        return ERR_OK;
    t->kept = buf_store_take_lent(t->home.store, t->home.reserve, t->fed.n);
    if (t->kept == NULL) {
        t->fed = SPAN_NONE;
        return ERR_NO_MEMORY;
    }
    memcpy(t->kept->bytes, t->fed.p, t->fed.n);
    t->kept->n = t->fed.n;
    t->fed = chunk_span(t->kept);
    return ERR_OK;
}

bool tls_has_rest(const struct tls *t)
{
    return t->fed.n > 0 || t->more;
}

/* The connection cannot go on; notes why. */
static enum err broke(struct tls *t, int result)
{
    long verdict = SSL_get_verify_result(t->ssl);
    bool memory = result == SSL_ERROR_SYSCALL; /* our BIO refuses only without memory */
    t->dead = true;
    t->more = false;
    t->fed = SPAN_NONE;
    const char *reason = tls_reason();
    t->failure = !t->done && verdict != X509_V_OK ? X509_verify_cert_error_string(verdict) : reason;
    if (memory)
        return ERR_NO_MEMORY;
    return t->client != NULL ? ERR_BACKEND_TLS : ERR_CLIENT_TLS;
}

static void note_sni(struct tls *t)
{
    const char *name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
    if (name == NULL)
        return;
    t->sni = mem_copy_str(name, strlen(name));
    for (char *p = t->sni; p != NULL && *p != '\0'; p++)
        *p = ascii_lower(*p);
}

enum err tls_handshake(struct tls *t)
{
    ERR_clear_error();
    int r = SSL_do_handshake(t->ssl);
    if (r == 1) {
        t->done = true;
        t->more = t->fed.n > 0;
        note_sni(t);
        return ERR_OK;
    }
    r = SSL_get_error(t->ssl, r);
    return r == SSL_ERROR_WANT_READ ? ERR_AGAIN : broke(t, r);
}

/* Nothing is left to be made of: asking OpenSSL once more would only tell that. */
static bool used_up(const struct tls *t)
{
    return t->fed.n == 0 && SSL_has_pending(t->ssl) == 0;
}

enum err tls_read(struct tls *t, char *into, size_t size, size_t *got)
{
    *got = 0;
    if (t->dead)
        return t->client != NULL ? ERR_BACKEND_TLS : ERR_CLIENT_TLS;
    ERR_clear_error();
    while (*got < size) {
        size_t n = 0;
        int r = SSL_read_ex(t->ssl, into + *got, size - *got, &n);
        *got += n;
        if (t->updates > KEY_UPDATES_MOST) {
            r = broke(t, SSL_ERROR_SSL);
            t->failure = "too many key updates";
            return (enum err)r;
        }
        if (r == 1 && !used_up(t))
            continue;
        t->more = false;
        if (r == 1)
            return ERR_AGAIN;
        r = SSL_get_error(t->ssl, r);
        if (r == SSL_ERROR_WANT_READ)
            return ERR_AGAIN;
        if (r != SSL_ERROR_ZERO_RETURN)
            return broke(t, r);
        t->fed = SPAN_NONE; /* what follows close_notify is ignored (RFC 8446 section 6.1) */
        return ERR_SHUTDOWN;
    }
    t->more = true;
    return ERR_OK;
}

/* ---- output ---- */

/* OpenSSL splits what is longer than a record by itself, and our BIO takes all. */
static enum err encrypt(struct tls *t, struct span bytes)
{
    while (bytes.n > 0 && !t->dead) {
        size_t n = 0;
        int r = SSL_write_ex(t->ssl, bytes.p, bytes.n, &n);
        if (r != 1)
            return broke(t, SSL_get_error(t->ssl, r));
        bytes = span_sub(bytes, n, bytes.n);
    }
    return ERR_OK;
}

static enum err encrypt_first(struct tls *t)
{
    struct span bytes = chunk_span(t->gather.first);
    enum err e = encrypt(t, bytes);
    chain_take(&t->gather, t->home.store, bytes.n);
    return e;
}

/* Copies to the last gathered record what fits; the count, 0 without memory. */
static size_t gather(struct tls *t, struct span bytes)
{
    struct chain *g = &t->gather;
    if (g->last == NULL || g->last->n >= RECORD) {
        struct chunk *c = buf_store_take_lent(t->home.store, t->home.reserve, RECORD);
        if (c == NULL)
            return 0;
        if (g->last != NULL)
            g->last->next = c;
        else
            g->first = c;
        g->last = c;
        g->room += (uint32_t)(sizeof *c + c->cap);
    }
    size_t left = RECORD - g->last->n, n = bytes.n < left ? bytes.n : left;
    memcpy(g->last->bytes + g->last->n, bytes.p, n);
    g->last->n += n;
    g->bytes += (uint32_t)n;
    return n;
}

enum err tls_write(struct tls *t, struct span bytes)
{
    enum err e = ERR_OK;
    while (bytes.n > 0 && e == ERR_OK) {
        size_t n = RECORD;
        if (t->done && t->gather.bytes == 0 && bytes.n >= RECORD) {
            e = encrypt(t, span_sub(bytes, 0, RECORD));
        } else {
            n = gather(t, bytes);
            if (n == 0)
                e = ERR_NO_MEMORY;
            else if (t->done && t->gather.first->n == RECORD)
                e = encrypt_first(t);
        }
        bytes = span_sub(bytes, n, bytes.n);
    }
    return e;
}

enum err tls_flush(struct tls *t)
{
    enum err e = ERR_OK;
    while (t->gather.bytes > 0 && e == ERR_OK)
        e = encrypt_first(t);
    return e;
}

size_t tls_gathered(const struct tls *t)
{
    return t->gather.bytes;
}

/* A record that has begun to come waits in a buffer of OpenSSL's for its end. */
size_t tls_room(const struct tls *t)
{
    size_t begun = SSL_has_pending(t->ssl) ? RECORD_ROOM : 0;
    size_t kept = t->kept != NULL ? sizeof *t->kept + t->kept->cap : 0;
    return t->gather.room + kept + begun;
}

void tls_drop(struct tls *t)
{
    chain_clear(&t->gather, t->home.store);
}

void tls_end(struct tls *t)
{
    if (!t->done || t->dead || t->ended)
        return;
    t->ended = true;
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl);
}

/* ---- facts ---- */

void tls_info(const struct tls *t, struct conn_tls_info *out)
{
    const unsigned char *protocol = NULL;
    unsigned n = 0;
    memset(out, 0, sizeof *out);
    if (!t->done)
        return;
    SSL_get0_alpn_selected(t->ssl, &protocol, &n);
    out->version = SSL_get_version(t->ssl);
    out->cipher = SSL_get_cipher_name(t->ssl);
    out->sni = span_str(t->sni);
    out->alpn = span_of((const char *)protocol, n);
    out->resumed = SSL_session_reused(t->ssl) == 1;
    out->client_verified = t->server != NULL && SSL_get0_peer_certificate(t->ssl) != NULL &&
                           SSL_get_verify_result(t->ssl) == X509_V_OK;
    out->client_auth_id = t->server != NULL ? t->server->client_auth_id : 0;
}

const char *tls_failure(const struct tls *t)
{
    return t->failure;
}
