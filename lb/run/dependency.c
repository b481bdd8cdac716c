#include "run/dependency.h"

#include "base/mem.h"

struct item {
    struct dependencies *owner;
    struct dependency_wish wish;
    struct db_probe *probe; /* NULL: it could not be begun */
    bool told, down;
    char why[DEPENDENCY_WHY]; /* what main was told last */
};

struct dependencies {
    struct loop *loop;
    struct log *log;
    struct health *health;
    struct mailbox *to;
    int kind;
    struct item *items[HEALTH_DEPENDENCY_MOST];
    size_t count;
};

void dependency_plan_free(struct dependency_plan **plan)
{
    struct dependency_plan *p = *plan;
    *plan = NULL;
    for (size_t i = 0; p != NULL && i < p->count; i++)
        db_where_free(&p->v[i].probe.where);
    mem_free(p);
}

static void note(const struct item *item)
{
    const struct dependencies *d = item->owner;
    if (item->down)
        log_event(d->log, LOG_WARN, "dependency-fails", "dependency=%s reason=%s", item->wish.name,
                  LOG_QUOTE(span_str(item->why)));
    else
        log_event(d->log, LOG_INFO, "dependency-works", "dependency=%s", item->wish.name);
}

static void tell(const struct item *item)
{
    const struct dependencies *d = item->owner;
    struct dependency_news *news = mem_alloc(sizeof *news);
    if (news == NULL)
        return;
    memcpy(news->name, item->wish.name, sizeof news->name);
    memcpy(news->why, item->why, sizeof news->why);
    news->down = item->down;
    if (mailbox_post(d->to, (struct mail){.kind = d->kind, .p = news}) != ERR_OK)
        mem_free(news);
}

/* Whether it fails for another reason than before. */
static bool learn_why(struct item *item, const char *why)
{
    char text[DEPENDENCY_WHY] = "";
    struct buf b;
    buf_fixed(&b, text, sizeof text - 1);
    buf_put_text(&b, span_str(why), sizeof text - 1);
    bool other = strcmp(text, item->why) != 0;
    memcpy(item->why, text, sizeof text);
    return other;
}

static void on_result(void *user, const struct db_result *r)
{
    struct item *item = user;
    struct dependency_facts *f = item->wish.facts;
    struct health_finding found = {
        .good = r->good, .began_ns = r->began_ns, .rise = item->wish.rise};
    bool down = health_dependency(item->owner->health, span_str(item->wish.name), &found);
    atomic_fetch_add_explicit(r->good ? &f->good : &f->bad, 1, memory_order_relaxed);
    atomic_store_explicit(&f->took_us, (uint32_t)(r->took_ns / NS_PER_US), memory_order_relaxed);
    if (item->told && down == item->down) {
        if (down && !r->good && learn_why(item, r->why))
            tell(item);
        return;
    }
    bool news = item->told || down;
    item->told = true;
    item->down = down;
    (void)learn_why(item, r->why);
    atomic_store_explicit(&f->down, down, memory_order_relaxed);
    atomic_store_explicit(&f->since_ms, loop_now_ms(item->owner->loop), memory_order_relaxed);
    if (news) {
        note(item);
        tell(item);
    }
}

/* A server is not ready: is it what it depends on? */
static void on_doubt(void *user, struct span name)
{
    struct dependencies *d = user;
    for (size_t i = 0; i < d->count; i++) {
        if (span_eq(span_str(d->items[i]->wish.name), name) && d->items[i]->probe != NULL)
            db_probe_soon(d->items[i]->probe);
    }
}

static void item_free(struct item *item)
{
    db_probe_free(&item->probe);
    db_where_free(&item->wish.probe.where);
    mem_free(item);
}

static bool same(const struct dependency_wish *a, const struct dependency_wish *b)
{
    const struct db_probe_plan *p = &a->probe, *q = &b->probe;
    return span_eq(span_str(a->name), span_str(b->name)) && db_where_same(&p->where, &q->where) &&
           p->level == q->level && p->interval_ms == q->interval_ms &&
           p->timeout_ms == q->timeout_ms && p->max_lag_ms == q->max_lag_ms &&
           p->answered_ns == q->answered_ns && a->facts == b->facts;
}

/* Takes it out of the old ones; NULL: there is none such. */
static struct item *known(struct item **old, size_t n, const struct dependency_wish *wish)
{
    for (size_t i = 0; i < n; i++) {
        struct item *item = old[i];
        if (item != NULL && same(&item->wish, wish)) {
            old[i] = NULL;
            return item;
        }
    }
    return NULL;
}

/* Takes the wish's strings. */
static struct item *begin(struct dependencies *d, struct dependency_wish *wish)
{
    struct item *item = mem_alloc(sizeof *item);
    if (item == NULL)
        return NULL;
    item->owner = d;
    item->wish = *wish;
    wish->probe.where = (struct db_where){.secret = NULL};
    item->wish.probe.on_result = on_result;
    item->wish.probe.user = item;
    atomic_store(&item->wish.facts->down, false);
    atomic_store(&item->wish.facts->since_ms, 0);
    enum err e = db_probe_new(d->loop, &item->wish.probe, &item->probe);
    if (e != ERR_OK)
        log_event(d->log, LOG_ERROR, "dependency-not-probed", "dependency=%s reason=%s",
                  item->wish.name, err_name(e));
    return item;
}

static bool is_wanted(const struct dependencies *d, const struct item *item)
{
    for (size_t i = 0; i < d->count; i++) {
        if (span_eq(span_str(d->items[i]->wish.name), span_str(item->wish.name)))
            return true;
    }
    return false;
}

void dependencies_follow(struct dependencies *d, struct dependency_plan **plan)
{
    struct item *old[HEALTH_DEPENDENCY_MOST];
    size_t n = d->count;
    memcpy(old, d->items, sizeof old);
    d->count = 0;
    for (size_t i = 0; i < (*plan)->count; i++) {
        struct dependency_wish *wish = &(*plan)->v[i];
        struct item *item = known(old, n, wish);
        if (item == NULL)
            item = begin(d, wish);
        else
            item->wish.rise = wish->rise;
        if (item != NULL)
            d->items[d->count++] = item;
    }
    for (size_t i = 0; i < n; i++) {
        if (old[i] == NULL)
            continue;
        if (!is_wanted(d, old[i]))
            health_forget_dependency(d->health, span_str(old[i]->wish.name));
        item_free(old[i]);
    }
    dependency_plan_free(plan);
}

enum err dependencies_new(struct loop *loop, struct log *log, struct health *health,
                          struct mailbox *to, int kind, struct dependencies **out)
{
    struct dependencies *d = mem_alloc(sizeof *d);
    *out = d;
    if (d == NULL)
        return ERR_NO_MEMORY;
    *d = (struct dependencies){.loop = loop, .log = log, .health = health, .to = to, .kind = kind};
    health_on_doubt(health, on_doubt, d);
    return ERR_OK;
}

void dependencies_free(struct dependencies **dp)
{
    struct dependencies *d = *dp;
    *dp = NULL;
    if (d == NULL)
        return;
    health_on_doubt(d->health, NULL, NULL);
    for (size_t i = 0; i < d->count; i++)
        item_free(d->items[i]);
    mem_free(d);
}
