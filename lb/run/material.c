#include "run/material.h"

#include "net/resolve.h"

#include "base/mem.h"
#include "db/session.h"
#include "run/folders.h"
#include "run/material_front.h"
#include "run/pages.h"
#include "run/secret.h"
#include "run/sticky_keys.h"

#include <assert.h>
#include <sched.h>

#define TOKEN_LEAST 16

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
            material_report(to, tls->ca.s.p != NULL ? tls->ca.mark : tls->mark, said, e);
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

static bool check_secret(const struct conf_text *where, struct conf_messages *to)
{
    struct buf secret;
    if (where->s.p == NULL)
        return true;
    buf_init(&secret, KIB(4));
    enum err e = secret_fetch(where->s.p, &secret);
    if (secret.p != NULL)
        mem_wipe(secret.p, secret.n);
    buf_fini(&secret);
    if (e != ERR_OK)
        conf_report(to, where->mark, "cannot read the password from %s: %s", where->s.p,
                    err_phrase(e));
    return e == ERR_OK;
}

/* Whether the data source's words are some, and this build can use them. */
static bool check_sources(struct material *m, struct conf_messages *to, struct buf *said)
{
    const struct conf *conf = m->conf;
    for (size_t i = 0; i < conf->source_count; i++) {
        const struct conf_text *words = &conf->sources[i].postgres;
        enum err e = session_check(words->s.p, said);
        if (e != ERR_OK) {
            material_report(to, words->mark, said, e);
            return false;
        }
        if (!check_secret(&conf->sources[i].password, to))
            return false;
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
        material_report(to, m->conf->databases[0].mark, said, e);
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

static void release(struct material *m)
{
    if (m->conf != NULL)
        material_fronts_free(m, m->conf->listener_count);
    geo_free(&m->geo);
    if (m->base != NULL) {
        m->conf = NULL;
        m->clients = NULL;
        m->pages = NULL;
        m->sticky_keys = NULL;
        m->admin_token = NULL;
        material_share_put(&m->base);
        return;
    }
    if (m->conf != NULL)
        free_clients(m, m->conf->pool_count);
    pages_free(&m->pages);
    sticky_keys_free(&m->sticky_keys);
    secret_free(&m->admin_token);
    conf_free(&m->conf);
}

static bool load_token(struct material *m, struct conf_messages *to)
{
    const struct conf_text *from = &m->conf->admin.token;
    if (from->s.p == NULL)
        return true;
    const char *path = from->s.p + sizeof "file:" - 1;
    m->admin_token = mem_alloc(sizeof *m->admin_token);
    enum err e =
        m->admin_token != NULL ? secret_read(path, TOKEN_LEAST, m->admin_token) : ERR_NO_MEMORY;
    if (e == ERR_RANGE)
        conf_report(to, from->mark, "the token '%s' must have %d to %d bytes", path, TOKEN_LEAST,
                    SECRET_MOST - 1);
    else if (e != ERR_OK)
        conf_report(to, from->mark, "cannot read the token '%s': %s", path, err_phrase(e));
    return e == ERR_OK;
}

/* Whether this build can do what host names need. */
static bool check_names(const struct conf *conf, struct conf_messages *to)
{
    bool good = true;
    for (size_t p = 0; !resolver_available() && p < conf->pool_count; p++) {
        const struct conf_pool *pool = &conf->pools[p];
        for (size_t i = 0; i < pool->backend_count; i++) {
            const struct conf_address *a = &pool->backends[i].address;
            if (!conf_address_is_name(a))
                continue;
            good = false;
            conf_report(to, a->text.mark,
                        "'%.*s' is a name, and this program was built without c-ares; "
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
    bool fronts = material_fronts_load(m, &to, &said);
    bool backs = load_backs(m, &to, &said);
    bool geo = load_geo(m, &to, &said);
    bool pages = pages_load(m->conf, &to, &m->pages) == ERR_OK;
    bool sources = check_sources(m, &to, &said);
    bool keys = sticky_keys_load(m->conf, m->tickets != NULL, &to, &m->sticky_keys) == ERR_OK;
    bool token = load_token(m, &to);
    bool names = check_names(m->conf, &to);
    bool log = folders_check(m->conf, &to) == ERR_OK;
    buf_fini(&said);
    if (fronts && backs && geo && pages && sources && keys && token && names && log) {
        folders_warn(m->conf, &to, m->tickets == NULL);
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
                                .tickets = m->tickets,
                                .conf = m->conf,
                                .fronts = m->fronts,
                                .clients = m->clients,
                                .pages = m->pages,
                                .sticky_keys = m->sticky_keys,
                                .admin_token = m->admin_token,
                                .base = m->base};
    buf_init(&s->what.messages, 1);
    m->conf = NULL;
    m->fronts = NULL;
    m->clients = NULL;
    m->pages = NULL;
    m->sticky_keys = NULL;
    m->admin_token = NULL;
    m->base = NULL;
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
