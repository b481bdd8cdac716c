#include "proxy/relief.h"

#include "base/limits.h"
#include "http/back.h"
#include "proxy/client.h"
#include "proxy/exchange_impl.h"

/* Idle connections that one look ends under OVERLOAD_REFUSE. */
#define CLOSE_MOST 64

/* The longest idle connections so far: a heap, the youngest of them on top. */
struct longest {
    struct client *clients[CLOSE_MOST];
    int64_t since_ns[CLOSE_MOST];
    size_t count;
};

static void swap(struct longest *l, size_t a, size_t b)
{
    struct client *client = l->clients[a];
    int64_t since_ns = l->since_ns[a];
    l->clients[a] = l->clients[b];
    l->since_ns[a] = l->since_ns[b];
    l->clients[b] = client;
    l->since_ns[b] = since_ns;
}

static void sift_up(struct longest *l, size_t i)
{
    while (i > 0 && l->since_ns[i] > l->since_ns[(i - 1) / 2]) {
        swap(l, i, (i - 1) / 2);
        i = (i - 1) / 2;
    }
}

static void sift_down(struct longest *l)
{
    size_t i = 0, child;
    while ((child = 2 * i + 1) < l->count) {
        child += child + 1 < l->count && l->since_ns[child + 1] > l->since_ns[child];
        if (l->since_ns[child] <= l->since_ns[i])
            return;
        swap(l, i, child);
        i = child;
    }
}

static void note_idle(struct longest *l, struct client *c, int64_t since_ns)
{
    size_t at = l->count;
    if (at < CLOSE_MOST) {
        l->count++;
    } else if (since_ns < l->since_ns[0]) {
        at = 0;
    } else {
        return;
    }
    l->clients[at] = c;
    l->since_ns[at] = since_ns;
    if (at == 0)
        sift_down(l);
    else
        sift_up(l, at);
}

static void close_idle(struct proxy *p)
{
    int64_t old_ns = loop_now_ns(p->loop) - LIMIT_IDLE_PRESSED_MS * NS_PER_MS;
    struct longest longest = {.count = 0};
    list_each (e, &p->clients) {
        struct client *c = container_of(e, struct client, link);
        int64_t since_ns = c->codec != NULL ? c->codec->ops->idle_ns(c->codec) : FRONT_NOT_IDLE;
        if (since_ns <= old_ns)
            client_drain(c);
        else if (since_ns != FRONT_NOT_IDLE && p->overload >= OVERLOAD_REFUSE)
            note_idle(&longest, c, since_ns);
    }
    for (size_t i = 0; i < longest.count; i++)
        client_drain(longest.clients[i]);
}

void relief_apply(struct proxy *p, enum overload tier)
{
    bool was = p->overload != OVERLOAD_NONE, is = tier != OVERLOAD_NONE;
    p->overload = tier;
    p->env->pressed = is;
    if (was != is) {
        list_each (e, &p->clients)
            client_press(container_of(e, struct client, link), is);
    }
    if (is)
        close_idle(p);
}

/* Who a request comes from: behind a trusted proxy that is not the peer. */
static uint16_t source_of(const struct exchange *x)
{
    const struct admission *a = x->proxy->admission;
    return x->origin != NULL ? admission_source(a, &x->origin->addr) : x->client->source;
}

static void add(struct admission *a, uint16_t source, size_t bytes)
{
    atomic_fetch_add_explicit(&a->weights[source], (uint32_t)((bytes + 1023) / 1024),
                              memory_order_relaxed);
}

/* What a request holds beside its connection, and that too where the connection is a proxy's. */
static size_t exchange_bytes(const struct exchange *x)
{
    size_t sum = sizeof *x + x->replay.cap;
    if (x->back != NULL)
        sum += x->back->ops->pending(x->back);
    if (!x->client->counted)
        sum += x->front->arena->used + x->front->ops->pending(x->front);
    return sum;
}

void relief_weigh(const struct proxy *p)
{
    for (const struct link *e = p->clients.next; e != &p->clients; e = e->next) {
        const struct client *c = container_of(e, const struct client, link);
        if (c->counted && c->codec != NULL)
            add(p->admission, c->source, sizeof *c + c->codec->ops->bytes(c->codec));
    }
    for (const struct link *e = p->exchanges.next; e != &p->exchanges; e = e->next) {
        const struct exchange *x = container_of(e, const struct exchange, link);
        if (x->client != NULL)
            add(p->admission, source_of(x), exchange_bytes(x));
    }
}

void relief_reset(struct proxy *p, uint16_t source)
{
    list_each (e, &p->exchanges) {
        struct exchange *x = container_of(e, struct exchange, link);
        if (x->client != NULL && source_of(x) == source)
            exchange_kill(x, ERR_OVERLOAD_HEAVIEST);
    }
    list_each (e, &p->clients) {
        struct client *c = container_of(e, struct client, link);
        if (c->counted && c->source == source)
            client_kill(c, ERR_OVERLOAD_HEAVIEST);
    }
}

void relief_clear(struct admission *a)
{
    for (size_t i = 0; i < ADMISSION_SOURCES; i++)
        atomic_store_explicit(&a->weights[i], 0, memory_order_relaxed);
}

bool relief_heaviest(const struct admission *a, uint16_t *source, uint64_t *bytes)
{
    uint32_t most = 0;
    for (size_t i = 0; i < ADMISSION_SOURCES; i++) {
        uint32_t weight = atomic_load_explicit(&a->weights[i], memory_order_relaxed);
        if (weight <= most)
            continue;
        most = weight;
        *source = (uint16_t)i;
    }
    *bytes = (uint64_t)most * 1024;
    return most != 0;
}
