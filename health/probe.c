#include "health/probe.h"
#include "net/proxy_proto.h"

#include "health/blame.h"

/* The address as the operator wrote it; a unix socket has no name that Host could carry. */
struct span probe_host(const struct probe *p)
{
    if (p->job.page->host.n > 0) {
        return p->job.page->host;
    }
    return span_starts(p->job.host, SPAN("unix:")) ? SPAN("localhost") : p->job.host;
}

/* HTTP/2 where the server has chosen it, or is known to speak nothing else. */
static const struct probe_stages *stages_of(const struct probe *p, struct conn *c)
{
    struct conn_tls_info tls;
    if (p->job.check->kind == HEALTH_TCP) {
        return p->job.check->tls != NULL ? &probe_tls : &probe_tcp;
    }
    conn_tls(c, &tls);
    bool h2 = p->job.check->kind == HEALTH_GRPC || p->job.check->h2;
    return h2 || span_eq(tls.alpn, SPAN("h2")) ? &probe_h2 : &probe_http;
}

static void on_open(void *user, struct conn *c)
{
    struct probe *p = user;
    p->open = true;
    p->open_ns = loop_now_ns(conn_loop(c));
    p->connect_ns = conn_connect_ns(c);
    p->stages = stages_of(p, c);
    p->stages->open(p);
}

static size_t on_bytes(void *user, struct conn *c, struct span bytes)
{
    struct probe *p = user;
    if (p->answered_ns == 0)
        p->answered_ns = loop_now_ns(conn_loop(c));
    return p->stages->bytes(p, bytes);
}

static void on_eof(void *user, struct conn *c, bool clean)
{
    (void)c;
    struct probe *p = user;
    p->stages->eof(p, clean);
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
    .on_room = conn_ignore, /* a request is far below the mark above which it is announced */
    .on_fail = on_fail,
};

static void on_deadline(struct timer *t)
{
    struct probe *p = container_of(t, struct probe, deadline);
    probe_end(p, p->unready ? ERR_BACKEND_UNHEALTHY
                 : p->open  ? ERR_BACKEND_TIMEOUT
                            : ERR_BACKEND_CONNECT_TIMEOUT);
}

/* For nobody but this balancer. */
static void put_header(const struct health_check *check, struct buf *out)
{
    static const struct addr none = {0};
    if (check->header == 1)
        proxy_proto_put_v1(out, &none, &none);
    else if (check->header == 2)
        proxy_proto_put_v2(out, &none, &none);
}

enum err probe_start(struct probe *p, struct conn_env *env, const struct probe_job *job,
                     void (*on_done)(struct probe *p, enum err why))
{
    *p = (struct probe){
        .job = *job,
        .stages = &probe_tcp, /* until it is open */
        .on_done = on_done,
    };
    char memory[PROXY_PROTO_V1_MOST];
    struct buf header;
    buf_fixed(&header, memory, sizeof memory);
    put_header(job->check, &header);
    struct conn_target to = {
        .addr = job->addr,
        .tls = job->check->tls,
        .server_name = job->server_name,
        .session_key = job->session_key,
        .prelude = buf_span(&header),
        .glance = job->check->kind == HEALTH_TCP && job->check->tls == NULL,
    };
    enum err e = conn_connect(env, &to, &events, p, &p->conn);
    if (e != ERR_OK) {
        p->conn = NULL;
        return e;
    }
    conn_set_hold_limit(p->conn, LIMIT_CHECK_HEAD + probe_content_most(p));
    timer_init(&p->deadline, env->loop, on_deadline);
    timer_in_ms(&p->deadline, job->check->timeout_ms);
    return ERR_OK;
}

static void stop(struct probe *p)
{
    timer_stop(&p->deadline);
    if (p->stages->close != NULL) {
        p->stages->close(p);
    }
}

void probe_cancel(struct probe *p)
{
    if (probe_running(p)) {
        stop(p);
        conn_close(&p->conn, CONN_END_NOW);
    }
}

size_t probe_content_most(const struct probe *p)
{
    size_t most = p->job.check->content_most;
    return most != 0 ? most : LIMIT_CHECK_BODY;
}

bool probe_status_good(const struct probe *p, uint64_t status)
{
    return status < 640 && (p->job.page->status[status / 64] >> (status % 64) & 1) != 0;
}

bool probe_wants_content(struct probe *p, uint64_t status, struct span type)
{
    bool good = probe_status_good(p, status);
    p->unready = p->job.check->depend_count > 0 && p->job.page == &p->job.check->page && !good &&
                 blame_is_type(type);
    p->seeks = good && p->job.page->contains.n > 0;
    return p->unready || p->seeks;
}

void probe_content(struct probe *p, struct span content, bool whole)
{
    const struct health_check *check = p->job.check;
    if (p->seeks && span_contains(content, p->job.page->contains)) {
        probe_end(p, ERR_OK);
    } else if (p->seeks && whole) {
        probe_end(p, ERR_BACKEND_UNHEALTHY);
    } else if (p->seeks) {
        return;
    } else if (blame_read(content, check->depends, check->depend_count, &p->blamed) == ERR_OK ||
               whole) {
        probe_end(p, ERR_BACKEND_UNHEALTHY);
    }
}

void probe_end(struct probe *p, enum err why)
{
    stop(p);
    conn_close(&p->conn, why == ERR_OK ? p->stages->good_end : CONN_END_NOW);
    p->on_done(p, why);
}
