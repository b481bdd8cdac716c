#include "proxy/sight.h"

#include "proxy/exchange_impl.h"

static void put(char *to, size_t size, struct span from)
{
    size_t n = from.n < size - 1 ? from.n : size - 1;
    if (n != 0)
        memcpy(to, from.p, n);
    to[n] = '\0';
}

static void look_at_client(struct client *c, struct sight *s)
{
    *s = (struct sight){
        .protocol = c->protocol,
        .tls = c->tls,
        .state = c->protocol == NULL ? "handshake" : "idle",
        .age_ms = (loop_now_ns(c->proxy->loop) - c->begun_ns) / NS_PER_MS,
        .requests = c->requests,
        .bytes_in = c->bytes_in,
        .bytes_out = c->bytes_out,
    };
    put(s->listener, sizeof s->listener, c->listener->name);
    s->client[addr_print(&c->peer.addr, s->client)] = '\0';
    c->row = s;
}

static void look_at_exchange(const struct exchange *x, struct sight *s)
{
    const struct endpoint *e = x->ticket.endpoint;
    s->bytes_in += x->front->bytes_in;
    s->bytes_out += x->front->bytes_out;
    if (s->state != NULL && strcmp(s->state, "idle") != 0)
        return;
    s->state = exchange_state_name(x->state);
    if (e == NULL)
        return;
    put(s->pool, sizeof s->pool, span_str(e->pool->name));
    put(s->backend, sizeof s->backend, e->backend);
}

size_t sight_take(const struct proxy *p, struct sight *rows, size_t most)
{
    size_t n = 0, k = 0;
    for (const struct link *e = p->clients.next; e != &p->clients && n < most; e = e->next)
        look_at_client(container_of(e, struct client, link), &rows[n++]);
    for (const struct link *e = p->exchanges.next; e != &p->exchanges; e = e->next) {
        const struct exchange *x = container_of(e, struct exchange, link);
        if (x->client != NULL && x->client->row != NULL && x->front != NULL)
            look_at_exchange(x, x->client->row);
    }
    for (const struct link *e = p->clients.next; e != &p->clients && k < n; e = e->next, k++)
        container_of(e, struct client, link)->row = NULL;
    return n;
}
