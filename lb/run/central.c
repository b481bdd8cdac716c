#include "run/central.h"

#include "base/mem.h"
#include "db/keep.h"
#include "run/balancer.h"
#include "run/keep_file.h"

struct central_save {
    char *path;
    struct buf text;
    enum err result;
};

static void restore(struct balancer *b, const struct conf *conf)
{
    struct central *c = &b->central;
    struct buf text;
    char *path = keep_file_path(conf);
    buf_init(&text, KEEP_MOST);
    enum err e = path != NULL ? keep_file_read(path, &text) : ERR_NO_MEMORY;
    if (e == ERR_OK)
        e = keep_read(buf_span(&text), &c->rows);
    if (e == ERR_OK) {
        c->origin = CENTRAL_FILE;
        log_event(b->log, LOG_INFO, "registry-restored", "rows=%zu age_s=%lld database=%s path=%s",
                  c->rows->count, (long long)(clock_wall_ns() / NS_PER_S - c->rows->read_s),
                  LOG_QUOTE(c->rows->server), LOG_QUOTE(span_str(path)));
    } else if (e != ERR_NOT_FOUND) {
        log_event(b->log, LOG_WARN, "registry-not-restored", "path=%s reason=%s",
                  LOG_QUOTE(span_str(path != NULL ? path : "")), err_name(e));
    }
    buf_fini(&text);
    mem_free(path);
}

static void on_patience(struct timer *t)
{
    loop_stop(t->loop);
}

/* The loop runs for nothing but this: there is no worker, no signal and no client yet. */
static void wait_for_rows(struct balancer *b, const struct conf *conf)
{
    struct timer patience;
    timer_init(&patience, b->loop, on_patience);
    timer_aim(&patience, clock_mono_ns() + conf_registry_source(conf)->start_wait_ms * NS_PER_MS);
    loop_run(b->loop);
    timer_stop(&patience);
}

void central_begin(struct balancer *b, const struct conf *conf)
{
    static const char *const names[] = {"seed", "snapshot", "database"};
    struct central *c = &b->central;
    int64_t begun_ns = clock_mono_ns();
    if (conf_registry_source(conf) == NULL)
        return;
    restore(b, conf);
    if (conf_registry_source(conf)->start_wait_ms == 0)
        return;
    c->starting = conf;
    enum err e = central_ask(b, conf);
    if (e == ERR_OK)
        wait_for_rows(b, conf);
    else
        log_event(b->log, LOG_ERROR, "database-not-asked", "reason=%s", err_name(e));
    c->starting = NULL;
    log_event(b->log, LOG_INFO, "registry-begun", "source=%s waited_ms=%lld", names[c->origin],
              (long long)((clock_mono_ns() - begun_ns) / NS_PER_MS));
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
    if (c->rows == NULL) /* a reload has taken the registry out since this was asked for */
        return;
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

void central_begin_keeping(struct balancer *b)
{
    struct central *c = &b->central;
    if (c->keeper == NULL && helper_new(&b->box, MAIN_KEPT, &c->keeper) != ERR_OK)
        log_event(b->log, LOG_ERROR, "registry-not-kept", "reason=no-thread");
    if (c->save_again && c->saving == NULL) {
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
    return e == NULL || !endpoint_lives(e);
}

/* An empty result never empties a pool that has no other servers (C7), unless the file says so. */
static enum err carry_over(const struct balancer *b, const struct conf *conf, struct row_set *rows)
{
    for (size_t i = 0; i < conf->pool_count; i++) {
        const struct conf_pool *p = &conf->pools[i];
        const struct row *old, *now;
        size_t n = row_set_pool(b->central.rows, p->name.s, &old);
        if (p->registry.mode != CONF_REGISTRY_AUTHORITATIVE || p->registry.allow_empty ||
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
    const struct conf *conf = b->current != NULL ? b->current->conf : c->starting;
    if (conf == NULL || c->where.conninfo == NULL || b->draining != 0) {
        row_set_free(&rows);
        return;
    }
    c->skipped = rows->skipped;
    if (lease_settle(&c->leases, rows, loop_now_ms(b->loop), checks_fail, b))
        log_event(b->log, LOG_WARN, "registry-mass-expiry",
                  "effect=\"servers whose leases are over stay while their checks pass\"");
    if (carry_over(b, conf, rows) != ERR_OK) {
        row_set_free(&rows);
        return;
    }
    bool first = c->origin != CENTRAL_DATABASE;
    bool same = row_set_same(c->rows, rows);
    row_set_free(&c->rows);
    c->rows = rows;
    c->origin = CENTRAL_DATABASE;
    if (b->current == NULL)
        loop_stop(b->loop);
    else if (!same)
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
        if (left.kind == MAIN_NAMES || left.kind == MAIN_DEPENDENCY || left.kind == MAIN_AWAY)
            mem_free(left.p);
    }
    helper_free(&c->keeper);
    free_save(c->saving);
    row_set_free(&c->rows);
    db_where_free(&c->where);
    mem_free(c->pools);
    tags_fini(&c->tags);
    c->saving = NULL;
}
