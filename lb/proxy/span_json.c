#include "proxy/span_json.h"

#include "base/limits.h"

#define KIND_SERVER  2
#define STATUS_ERROR 2

/* The first attribute has no comma before it. */
static void key(struct buf *b, const char *name)
{
    if (b->p[b->n - 1] == '}')
        buf_put_char(b, ',');
    buf_put_str(b, "{\"key\":\"");
    buf_put_str(b, name);
    buf_put_str(b, "\",\"value\":{");
}

static void text(struct buf *b, const char *name, struct span value)
{
    if (value.n == 0 || b->failed)
        return;
    key(b, name);
    buf_put_str(b, "\"stringValue\":");
    buf_put_json(b, value, LIMIT_LOG_FIELD);
    buf_put_str(b, "}}");
}

static void number(struct buf *b, const char *name, uint64_t value)
{
    if (b->failed)
        return;
    key(b, name);
    buf_put_str(b, "\"intValue\":\"");
    buf_put_u64(b, value);
    buf_put_str(b, "\"}}");
}

/* "GET api": the route's name has few values, a path has any. */
static void name(struct buf *b, const struct access_facts *f)
{
    char memory[2 * LIMIT_LOG_FIELD];
    struct buf both;
    buf_fixed(&both, memory, sizeof memory);
    buf_put_span(&both, span_sub(f->method, 0, LIMIT_LOG_FIELD / 2));
    if (f->route.n != 0)
        buf_put_char(&both, ' ');
    buf_put_span(&both, span_sub(f->route, 0, LIMIT_LOG_FIELD));
    buf_put_json(b, buf_span(&both), LIMIT_LOG_FIELD);
}

static void attributes(struct buf *b, const struct access_facts *f)
{
    text(b, "http.request.method", f->method);
    text(b, "url.scheme", f->scheme);
    text(b, "url.path", f->path);
    text(b, "server.address", f->host);
    text(b, "client.address", f->client);
    text(b, "network.peer.address", f->peer);
    if (f->protocol != NULL && strlen(f->protocol) > 5)
        text(b, "network.protocol.version", span_str(f->protocol + 5)); /* behind "HTTP/" */
    if (f->status != 0)
        number(b, "http.response.status_code", f->status);
    text(b, "user_agent.original", f->user_agent);
    text(b, "meridian.listener", f->listener);
    text(b, "meridian.route", f->route);
    text(b, "meridian.pool", f->pool);
    text(b, "meridian.backend", f->backend);
    text(b, "meridian.site", f->site);
    text(b, "meridian.country", f->country);
    text(b, "meridian.request_id", f->id);
    text(b, "meridian.end", span_str(f->end));
    number(b, "meridian.attempts", f->attempts);
}

void span_json(const struct access_facts *f, const struct trace *t, struct buf *out)
{
    int64_t begun_ns = f->wall_ns - f->total_ns;
    buf_put_str(out, "{\"traceId\":\"");
    buf_put_span(out, trace_id(t));
    buf_put_str(out, "\",\"spanId\":\"");
    buf_put_span(out, trace_span(t));
    if (t->caller.n != 0) {
        buf_put_str(out, "\",\"parentSpanId\":\"");
        buf_put_span(out, t->caller);
    }
    buf_put_str(out, "\",\"kind\":");
    buf_put_u64(out, KIND_SERVER);
    buf_put_str(out, ",\"startTimeUnixNano\":\"");
    buf_put_u64(out, (uint64_t)(begun_ns > 0 ? begun_ns : 0));
    buf_put_str(out, "\",\"endTimeUnixNano\":\"");
    buf_put_u64(out, (uint64_t)(f->wall_ns > 0 ? f->wall_ns : 0));
    buf_put_str(out, "\",\"name\":");
    name(out, f);
    buf_put_str(out, ",\"attributes\":[");
    attributes(out, f);
    buf_put_char(out, ']');
    if (f->status == 0 || f->status >= 500) {
        buf_put_str(out, ",\"status\":{\"code\":");
        buf_put_u64(out, STATUS_ERROR);
        buf_put_str(out, ",\"message\":");
        buf_put_json(out, span_str(f->end), LIMIT_LOG_FIELD);
        buf_put_char(out, '}');
    }
    buf_put_str(out, "}\n");
}
