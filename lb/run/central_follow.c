/* What the health thread is to run: the session with the central database and the probes of
 * dependencies. */
#include "base/mem.h"
#include "run/balancer.h"
#include "run/central.h"
#include "run/secret.h"

static bool is_followed(const struct conf_pool *pool)
{
    return pool->registry.set && pool->registry.mode != CONF_REGISTRY_OFF;
}

/* "api,web"; NULL without memory. */
static char *pools_of(const struct conf *conf)
{
    struct buf names;
    buf_init(&names, 0);
    for (size_t i = 0; i < conf->pool_count; i++) {
        if (!is_followed(&conf->pools[i]))
            continue;
        if (buf_len(&names) != 0)
            buf_put_char(&names, ',');
        buf_put_span(&names, conf->pools[i].name.s);
    }
    char *text = names.failed ? NULL : mem_copy_str(names.p, buf_len(&names));
    buf_fini(&names);
    return text;
}

/* Health thread. Where the main thread is that far behind, the next read comes soon enough. */
static void on_rows(void *user, struct row_set *rows)
{
    struct balancer *b = user;
    if (mailbox_post(&b->box, (struct mail){.kind = MAIN_ROWS, .p = rows}) != ERR_OK)
        row_set_free(&rows);
}

/* Health thread. It is shown only: without memory an older reason is. */
static void on_away(void *user, const char *why)
{
    struct balancer *b = user;
    char *text = mem_copy_str(why, strlen(why));
    if (text != NULL &&
        mailbox_post(&b->box, (struct mail){.kind = MAIN_AWAY, .p = text}) != ERR_OK)
        mem_free(text);
}

/* All of it is borrowed. */
static struct db_where where_of(const struct conf_data_source *source, char *servers)
{
    return (struct db_where){.conninfo = (char *)(uintptr_t)source->postgres.s.p,
                             .password = (char *)(uintptr_t)source->password.s.p,
                             .name_servers = servers,
                             .secret = secret_fetch};
}

static enum err start_session(struct balancer *b)
{
    struct session_plan plan = {
        .where = b->central.where,
        .pools = b->central.pools,
        .tags = &b->central.tags,
        .facts = &b->central.facts,
        .log = b->log,
        .on_rows = on_rows,
        .on_away = on_away,
        .user = b,
    };
    return health_thread_session(b->health, &plan);
}

static void forget_session(struct central *c)
{
    db_where_free(&c->where);
    mem_free(c->pools);
    c->pools = NULL;
}

/* The tags are made for the first session and stay. */
static enum err remember_session(struct central *c, const struct db_where *where,
                                 const struct conf *conf)
{
    enum err e = db_where_copy(&c->where, where);
    if (e == ERR_OK)
        c->pools = pools_of(conf);
    if (e == ERR_OK && c->pools == NULL)
        e = ERR_NO_MEMORY;
    return e == ERR_OK && c->tags.slots == NULL ? tags_init(&c->tags, TAG_SLOTS) : e;
}

static bool runs_so(const struct central *c, const struct db_where *where, const struct conf *conf)
{
    char *pools = pools_of(conf);
    bool same = pools != NULL && c->pools != NULL && strcmp(pools, c->pools) == 0 &&
                db_where_same(where, &c->where);
    mem_free(pools);
    return same;
}

static enum err follow_session(struct balancer *b, const struct db_where *where,
                               const struct conf *conf)
{
    struct central *c = &b->central;
    if (runs_so(c, where, conf))
        return ERR_OK;
    forget_session(c);
    enum err e = remember_session(c, where, conf);
    if (e == ERR_OK)
        e = start_session(b);
    if (e != ERR_OK)
        forget_session(c);
    return e;
}

static enum err end_session(struct balancer *b)
{
    struct central *c = &b->central;
    if (c->where.conninfo == NULL)
        return ERR_OK;
    forget_session(c);
    row_set_free(&c->rows);
    return start_session(b);
}

enum err central_ask(struct balancer *b, const struct conf *conf)
{
    const struct conf_data_source *source = conf_registry_source(conf);
    if (source == NULL)
        return end_session(b);
    char *servers = name_book_servers(conf);
    if (servers == NULL)
        return ERR_NO_MEMORY;
    struct db_where where = where_of(source, servers);
    enum err e = follow_session(b, &where, conf);
    mem_free(servers);
    return e;
}

_Static_assert((int)DB_ACCEPT == (int)CONF_LEVEL_ACCEPT && (int)DB_LAG == (int)CONF_LEVEL_LAG,
               "the levels of both layers are in the same order");

static enum err add_wish(struct balancer *b, const struct conf_dependency *from, char *servers,
                         struct dependency_plan *plan)
{
    bool session = from->source == conf_registry_source(b->current->conf);
    struct db_where where = where_of(from->source, servers);
    struct central_dependency *known = &b->central.dependencies[plan->count];
    struct dependency_wish *wish = &plan->v[plan->count++];
    size_t n = from->name.s.n < DEPENDENCY_NAME ? from->name.s.n : DEPENDENCY_NAME;
    *wish = (struct dependency_wish){
        .probe = {.level = (enum db_level)from->level,
                  .interval_ms = from->interval_ms,
                  .timeout_ms = from->timeout_ms,
                  .max_lag_ms = from->max_lag_ms,
                  .answered_ns = session ? &b->central.facts.contact_ns : NULL},
        .rise = (unsigned)from->rise,
        .facts = &known->facts,
    };
    memcpy(wish->name, from->name.s.p, n);
    if (strcmp(known->name, wish->name) != 0) {
        if (known->name[0] != '\0') { /* else they are zero, or handed over */
            atomic_store(&known->facts.good, 0);
            atomic_store(&known->facts.bad, 0);
        }
        memcpy(known->name, wish->name, sizeof known->name);
        known->why[0] = '\0';
    }
    return db_where_copy(&wish->probe.where, &where);
}

static enum err follow_dependencies(struct balancer *b)
{
    const struct conf *conf = b->current->conf;
    struct dependency_plan *plan = mem_alloc(sizeof *plan);
    char *servers = name_book_servers(conf);
    enum err e = plan != NULL && servers != NULL ? ERR_OK : ERR_NO_MEMORY;
    for (size_t i = 0; e == ERR_OK && i < conf->dependency_count; i++)
        e = add_wish(b, &conf->dependencies[i], servers, plan);
    mem_free(servers);
    if (e == ERR_OK)
        return health_thread_dependencies(b->health, &plan);
    dependency_plan_free(&plan);
    return e;
}

void central_follow(struct balancer *b, bool new_conf)
{
    const struct conf *conf = b->current->conf;
    if (!new_conf)
        return;
    if (conf_registry_source(conf) != NULL)
        central_begin_keeping(b);
    enum err e = central_ask(b, conf);
    if (e == ERR_OK)
        e = follow_dependencies(b);
    if (e != ERR_OK)
        log_event(b->log, LOG_ERROR, "database-not-asked", "reason=%s", err_name(e));
}

static void learn_why(char kept[DEPENDENCY_WHY], const char *why)
{
    struct buf b;
    memset(kept, 0, DEPENDENCY_WHY);
    buf_fixed(&b, kept, DEPENDENCY_WHY - 1);
    buf_put_text(&b, span_str(why), DEPENDENCY_WHY - 1);
}

void central_away(struct balancer *b, char *why)
{
    learn_why(b->central.why, why);
    mem_free(why);
}

void central_dependency(struct balancer *b, struct dependency_news *news)
{
    for (size_t i = 0; i < HEALTH_DEPENDENCY_MOST; i++) {
        struct central_dependency *d = &b->central.dependencies[i];
        if (strcmp(d->name, news->name) == 0)
            memcpy(d->why, news->why, sizeof d->why);
    }
    mem_free(news);
}
