#include "run/discovery.h"

#include "base/mem.h"

#define ASKING_MOST 64 /* questions at a time; the others wait for one to end */

struct discovery {
    struct loop *loop;
    struct log *log;
    struct mailbox *to;
    int kind;
    struct rng rng;
    struct resolver *resolver;
    char *servers;       /* whom the next one asks */
    bool stale;          /* the present one is replaced when its questions have ended */
    struct link entries; /* of struct entry */
    unsigned asking;
    struct timer timer;
    struct name_counts counts;
};

struct entry {
    struct link link;
    struct discovery *owner;
    struct resolve *query;
    bool wanted, unsent;
    bool service;
    struct name_set set;
    char host[RESOLVE_NAME_MOST + 1];
};

static void tell(struct entry *e)
{
    struct name_news *news = mem_alloc(sizeof *news);
    e->unsent = true;
    if (news == NULL)
        return;
    memcpy(news->host, e->host, sizeof news->host);
    news->count = e->set.count;
    for (size_t i = 0; i < news->count; i++)
        news->addrs[i] = e->set.members[i].is;
    struct mail mail = {.kind = e->owner->kind, .p = news};
    if (mailbox_post(e->owner->to, mail) == ERR_OK)
        e->unsent = false;
    else
        mem_free(news);
}

static bool has_news(struct name_change c)
{
    return c.added != 0 || c.removed != 0 || c.altered != 0;
}

static void report(const struct entry *e, const struct name_answer *answer, struct name_change c,
                   size_t held_before)
{
    struct log *log = e->owner->log;
    if (has_news(c))
        log_event(log, LOG_INFO, "name-changed",
                  "name=%s addresses=%zu added=%zu removed=%zu altered=%zu", e->host, e->set.count,
                  c.added, c.removed, c.altered);
    if (e->set.held > held_before)
        log_event(log, LOG_WARN, "name-removal-held",
                  "name=%s missing=%zu of=%zu effect=\"they are kept for %d s\"", e->host,
                  e->set.held, e->set.count, LIMIT_NAME_HOLD_MS / 1000);
    if (e->set.failures == 1)
        log_event(log, LOG_WARN, "name-failed", "name=%s reason=%s effect=\"%s\"", e->host,
                  answer->result == ERR_OK ? "empty" : err_name(answer->result),
                  e->set.count != 0 ? "the last good addresses stay" : "it has no addresses yet");
}

static void count_all(struct discovery *d)
{
    uint32_t names = 0, unknown = 0, held = 0;
    list_each (l, &d->entries) {
        const struct entry *e = container_of(l, struct entry, link);
        names++;
        unknown += e->set.count == 0;
        held += (uint32_t)e->set.held;
    }
    atomic_store_explicit(&d->counts.names, names, memory_order_relaxed);
    atomic_store_explicit(&d->counts.unknown, unknown, memory_order_relaxed);
    atomic_store_explicit(&d->counts.held, held, memory_order_relaxed);
}

static void on_answer(void *user, const struct name_answer *answer)
{
    struct entry *e = user;
    struct discovery *d = e->owner;
    size_t held = e->set.held;
    e->query = NULL;
    d->asking--;
    struct name_change c = name_set_take(&e->set, answer, loop_now_ms(d->loop), &d->rng);
    atomic_fetch_add_explicit(e->set.failures == 0 ? &d->counts.good : &d->counts.bad, 1,
                              memory_order_relaxed);
    report(e, answer, c, held);
    if (has_news(c) || e->unsent)
        tell(e);
    count_all(d);
    timer_in_ms(&d->timer, 0);
}

static void ask(struct discovery *d, struct entry *e)
{
    enum resolve_what what = e->service ? RESOLVE_SERVICE : RESOLVE_BOTH;
    enum err err = resolve_start(d->resolver, span_str(e->host), what, 0, on_answer, e, &e->query);
    d->asking += err == ERR_OK;
    if (err != ERR_OK)
        e->set.next_ms = loop_now_ms(d->loop) + LIMIT_NAME_TTL_LEAST_MS;
}

/* Questions under way end first: plans that come faster than answers must not keep names unknown.
 */
static enum err renew_resolver(struct discovery *d)
{
    if (!d->stale || d->asking != 0)
        return ERR_OK;
    d->stale = false;
    resolver_free(&d->resolver);
    return resolver_new(d->loop, span_str(d->servers), &d->resolver);
}

/* Asks for all that are due, and comes back when the next one is. */
static void on_time(struct timer *t)
{
    struct discovery *d = container_of(t, struct discovery, timer);
    int64_t now = loop_now_ms(d->loop), next = INT64_MAX;
    enum err why = renew_resolver(d);
    if (why != ERR_OK)
        log_event(d->log, LOG_ERROR, "name-plan-refused", "reason=%s", err_name(why));
    if (d->resolver == NULL || d->stale)
        return;
    list_each (l, &d->entries) {
        struct entry *e = container_of(l, struct entry, link);
        if (e->query == NULL && e->set.next_ms <= now && d->asking < ASKING_MOST)
            ask(d, e);
        if (e->query == NULL && e->set.next_ms > now && e->set.next_ms < next)
            next = e->set.next_ms;
    }
    if (next != INT64_MAX)
        timer_in_ms(&d->timer, next - now);
}

enum err discovery_new(struct loop *loop, struct log *log, struct mailbox *to, int kind,
                       struct discovery **out)
{
    struct discovery *d = mem_alloc(sizeof *d);
    *out = d;
    if (d == NULL)
        return ERR_NO_MEMORY;
    d->loop = loop;
    d->log = log;
    d->to = to;
    d->kind = kind;
    rng_seed_system(&d->rng);
    list_init(&d->entries);
    timer_init(&d->timer, loop, on_time);
    return ERR_OK;
}

static void entry_free(struct entry *e)
{
    e->owner->asking -= e->query != NULL;
    resolve_cancel(&e->query);
    list_remove(&e->link);
    mem_free(e);
}

void discovery_free(struct discovery **dp)
{
    struct discovery *d = *dp;
    *dp = NULL;
    if (d == NULL)
        return;
    list_each (l, &d->entries)
        entry_free(container_of(l, struct entry, link));
    resolver_free(&d->resolver);
    timer_stop(&d->timer);
    mem_free(d->servers);
    mem_free(d);
}

static enum err want(struct discovery *d, const struct name_wish *wish)
{
    list_each (l, &d->entries) {
        struct entry *e = container_of(l, struct entry, link);
        if (span_eq_nocase(span_str(e->host), span_str(wish->host))) {
            e->wanted = true;
            return ERR_OK;
        }
    }
    struct entry *e = mem_alloc(sizeof *e);
    if (e == NULL)
        return ERR_NO_MEMORY;
    e->owner = d;
    e->wanted = true;
    e->service = wish->service;
    memcpy(e->host, wish->host, sizeof e->host);
    list_init(&e->link);
    list_append(&d->entries, &e->link);
    return ERR_OK;
}

enum err discovery_plan(struct discovery *d, struct name_plan **plan)
{
    list_each (l, &d->entries)
        container_of(l, struct entry, link)->wanted = false;
    d->stale = !list_empty(&(*plan)->wishes) || d->resolver != NULL;
    mem_free(d->servers);
    d->servers = (*plan)->servers;
    (*plan)->servers = NULL;
    enum err err = renew_resolver(d);
    list_each (l, &(*plan)->wishes) {
        enum err e = want(d, container_of(l, struct name_wish, link));
        err = e != ERR_OK ? e : err;
    }
    list_each (l, &d->entries) {
        struct entry *e = container_of(l, struct entry, link);
        if (!e->wanted)
            entry_free(e);
    }
    name_plan_free(plan);
    count_all(d);
    timer_in_ms(&d->timer, 0);
    return err;
}

struct name_counts *discovery_counts(struct discovery *d)
{
    return &d->counts;
}
