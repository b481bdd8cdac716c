/* Commands over HTTP: POST /v1/NAME with the members of the control protocol as content, from
 * whoever shows the token (SURFACE.md section 4). */
#include "admin/http_impl.h"

#include "net/digest.h"

#define CONTENT_MS 10000 /* for the whole content, however slowly it comes */
#define PREFIX     "/v1/"

bool http_post_takes(const struct admin *a, const struct request *r)
{
    return a->access.token.n != 0 && r->method == METHOD_POST && span_starts(r->path, SPAN(PREFIX));
}

static bool may(const struct admin *a, const struct request *r)
{
    const struct field *f = fields_get(&r->fields, FIELD_AUTHORIZATION);
    struct span scheme;
    if (f == NULL || fields_count(&r->fields, FIELD_AUTHORIZATION) != 1)
        return false;
    struct span token = span_cut(f->value, ' ', &scheme);
    return span_eq_nocase(scheme, SPAN("bearer")) && digest_same(token, a->access.token);
}

/* The one end. */
static void end(struct http_conn *c, struct answer *answer)
{
    struct front *f = c->front;
    c->front = NULL;
    timer_stop(&c->late);
    job_leave(&c->asker);
    buf_fini(&c->content);
    if (answer != NULL)
        http_send(f, c->request, answer);
    f->ops->release(f);
}

static void end_with(struct http_conn *c, int status, struct span json)
{
    struct answer answer = {.status = status, .type = "application/json"};
    buf_init(&answer.body, ADMIN_REPLY_MOST);
    buf_put_span(&answer.body, json);
    buf_put_char(&answer.body, '\n');
    end(c, &answer);
    buf_fini(&answer.body);
}

static void refuse(struct http_conn *c, int status, enum err why, const char *message)
{
    char memory[512];
    struct buf out;
    buf_fixed(&out, memory, sizeof memory);
    answer_error(&out, NULL, why, span_str(message));
    end_with(c, status, buf_span(&out));
}

static int status_of(enum err e)
{
    return e == ERR_OK                         ? 200
           : e == ERR_NOT_FOUND                ? 404
           : e == ERR_SYNTAX || e == ERR_RANGE ? 400
           : e == ERR_UNSUPPORTED              ? 501
                                               : 503;
}

/* A job's answer says by itself whether it went well. */
static void answer_later(struct asker *asker, struct span line)
{
    struct http_conn *c = container_of(asker, struct http_conn, asker);
    end_with(c, span_starts(line, SPAN("{\"ok\":true")) ? 200 : 409, line);
}

/* {"command":NAME, and what the content has between its braces. */
static bool put_line(struct buf *out, struct span path, struct span content)
{
    struct span name = span_sub(path, sizeof PREFIX - 1, path.n), all = span_trim(content);
    buf_put_str(out, "{\"command\":");
    buf_put_json(out, name, LIMIT_LOG_FIELD);
    if (all.n == 0) {
        buf_put_char(out, '}');
        return true;
    }
    struct span rest = span_trim(span_sub(all, 1, all.n));
    if (all.p[0] != '{')
        return false;
    if (rest.n != 0 && rest.p[0] != '}')
        buf_put_char(out, ',');
    buf_put_span(out, rest);
    return true;
}

static void run(struct http_conn *c)
{
    struct buf line, out;
    buf_init(&line, LIMIT_ADMIN_BODY + KIB(8));
    buf_init(&out, ADMIN_REPLY_MOST);
    if (!put_line(&line, c->request->path, buf_span(&c->content)) || line.failed) {
        refuse(c, 400, ERR_SYNTAX, "the content must be one JSON object");
    } else {
        /* On ERR_AGAIN a job answers, or has answered already. */
        enum err e = command_run(c->admin, &c->asker, buf_span(&line), &out);
        if (e != ERR_AGAIN)
            end_with(c, status_of(e), buf_span(&out));
    }
    buf_fini(&line);
    buf_fini(&out);
}

static void on_body(void *user, struct span bytes)
{
    struct http_conn *c = user;
    buf_put_span(&c->content, bytes);
    if (c->content.failed)
        refuse(c, 413, ERR_FULL, "the content is longer than 1 MiB");
}

static void on_end(void *user, const struct fields *trailers)
{
    struct http_conn *c = user;
    (void)trailers;
    timer_stop(&c->late);
    run(c);
}

static void on_room(void *user)
{
    (void)user;
}

static void on_gone(void *user, enum err why, bool answerable)
{
    struct http_conn *c = user;
    if (answerable)
        refuse(c, err_status(why) != 0 ? err_status(why) : 400, why, "");
    else
        end(c, NULL);
}

static const struct front_events events = {
    .on_body = on_body, .on_end = on_end, .on_room = on_room, .on_gone = on_gone};

static void on_late(struct timer *t)
{
    refuse(container_of(t, struct http_conn, late), 408, ERR_BODY_TIMEOUT, "");
}

void http_post(struct http_conn *c, struct front *f, const struct request *r)
{
    c->front = f;
    c->request = r;
    c->asker = (struct asker){.answer = answer_later};
    f->events = &events;
    f->user = c;
    f->ops->keep(f, false);
    buf_init(&c->content, LIMIT_ADMIN_BODY);
    timer_init(&c->late, c->admin->env->loop, on_late);
    if (!may(c->admin, r)) {
        log_event(c->admin->log, LOG_WARN, "admin-token-refused", "path=%s", LOG_QUOTE(r->path));
        refuse(c, 401, ERR_PERMISSION,
               "Authorization: Bearer with the token of admin.token is wanted");
        return;
    }
    timer_in_ms(&c->late, CONTENT_MS);
    f->ops->want_body(f, true);
}
