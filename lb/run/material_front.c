#include "run/material_front.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "run/stamp.h"

void material_report(struct conf_messages *to, struct conf_mark mark, struct buf *said, enum err e)
{
    if (buf_len(said) != 0)
        conf_report(to, mark, "%.*s", SPAN_FMT(buf_span(said)));
    else
        conf_report(to, mark, "%s", err_phrase(e));
    buf_clear(said);
}

size_t material_front_files(const struct conf_listener *l)
{
    return l->tls.set ? 2 * l->tls.certificate_count + 1 : 0;
}

/* Before anything is read, so that a change during the reading is noticed afterwards. */
static bool front_init(const struct conf_listener *l, struct material_front *front)
{
    const struct conf_front_tls *tls = &l->tls;
    front->certs = mem_array(tls->certificate_count, sizeof(struct tls_cert *));
    front->stamps = mem_array(material_front_files(l), sizeof *front->stamps);
    if (front->certs == NULL || front->stamps == NULL)
        return false;
    front->cert_count = tls->certificate_count;
    for (size_t i = 0; i < tls->certificate_count; i++) {
        front->stamps[2 * i] = stamp_of(tls->certificates[i].chain.s.p);
        front->stamps[2 * i + 1] = stamp_of(tls->certificates[i].key.s.p);
    }
    front->stamps[2 * front->cert_count] = stamp_of(tls->client_ca.s.p);
    return true;
}

/* Of the value that names the file which the message is about: it is named first. */
static struct conf_mark mark_of(const struct conf_certificate *c, struct span said)
{
    const char *chain = memmem(said.p, said.n, c->chain.s.p, c->chain.s.n);
    const char *key = memmem(said.p, said.n, c->key.s.p, c->key.s.n);
    return key != NULL && (chain == NULL || key < chain) ? c->key.mark : c->chain.mark;
}

static bool load_certs(const struct conf_listener *l, struct material_front *front,
                       struct conf_messages *to, struct buf *said)
{
    bool fine = true;
    if (!front_init(l, front))
        return false;
    for (size_t i = 0; i < front->cert_count; i++) {
        const struct conf_certificate *c = &l->tls.certificates[i];
        enum err e = tls_cert_load(c->chain.s.p, c->key.s.p, &front->certs[i], said);
        if (e != ERR_OK) {
            material_report(to, mark_of(c, buf_span(said)), said, e);
            fine = false;
        }
        buf_clear(said);
    }
    return fine;
}

/* One per worker, of the front's certificates. */
static enum err make_servers(const struct conf_listener *l, struct material_front *front,
                             const struct material *m, struct buf *said)
{
    const struct conf_front_tls *tls = &l->tls;
    const char *alpn[2];
    size_t alpn_count = 0;
    if ((l->protocols & CONF_PROTOCOL_H2) != 0)
        alpn[alpn_count++] = "h2";
    if ((l->protocols & CONF_PROTOCOL_H1) != 0)
        alpn[alpn_count++] = "http/1.1";
    struct tls_server_spec spec = {
        .certs = front->certs,
        .cert_count = front->cert_count,
        .minimum = tls->minimum == CONF_TLS_1_3 ? TLS_MINIMUM_1_3 : TLS_MINIMUM_1_2,
        .client_ca = tls->client_ca.s.p,
        .alpn = alpn,
        .alpn_count = alpn_count,
        .tickets = m->tickets,
    };
    front->servers = mem_array(m->workers, sizeof(struct tls_server *));
    enum err e = front->servers != NULL ? ERR_OK : ERR_NO_MEMORY;
    for (unsigned w = 0; e == ERR_OK && w < m->workers; w++)
        e = tls_server_new(&spec, &front->servers[w], said);
    return e;
}

static bool load_front(struct material *m, size_t i, struct conf_messages *to, struct buf *said)
{
    const struct conf_listener *l = &m->conf->listeners[i];
    if (!load_certs(l, &m->fronts[i], to, said))
        return false;
    enum err e = make_servers(l, &m->fronts[i], m, said);
    if (e != ERR_OK)
        material_report(to, l->tls.client_ca.s.p != NULL ? l->tls.client_ca.mark : l->tls.mark,
                        said, e);
    return e == ERR_OK;
}

bool material_fronts_load(struct material *m, struct conf_messages *to, struct buf *said)
{
    const struct conf *conf = m->conf;
    bool fine = true;
    m->fronts = mem_array(conf->listener_count, sizeof *m->fronts);
    if (m->fronts == NULL)
        return false;
    for (size_t i = 0; i < conf->listener_count; i++) {
        if (conf->listeners[i].tls.set)
            fine = load_front(m, i, to, said) && fine;
    }
    return fine;
}

static void front_fini(struct material_front *f, unsigned workers)
{
    for (size_t c = 0; f->certs != NULL && c < f->cert_count; c++)
        tls_cert_unref(&f->certs[c]);
    for (unsigned w = 0; f->servers != NULL && w < workers; w++)
        tls_server_free(&f->servers[w]);
    mem_free(f->certs);
    mem_free(f->servers);
    mem_free(f->stamps);
    *f = (struct material_front){0};
}

void material_fronts_free(struct material *m, size_t listeners)
{
    for (size_t i = 0; m->fronts != NULL && i < listeners; i++)
        front_fini(&m->fronts[i], m->workers);
    mem_free(m->fronts);
    m->fronts = NULL;
}

static bool expired(const struct tls_cert *c)
{
    return tls_cert_expires(c) <= clock_wall_ns() / NS_PER_S;
}

/* The new certificate, or NULL: the present one stays, and the log says why. */
static struct tls_cert *renewed(const struct conf_certificate *c, const struct tls_cert *present,
                                struct log *log)
{
    struct tls_cert *fresh;
    struct buf said;
    buf_init(&said, KIB(16));
    enum err e = tls_cert_load(c->chain.s.p, c->key.s.p, &fresh, &said);
    if (e == ERR_OK && expired(fresh) && !expired(present)) {
        tls_cert_unref(&fresh);
        e = ERR_CORRUPT;
    }
    if (e == ERR_OK) {
        log_event(log, LOG_INFO, "certificate-read", "chain=%s", LOG_QUOTE(c->chain.s));
    } else {
        struct span why = buf_len(&said) != 0 ? buf_span(&said) : span_str(err_phrase(e));
        log_event(log, LOG_ERROR, "certificate-refused",
                  "reason=%s effect=\"the present one stays; tried again when a file changes\"",
                  LOG_QUOTE(why));
    }
    buf_fini(&said);
    return e == ERR_OK ? fresh : NULL;
}

static void renew_cert(const struct conf_listener *l, size_t i,
                       const struct material_front *present, struct log *log,
                       struct material_front *out, unsigned *good, unsigned *bad)
{
    bool same = stamp_eq(&out->stamps[2 * i], &present->stamps[2 * i]) &&
                stamp_eq(&out->stamps[2 * i + 1], &present->stamps[2 * i + 1]);
    if (!same)
        out->certs[i] = renewed(&l->tls.certificates[i], present->certs[i], log);
    *good += out->certs[i] != NULL;
    *bad += !same && out->certs[i] == NULL;
    if (out->certs[i] == NULL) {
        tls_cert_ref(present->certs[i]);
        out->certs[i] = present->certs[i];
        out->stamps[2 * i] = present->stamps[2 * i];
        out->stamps[2 * i + 1] = present->stamps[2 * i + 1];
    }
}

bool material_front_renew(const struct material *of, size_t listener, struct log *log,
                          struct material_front *out, unsigned *good, unsigned *bad)
{
    const struct conf_listener *l = &of->conf->listeners[listener];
    const struct material_front *present = &of->fronts[listener];
    unsigned before = *good;
    struct buf said;
    *out = (struct material_front){0};
    buf_init(&said, KIB(16));
    bool use = front_init(l, out);
    for (size_t i = 0; use && i < out->cert_count; i++)
        renew_cert(l, i, present, log, out, good, bad);
    size_t ca = 2 * out->cert_count;
    use = use && (*good != before || !stamp_eq(&out->stamps[ca], &present->stamps[ca]));
    enum err e = use ? make_servers(l, out, of, &said) : ERR_OK;
    if (e != ERR_OK) {
        struct span why = buf_len(&said) != 0 ? buf_span(&said) : span_str(err_phrase(e));
        log_event(log, LOG_ERROR, "certificate-refused",
                  "listener=%s reason=%s effect=\"what was served stays\"", LOG_QUOTE(l->name.s),
                  LOG_QUOTE(why));
        *good = before;
        ++*bad;
        use = false;
    }
    buf_fini(&said);
    if (!use)
        front_fini(out, of->workers);
    return use;
}

bool material_front_share(const struct material *of, size_t listener, struct material_front *out)
{
    const struct material_front *present = &of->fronts[listener];
    *out = (struct material_front){0};
    if (present->servers == NULL)
        return true;
    out->certs = mem_array(present->cert_count, sizeof(struct tls_cert *));
    out->servers = mem_array(of->workers, sizeof(struct tls_server *));
    out->stamps = mem_array(2 * present->cert_count + 1, sizeof *out->stamps);
    if (out->certs == NULL || out->servers == NULL || out->stamps == NULL) {
        front_fini(out, of->workers);
        return false;
    }
    out->cert_count = present->cert_count;
    for (size_t i = 0; i < out->cert_count; i++) {
        out->certs[i] = present->certs[i];
        tls_cert_ref(out->certs[i]);
    }
    for (unsigned w = 0; w < of->workers; w++)
        out->servers[w] = tls_server_ref(present->servers[w]);
    memcpy(out->stamps, present->stamps, (2 * out->cert_count + 1) * sizeof *out->stamps);
    return true;
}
