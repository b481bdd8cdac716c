#include "proxy/connpool_impl.h"

#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/tls_ctx.h"

#include <assert.h>

/* Hosts, and who gets a stream of which connection. */

#define BUCKETS_FIRST 64

/* Spreads clients over the buckets, however they have chosen their addresses and ports (F31); 0:
 * the endpoint's own. */
static uint64_t client_hash(const struct connpool *p, const struct connpool_client *client)
{
    const uint8_t *bytes;
    char key[sizeof(struct in6_addr) + sizeof(uint16_t)];
    if (client == NULL)
        return 0;
    size_t n = addr_bytes(&client->from, &bytes);
    uint16_t port = addr_port(&client->from);
    memcpy(key, bytes, n);
    memcpy(key + n, &port, sizeof port);
    return hash_keyed(p->key, span_of(key, n + sizeof port));
}

static size_t bucket_of(const struct connpool *p, const struct endpoint *e,
                        const struct connpool_client *client)
{
    uint64_t key =
        ((uintptr_t)e >> 6) * 0x9e3779b97f4a7c15u + client_hash(p, client) * 0xd6e8feb86659fd93u;
    return (size_t)(key >> 32) & (p->bucket_count - 1);
}

static size_t bucket_of_host(const struct connpool_host *h)
{
    return bucket_of(h->pool, h->endpoint, h->root != NULL ? &h->client : NULL);
}

static bool is_for(const struct connpool_host *h, const struct endpoint *e,
                   const struct connpool_client *client)
{
    if (h->endpoint != e || (h->root == NULL) != (client == NULL))
        return false;
    return client == NULL ||
           (addr_eq(&h->client.from, &client->from) && addr_eq(&h->client.to, &client->to));
}

static struct connpool_host *host_find(const struct connpool *p, const struct endpoint *e,
                                       const struct connpool_client *client)
{
    struct connpool_host *h = p->buckets[bucket_of(p, e, client)];
    while (h != NULL && !is_for(h, e, client))
        h = h->next;
    return h;
}

static void close_idle(struct connpool_host *h)
{
    list_each (e, &h->places[PLACE_IDLE])
        pooled_close(container_of(e, struct pooled, link));
}

/* Those with streams get no more; they close after the last one. What is being opened stays for
 * those who wait. */
static void close_unused(struct connpool_host *h)
{
    close_idle(h);
    list_each (e, &h->places[PLACE_OPENING]) {
        if (h->waiting_count == 0)
            pooled_close(container_of(e, struct pooled, link));
    }
    list_each (e, &h->places[PLACE_SHARED])
        pooled_move(container_of(e, struct pooled, link), PLACE_BUSY);
}

static void host_free(struct connpool_host *h)
{
    struct connpool *p = h->pool;
    struct connpool_host **at = &p->buckets[bucket_of_host(h)];
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    p->host_count--;
    list_remove(&h->clients);
    timer_stop(&h->upkeep);
    endpoint_unref(&h->endpoint);
    tls_client_free(&h->tls);
    mem_free(h->server_name);
    mem_free(h);
}

static bool is_used(const struct connpool_host *h)
{
    return h->count > 0 || h->waiting_count > 0 || h->telling > 0;
}

void connpool_host_settle(struct connpool_host *h)
{
    struct connpool_host *root = h->root;
    bool wanted = root == NULL && (h->generation != 0 || !list_empty(&h->clients));
    if (wanted || is_used(h))
        return;
    host_free(h);
    if (root != NULL)
        connpool_host_settle(root);
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

/* Of the host, else of another client of the same endpoint. */
static void close_oldest_idle(struct connpool_host *h)
{
    struct connpool_host *of = h;
    if (h->root != NULL && list_empty(&h->places[PLACE_IDLE])) {
        list_each (e, &h->root->clients) {
            struct connpool_host *other = container_of(e, struct connpool_host, clients);
            if (!list_empty(&other->places[PLACE_IDLE]))
                of = other;
        }
    }
    if (list_empty(&of->places[PLACE_IDLE]))
        return;
    pooled_close(container_of(of->places[PLACE_IDLE].prev, struct pooled, link));
    if (of != h)
        connpool_host_settle(of);
}

/* Whether there can be another connection, be it instead of an idle one. */
static bool may_open(struct connpool_host *h)
{
    const struct connpool_host *d = connpool_declared(h);
    return connpool_count(h) < d->most || d->counts[PLACE_IDLE] + d->clients_idle > 0;
}

/* Whether a stream is left for somebody who leaves so much to others. */
static bool has_room_beside(struct connpool_host *h, unsigned modest)
{
    const struct connpool_host *d = connpool_declared(h);
    uint32_t busy = connpool_count(h) - d->counts[PLACE_IDLE] - d->clients_idle;
    return first_in(h, PLACE_SHARED) != NULL ||
           busy < d->most - endpoint_places_left(d->most, modest);
}

/* Sees to it that a connection is coming for one more who waits. */
static enum err expect_one(struct connpool_host *h, bool anew)
{
    struct pooled *idle = first_in(h, PLACE_IDLE);
    if (h->promised > h->waiting_count || (!anew && idle != NULL && pooled_check(idle)))
        return ERR_OK;
    uint32_t most = connpool_declared(h)->most;
    if (connpool_count(h) >= most)
        close_oldest_idle(h);
    return connpool_count(h) >= most ? ERR_FULL : pooled_open(h);
}

static struct connpool_host *host_new(struct connpool *p, struct endpoint *e,
                                      struct connpool_host *root,
                                      const struct connpool_client *client);

/* Where connections for the client are: of targets without a header for all. NULL: no memory. */
static struct connpool_host *host_for(struct connpool_host *root,
                                      const struct connpool_client *client)
{
    if (root->header == CONNPOOL_NO_HEADER)
        return root;
    struct connpool_host *h = host_find(root->pool, root->endpoint, client);
    return h != NULL ? h : host_new(root->pool, root->endpoint, root, client);
}

enum err connpool_get(struct connpool *p, struct endpoint *endpoint,
                      const struct connpool_client *client, enum connpool_age age, unsigned modest,
                      struct connpool_wait *wait, struct back **out)
{
    struct connpool_host *root = host_find(p, endpoint, NULL);
    if (root == NULL)
        return ERR_INTERNAL;
    connpool_forget_fallen(root);
    struct connpool_host *h = host_for(root, client);
    if (h == NULL)
        return ERR_NO_MEMORY;
    if (modest > 0 && !has_room_beside(h, modest)) {
        connpool_host_settle(h);
        return ERR_FULL;
    }
    bool anew = age == CONNPOOL_NEW && may_open(h);
    *out = anew ? NULL : take_now(h, age != CONNPOOL_ANY);
    if (*out != NULL) {
        counter_add(&p->stats->backend_reused, 1);
        return ERR_OK;
    }
    enum err e = expect_one(h, anew);
    if (e != ERR_OK) {
        connpool_host_settle(h);
        return e;
    }
    wait->host = h;
    wait->since_ns = loop_now_ns(p->env->loop);
    wait->anew = anew;
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
    connpool_host_settle(h);
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

static void grow(struct connpool *p);

static struct connpool_host *host_new(struct connpool *p, struct endpoint *e,
                                      struct connpool_host *root,
                                      const struct connpool_client *client)
{
    if (p->host_count >= p->bucket_count)
        grow(p);
    struct connpool_host *h = mem_alloc(sizeof *h);
    if (h == NULL)
        return NULL;
    h->pool = p;
    h->endpoint = endpoint_ref(e);
    list_init(&h->clients);
    if (root != NULL) {
        h->root = root;
        h->client = *client;
        list_append(&root->clients, &h->clients);
    }
    for (int i = 0; i < PLACES; i++)
        list_init(&h->places[i]);
    list_init(&h->waiters);
    timer_init(&h->upkeep, p->env->loop, connpool_on_upkeep);
    size_t b = bucket_of_host(h);
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
            size_t b = bucket_of_host(h);
            h->next = p->buckets[b];
            p->buckets[b] = h;
        }
    }
    mem_free(old);
}

void connpool_close_unused(struct connpool_host *root)
{
    close_unused(root);
    list_each (e, &root->clients) {
        struct connpool_host *h = container_of(e, struct connpool_host, clients);
        h->single = false;
        close_unused(h);
        if (!is_used(h))
            host_free(h);
    }
}

enum err connpool_declare(struct connpool *p, const struct connpool_target *t, uint64_t generation)
{
    struct connpool_host *h = host_find(p, t->endpoint, NULL);
    if (h == NULL)
        h = host_new(p, t->endpoint, NULL, NULL);
    if (h == NULL || !name_set(h, t->server_name))
        return ERR_NO_MEMORY;
    h->address = *t->address;
    tls_set(h, t->tls);
    h->secure = t->tls != NULL;
    h->protocol = t->protocol;
    h->header = t->header;
    h->most = t->connections;
    h->most_idle = t->idle;
    h->generation = generation;
    if (h->settings != t->settings) {
        h->single = false;
        connpool_close_unused(h);
    }
    h->settings = t->settings;
    return ERR_OK;
}

static void host_retire(struct connpool_host *h)
{
    h->generation = 0;
    tls_set(h, NULL);
    connpool_close_unused(h);
    connpool_host_settle(h);
}

static struct connpool_host *unwanted_in(struct connpool_host *h, uint64_t generation)
{
    while (h != NULL && (h->root != NULL || h->generation >= generation || h->generation == 0))
        h = h->next;
    return h;
}

/* A host that goes takes those of its clients along, which may be in any bucket. */
void connpool_sweep(struct connpool *p, uint64_t generation)
{
    for (size_t b = 0; b < p->bucket_count; b++) {
        struct connpool_host *h;
        while ((h = unwanted_in(p->buckets[b], generation)) != NULL)
            host_retire(h);
    }
}

enum err connpool_new(struct conn_env *env, struct worker_stats *stats, const struct hash_key *key,
                      struct connpool **out)
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
    p->key = key;
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

/* With those of its clients. */
static void host_end(struct connpool_host *root)
{
    list_each (e, &root->clients) {
        struct connpool_host *h = container_of(e, struct connpool_host, clients);
        host_close_all(h);
        host_free(h);
    }
    assert(list_empty(&root->waiters));
    host_close_all(root);
    host_free(root);
}

void connpool_free(struct connpool **pp)
{
    struct connpool *p = *pp;
    *pp = NULL;
    if (p == NULL)
        return;
    for (size_t b = 0; b < p->bucket_count; b++) {
        while (p->buckets[b] != NULL)
            host_end(connpool_declared(p->buckets[b]));
    }
    loop_run_tasks(p->env->loop); /* HTTP/2 connections go at the end of a turn */
    mem_free(p->buckets);
    mem_free(p);
}

void connpool_facts(const struct connpool *p, const struct endpoint *e, struct connpool_facts *out)
{
    const struct connpool_host *h = host_find(p, e, NULL);
    *out = (struct connpool_facts){0};
    if (h == NULL)
        return;
    *out = (struct connpool_facts){h->count + h->clients_count,
                                   h->counts[PLACE_IDLE] + h->clients_idle, h->waiting_count};
    list_each (l, &h->clients)
        out->waiting += container_of(l, struct connpool_host, clients)->waiting_count;
}
