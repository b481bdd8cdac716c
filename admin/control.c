#include "admin/admin_impl.h"
#include "base/mem.h"

#define REQUEST_MS                                                                                 \
    10000 /* from the connection to its line end, absolute: slow bytes change nothing */

/* One connection: one request line, one answer line, then the end. */
struct control_conn {
    struct link link; /* in admin->control.conns */
    struct admin *admin;
    struct conn *conn;
    struct timer deadline;
    struct asker asker;
    size_t scanned; /* bytes without a line end so far */
    bool asked;     /* the line is complete */
};

/* The one end. */
static void end(struct control_conn *c, enum conn_end how)
{
    job_leave(&c->asker);
    timer_stop(&c->deadline);
    conn_close(&c->conn, how);
    list_remove(&c->link);
    c->admin->control.open--;
    mem_free(c);
}

/* Sends the answer, one line, and ends the connection. A long one has its line end already: while
 * much waits, a second piece would be too much (conn_write). */
static void answer(struct asker *asker, struct span line)
{
    struct control_conn *c = container_of(asker, struct control_conn, asker);
    conn_write(c->conn, line);
    if (!span_ends(line, SPAN("\n")))
        conn_write(c->conn, SPAN("\n"));
    end(c, CONN_END_FLUSH);
}

static void refuse(struct control_conn *c, enum err why, struct span message)
{
    char memory[512];
    struct buf out;
    buf_fixed(&out, memory, sizeof memory);
    answer_error(&out, NULL, why, message);
    answer(&c->asker, buf_span(&out));
}

static void ask(struct control_conn *c, struct span line)
{
    struct buf out;
    c->asked = true;
    timer_stop(&c->deadline);
    conn_want_read(c->conn, false);
    buf_init(&out, ADMIN_REPLY_MOST);
    /* On ERR_AGAIN a job answers, or has answered already: c may be gone. */
    if (command_run(c->admin, &c->asker, line, &out) != ERR_AGAIN) {
        buf_put_char(&out, '\n');
        answer(&c->asker, buf_span(&out));
    }
    buf_fini(&out);
}

static size_t on_bytes(void *user, struct conn *conn, struct span bytes)
{
    (void)conn;
    struct control_conn *c = user;
    if (c->asked) {
        return bytes.n;
    }
    size_t line = c->scanned + span_find(span_sub(bytes, c->scanned, bytes.n), '\n');
    if (line >= LIMIT_ADMIN_BODY) {
        refuse(c, ERR_FULL, SPAN("the request is longer than 1 MiB"));
        return bytes.n;
    }
    if (line == bytes.n) {
        c->scanned = line;
        return 0;
    }
    ask(c, span_sub(bytes, 0, line));
    return bytes.n;
}

static void on_eof(void *user, struct conn *conn, bool clean)
{
    (void)conn;
    (void)clean;
    struct control_conn *c = user;
    /* A half-closed client still waits for its answer. */
    if (!c->asked) {
        end(c, CONN_END_NOW);
    }
}

static void on_fail(void *user, struct conn *conn, enum err why)
{
    (void)conn;
    (void)why;
    end(user, CONN_END_NOW);
}

static const struct conn_events events = {
    .on_open = conn_ignore, /* accepted ones are open from the start */
    .on_bytes = on_bytes,
    .on_eof = on_eof,
    .on_room = conn_ignore, /* the answer is written in one piece */
    .on_fail = on_fail,
};

static void on_deadline(struct timer *t)
{
    refuse(container_of(t, struct control_conn, deadline), ERR_HEAD_TIMEOUT, SPAN_NONE);
}

bool control_accept(void *user, int fd, const struct addr *peer)
{
    struct admin *a = user;
    if (!admin_socket_admit(a, &a->control, fd)) {
        return true;
    }
    struct control_conn *c = mem_alloc(sizeof *c);
    if (c == NULL) {
        a->env->loop->ops->sock_close(a->env->loop, fd, false);
        return true;
    }
    c->admin = a;
    c->asker.answer = answer;
    if (conn_accept(a->env, fd, peer, NULL, &events, c, &c->conn) != ERR_OK) {
        mem_free(c);
        return true;
    }
    conn_set_hold_limit(c->conn, LIMIT_ADMIN_BODY + 1);
    timer_init(&c->deadline, a->env->loop, on_deadline);
    timer_in_ms(&c->deadline, REQUEST_MS);
    list_append(&a->control.conns, &c->link);
    a->control.open++;
    return true;
}

void control_close_all(struct admin *a)
{
    list_each (e, &a->control.conns) {
        end(container_of(e, struct control_conn, link), CONN_END_NOW);
    }
}
