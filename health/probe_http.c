#include "health/probe.h"
#include "http/h1_parse.h"

#define REQUEST_MOST KIB(16)

static void http_open(struct probe *p)
{
    struct buf out;
    buf_init(&out, REQUEST_MOST);
    buf_put_str(&out, "GET ");
    buf_put_span(&out, p->job.check->path);
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

/* ERR_AGAIN; else *status is set and *taken bytes were the head, or it is refused. */
static enum err read_head(struct span in, unsigned *status, size_t *taken)
{
    static const struct h1_limits limits = {
        .line = LIMIT_REQUEST_LINE,
        .head = LIMIT_CHECK_BODY,
        .fields = LIMIT_REPLY_FIELDS,
        .field = LIMIT_CHECK_BODY,
    };
    struct h1_asked asked = {.method = METHOD_GET, .upgrade = UPGRADE_NONE};
    struct arena arena;
    struct h1_scan scan;
    struct h1_head head = {0};
    struct reply reply = {0};
    arena_init(&arena, NULL, KIB(4), KIB(64));
    h1_scan_init(&scan, H1_REPLY);
    enum err e = h1_parse_reply(&scan, &limits, in, asked, &arena, &reply, &head);
    *status = reply.status;
    *taken = head.bytes;
    arena_reset(&arena);
    return e;
}

static bool status_good(const struct health_check *check, unsigned status)
{
    return (check->status[status / 64] >> (status % 64) & 1) != 0;
}

/* The final status decides; content is not waited for. Interim responses are passed over, all
 * within LIMIT_CHECK_BODY. */
static size_t http_bytes(struct probe *p, struct span in)
{
    size_t at = 0;
    for (;;) {
        unsigned status;
        size_t taken;
        enum err e = read_head(span_sub(in, at, in.n), &status, &taken);
        if (e == ERR_AGAIN && in.n < LIMIT_CHECK_BODY) {
            return 0;
        }
        at += taken;
        if (e == ERR_OK && status < 200 && at <= LIMIT_CHECK_BODY) {
            continue;
        }
        if (e == ERR_AGAIN || (e == ERR_OK && status < 200)) {
            e = ERR_BACKEND_HEAD_TOO_LARGE;
        } else if (e == ERR_OK && !status_good(p->job.check, status)) {
            e = ERR_BACKEND_UNHEALTHY;
        }
        probe_end(p, e);
        return in.n;
    }
}

static void http_eof(struct probe *p, bool clean)
{
    (void)clean;
    probe_end(p, ERR_BACKEND_TRUNCATED);
}

const struct probe_stages probe_http = {
    .open = http_open,
    .bytes = http_bytes,
    .eof = http_eof,
    .good_end = CONN_END_FLUSH, /* the server reads an end, not a reset */
};
