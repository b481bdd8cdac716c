#include "proxy/internal.h"

#include "base/limits.h"
#include "base/mem.h"
#include "proxy/exchange.h"

enum { ARENA_BLOCK = 8 * 1024, PIECE = 16 * 1024 };

struct internal {
    struct front stream;
    struct loop *loop;
    struct internal_request asked;
    struct request head;
    struct arena arena;
    struct task go_on; /* hands over content, and the end */
    struct buf answer;
    struct internal_answer result;
    struct fields fields, trailers;
    size_t sent; /* of the content */
    bool wants, end_told, gone, ended, released;
};

static struct internal *of(struct front *f)
{
    return container_of(f, struct internal, stream);
}

/* The exchange hears once that nobody waits, at the end of a turn. */
static void leave(struct internal *i, enum err why)
{
    i->result.why = i->result.why != ERR_OK ? i->result.why : why;
    task_post(i->loop, &i->go_on);
}

static void reply_interim(struct front *f, const struct reply *r)
{
    (void)r;
    of(f)->result.interim++;
}

static bool copy_fields(struct internal *i, const struct fields *from, struct fields *to)
{
    for (size_t k = 0; k < from->n; k++) {
        const struct field *one = &from->v[k];
        struct span name = arena_copy(&i->arena, one->name);
        struct span value = arena_copy(&i->arena, one->value);
        if (name.p == NULL || value.p == NULL ||
            fields_add(to, &i->arena, one->id, name, value) != ERR_OK)
            return false;
    }
    return true;
}

static void reply_head(struct front *f, const struct reply *r, bool end)
{
    struct internal *i = of(f);
    i->result.status = r->status;
    i->ended = end;
    if (!copy_fields(i, &r->fields, &i->fields))
        leave(i, ERR_NO_MEMORY);
}

static void reply_body(struct front *f, struct span bytes)
{
    struct internal *i = of(f);
    if (i->gone || i->result.why != ERR_OK || i->asked.drop)
        return;
    if (bytes.n > i->asked.answer_most - buf_len(&i->answer)) {
        leave(i, ERR_FULL);
        return;
    }
    buf_put_span(&i->answer, bytes);
    if (i->answer.failed)
        leave(i, ERR_NO_MEMORY);
}

static void reply_end(struct front *f, const struct fields *trailers)
{
    struct internal *i = of(f);
    i->ended = true;
    if (trailers == NULL)
        return;
    if (copy_fields(i, trailers, &i->trailers))
        i->result.trailers = &i->trailers;
    else
        leave(i, ERR_NO_MEMORY);
}

static void want_body(struct front *f, bool want)
{
    struct internal *i = of(f);
    i->wants = want;
    if (want)
        task_post(i->loop, &i->go_on);
}

static void abort_reply(struct front *f, enum err why)
{
    struct internal *i = of(f);
    i->gone = true;
    i->result.why = i->result.why != ERR_OK ? i->result.why : why;
}

static size_t pending(const struct front *f)
{
    (void)f;
    return 0;
}

static size_t room(struct front *f)
{
    (void)f;
    return LIMIT_READ;
}

static void keep(struct front *f, bool on)
{
    (void)f;
    (void)on;
}

static struct conn *no_conn(const struct front *f)
{
    (void)f;
    return NULL;
}

static void release(struct front *f)
{
    struct internal *i = of(f);
    i->released = true;
    task_post(i->loop, &i->go_on);
}

static const struct front_ops ops = {
    .reply_interim = reply_interim,
    .reply_head = reply_head,
    .reply_body = reply_body,
    .reply_end = reply_end,
    .want_body = want_body,
    .abort = abort_reply,
    .pending = pending,
    .room = room,
    .keep = keep,
    .conn = no_conn,
    .release = release,
};

/* One piece a time, so that the exchange's back-pressure is felt. */
static void hand_over(struct internal *i)
{
    const struct front_events *events = i->stream.events;
    struct span piece = span_sub(i->asked.content, i->sent, i->sent + PIECE);
    if (piece.n > 0) {
        i->sent += piece.n;
        i->stream.bytes_in += piece.n;
        events->on_body(i->stream.user, piece);
        task_post(i->loop, &i->go_on);
    } else if (!i->end_told) {
        i->end_told = true;
        events->on_end(i->stream.user, NULL);
    }
}

static void finish(struct internal *i)
{
    if (!i->ended && i->result.why == ERR_OK)
        i->result.why = ERR_INTERNAL;
    i->result.head = &i->fields;
    i->result.content = buf_span(&i->answer);
    i->asked.on_done(i->asked.user, &i->result);
    buf_fini(&i->answer);
    arena_reset(&i->arena);
    mem_free(i);
}

static void go_on(struct task *t)
{
    struct internal *i = container_of(t, struct internal, go_on);
    if (i->released) {
        finish(i);
    } else if (i->result.why != ERR_OK && !i->gone) {
        i->gone = true;
        i->stream.events->on_gone(i->stream.user, i->result.why, false);
    } else if (i->wants && !i->gone) {
        hand_over(i);
    }
}

static bool copy_head(struct internal *i, const struct request *from)
{
    struct {
        struct span *to;
        struct span from;
    } texts[] = {
        {&i->head.method_name, from->method_name},
        {&i->head.scheme, from->scheme},
        {&i->head.authority, from->authority},
        {&i->head.host, from->host},
        {&i->head.path, from->path},
        {&i->head.path_sent, from->path_sent},
        {&i->head.query, from->query},
    };
    i->head = *from;
    i->head.fields = (struct fields){0};
    for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
        if (texts[k].from.p == NULL)
            continue;
        *texts[k].to = arena_copy(&i->arena, texts[k].from);
        if (texts[k].to->p == NULL)
            return false;
    }
    return copy_fields(i, &from->fields, &i->head.fields);
}

enum err internal_begin(struct proxy *p, const struct internal_request *r, struct internal **out)
{
    struct internal *i = mem_alloc(sizeof *i);
    *out = NULL;
    if (i == NULL)
        return ERR_NO_MEMORY;
    arena_init(&i->arena, &p->arenas, ARENA_BLOCK,
               front_arena_most(r->head->head_bytes, r->head->fields.n));
    i->loop = p->loop;
    i->asked = *r;
    buf_init(&i->answer, r->answer_most);
    task_init(&i->go_on, go_on);
    if (!copy_head(i, r->head)) {
        arena_reset(&i->arena);
        mem_free(i);
        return ERR_NO_MEMORY;
    }
    i->stream = (struct front){.ops = &ops, .arena = &i->arena, .begun_ns = loop_now_ns(p->loop)};
    *out = i;
    if (r->errand != NULL)
        exchange_begin_errand(p, &i->stream, &i->head, r->errand);
    else
        exchange_begin(p, NULL, &i->stream, &i->head, ERR_OK);
    return ERR_OK;
}

void internal_cancel(struct internal *i)
{
    leave(i, ERR_CLIENT_ABORT);
}
