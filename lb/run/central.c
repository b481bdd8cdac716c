#include "run/central.h"

#include "base/mem.h"
#include "db/keep.h"
#include "run/balancer.h"
#include "run/keep_file.h"
#include "run/secret.h"

struct central_save {
    char *path;
    struct buf text;
    enum err result;
};

static bool is_followed(const struct conf *conf)
{
    for (size_t i = 0; i < conf->pool_count; i++) {
        const struct conf_registry *r = &conf->pools[i].registry;
        if (r->set && r->mode != CONF_REGISTRY_OFF)
            return true;
    }
    return false;
}

void central_restore(struct balancer *b, const struct conf *conf)
{
    struct central *c = &b->central;
    struct buf text;
    if (!is_followed(conf))
        return;
    char *path = keep_file_path(conf);
    buf_init(&text, KEEP_MOST);
    enum err e = path != NULL ? keep_file_read(path, &text) : ERR_NO_MEMORY;
    if (e == ERR_OK)
        e = keep_read(buf_span(&text), &c->rows);
    if (e == ERR_OK) {
        c->origin = CENTRAL_FILE;
        log_event(b->log, LOG_INFO, "registry-restored", "rows=%zu path=%s", c->rows->count,
                  LOG_QUOTE(span_str(path)));
    } else if (e != ERR_NOT_FOUND) {
        log_event(b->log, LOG_WARN, "registry-not-restored", "path=%s reason=%s",
                  LOG_QUOTE(span_str(path != NULL ? path : "")), err_name(e));
    }
    buf_fini(&text);
    mem_free(path);
}

/* Health thread. Where the main thread is that far behind, the next read comes soon enough. */
static void on_rows(void *user, struct row_set *rows)
{
    struct balancer *b = user;
    if (mailbox_post(&b->box, (struct mail){.kind = MAIN_ROWS, .p = rows}) != ERR_OK)
        row_set_free(&rows);
}

/* *servers is to be freed; the rest is the configuration's. */
static enum err where_of(const struct conf *conf, char **servers, struct db_where *out)
{
    const struct conf_data_source *source = &conf->sources[0];
    *servers = name_book_servers(conf);
    *out = (struct db_where){.conninfo = (char *)(uintptr_t)source->postgres.s.p,
                             .password = (char *)(uintptr_t)source->password.s.p,
                             .name_servers = *servers,
                             .secret = secret_fetch};
    return *servers != NULL ? ERR_OK : ERR_NO_MEMORY;
}

static enum err start_session(struct balancer *b)
{
    struct session_plan plan = {
        .where = b->central.where,
        .facts = &b->central.facts,
        .log = b->log,
        .on_rows = on_rows,
        .user = b,
    };
    return health_thread_session(b->health, &plan);
}

static void follow_registry(struct balancer *b, const struct db_where *wanted)
{
    struct central *c = &b->central;
    if (db_where_same(wanted, &c->where))
        return;
    db_where_free(&c->where);
    enum err e = db_where_copy(&c->where, wanted);
    if (wanted->conninfo == NULL)
        row_set_free(&c->rows);
    if (e == ERR_OK)
        e = start_session(b);
    if (e != ERR_OK)
        log_event(b->log, LOG_ERROR, "database-not-asked", "reason=%s", err_name(e));
}

_Static_assert((int)DB_ACCEPT == (int)CONF_LEVEL_ACCEPT && (int)DB_LAG == (int)CONF_LEVEL_LAG,
               "the levels of both layers are in the same order");

static enum err add_wish(struct balancer *b, const struct conf_dependency *from,
                         const struct db_where *where, bool session, struct dependency_plan *plan)
{
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
    return db_where_copy(&wish->probe.where, where);
}

static enum err follow_dependencies(struct balancer *b, const struct db_where *where, bool session)
{
    const struct conf *conf = b->current->conf;
    struct dependency_plan *plan = mem_alloc(sizeof *plan);
    enum err e = plan != NULL ? ERR_OK : ERR_NO_MEMORY;
    for (size_t i = 0; e == ERR_OK && i < conf->dependency_count; i++)
        e = add_wish(b, &conf->dependencies[i], where, session, plan);
    if (e == ERR_OK)
        return health_thread_dependencies(b->health, &plan);
    dependency_plan_free(&plan);
    return e;
}

void central_follow(struct balancer *b, bool new_conf)
{
    static const struct db_where none = {.secret = NULL};
    struct central *c = &b->central;
    const struct conf *conf = b->current->conf;
    struct db_where where = none;
    char *servers = NULL;
    bool session = is_followed(conf);
    enum err e = ERR_OK;
    if (!new_conf)
        return;
    if (session && c->keeper == NULL && helper_new(&b->box, MAIN_KEPT, &c->keeper) != ERR_OK)
        log_event(b->log, LOG_ERROR, "registry-not-kept", "reason=no-thread");
    if (conf->source_count != 0)
        e = where_of(conf, &servers, &where);
    if (e == ERR_OK) {
        follow_registry(b, session ? &where : &none);
        e = follow_dependencies(b, &where, session);
    }
    if (e != ERR_OK)
        log_event(b->log, LOG_ERROR, "database-not-asked", "reason=%s", err_name(e));
    mem_free(servers);
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

static void write_file(void *arg)
{
    struct central_save *s = arg;
    s->result = keep_file_write(s->path, buf_span(&s->text));
}

static void free_save(struct central_save *s)
{
    if (s == NULL)
        return;
    mem_free(s->path);
    buf_fini(&s->text);
    mem_free(s);
}

static void keep(struct balancer *b)
{
    struct central *c = &b->central;
    if (c->saving != NULL || c->keeper == NULL) {
        c->save_again = true;
        return;
    }
    struct central_save *s = mem_alloc(sizeof *s);
    if (s == NULL)
        return;
    buf_init(&s->text, KEEP_MOST);
    keep_print(c->rows, &s->text);
    s->path = keep_file_path(b->current->conf);
    if (s->path == NULL || s->text.failed || !helper_do(c->keeper, write_file, s)) {
        c->saves_failed++;
        free_save(s);
        return;
    }
    c->saving = s;
}

void central_saved(struct balancer *b, struct central_save *save)
{
    struct central *c = &b->central;
    helper_done(c->keeper);
    if (save->result == ERR_OK) {
        c->saves++;
    } else {
        c->saves_failed++;
        log_event(b->log, LOG_WARN, "registry-not-kept", "path=%s reason=%s",
                  LOG_QUOTE(span_str(save->path)), err_name(save->result));
    }
    free_save(save);
    c->saving = NULL;
    if (c->save_again) {
        c->save_again = false;
        keep(b);
    }
}

/* Of an endpoint that the registry named: its key is the address twice. One that does not serve is
 * not taken in on a lease that is over. */
static bool checks_fail(void *ctx, const struct row *row)
{
    const struct balancer *b = ctx;
    char key[512];
    struct buf text;
    buf_fixed(&text, key, sizeof key);
    buf_printf(&text, "%.*s/%.*s@%.*s", SPAN_FMT(row->pool), SPAN_FMT(row->address),
               SPAN_FMT(row->address));
    const struct endpoint *e = registry_find(b->registry, buf_span(&text));
    return e == NULL || endpoint_health(e) != ENDPOINT_UP;
}

/* An empty result never empties a pool that has no other servers (C7). */
static enum err carry_over(const struct balancer *b, struct row_set *rows)
{
    const struct conf *conf = b->current->conf;
    for (size_t i = 0; i < conf->pool_count; i++) {
        const struct conf_pool *p = &conf->pools[i];
        const struct row *old, *now;
        size_t n = row_set_pool(b->central.rows, p->name.s, &old);
        if (p->registry.mode != CONF_REGISTRY_AUTHORITATIVE ||
            row_set_pool(rows, p->name.s, &now) != 0)
            continue;
        for (size_t k = 0; k < n; k++) {
            enum err e = row_set_copy(rows, &old[k]);
            if (e != ERR_OK)
                return e;
        }
    }
    row_set_settle(rows);
    return ERR_OK;
}

static void publish(struct balancer *b)
{
    struct buf messages;
    buf_init(&messages, KIB(16));
    enum err e = balancer_publish(b, NULL, &messages);
    if (e == ERR_OK)
        log_event(b->log, LOG_INFO, "registry-applied", "rows=%zu generation=%llu",
                  b->central.rows->count, (unsigned long long)b->generation);
    else
        log_event(b->log, LOG_ERROR, "registry-refused",
                  "reason=%s effect=\"the servers stay as they are\"", err_name(e));
    buf_fini(&messages);
}

void central_rows(struct balancer *b, struct row_set *rows)
{
    struct central *c = &b->central;
    if (b->current == NULL || c->where.conninfo == NULL || b->draining != 0) {
        row_set_free(&rows);
        return;
    }
    c->skipped = rows->skipped;
    if (lease_settle(&c->leases, rows, loop_now_ms(b->loop), checks_fail, b))
        log_event(b->log, LOG_WARN, "registry-mass-expiry",
                  "effect=\"servers whose leases are over stay while their checks pass\"");
    if (carry_over(b, rows) != ERR_OK) {
        row_set_free(&rows);
        return;
    }
    bool first = c->origin != CENTRAL_DATABASE;
    bool same = row_set_same(c->rows, rows);
    row_set_free(&c->rows);
    c->rows = rows;
    c->origin = CENTRAL_DATABASE;
    if (!same)
        publish(b);
    if (!same || first)
        keep(b);
}

void central_fini(struct balancer *b)
{
    struct central *c = &b->central;
    struct mail left;
    while (mailbox_take(&b->box, &left)) {
        struct row_set *rows = left.kind == MAIN_ROWS ? left.p : NULL;
        row_set_free(&rows);
        if (left.kind == MAIN_NAMES || left.kind == MAIN_DEPENDENCY)
            mem_free(left.p);
    }
    helper_free(&c->keeper);
    free_save(c->saving);
    row_set_free(&c->rows);
    db_where_free(&c->where);
    c->saving = NULL;
}
