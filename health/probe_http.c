#include "health/probe.h"
#include "http/h1_body.h"

#define REQUEST_MOST KIB(16)

static void http_open(struct probe *p)
{
    struct buf out;
    buf_init(&out, REQUEST_MOST);
    buf_put_str(&out, "GET ");
    buf_put_span(&out, p->job.page->path);
    buf_put_str(&out, " HTTP/1.1\r\nHost: ");
    buf_put_span(&out, probe_host(p));
    buf_put_str(&out, "\r\nUser-Agent: meridian-health\r\nAccept: */*\r\n"
                      "Connection: close\r\n\r\n");
    bool failed = out.failed;
    if (!failed) {
        conn_write(p->conn, buf_span(&out));
    }
    buf_fini(&out);
    if (failed) {
        probe_end(p, ERR_NO_MEMORY);
    }
}

/* What is looked at of an answer: a head, and of the last one perhaps its content. */
struct answer {
    struct arena arena;
    struct reply reply;
    struct h1_head head;
};

/* ERR_AGAIN; else answer->head.bytes were the head, or it is refused. */
static enum err read_head(struct span in, struct answer *answer)
{
    static const struct h1_limits limits = {
        .line = LIMIT_REQUEST_LINE,
        .head = LIMIT_CHECK_HEAD,
        .fields = LIMIT_REPLY_FIELDS,
        .field = LIMIT_CHECK_HEAD,
    };
    struct asked asked = {.method = METHOD_GET, .upgrade = UPGRADE_NONE};
    struct h1_scan scan;
    h1_scan_init(&scan, H1_REPLY);
    return h1_parse_reply(&scan, &limits, in, asked, &answer->arena, &answer->reply, &answer->head);
}

/* ERR_OK: *out is all of the content. ERR_AGAIN: what has come of it. */
static enum err read_content(const struct answer *answer, struct span in, struct buf *out)
{
    struct h1_body body;
    h1_body_init(&body, answer->head.coding, answer->reply.length, NULL, NULL);
    while (!h1_body_done(&body)) {
        size_t used;
        struct span piece;
        enum err e = h1_body_step(&body, in, &used, &piece);
        buf_put_span(out, piece);
        in = span_sub(in, used, in.n);
        if (e != ERR_OK)
            return e;
        if (in.n == 0 && !h1_body_done(&body))
            return ERR_AGAIN;
    }
    return ERR_OK;
}

/* What a server says that is not ready, or whether a good one says what it should. */
static void take_content(struct probe *p, const struct answer *answer, struct span in)
{
    size_t most = probe_content_most(p); /* with its framing */
    struct buf content;
    buf_init(&content, LIMIT_CHECK_HEAD + most);
    enum err e = read_content(answer, in, &content);
    bool whole = e != ERR_AGAIN || in.n >= most;
    probe_content(p, span_sub(buf_span(&content), 0, most), whole);
    buf_fini(&content);
}

static struct span type_of(const struct reply *reply)
{
    const struct field *f = fields_find(&reply->fields, SPAN("content-type"));
    return f != NULL ? f->value : SPAN_NONE;
}

/* The final status decides; content is waited for only where it may say more. Interim responses are
 * passed over, all within LIMIT_CHECK_HEAD. */
static void take_answer(struct probe *p, struct answer *answer, struct span in)
{
    size_t at = 0;
    for (;;) {
        arena_reset(&answer->arena);
        enum err e = read_head(span_sub(in, at, in.n), answer);
        if (e == ERR_AGAIN && in.n < LIMIT_CHECK_HEAD)
            return;
        at += e == ERR_OK ? answer->head.bytes : 0;
        unsigned status = answer->reply.status;
        if (e == ERR_OK && status < 200 && at <= LIMIT_CHECK_HEAD)
            continue;
        if (e == ERR_OK && status >= 200 && probe_wants_content(p, status, type_of(&answer->reply)))
            take_content(p, answer, span_sub(in, at, in.n));
        else if (e == ERR_AGAIN || (e == ERR_OK && status < 200))
            probe_end(p, ERR_BACKEND_HEAD_TOO_LARGE);
        else
            probe_end(p, e == ERR_OK && !probe_status_good(p, status) ? ERR_BACKEND_UNHEALTHY : e);
        return;
    }
}

/* All that has come is looked at anew each time: it is little. */
static size_t http_bytes(struct probe *p, struct span in)
{
    struct answer answer = {.reply = {0}};
    arena_init(&answer.arena, NULL, KIB(4), KIB(64));
    take_answer(p, &answer, in);
    arena_reset(&answer.arena);
    return probe_running(p) ? 0 : in.n;
}

static void http_eof(struct probe *p, bool clean)
{
    probe_end(p, p->unready || p->seeks ? ERR_BACKEND_UNHEALTHY
                 : clean                ? ERR_BACKEND_TRUNCATED
                                        : ERR_BACKEND_RESET);
}

const struct probe_stages probe_http = {
    .open = http_open,
    .bytes = http_bytes,
    .eof = http_eof,
    .good_end = CONN_END_FLUSH, /* the server reads an end, not a reset */
};
