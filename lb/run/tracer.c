#include "run/tracer.h"

#include "base/limits.h"
#include "base/mem.h"
#include "http/h1_parse.h"
#include "net/conn.h"
#include "run/line_ring.h"
#include "run/mailbox.h"
#include "run/sandbox.h"

#define RING_BYTES  MIB(2)   /* of spans that wait, all workers together */
#define BATCH_BYTES KIB(256) /* of spans in one request */
#define REPLY_BYTES KIB(16)
#define LOOK_MS     500
#define ANSWER_MS   5000
#define AWAY_MS     1000 /* after the first failure; doubled with each further one */
#define AWAY_MOST   30000

enum { TRACER_STOP };

struct tracer {
    /* set once */
    struct tracer_spec spec; /* its spans are copies, given back at the end */
    pthread_t thread;
    bool started;
    struct line_rings *rings;
    /* main thread */
    unsigned refs;
    /* owner thread */
    struct loop *loop;
    struct conn_env env;
    struct conn *conn; /* NULL: no batch is under way */
    struct buf request;
    uint64_t batch;  /* spans in it */
    unsigned turn;   /* the worker whose ring comes first */
    int64_t away_ms; /* 0: the last batch was taken */
    struct timer look, answer;
    /* shared, atomic */
    struct mailbox box;
};

static void rest(struct tracer *t)
{
    if (t->conn != NULL)
        conn_close(&t->conn, CONN_END_NOW);
    timer_stop(&t->answer);
    buf_clear(&t->request);
    timer_in_ms(&t->look, t->away_ms != 0 ? t->away_ms : LOOK_MS);
}

static void taken(struct tracer *t)
{
    atomic_fetch_add_explicit(&t->spec.counts->sent, t->batch, memory_order_relaxed);
    if (t->away_ms != 0)
        log_event(t->spec.log, LOG_INFO, "collector-back", "spans=%llu",
                  (unsigned long long)t->batch);
    t->away_ms = 0;
    rest(t);
}

/* The batch is given up: spans are worth less than memory. */
static void failed(struct tracer *t, enum err why, unsigned status)
{
    atomic_fetch_add_explicit(&t->spec.counts->lost, t->batch, memory_order_relaxed);
    if (t->away_ms == 0)
        log_event(t->spec.log, LOG_WARN, "collector-away",
                  "reason=%s status=%u effect=\"spans are dropped\"", err_name(why), status);
    t->away_ms = t->away_ms == 0 ? AWAY_MS : t->away_ms * 2;
    if (t->away_ms > AWAY_MOST)
        t->away_ms = AWAY_MOST;
    rest(t);
}

static void on_open(void *user, struct conn *c)
{
    struct tracer *t = user;
    conn_write(c, buf_span(&t->request));
}

/* The head at the start of `in`; *bytes is what it takes. */
static enum err read_head(struct span in, unsigned *status, size_t *bytes)
{
    static const struct h1_limits limits = {.line = LIMIT_REQUEST_LINE,
                                            .head = REPLY_BYTES,
                                            .fields = LIMIT_REPLY_FIELDS,
                                            .field = REPLY_BYTES};
    struct asked asked = {.method = METHOD_POST, .upgrade = UPGRADE_NONE};
    struct arena arena;
    struct h1_scan scan;
    struct h1_head head = {0};
    struct reply reply = {0};
    arena_init(&arena, NULL, KIB(4), KIB(64));
    h1_scan_init(&scan, H1_REPLY);
    enum err e = h1_parse_reply(&scan, &limits, in, asked, &arena, &reply, &head);
    arena_reset(&arena);
    *status = reply.status;
    *bytes = head.bytes;
    return e;
}

/* The final status decides; interim responses are passed over, and content is not waited for. */
static size_t on_bytes(void *user, struct conn *c, struct span in)
{
    struct tracer *t = user;
    unsigned status;
    size_t bytes, at = 0;
    enum err e;
    (void)c;
    while ((e = read_head(span_sub(in, at, in.n), &status, &bytes)) == ERR_OK && status < 200)
        at += bytes;
    if (e == ERR_AGAIN)
        return at;
    if (e == ERR_OK && status < 300)
        taken(t);
    else
        failed(t, e == ERR_OK ? ERR_BACKEND_UNHEALTHY : e, status);
    return in.n;
}

static void on_eof(void *user, struct conn *c, bool clean)
{
    (void)c;
    (void)clean;
    failed(user, ERR_BACKEND_TRUNCATED, 0);
}

static void on_fail(void *user, struct conn *c, enum err why)
{
    (void)c;
    failed(user, why, 0);
}

static const struct conn_events events = {.on_open = on_open,
                                          .on_bytes = on_bytes,
                                          .on_eof = on_eof,
                                          .on_room = conn_ignore,
                                          .on_fail = on_fail};

static void on_late(struct timer *timer)
{
    failed(container_of(timer, struct tracer, answer), ERR_BACKEND_TIMEOUT, 0);
}

/* Whole lines of one ring, a comma in the place of each line's end. */
static void gather(struct tracer *t, unsigned worker, size_t most, struct buf *out)
{
    struct span parts[2];
    size_t n = line_rings_peek(t->rings, worker, most, parts), whole = 0, from = buf_len(out);
    buf_put_span(out, parts[0]);
    buf_put_span(out, parts[1]);
    if (out->failed)
        return;
    for (size_t i = 0; i < n; i++) {
        char *c = out->p + from + i;
        if (*c != '\n')
            continue;
        *c = ',';
        whole = i + 1;
        t->batch++;
    }
    buf_cut(out, from + whole);
    line_rings_taken(t->rings, worker, whole);
}

static bool gather_all(struct tracer *t, struct buf *out)
{
    t->batch = 0;
    for (unsigned i = 0; i < t->spec.workers; i++) {
        size_t room = BATCH_BYTES > buf_len(out) ? BATCH_BYTES - buf_len(out) : 0;
        gather(t, (t->turn + i) % t->spec.workers, room, out);
    }
    t->turn = (t->turn + 1) % t->spec.workers;
    return t->batch != 0 && !out->failed;
}

/* ExportTraceServiceRequest around the spans, which end with a comma. */
static void put_request(struct tracer *t, struct span spans)
{
    struct buf head;
    buf_init(&head, KIB(8));
    buf_put_str(&head, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":"
                       "\"service.name\",\"value\":{\"stringValue\":");
    buf_put_json(&head, t->spec.service, LIMIT_LOG_FIELD);
    buf_put_str(&head, "}}]},\"scopeSpans\":[{\"scope\":{\"name\":\"meridian\",\"version\":"
                       "\"" MERIDIAN_VERSION "\"},\"spans\":[");
    static const char tail[] = "]}]}]}";
    buf_put_str(&t->request, "POST ");
    buf_put_span(&t->request, t->spec.path);
    buf_put_str(&t->request, " HTTP/1.1\r\nHost: ");
    buf_put_span(&t->request, t->spec.host);
    buf_printf(&t->request,
               "\r\nUser-Agent: meridian\r\nContent-Type: application/json\r\n"
               "Connection: close\r\nContent-Length: %zu\r\n\r\n",
               buf_len(&head) + spans.n - 1 + sizeof tail - 1);
    buf_put_span(&t->request, buf_span(&head));
    buf_put(&t->request, spans.p, spans.n - 1);
    buf_put_str(&t->request, tail);
    t->request.failed = t->request.failed || head.failed;
    buf_fini(&head);
}

static void on_look(struct timer *timer)
{
    struct tracer *t = container_of(timer, struct tracer, look);
    struct conn_target to = {.addr = &t->spec.collector};
    struct buf spans;
    buf_init(&spans, BATCH_BYTES + KIB(1));
    bool some = gather_all(t, &spans);
    if (some)
        put_request(t, buf_span(&spans));
    buf_fini(&spans);
    if (!some) {
        timer_in_ms(&t->look, LOOK_MS);
        return;
    }
    enum err e =
        t->request.failed ? ERR_NO_MEMORY : conn_connect(&t->env, &to, &events, t, &t->conn);
    if (e != ERR_OK) {
        failed(t, e, 0);
        return;
    }
    timer_in_ms(&t->answer, ANSWER_MS);
}

static void on_mail(void *user, const struct mail *m)
{
    struct tracer *t = user;
    if (m->kind == TRACER_STOP)
        loop_stop(t->loop);
}

static void *run(void *arg)
{
    struct tracer *t = arg;
    (void)pthread_setname_np(pthread_self(), "tracer");
    (void)!sandbox_enter(SANDBOX_HELPER);
    timer_in_ms(&t->look, LOOK_MS);
    loop_run(t->loop);
    if (t->conn != NULL)
        conn_close(&t->conn, CONN_END_NOW);
    timer_stop(&t->look);
    timer_stop(&t->answer);
    loop_run_tasks(t->loop);
    return NULL;
}

static void release(struct tracer *t)
{
    struct span *texts[] = {&t->spec.host, &t->spec.path, &t->spec.service};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        mem_free((char *)(uintptr_t)texts[i]->p);
    buf_fini(&t->request);
    mailbox_fini(&t->box);
    conn_env_fini(&t->env);
    if (t->loop != NULL)
        loop_free(&t->loop);
    line_rings_free(&t->rings);
    mem_free(t);
}

static bool copy(struct span *s)
{
    s->p = mem_copy_str(s->p, s->n);
    return s->p != NULL;
}

static enum err make(struct tracer *t)
{
    struct span *texts[] = {&t->spec.host, &t->spec.path, &t->spec.service};
    bool fine = true;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        fine = copy(texts[i]) && fine;
    enum err e = fine ? line_rings_new(t->spec.workers, RING_BYTES, &t->rings) : ERR_NO_MEMORY;
    if (e == ERR_OK)
        e = loop_ev_new(&t->loop);
    if (e == ERR_OK)
        e = conn_env_init(&t->env, t->loop);
    if (e == ERR_OK)
        e = mailbox_init(&t->box, t->loop, on_mail, t);
    return e;
}

enum err tracer_new(const struct tracer_spec *spec, struct tracer **out)
{
    struct tracer *t = mem_alloc(sizeof *t);
    *out = NULL;
    if (t == NULL)
        return ERR_NO_MEMORY;
    t->spec = *spec;
    t->refs = 1;
    buf_init(&t->request, BATCH_BYTES + KIB(16));
    enum err e = make(t);
    if (e == ERR_OK) {
        timer_init(&t->look, t->loop, on_look);
        timer_init(&t->answer, t->loop, on_late);
        t->started = pthread_create(&t->thread, NULL, run, t) == 0;
        e = t->started ? ERR_OK : ERR_SYSTEM;
    }
    if (e != ERR_OK) {
        release(t);
        return e;
    }
    *out = t;
    return ERR_OK;
}

struct tracer *tracer_ref(struct tracer *t, const struct tracer_spec *spec)
{
    if (t == NULL || !span_eq(t->spec.host, spec->host) || !span_eq(t->spec.path, spec->path) ||
        !span_eq(t->spec.service, spec->service))
        return NULL;
    t->refs++;
    return t;
}

void tracer_unref(struct tracer **tp)
{
    struct tracer *t = *tp;
    *tp = NULL;
    if (t == NULL || --t->refs != 0)
        return;
    while (mailbox_post(&t->box, (struct mail){.kind = TRACER_STOP}) != ERR_OK)
        sched_yield();
    pthread_join(t->thread, NULL);
    release(t);
}

bool tracer_put(struct tracer *t, unsigned worker, struct span line)
{
    return line_rings_put(t->rings, worker, line);
}
