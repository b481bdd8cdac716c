#include "proxy/proxy.h"

#include "base/hash.h"
#include "base/mem.h"
#include "proxy/client.h"
#include "proxy/exchange_impl.h"

#include <assert.h>

#define LINE_MOST  (LIMIT_LOG_LINE + KIB(4))
#define ARENA_KEEP 128
#define OFFER_MS   2 /* in which a worker takes what another one offers it */

static struct pool_slot *slot_find(struct proxy *p, const struct pool_state *state)
{
    list_each (e, &p->slots) {
        struct pool_slot *s = container_of(e, struct pool_slot, link);
        if (s->state == state)
            return s;
    }
    return NULL;
}

static void on_unused(struct timer *t)
{
    struct pool_slot *s = container_of(t, struct pool_slot, unused);
    proxy_look(s->proxy, s);
}

static struct pool_slot *slot_get(struct proxy *p, struct pool_state *state)
{
    struct pool_slot *s = slot_find(p, state);
    if (s == NULL) {
        s = mem_alloc(sizeof *s);
        if (s == NULL)
            return NULL;
        s->state = state;
        s->proxy = p;
        timer_init(&s->unused, p->loop, on_unused);
        timer_init(&s->room, p->loop, exchange_on_room);
        line_init(&s->line);
        list_init(&s->stalled);
        list_append(&p->slots, &s->link);
    }
    return pool_slot_ref(s);
}

struct pool_slot *pool_slot_ref(struct pool_slot *s)
{
    s->refs++;
    return s;
}

void pool_slot_unref(struct pool_slot **sp)
{
    struct pool_slot *s = *sp;
    *sp = NULL;
    if (s == NULL || --s->refs != 0)
        return;
    list_remove(&s->link);
    timer_stop(&s->unused);
    timer_stop(&s->room);
    mem_free(s);
}

static void edition_free(struct edition *e)
{
    list_remove(&e->link);
    for (uint32_t i = 0; i < e->policy->pool_count; i++) {
        pool_view_free(&e->pools[i].view);
        pool_slot_unref(&e->pools[i].slot);
    }
    mem_free(e->pools);
    mem_free(e);
}

static struct edition *edition_new(struct proxy *p, const struct policy *policy)
{
    struct edition *e = mem_alloc(sizeof *e);
    if (e == NULL)
        return NULL;
    list_init(&e->link);
    e->policy = policy;
    e->refs = 1;
    e->pools = mem_array(policy->pool_count + 1, sizeof *e->pools);
    if (e->pools == NULL) {
        mem_free(e);
        return NULL;
    }
    for (uint32_t i = 0; i < policy->pool_count; i++) {
        const struct pick_pool *pick = policy->pools[i].pick;
        e->pools[i].view = pool_view_new(pick, loop_now_ms(p->loop));
        e->pools[i].slot = slot_get(p, pick->state);
        if (e->pools[i].view == NULL || e->pools[i].slot == NULL) {
            edition_free(e);
            return NULL;
        }
    }
    return e;
}

struct edition *edition_ref(struct edition *e)
{
    e->refs++;
    return e;
}

void edition_unref(struct proxy *p, struct edition **ep)
{
    struct edition *e = *ep;
    *ep = NULL;
    if (e == NULL || --e->refs != 0)
        return;
    const struct policy *policy = e->policy;
    edition_free(e);
    task_post(p->loop, &p->sweep);
    p->hooks.edition_end(p->hooks.user, policy);
}

/* What the oldest edition has may still be picked by its requests. Not inside of a call that works
 * with an endpoint's connections. */
static void on_sweep(struct task *t)
{
    struct proxy *p = container_of(t, struct proxy, sweep);
    if (list_empty(&p->editions))
        return;
    const struct edition *oldest = container_of(p->editions.next, struct edition, link);
    connpool_sweep(p->connpool, oldest->policy->generation);
}

static enum err declare_pool(struct proxy *p, const struct policy_pool *pool, uint64_t generation)
{
    for (uint32_t i = 0; i < pool->endpoint_count; i++) {
        const struct policy_endpoint *e = &pool->endpoints[i];
        struct connpool_target t = {
            .endpoint = e->endpoint,
            .address = &e->address,
            .tls = pool->tls != NULL ? pool->tls[p->worker] : NULL,
            .server_name = e->server_name,
            .protocol = pool->protocol,
            .header = pool->header,
            /* Under another name a server is another one. */
            .settings = pool->settings + hash_plain(e->server_name),
            .connections = pool->connections,
            .idle = pool->idle,
        };
        enum err err = connpool_declare(p->connpool, &t, generation);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* One at a time. How many have been served. */
static uint32_t serve_neglected(struct pool_slot *s, int64_t now_ns)
{
    struct waiter *w = line_neglected(&s->line, now_ns);
    if (w == NULL)
        return 0;
    struct exchange *x = container_of(w, struct exchange, waiter);
    exchange_retry_pick(x);
    return x->slot == NULL;
}

/* Each freed slot is offered to whoever is next; one that cannot use it (it may not go there) keeps
 * its place, and some behind it are asked. What one does with it may end the wait of another, be it
 * of the next: the copy for a mirror waits at the same pool. Then the line is looked at from its
 * beginning. The caller holds the slot. */
static void serve_slot(struct pool_slot *s, uint32_t offers, int64_t now_ns)
{
    enum { LOOKS = 16 };
    struct waiter *next;
    unsigned looks = 0;
    offers -= serve_neglected(s, now_ns);
    for (struct waiter *w = line_first(&s->line, now_ns); w != NULL && offers > 0; w = next) {
        struct exchange *x = container_of(w, struct exchange, waiter);
        next = line_after(&s->line, w, now_ns);
        exchange_retry_pick(x);
        if (next != NULL && list_empty(&next->link))
            next = line_first(&s->line, now_ns);
        if (x->slot == NULL)
            offers--;
        else if (++looks == LOOKS)
            return;
    }
}

static void serve_freed(struct proxy *p, struct pool_slot *s)
{
    uint32_t offers = s->freed;
    s->freed = 0;
    if (offers > 0)
        serve_slot(s, offers, loop_now_ns(p->loop));
}

void proxy_look(struct proxy *p, struct pool_slot *s)
{
    int64_t now_ms = loop_now_ms(p->loop);
    if (s->looked_ms == now_ms)
        return;
    s->looked_ms = now_ms;
    struct pool_slot *held = pool_slot_ref(s);
    serve_slot(s, UINT32_MAX, loop_now_ns(p->loop));
    pool_slot_unref(&held);
}

/* Slots may end meanwhile, with the edition of a request that fails. */
static void each_slot(struct proxy *p, void (*serve)(struct proxy *p, struct pool_slot *s))
{
    struct link *e = p->slots.next;
    while (e != &p->slots) {
        struct pool_slot *s = pool_slot_ref(container_of(e, struct pool_slot, link));
        serve(p, s);
        e = e->next;
        pool_slot_unref(&s);
    }
}

static void on_serve(struct task *t)
{
    each_slot(container_of(t, struct proxy, serve), serve_freed);
}

static void look_anew(struct proxy *p, struct pool_slot *s)
{
    s->looked_ms = -1;
    proxy_look(p, s);
}

/* Nothing has been sent for them yet, and servers are added for them more than for anybody. */
static void rehome_waiters(struct proxy *p)
{
    if (counter_get(&p->stats->waiting) == 0)
        return;
    list_each (e, &p->exchanges) {
        struct exchange *x = container_of(e, struct exchange, link);
        if (x->state == EXCHANGE_WAIT && !x->errand)
            exchange_rehome(x, p->current);
    }
    each_slot(p, look_anew);
}

enum err proxy_adopt(struct proxy *p, const struct policy *policy)
{
    struct edition *e = edition_new(p, policy);
    if (e == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < policy->pool_count; i++) {
        enum err err = declare_pool(p, &policy->pools[i], policy->generation);
        if (err != ERR_OK) {
            edition_free(e);
            return err;
        }
    }
    struct edition *old = p->current;
    p->current = e;
    list_append(&p->editions, &e->link);
    rehome_waiters(p);
    edition_unref(p, &old);
    return ERR_OK;
}

void proxy_retire(struct proxy *p)
{
    edition_unref(p, &p->current);
}

static bool room(const struct proxy *p)
{
    const struct admission *a = p->admission;
    return atomic_load_explicit(&a->connections, memory_order_relaxed) <
           atomic_load_explicit(&a->connections_most, memory_order_relaxed);
}

bool proxy_accepting(const struct proxy *p)
{
    return !p->draining && p->overload < OVERLOAD_RESET && room(p);
}

bool proxy_accept(struct proxy *p, struct proxy_listener *l, int fd, const struct addr *peer)
{
    enum err e = client_new(p, l, fd, peer);
    if (e != ERR_OK)
        counter_add(&p->stats->refused, 1);
    return proxy_accepting(p);
}

void proxy_slot_free(struct proxy *p, struct pool_state *state)
{
    struct pool_slot *s = slot_find(p, state);
    if (s == NULL || s->line.count == 0)
        return;
    s->freed++;
    task_post(p->loop, &p->serve);
}

/* Whose turn it is of the workers with waiters: all have the same, else those of a worker that has
 * no slots would wait for ever. Connections are this worker's own, and so is who waits for them. */
static unsigned next_worker(const struct proxy *p, const struct pool_slot *s, uint64_t waiting)
{
    unsigned last = s != NULL ? s->served : p->worker;
    if (s != NULL && s->line.count != 0 && s->own)
        return p->worker;
    for (unsigned i = 1; i <= p->workers; i++) {
        unsigned next = (last + i) % p->workers;
        if ((waiting >> next & 1) != 0)
            return next;
    }
    return p->worker;
}

void proxy_slot_released(struct proxy *p, struct pool_state *state)
{
    struct pool_slot *s = slot_find(p, state);
    uint64_t waiting = atomic_load_explicit(&state->waiting_workers, memory_order_relaxed);
    unsigned next = next_worker(p, s, waiting);
    if (s != NULL)
        s->served = next;
    if (next == p->worker) {
        proxy_slot_free(p, state);
        return;
    }
    p->hooks.slot_free(p->hooks.user, next, state);
    if (s != NULL && s->line.count != 0 && s->unused.due_ns == 0)
        timer_in_ms(&s->unused, OFFER_MS);
}

void proxy_shed(struct proxy *p, struct pool_state *state, enum rank rank)
{
    struct pool_slot *s = slot_find(p, state);
    if (s != NULL)
        exchange_shed(s, rank);
}

void proxy_drain(struct proxy *p)
{
    p->draining = true;
    list_each (e, &p->clients)
        client_last(container_of(e, struct client, link));
}

void proxy_last(struct proxy *p, struct proxy_listener *l)
{
    l->gone = true;
    list_each (e, &p->clients) {
        struct client *c = container_of(e, struct client, link);
        if (c->listener == l)
            client_last(c);
    }
}

void proxy_close_idle(struct proxy *p, const struct proxy_listener *l)
{
    list_each (e, &p->clients) {
        struct client *c = container_of(e, struct client, link);
        if (l == NULL || c->listener == l)
            client_drain(c);
    }
}

void proxy_kill(struct proxy *p, bool spare_tunnels, enum err why)
{
    list_each (c, &p->clients)
        container_of(c, struct client, link)->spared = false;
    list_each (e, &p->exchanges) {
        struct exchange *x = container_of(e, struct exchange, link);
        if (!spare_tunnels || !exchange_lasts(x))
            exchange_kill(x, why);
        else if (x->client != NULL)
            x->client->spared = true;
    }
    list_each (c, &p->clients) {
        struct client *client = container_of(c, struct client, link);
        if (!client->spared)
            client_kill(client, why);
    }
}

void proxy_kill_old(struct proxy *p, uint64_t generation, enum err why)
{
    list_each (e, &p->exchanges) {
        struct exchange *x = container_of(e, struct exchange, link);
        if (x->edition != NULL && x->edition->policy->generation <= generation)
            exchange_kill(x, why);
    }
}

void proxy_kill_errands(struct proxy *p, enum err why)
{
    list_each (e, &p->exchanges) {
        struct exchange *x = container_of(e, struct exchange, link);
        if (x->client == NULL)
            exchange_kill(x, why);
    }
}

size_t proxy_exchanges(const struct proxy *p, bool tunnels)
{
    size_t n = 0;
    list_each (e, &p->exchanges)
        n += exchange_lasts(container_of(e, struct exchange, link)) == tunnels;
    return n;
}

size_t proxy_clients(const struct proxy *p)
{
    size_t n = 0;
    for (const struct link *e = p->clients.next; e != &p->clients; e = e->next)
        n++;
    return n;
}

enum err proxy_new(const struct proxy_spec *spec, struct proxy **out)
{
    struct proxy *p = mem_alloc(sizeof *p);
    *out = NULL;
    if (p == NULL)
        return ERR_NO_MEMORY;
    p->worker = spec->worker;
    p->workers = spec->workers;
    p->env = spec->env;
    p->loop = spec->env->loop;
    p->admission = spec->admission;
    p->stats = spec->stats;
    p->hooks = spec->hooks;
    p->challenges = spec->challenges;
    p->arenas.keep = ARENA_KEEP;
    list_init(&p->clients);
    list_init(&p->handshakes);
    list_init(&p->exchanges);
    list_init(&p->spare);
    list_init(&p->slots);
    list_init(&p->editions);
    task_init(&p->sweep, on_sweep);
    task_init(&p->serve, on_serve);
    buf_init(&p->line, LINE_MOST);
    if (spec->seed != 0)
        rng_seed(&p->rng, spec->seed);
    else
        rng_seed_system(&p->rng);
    enum err e = connpool_new(p->env, p->stats, &p->admission->key, &p->connpool);
    if (e != ERR_OK) {
        mem_free(p);
        return e;
    }
    *out = p;
    return ERR_OK;
}

void proxy_free(struct proxy **pp)
{
    struct proxy *p = *pp;
    *pp = NULL;
    if (p == NULL)
        return;
    assert(list_empty(&p->clients) && list_empty(&p->exchanges));
    task_cancel(&p->serve);
    proxy_retire(p);
    task_cancel(&p->sweep);
    connpool_free(&p->connpool);
    list_each (e, &p->spare) {
        struct exchange *x = container_of(e, struct exchange, link);
        timer_stop(&x->timer);
        mem_free(x);
    }
    buf_fini(&p->line);
    compress_store_fini(&p->compress);
    arena_cache_fini(&p->arenas);
    mem_free(p);
}
