/* Where a client was before, and how it is brought back there. Everything that says who may serve
 * has been asked when the pick looks at it. */
#include "proxy/exchange_impl.h"

static int64_t now_s(const struct exchange *x)
{
    return x->proxy->loop->ops->wall_ns(x->proxy->loop) / NS_PER_S;
}

void exchange_find_stick(struct exchange *x)
{
    const struct sticky *s = x->pool->sticky;
    if (s == NULL)
        return;
    struct sticky_found found = sticky_find(s, x->pool->pick, x->request, now_s(x));
    x->stick = found.member;
    x->stick_ageing = found.ageing;
}

/* Counted once, where the answer comes from: a request that was sent back to where it belongs after
 * another attempt has not lost it. */
static void book(struct exchange *x, enum stick_end end)
{
    x->stick_end = end;
    if (end == STICK_BROKEN)
        counter_add(&x->stats->sticks_broken, 1);
}

enum err exchange_keep_stick(struct exchange *x, struct reply *r)
{
    const struct sticky *s = x->pool != NULL && !x->local ? x->pool->sticky : NULL;
    const struct endpoint *e = x->ticket.endpoint;
    if (s == NULL || e == NULL)
        return ERR_OK;
    bool there = x->stick != NULL && x->stick->endpoint == e;
    book(x, there ? STICK_KEPT : x->stick != NULL ? STICK_BROKEN : STICK_MADE);
    if (there && !x->stick_ageing)
        return ERR_OK;
    bool secure = span_eq(x->request->scheme, SPAN("https"));
    struct span value = sticky_cookie(s, e, secure, now_s(x), x->front->arena);
    if (value.p == NULL)
        return ERR_NO_MEMORY;
    return fields_add(&r->fields, x->front->arena, FIELD_SET_COOKIE, SPAN("set-cookie"), value);
}
