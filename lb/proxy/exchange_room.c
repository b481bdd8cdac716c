/* Room in what the client's connection may make us hold (L18): a request waits for it before a
 * server is asked whose answer could not be held back. */
#include "proxy/exchange_impl.h"

static struct exchange *asks(struct allowance_asker *k)
{
    return container_of(k, struct exchange, asker);
}

static void go_on(struct allowance_asker *k)
{
    exchange_pick(asks(k));
}

static void give_up(struct allowance_asker *k)
{
    exchange_fail(asks(k), ERR_HELD);
}

void exchange_pick_or_wait(struct exchange *x)
{
    const struct policy_pool *pool = x->pool;
    struct allowance *a = x->front->allowance;
    x->asker.large =
        pool->protocol == CONNPOOL_H2 || (pool->protocol == CONNPOOL_AUTO && pool->tls != NULL);
    x->asker.go_on = go_on;
    x->asker.give_up = give_up;
    allowance_guess_head(a, exchange_slot(x)->head);
    if (allowance_ask(a, &x->asker))
        exchange_pick(x);
    else
        exchange_aim(x);
}

void exchange_learn_head(struct exchange *x, const struct reply *r)
{
    if (x->local || !x->asker.large)
        return;
    size_t takes = r->version == VERSION_2 ? allowance_head_takes(r->head_bytes, r->fields.n) : 0;
    allowance_learn(&exchange_slot(x)->head, takes);
    allowance_learn_head(x->front->allowance, takes);
}
