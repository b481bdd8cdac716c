#include "health/probe.h"

static void on_open(void *user, struct conn *c)
{
    (void)c;
    struct probe *p = user;
    p->open = true;
    p->stages->open(p);
}

static size_t on_bytes(void *user, struct conn *c, struct span bytes)
{
    (void)c;
    struct probe *p = user;
    return p->stages->bytes(p, bytes);
}

static void on_eof(void *user, struct conn *c, bool clean)
{
    (void)c;
    struct probe *p = user;
    p->stages->eof(p, clean);
}

static void on_room(void *user, struct conn *c)
{
    /* A request is far below the mark above which room is announced. */
    (void)user;
    (void)c;
}

static void on_fail(void *user, struct conn *c, enum err why)
{
    (void)c;
    probe_end(user, why);
}

static const struct conn_events events = {
    .on_open = on_open,
    .on_bytes = on_bytes,
    .on_eof = on_eof,
    .on_room = on_room,
    .on_fail = on_fail,
};

static void on_deadline(struct timer *t)
{
    struct probe *p = container_of(t, struct probe, deadline);
    probe_end(p, p->open ? ERR_BACKEND_TIMEOUT : ERR_BACKEND_CONNECT_TIMEOUT);
}

enum err probe_start(struct probe *p, struct conn_env *env, const struct probe_job *job,
                     void (*on_done)(struct probe *p, enum err why))
{
    *p = (struct probe){
        .job = *job,
        .stages = job->check->kind == HEALTH_HTTP ? &probe_http : &probe_tcp,
        .on_done = on_done,
    };
    struct conn_target to = {
        .addr = job->addr,
        .tls = job->check->tls,
        .server_name = job->check->server_name,
        .session_key = job->session_key,
    };
    enum err e = conn_connect(env, &to, &events, p, &p->conn);
    if (e != ERR_OK) {
        p->conn = NULL;
        return e;
    }
    conn_set_hold_limit(p->conn, LIMIT_CHECK_BODY);
    timer_init(&p->deadline, env->loop, on_deadline);
    timer_in_ms(&p->deadline, job->check->timeout_ms);
    return ERR_OK;
}

void probe_cancel(struct probe *p)
{
    if (probe_running(p)) {
        timer_stop(&p->deadline);
        conn_close(&p->conn, CONN_END_NOW);
    }
}

void probe_end(struct probe *p, enum err why)
{
    timer_stop(&p->deadline);
    conn_close(&p->conn, why == ERR_OK ? p->stages->good_end : CONN_END_NOW);
    p->on_done(p, why);
}
