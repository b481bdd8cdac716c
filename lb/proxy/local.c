#include "proxy/local.h"

#include "base/buf.h"
#include "base/limits.h"
#include "proxy/grpc.h"

/* Whether the client would rather read a page: text/html is named and problem+json is not. */
static bool wants_page(const struct request *in)
{
    bool page = false;
    for (size_t i = 0; i < in->fields.n; i++) {
        struct span rest = in->fields.v[i].value;
        if (in->fields.v[i].id != FIELD_ACCEPT)
            continue;
        while (rest.n != 0) {
            struct span item, type;
            rest = span_cut(rest, ',', &item);
            (void)span_cut(item, ';', &type);
            type = span_trim(type);
            if (span_eq_nocase(type, SPAN("application/problem+json")) ||
                span_eq_nocase(type, SPAN("application/json")))
                return false;
            page = page || span_eq_nocase(type, SPAN("text/html"));
        }
    }
    return page;
}

static char *problem(struct arena *a, enum err why, unsigned status, struct span id)
{
    return arena_printf(a,
                        "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,"
                        "\"detail\":\"%s\",\"reason\":\"%s\",\"request_id\":\"%.*s\"}\n",
                        status_phrase(status), status, err_phrase(why), err_name(why),
                        SPAN_FMT(id));
}

static char *page(struct arena *a, enum err why, unsigned status, struct span id)
{
    return arena_printf(a,
                        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
                        "<title>%u %s</title><h1>%u %s</h1><p>%s (%s).</p>"
                        "<p>Request %.*s</p></html>\n",
                        status, status_phrase(status), status, status_phrase(status),
                        err_phrase(why), err_name(why), SPAN_FMT(id));
}

/* The status of HTTP is 200: that of the call is in the fields, which are head and trailers in one.
 */
static enum err call_error(enum err why, struct arena *arena, struct local_answer *out)
{
    char *status = arena_printf(arena, "%u", grpc_status(why));
    if (status == NULL)
        return ERR_NO_MEMORY;
    *out = (struct local_answer){
        .status = 200,
        .type = SPAN("application/grpc"),
        .grpc_status = span_str(status),
        .grpc_message = span_str(err_phrase(why)),
    };
    return ERR_OK;
}

enum err local_error(enum err why, const struct request *in, struct span id, struct arena *arena,
                     struct local_answer *out)
{
    unsigned status = (unsigned)err_status(why);
    if (grpc_is_call(in))
        return call_error(why, arena, out);
    bool as_page = wants_page(in);
    if (status < 400 || status > 599)
        status = 500;
    char *text = as_page ? page(arena, why, status, id) : problem(arena, why, status, id);
    if (text == NULL)
        return ERR_NO_MEMORY;
    *out = (struct local_answer){
        .status = (uint16_t)status,
        .type = as_page ? SPAN("text/html; charset=utf-8") : SPAN("application/problem+json"),
        .body = span_str(text),
        .retry_after_s = status == 503 ? 1 : 0,
        .no_store = true,
        .page = as_page,
    };
    return ERR_OK;
}

static struct local *local_of(struct back *b)
{
    return (struct local *)(void *)b;
}

static void deliver(struct task *t)
{
    struct local *l = container_of(t, struct local, deliver);
    bool end = l->reply.content == CONTENT_NONE;
    if (!l->head_sent) {
        l->head_sent = true;
        l->done = end;
        l->back.first_byte_ns = loop_now_ns(l->loop);
        l->back.events->on_reply(l->back.user, &l->reply, end);
        if (!end && l->back.events != NULL)
            task_post(l->loop, t);
        return;
    }
    if (l->done || l->want == 0)
        return;
    struct span piece = span_sub(l->body, 0, l->want);
    l->body = span_sub(l->body, piece.n, l->body.n);
    l->done = l->body.n == 0;
    l->back.events->on_body(l->back.user, piece);
    if (l->back.events == NULL)
        return;
    if (l->done)
        l->back.events->on_end(l->back.user, NULL);
    else
        task_post(l->loop, t);
}

static void local_send_head(struct back *b, const struct request *r, bool end)
{
    (void)r;
    (void)end;
    task_post(local_of(b)->loop, &local_of(b)->deliver);
}

static void local_send_body(struct back *b, struct span bytes)
{
    (void)b;
    (void)bytes;
}

static void local_send_end(struct back *b, const struct fields *trailers)
{
    (void)b;
    (void)trailers;
}

static void local_want_body(struct back *b, size_t most)
{
    struct local *l = local_of(b);
    l->want = most;
    if (most > 0 && l->head_sent && !l->done)
        task_post(l->loop, &l->deliver);
}

static size_t local_pending(const struct back *b)
{
    (void)b;
    return 0;
}

static void local_release(struct back *b)
{
    task_cancel(&local_of(b)->deliver);
    b->events = NULL;
}

static const struct back_ops local_ops = {
    .send_head = local_send_head,
    .send_body = local_send_body,
    .send_end = local_send_end,
    .want_body = local_want_body,
    .pending = local_pending,
    .release = local_release,
};

static enum err put_fields(struct reply *r, const struct local_answer *a, struct arena *arena)
{
    enum err e = ERR_OK;
    if (a->type.n != 0)
        e = fields_put(&r->fields, arena, FIELD_CONTENT_TYPE, a->type);
    if (e == ERR_OK && a->grpc_status.n != 0)
        e = fields_put(&r->fields, arena, FIELD_GRPC_STATUS, a->grpc_status);
    if (e == ERR_OK && a->grpc_message.n != 0)
        e = fields_put(&r->fields, arena, FIELD_GRPC_MESSAGE, a->grpc_message);
    if (e == ERR_OK && a->no_store)
        e = fields_put(&r->fields, arena, FIELD_CACHE_CONTROL, SPAN("no-store"));
    if (e == ERR_OK && a->location.n != 0)
        e = fields_put(&r->fields, arena, FIELD_LOCATION, a->location);
    if (e == ERR_OK && a->allow.n != 0)
        e = fields_put(&r->fields, arena, FIELD_ALLOW, a->allow);
    if (e == ERR_OK && a->retry_after_s != 0) {
        char *s = arena_printf(arena, "%u", a->retry_after_s);
        e = s == NULL ? ERR_NO_MEMORY
                      : fields_put(&r->fields, arena, FIELD_RETRY_AFTER, span_str(s));
    }
    return e;
}

enum err local_new(struct loop *loop, const struct local_answer *answer, bool head,
                   struct arena *arena, struct back **out)
{
    struct local *l = arena_zero(arena, sizeof *l);
    bool no_content = answer->status == 204 || answer->status == 304;
    *out = NULL;
    if (l == NULL)
        return ERR_NO_MEMORY;
    l->back.ops = &local_ops;
    l->back.arena = arena;
    l->loop = loop;
    l->want = LIMIT_READ_LEAST;
    l->body = answer->body;
    task_init(&l->deliver, deliver);
    l->reply.status = answer->status;
    l->reply.version = VERSION_1_1;
    l->reply.has_length = !no_content && answer->grpc_status.n == 0;
    l->reply.length = answer->body.n;
    l->reply.content = head || no_content || answer->body.n == 0 ? CONTENT_NONE : CONTENT_LENGTH;
    *out = &l->back;
    return put_fields(&l->reply, answer, arena);
}
