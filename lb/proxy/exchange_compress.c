/* Content on its way to the client in a coding that it likes, or as it is. Small pieces that come
 * in one turn are compressed together at its end, before it leaves: each by itself would cost us
 * hundreds of times what it costs the server. */
#include "proxy/exchange_impl.h"

static void put(void *user, struct span bytes)
{
    struct exchange *x = user;
    x->content_out += bytes.n;
    x->front->ops->reply_body(x->front, bytes);
}

enum err exchange_compress(struct exchange *x, struct reply *r)
{
    const struct compress_rule *rule = x->route->compress;
    enum coding coding;
    enum compress_verdict verdict =
        rule != NULL ? compress_judge(rule, x->request, r, &coding) : COMPRESS_NO;
    if (verdict == COMPRESS_NO)
        return ERR_OK;
    if (verdict == COMPRESS_SAME)
        return compress_same_head(r, x->front->arena);
    if (verdict == COMPRESS_YES)
        x->compress = compress_begin(&x->proxy->compress, coding, x->front->allowance);
    return compress_head(r, x->compress, x->front->arena);
}

enum err exchange_put_content(struct exchange *x, struct span bytes)
{
    if (x->compress == NULL) {
        put(x, bytes);
        return ERR_OK;
    }
    enum err e = compress_put(x->compress, bytes, put, x);
    if (e == ERR_OK && compress_waits(x->compress))
        task_post(x->proxy->loop, &x->flush);
    return e;
}

void exchange_on_turn_end(struct task *t)
{
    struct exchange *x = container_of(t, struct exchange, flush);
    exchange_look_at_front(x);
    enum err e = compress_flush(x->compress, false, put, x);
    if (e != ERR_OK)
        exchange_fail(x, e);
    else
        exchange_content_put(x);
}

enum err exchange_end_content(struct exchange *x, const struct fields **trailers,
                              struct fields *kept)
{
    if (x->compress == NULL)
        return ERR_OK;
    enum err e = compress_flush(x->compress, true, put, x);
    if (e != ERR_OK || *trailers == NULL || !fields_have_digest(*trailers))
        return e;
    e = compress_trailers(*trailers, x->front->arena, kept);
    *trailers = kept->n > 0 ? kept : NULL;
    return e;
}
