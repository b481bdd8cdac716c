#include "proxy/connpool_impl.h"

#include "base/limits.h"
#include "base/mem.h"
#include "net/tls_ctx.h"

#include <assert.h>

/* Hosts, and who gets a stream of which connection. */

#define BUCKETS_FIRST 64

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

static void close_idle(struct connpool_host *h)
{
    list_each (e, &h->places[PLACE_IDLE])
        pooled_close(container_of(e, struct pooled, link));
}

/* Those with streams get no more; they close after the last one. */
static void close_unused(struct connpool_host *h)
{
    close_idle(h);
    list_each (e, &h->places[PLACE_SHARED])
        pooled_move(container_of(e, struct pooled, link), PLACE_BUSY);
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
    tls_client_free(&h->tls);
    mem_free(h->server_name);
    mem_free(h);
}

void connpool_host_settle(struct connpool_host *h)
{
    if (h->generation == 0 && h->count == 0 && h->waiting_count == 0)
        host_free(h);
}

/* When the first of them is overdue; 0: none is left. */
static int64_t close_overdue_idle(struct connpool_host *h, int64_t now)
{
    int64_t next = 0;
    list_each (e, &h->places[PLACE_IDLE]) {
        struct pooled *c = container_of(e, struct pooled, link);
        if (c->until_ns <= now)
            pooled_close(c);
        else if (next == 0 || c->until_ns < next)
            next = c->until_ns;
    }
    return next;
}

/* Those who wait have time-outs of their own; but a connection that they have left behind may never
 * open, nor fail: a server that accepts and says nothing. */
static int64_t close_forsaken(struct connpool_host *h, int64_t now)
{
    int64_t next = 0;
    list_each (e, &h->places[PLACE_OPENING]) {
        struct pooled *c = container_of(e, struct pooled, link);
        int64_t due = c->since_ns + CONNPOOL_OPENING_MS * NS_PER_MS;
        if (due <= now && h->promised - c->promise >= h->waiting_count) {
            pooled_close(c);
            continue;
        }
        due = due > now ? due : now + CONNPOOL_OPENING_MS * NS_PER_MS;
        next = next == 0 || due < next ? due : next;
    }
    return next;
}

static void on_upkeep(struct timer *t)
{
    struct connpool_host *h = container_of(t, struct connpool_host, upkeep);
    int64_t now = loop_now_ns(t->loop);
    int64_t next = close_overdue_idle(h, now), other = close_forsaken(h, now);
    if (next == 0 || (other != 0 && other < next))
        next = other;
    if (next != 0)
        timer_aim(t, next);
    connpool_host_settle(h);
}

void connpool_wait_done(struct connpool_wait *w)
{
    list_remove(&w->link);
    w->host->waiting_count--;
    w->host = NULL;
}

static struct pooled *first_in(const struct connpool_host *h, enum connpool_place place)
{
    const struct link *l = &h->places[place];
    return list_empty(l) ? NULL : container_of(l->next, struct pooled, link);
}

static struct back *take_from(struct pooled *c)
{
    struct back *b = c->codec->ops->take(c->codec);
    bool more = b != NULL && c->codec->ops->slots(c->codec) > 0;
    if (b == NULL && c->codec->ops->busy(c->codec) == 0)
        pooled_close(c);
    else
        pooled_move(c, more ? PLACE_SHARED : PLACE_BUSY);
    return b;
}

/* A stream of a connection that is there. One that has other streams proves itself by them. */
static struct back *take_now(struct connpool_host *h, bool fresh)
{
    struct pooled *c;
    struct back *b = NULL;
    while (b == NULL && (c = first_in(h, PLACE_SHARED)) != NULL)
        b = take_from(c);
    int64_t now = loop_now_ns(h->pool->env->loop);
    while (b == NULL && (c = first_in(h, PLACE_IDLE)) != NULL) {
        if (fresh && now - c->since_ns >= LIMIT_FRESH_IDLE_MS * NS_PER_MS)
            return NULL;
        b = take_from(c);
    }
    return b;
}

static void close_oldest_idle(struct connpool_host *h)
{
    const struct link *idle = &h->places[PLACE_IDLE];
    if (!list_empty(idle))
        pooled_close(container_of(idle->prev, struct pooled, link));
}

/* Sees to it that a connection is coming for one more who waits. */
static enum err expect_one(struct connpool_host *h)
{
    struct pooled *idle = first_in(h, PLACE_IDLE);
    if (h->promised > h->waiting_count || (idle != NULL && pooled_check(idle)))
        return ERR_OK;
    if (h->count >= h->most)
        close_oldest_idle(h);
    return h->count >= h->most ? ERR_FULL : pooled_open(h);
}

enum err connpool_get(struct connpool *p, struct endpoint *endpoint, bool fresh,
                      struct connpool_wait *wait, struct back **out)
{
    struct connpool_host *h = host_find(p, endpoint);
    if (h == NULL)
        return ERR_INTERNAL;
    *out = take_now(h, fresh);
    if (*out != NULL) {
        counter_add(&p->stats->backend_reused, 1);
        return ERR_OK;
    }
    enum err e = expect_one(h);
    if (e != ERR_OK)
        return e;
    wait->host = h;
    wait->since_ns = loop_now_ns(p->env->loop);
    list_append(&h->waiters, &wait->link);
    h->waiting_count++;
    return ERR_AGAIN;
}

void connpool_cancel(struct connpool_wait *wait)
{
    if (wait->host != NULL)
        connpool_wait_done(wait);
}

void connpool_give_up(struct connpool_wait *wait)
{
    struct connpool_host *h = wait->host;
    if (h == NULL)
        return;
    connpool_wait_done(wait);
    struct pooled *oldest = first_in(h, PLACE_OPENING);
    if (oldest == NULL)
        return;
    bool spare = h->promised - oldest->promise >= h->waiting_count;
    if (!spare && oldest->since_ns > wait->since_ns)
        return;
    pooled_close(oldest);
    pooled_open_for_waiters(h);
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

static void tls_set(struct connpool_host *h, struct tls_client *tls)
{
    struct tls_client *old = h->tls;
    h->tls = tls != NULL ? tls_client_ref(tls) : NULL;
    tls_client_free(&old);
}

static struct connpool_host *host_new(struct connpool *p, struct endpoint *e)
{
    struct connpool_host *h = mem_alloc(sizeof *h);
    if (h == NULL)
        return NULL;
    h->pool = p;
    h->endpoint = endpoint_ref(e);
    for (int i = 0; i < PLACES; i++)
        list_init(&h->places[i]);
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
    tls_set(h, t->tls);
    h->secure = t->tls != NULL;
    h->protocol = t->protocol;
    h->most = t->connections;
    h->most_idle = t->idle;
    h->generation = generation;
    if (h->settings != t->settings) {
        h->single = false;
        close_unused(h);
    }
    h->settings = t->settings;
    return ERR_OK;
}

static void host_retire(struct connpool_host *h)
{
    h->generation = 0;
    tls_set(h, NULL);
    close_unused(h);
    connpool_host_settle(h);
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
    for (int i = 0; i < PLACES; i++) {
        list_each (e, &h->places[i])
            pooled_close(container_of(e, struct pooled, link));
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
    loop_run_tasks(p->env->loop); /* HTTP/2 connections go at the end of a turn */
    mem_free(p->buckets);
    mem_free(p);
}

void connpool_facts(const struct connpool *p, const struct endpoint *e, struct connpool_facts *out)
{
    const struct connpool_host *h = host_find(p, e);
    *out = (struct connpool_facts){0};
    if (h != NULL)
        *out = (struct connpool_facts){h->count, h->counts[PLACE_IDLE], h->waiting_count};
}
