#include "proxy/connpool.h"

#include "base/limits.h"
#include "base/mem.h"

#include <assert.h>

/* One connection. It is in exactly one list of its host: opening, idle, or busy. */
struct pooled {
    struct link link;
    struct connpool_host *host;
    struct h1_back *codec;
    int64_t idle_ns;  /* since when */
    int64_t until_ns; /* close it then at the latest, while idle */
    uint64_t settings;
    bool open;
};

/* One endpoint. */
struct connpool_host {
    struct connpool *pool;
    struct endpoint *endpoint; /* referenced */
    struct addr address;
    struct tls_client *tls;
    char *server_name;
    size_t server_name_size;
    uint64_t settings, generation;
    uint32_t most, most_idle;
    uint32_t count, idle_count, opening_count, waiting_count;
    struct link opening, idle, busy; /* of struct pooled; idle: last used first */
    struct link waiters;             /* of struct connpool_wait, oldest first */
    struct timer upkeep;             /* closes what has been idle too long */
    struct connpool_host *next;      /* in the bucket */
};

#define BUCKETS_FIRST 64

struct connpool {
    struct conn_env *env;
    struct worker_stats *stats;
    struct connpool_host **buckets;
    size_t bucket_count, host_count;
};

static const struct h1_back_limits back_limits = {
    .head = LIMIT_REPLY_HEAD, .fields = LIMIT_REPLY_FIELDS, .interim = LIMIT_INTERIM};

static size_t bucket_of(const struct connpool *p, const struct endpoint *e)
{
    return (size_t)(((uintptr_t)e >> 6) * 0x9e3779b97f4a7c15u >> 32) & (p->bucket_count - 1);
}

static struct connpool_host *host_find(const struct connpool *p, const struct endpoint *e)
{
    struct connpool_host *h = p->buckets[bucket_of(p, e)];
    while (h != NULL && h->endpoint != e)
        h = h->next;
    return h;
}

static void pooled_forget(struct pooled *c)
{
    struct connpool_host *h = c->host;
    list_remove(&c->link);
    h->count--;
    mem_free(c);
}

static void idle_remove(struct pooled *c)
{
    list_remove(&c->link);
    c->host->idle_count--;
}

static void idle_close(struct pooled *c)
{
    idle_remove(c);
    h1_back_close(&c->codec);
    pooled_forget(c);
}

static void close_idle(struct connpool_host *h)
{
    list_each (e, &h->idle)
        idle_close(container_of(e, struct pooled, link));
}

static void host_free(struct connpool_host *h)
{
    struct connpool *p = h->pool;
    struct connpool_host **at = &p->buckets[bucket_of(p, h->endpoint)];
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    p->host_count--;
    timer_stop(&h->upkeep);
    endpoint_unref(&h->endpoint);
    mem_free(h->server_name);
    mem_free(h);
}

/* Oldest idle connections first: they are at the list's end. */
static void on_upkeep(struct timer *t)
{
    struct connpool_host *h = container_of(t, struct connpool_host, upkeep);
    int64_t now = loop_now_ns(t->loop), next = 0;
    list_each (e, &h->idle) {
        struct pooled *c = container_of(e, struct pooled, link);
        if (c->until_ns <= now)
            idle_close(c);
        else if (next == 0 || c->until_ns < next)
            next = c->until_ns;
    }
    if (next != 0)
        timer_aim(t, next);
}

static void wait_done(struct connpool_wait *w)
{
    list_remove(&w->link);
    w->host->waiting_count--;
    w->host = NULL;
}

static struct back *stream_take(struct pooled *c)
{
    struct connpool_host *h = c->host;
    list_push(&h->busy, &c->link);
    return h1_back_take(c->codec);
}

/* An open connection without work: the oldest waiter gets it, else it waits in the idle list. */
static void settle(struct pooled *c, int64_t keep_ms)
{
    struct connpool_host *h = c->host;
    struct loop *loop = h->pool->env->loop;
    if (!list_empty(&h->waiters)) {
        struct connpool_wait *w = container_of(h->waiters.next, struct connpool_wait, link);
        wait_done(w);
        w->events->on_stream(w->user, stream_take(c));
        return;
    }
    list_push(&h->idle, &c->link);
    h->idle_count++;
    if (c->settings != h->settings || h->idle_count > h->most_idle || h->generation == 0) {
        idle_close(c);
        return;
    }
    int64_t most_ms = LIMIT_BACKEND_IDLE_MS;
    if (keep_ms > 0 && keep_ms - 1000 < most_ms)
        most_ms = keep_ms - 1000;
    c->idle_ns = loop_now_ns(loop);
    c->until_ns = c->idle_ns + (most_ms > 0 ? most_ms : 0) * NS_PER_MS;
    if (h->upkeep.due_ns == 0 || c->until_ns < h->upkeep.due_ns)
        timer_aim(&h->upkeep, c->until_ns);
}

static void on_open(void *owner, struct h1_back *codec)
{
    struct pooled *c = owner;
    (void)codec;
    c->open = true;
    c->host->opening_count--;
    list_remove(&c->link);
    counter_add(&c->host->pool->stats->backend_connections, 1);
    settle(c, 0);
}

static void on_idle(void *owner, struct h1_back *codec, int64_t keep_ms)
{
    struct pooled *c = owner;
    (void)codec;
    list_remove(&c->link);
    settle(c, keep_ms);
}

static enum err open_one(struct connpool_host *h);

/* As many attempts as there are waiters that no opening connection will serve. */
static void open_for_waiters(struct connpool_host *h)
{
    while (h->opening_count < h->waiting_count && h->count < h->most) {
        if (open_one(h) != ERR_OK)
            return;
    }
}

static void fail_oldest(struct connpool_host *h, enum err why)
{
    if (list_empty(&h->waiters))
        return;
    struct connpool_wait *w = container_of(h->waiters.next, struct connpool_wait, link);
    wait_done(w);
    w->events->on_fail(w->user, why);
}

static void on_closed(void *owner, struct h1_back *codec, enum err why)
{
    struct pooled *c = owner;
    struct connpool_host *h = c->host;
    bool opened = c->open;
    (void)codec;
    if (!opened)
        h->opening_count--;
    else if (c->idle_ns != 0)
        h->idle_count--;
    pooled_forget(c);
    if (!opened)
        fail_oldest(h, why);
    else
        open_for_waiters(h);
    if (h->generation == 0 && h->count == 0 && h->waiting_count == 0)
        host_free(h);
}

static const struct h1_back_owner back_owner = {
    .on_open = on_open, .on_idle = on_idle, .on_closed = on_closed};

static enum err open_one(struct connpool_host *h)
{
    struct pooled *c = mem_alloc(sizeof *c);
    if (c == NULL)
        return ERR_NO_MEMORY;
    struct conn_target to = {
        .addr = &h->address,
        .tls = h->tls,
        .server_name = span_of(h->server_name, h->server_name_size),
        .session_key = (uint64_t)(uintptr_t)h->endpoint,
    };
    c->host = h;
    c->settings = h->settings;
    enum err e = h1_back_new(h->pool->env, &to, &back_limits, &back_owner, c, &c->codec);
    if (e != ERR_OK) {
        mem_free(c);
        return e;
    }
    h->count++;
    h->opening_count++;
    list_append(&h->opening, &c->link);
    return ERR_OK;
}

enum err connpool_get(struct connpool *p, struct endpoint *endpoint, bool fresh,
                      struct connpool_wait *wait, struct back **out)
{
    struct connpool_host *h = host_find(p, endpoint);
    if (h == NULL)
        return ERR_INTERNAL;
    if (!list_empty(&h->idle)) {
        struct pooled *c = container_of(h->idle.next, struct pooled, link);
        int64_t idle_ns = loop_now_ns(p->env->loop) - c->idle_ns;
        if (!fresh || idle_ns < LIMIT_FRESH_IDLE_MS * NS_PER_MS) {
            idle_remove(c);
            c->idle_ns = 0;
            counter_add(&p->stats->backend_reused, 1);
            *out = stream_take(c);
            return ERR_OK;
        }
    }
    if (h->count >= h->most && !list_empty(&h->idle))
        idle_close(container_of(h->idle.prev, struct pooled, link));
    if (h->count >= h->most)
        return ERR_FULL;
    enum err e = open_one(h);
    if (e != ERR_OK)
        return e;
    wait->host = h;
    list_append(&h->waiters, &wait->link);
    h->waiting_count++;
    return ERR_AGAIN;
}

void connpool_cancel(struct connpool_wait *wait)
{
    if (wait->host != NULL)
        wait_done(wait);
}

void connpool_give_up(struct connpool_wait *wait)
{
    struct connpool_host *h = wait->host;
    if (h == NULL)
        return;
    wait_done(wait);
    if (h->opening_count <= h->waiting_count || list_empty(&h->opening))
        return;
    struct pooled *c = container_of(h->opening.next, struct pooled, link);
    h->opening_count--;
    h1_back_close(&c->codec);
    pooled_forget(c);
}

static bool name_set(struct connpool_host *h, struct span name)
{
    if (span_eq(name, span_of(h->server_name, h->server_name_size)))
        return true;
    char *copy = mem_copy_str(name.p, name.n);
    if (copy == NULL)
        return false;
    mem_free(h->server_name);
    h->server_name = copy;
    h->server_name_size = name.n;
    return true;
}

static struct connpool_host *host_new(struct connpool *p, struct endpoint *e)
{
    struct connpool_host *h = mem_alloc(sizeof *h);
    if (h == NULL)
        return NULL;
    h->pool = p;
    h->endpoint = endpoint_ref(e);
    list_init(&h->opening);
    list_init(&h->idle);
    list_init(&h->busy);
    list_init(&h->waiters);
    timer_init(&h->upkeep, p->env->loop, on_upkeep);
    size_t b = bucket_of(p, e);
    h->next = p->buckets[b];
    p->buckets[b] = h;
    p->host_count++;
    return h;
}

static void grow(struct connpool *p)
{
    struct connpool_host **old = p->buckets;
    size_t old_count = p->bucket_count;
    struct connpool_host **fresh = mem_array(old_count * 2, sizeof(struct connpool_host *));
    if (fresh == NULL)
        return; /* longer chains, nothing else */
    p->buckets = fresh;
    p->bucket_count = old_count * 2;
    for (size_t i = 0; i < old_count; i++) {
        while (old[i] != NULL) {
            struct connpool_host *h = old[i];
            old[i] = h->next;
            size_t b = bucket_of(p, h->endpoint);
            h->next = p->buckets[b];
            p->buckets[b] = h;
        }
    }
    mem_free(old);
}

enum err connpool_declare(struct connpool *p, const struct connpool_target *t, uint64_t generation)
{
    struct connpool_host *h = host_find(p, t->endpoint);
    if (h == NULL) {
        if (p->host_count >= p->bucket_count)
            grow(p);
        h = host_new(p, t->endpoint);
    }
    if (h == NULL || !name_set(h, t->server_name))
        return ERR_NO_MEMORY;
    h->address = *t->address;
    h->tls = t->tls;
    h->most = t->connections;
    h->most_idle = t->idle;
    h->generation = generation;
    if (h->settings != t->settings)
        close_idle(h);
    h->settings = t->settings;
    return ERR_OK;
}

static void host_retire(struct connpool_host *h)
{
    h->generation = 0;
    h->tls = NULL;
    close_idle(h);
    if (h->count == 0 && h->waiting_count == 0)
        host_free(h);
}

void connpool_sweep(struct connpool *p, uint64_t generation)
{
    for (size_t b = 0; b < p->bucket_count; b++) {
        struct connpool_host *h = p->buckets[b];
        while (h != NULL) {
            struct connpool_host *next = h->next;
            if (h->generation < generation && h->generation != 0)
                host_retire(h);
            h = next;
        }
    }
}

enum err connpool_new(struct conn_env *env, struct worker_stats *stats, struct connpool **out)
{
    struct connpool *p = mem_alloc(sizeof *p);
    *out = NULL;
    if (p == NULL)
        return ERR_NO_MEMORY;
    p->buckets = mem_array(BUCKETS_FIRST, sizeof(struct connpool_host *));
    if (p->buckets == NULL) {
        mem_free(p);
        return ERR_NO_MEMORY;
    }
    p->bucket_count = BUCKETS_FIRST;
    p->env = env;
    p->stats = stats;
    *out = p;
    return ERR_OK;
}

static void host_close_all(struct connpool_host *h)
{
    close_idle(h);
    struct link *lists[2] = {&h->opening, &h->busy};
    for (size_t i = 0; i < 2; i++) {
        list_each (e, lists[i]) {
            struct pooled *c = container_of(e, struct pooled, link);
            h1_back_close(&c->codec);
            pooled_forget(c);
        }
    }
}

void connpool_free(struct connpool **pp)
{
    struct connpool *p = *pp;
    *pp = NULL;
    if (p == NULL)
        return;
    for (size_t b = 0; b < p->bucket_count; b++) {
        while (p->buckets[b] != NULL) {
            assert(list_empty(&p->buckets[b]->waiters));
            host_close_all(p->buckets[b]);
            host_free(p->buckets[b]);
        }
    }
    mem_free(p->buckets);
    mem_free(p);
}

void connpool_facts(const struct connpool *p, const struct endpoint *e, struct connpool_facts *out)
{
    const struct connpool_host *h = host_find(p, e);
    *out = (struct connpool_facts){0};
    if (h != NULL)
        *out = (struct connpool_facts){h->count, h->idle_count, h->waiting_count};
}
