#include "run/material.h"

#include "net/resolve.h"

#include "base/mem.h"
#include "db/session.h"
#include "run/folders.h"
#include "run/pages.h"
#include "run/sticky_keys.h"

#include <assert.h>
#include <sched.h>

unsigned material_workers(const struct conf *conf)
{
    cpu_set_t set;
    int n = conf->workers != 0 ? (int)conf->workers : 1;
    if (conf->workers == 0 && sched_getaffinity(0, sizeof set, &set) == 0)
        n = CPU_COUNT(&set);
    return n > LIMIT_WORKERS ? LIMIT_WORKERS : (unsigned)n;
}

void geo_share_put(struct geo_share **gp)
{
    struct geo_share *g = *gp;
    *gp = NULL;
    if (g == NULL || --g->refs != 0)
        return;
    geo_free(&g->db);
    mem_free(g);
}

/* Reports what the TLS layer said, at the value it said it about. */
static void report(struct conf_messages *to, struct conf_mark mark, struct buf *said, enum err e)
{
    if (buf_len(said) != 0)
        conf_report(to, mark, "%.*s", SPAN_FMT(buf_span(said)));
    else
        conf_report(to, mark, "%s", err_phrase(e));
    buf_clear(said);
}

static bool load_certs(const struct conf_front_tls *tls, struct material_front *front,
                       struct conf_messages *to, struct buf *said)
{
    bool fine = true;
    front->certs = mem_array(tls->certificate_count, sizeof(struct tls_cert *));
    if (front->certs == NULL)
        return false;
    front->cert_count = tls->certificate_count;
    for (size_t i = 0; i < tls->certificate_count; i++) {
        const struct conf_certificate *c = &tls->certificates[i];
        enum err e = tls_cert_load(c->chain.s.p, c->key.s.p, &front->certs[i], said);
        if (e != ERR_OK) {
            report(to, c->chain.mark, said, e);
            fine = false;
        }
        buf_clear(said);
    }
    return fine;
}

static bool make_servers(const struct conf_listener *l, struct material_front *front,
                         const struct material *m, struct conf_messages *to, struct buf *said)
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
    if (front->servers == NULL)
        return false;
    for (unsigned w = 0; w < m->workers; w++) {
        enum err e = tls_server_new(&spec, &front->servers[w], said);
        if (e != ERR_OK) {
            report(to, tls->client_ca.s.p != NULL ? tls->client_ca.mark : tls->mark, said, e);
            return false;
        }
    }
    return true;
}

static bool load_fronts(struct material *m, struct conf_messages *to, struct buf *said)
{
    const struct conf *conf = m->conf;
    bool fine = true;
    m->fronts = mem_array(conf->listener_count, sizeof *m->fronts);
    if (m->fronts == NULL)
        return false;
    for (size_t i = 0; i < conf->listener_count; i++) {
        const struct conf_front_tls *tls = &conf->listeners[i].tls;
        if (!tls->set)
            continue;
        fine = load_certs(tls, &m->fronts[i], to, said) &&
               make_servers(&conf->listeners[i], &m->fronts[i], m, to, said) && fine;
    }
    return fine;
}

static const char *const h2_first[] = {"h2", "http/1.1"};

/* One per worker, and a last one for the health thread. */
static struct tls_client **make_clients(const struct conf_pool *pool, unsigned n,
                                        struct conf_messages *to, struct buf *said)
{
    const struct conf_back_tls *tls = &pool->tls;
    struct tls_client_spec spec = {
        .ca = tls->ca.s.p,
        .verify = tls->verify,
        .alpn = h2_first,
        .alpn_count = pool->protocol == CONF_HTTP_1_1 ? 0
                      : pool->protocol == CONF_HTTP_2 ? 1
                                                      : 2,
    };
    struct tls_client **all = mem_array(n, sizeof(struct tls_client *));
    for (unsigned w = 0; all != NULL && w < n; w++) {
        enum err e = tls_client_new(&spec, &all[w], said);
        if (e != ERR_OK) {
            report(to, tls->ca.s.p != NULL ? tls->ca.mark : tls->mark, said, e);
            return all;
        }
    }
    return all;
}

static bool load_backs(struct material *m, struct conf_messages *to, struct buf *said)
{
    const struct conf *conf = m->conf;
    size_t before = to->errors;
    m->clients = mem_array(conf->pool_count, sizeof *m->clients);
    if (m->clients == NULL)
        return false;
    for (size_t i = 0; i < conf->pool_count; i++) {
        if (!conf->pools[i].tls.set)
            continue;
        m->clients[i] = make_clients(&conf->pools[i], m->workers + 1, to, said);
        if (m->clients[i] == NULL)
            return false;
    }
    return to->errors == before;
}

/* Whether the data source's words are some, and this build can use them. */
static bool check_sources(struct material *m, struct conf_messages *to, struct buf *said)
{
    const struct conf *conf = m->conf;
    for (size_t i = 0; i < conf->source_count; i++) {
        const struct conf_text *words = &conf->sources[i].postgres;
        enum err e = session_check(words->s.p, said);
        if (e != ERR_OK) {
            report(to, words->mark, said, e);
            return false;
        }
    }
    return true;
}

static bool same_databases(const struct material *m)
{
    const struct geo_db *db = m->present != NULL ? m->present->db : NULL;
    struct geo_facts facts;
    if (db == NULL || geo_count(db) != m->conf->database_count || geo_changed(db))
        return false;
    for (size_t i = 0; i < geo_count(db); i++) {
        geo_facts(db, i, &facts);
        if (!span_eq(span_str(facts.path), m->conf->databases[i].s))
            return false;
    }
    return true;
}

static bool load_geo(struct material *m, struct conf_messages *to, struct buf *said)
{
    const char *paths[16];
    size_t n = m->conf->database_count;
    if (n == 0)
        return true;
    m->geo_kept = same_databases(m);
    if (m->geo_kept)
        return true;
    for (size_t i = 0; i < n && i < 16; i++)
        paths[i] = m->conf->databases[i].s.p;
    enum err e = geo_open(paths, n < 16 ? n : 16, &m->geo, said);
    if (e != ERR_OK)
        report(to, m->conf->databases[0].mark, said, e);
    return e == ERR_OK;
}

static void free_clients(struct material *m, size_t pools)
{
    for (size_t i = 0; m->clients != NULL && i < pools; i++) {
        for (unsigned w = 0; m->clients[i] != NULL && w <= m->workers; w++)
            tls_client_free(&m->clients[i][w]);
        mem_free(m->clients[i]);
    }
    mem_free(m->clients);
    m->clients = NULL;
}

static void free_fronts(struct material *m, size_t listeners)
{
    for (size_t i = 0; m->fronts != NULL && i < listeners; i++) {
        struct material_front *f = &m->fronts[i];
        for (size_t c = 0; c < f->cert_count; c++)
            tls_cert_unref(&f->certs[c]);
        for (unsigned w = 0; f->servers != NULL && w < m->workers; w++)
            tls_server_free(&f->servers[w]);
        mem_free(f->certs);
        mem_free(f->servers);
    }
    mem_free(m->fronts);
    m->fronts = NULL;
}

static void release(struct material *m)
{
    if (m->conf != NULL) {
        free_clients(m, m->conf->pool_count);
        free_fronts(m, m->conf->listener_count);
    }
    geo_free(&m->geo);
    pages_free(&m->pages);
    sticky_keys_free(&m->sticky_keys);
    conf_free(&m->conf);
}

/* Whether this build can do what host names need. */
static bool check_names(const struct conf *conf, struct conf_messages *to)
{
    bool good = true;
    for (size_t p = 0; !resolver_available() && p < conf->pool_count; p++) {
        const struct conf_pool *pool = &conf->pools[p];
        for (size_t i = 0; i < pool->backend_count; i++) {
            const struct conf_address *a = &pool->backends[i].address;
            if (a->family != CONF_NAME)
                continue;
            good = false;
            conf_report(to, a->text.mark,
                        "'%.*s' is a host name, and this program was built without c-ares; "
                        "give an IP address and port",
                        SPAN_FMT(a->text.s));
        }
    }
    return good;
}

void material_load(struct material *m)
{
    struct conf_messages to;
    struct buf said;
    buf_init(&m->messages, MIB(1));
    m->result = conf_load(m->path, &m->conf, &m->messages);
    if (m->result != ERR_OK)
        return;
    if (m->workers == 0)
        m->workers = material_workers(m->conf);
    conf_messages_init(&to, m->conf, &m->messages);
    buf_init(&said, KIB(16));
    bool fronts = load_fronts(m, &to, &said);
    bool backs = load_backs(m, &to, &said);
    bool geo = load_geo(m, &to, &said);
    bool pages = pages_load(m->conf, &to, &m->pages) == ERR_OK;
    bool sources = check_sources(m, &to, &said);
    bool keys = sticky_keys_load(m->conf, m->tickets != NULL, &to, &m->sticky_keys) == ERR_OK;
    bool names = check_names(m->conf, &to);
    buf_fini(&said);
    if (fronts && backs && geo && pages && sources && keys && names) {
        if (m->tickets == NULL)
            folders_warn(m->conf, &to);
        conf_warnings(m->conf, &m->messages);
        return;
    }
    m->result = to.errors != 0 ? ERR_SYNTAX : ERR_NO_MEMORY;
    release(m);
}

void material_fini(struct material *m)
{
    release(m);
    buf_fini(&m->messages);
}

struct material_share *material_share_new(struct material *m)
{
    struct material_share *s = mem_alloc(sizeof *s);
    if (s == NULL)
        return NULL;
    s->refs = 1;
    s->what = (struct material){.workers = m->workers,
                                .conf = m->conf,
                                .fronts = m->fronts,
                                .clients = m->clients,
                                .pages = m->pages,
                                .sticky_keys = m->sticky_keys};
    buf_init(&s->what.messages, 1);
    m->conf = NULL;
    m->fronts = NULL;
    m->clients = NULL;
    m->pages = NULL;
    m->sticky_keys = NULL;
    return s;
}

void material_share_put(struct material_share **sp)
{
    struct material_share *s = *sp;
    *sp = NULL;
    if (s == NULL || --s->refs != 0)
        return;
    material_fini(&s->what);
    mem_free(s);
}
