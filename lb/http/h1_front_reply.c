#include "http/h1_front_impl.h"

#include "base/limits.h"
#include "http/h1_write.h"
#include "http/websocket.h"

/* Responses: the operations of the stream. None of them calls the exchange. */

/* Heads are spelled on the stack, large ones on the heap. */
enum { HEAD_STACK = 8 * 1024 };

static struct h1_request *of(struct front *f)
{
    return container_of(f, struct h1_request, stream);
}

static void put(struct h1_request *q, struct span bytes)
{
    q->stream.bytes_out += bytes.n;
    conn_write(q->front->conn, bytes);
}

static void put_head(struct h1_request *q, const struct reply *r, const struct h1_reply_form *form)
{
    char stack[HEAD_STACK];
    struct buf out;
    buf_fixed(&out, stack, sizeof(stack));
    h1_write_reply(&out, r, form);
    if (out.failed) {
        buf_init(&out, H1_HEAD_MOST);
        h1_write_reply(&out, r, form);
    }
    if (out.failed) {
        q->front->broken = true;
    } else {
        put(q, buf_span(&out));
    }
    buf_fini(&out);
}

static void reply_interim(struct front *f, const struct reply *r)
{
    struct h1_request *q = of(f);
    if (q->front->broken || q->begun || q->message.version != VERSION_1_1 || r->status >= 200) {
        return;
    }
    put_head(q, r, &(struct h1_reply_form){.coding = H1_NONE});
}

static enum h1_coding choose_coding(const struct request *asked, const struct reply *r, bool end)
{
    if (r->upgraded) {
        return H1_CLOSE;
    }
    if (end || asked->method == METHOD_HEAD || r->status == 204 || r->status == 304) {
        return H1_NONE;
    }
    switch (r->content) {
    case CONTENT_NONE:
        break;
    case CONTENT_LENGTH:
        return H1_LENGTH;
    case CONTENT_STREAM:
        return asked->version == VERSION_1_0 ? H1_CLOSE : H1_CHUNKED;
    }
    return H1_NONE;
}

/* H20: a request that has not been read to its end leaves the connection without a next one; nor do
 * bytes that were meant for a tunnel become a request (H21). And what is known by now of its end is
 * said now (P7, L11). */
static bool must_close(const struct h1_request *q, const struct reply *r)
{
    const struct h1_front *h = q->front;
    bool unread = !h1_body_done(&q->body);
    bool tunnel_bytes =
        q->message.upgrade != UPGRADE_NONE && !r->upgraded && conn_has_unread(h->conn);
    return unread || tunnel_bytes || q->coding == H1_CLOSE || h->last || h->pressed ||
           h1_front_is_old(h);
}

/* A tunnel's beginning as this version says it, whatever the server spoke: over HTTP/2 it said 200
 * and had no key to answer (RFC 8441 section 5). */
static enum err switch_protocols(struct h1_request *q, const struct reply *r, struct reply *out)
{
    const struct field *key = fields_get(&q->message.fields, FIELD_SEC_WEBSOCKET_KEY);
    *out = *r;
    out->status = 101;
    if (r->status == 101 || key == NULL) {
        return ERR_OK;
    }
    char *accept = arena_take(&q->arena, WEBSOCKET_ACCEPT);
    if (accept == NULL) {
        return ERR_NO_MEMORY;
    }
    websocket_accept(key->value, accept);
    return fields_put(&out->fields, &q->arena, FIELD_SEC_WEBSOCKET_ACCEPT,
                      span_of(accept, WEBSOCKET_ACCEPT));
}

static void reply_head(struct front *f, const struct reply *r, bool end)
{
    struct h1_request *q = of(f);
    struct h1_front *h = q->front;
    struct reply switched;
    if (h->broken || q->begun) {
        return;
    }
    if (r->upgraded) {
        h->broken = switch_protocols(q, r, &switched) != ERR_OK;
        r = &switched;
    }
    q->coding = choose_coding(&q->message, r, end);
    q->left = q->coding == H1_LENGTH ? r->length : 0;
    q->begun = true;
    q->done = end;
    h->closing = h->closing || must_close(q, r);
    struct h1_reply_form form = {
        .coding = q->coding,
        .to_head = q->message.method == METHOD_HEAD,
        .close = h->closing,
        .keep_alive = !h->closing && q->message.version == VERSION_1_0,
        .date = loop_date(conn_loop(h->conn)),
    };
    put_head(q, r, &form);
    if (r->upgraded) {
        q->tunnel = true;
        q->end_told = false;
        h1_front_redeliver(h);
    }
}

static void put_chunk(struct h1_request *q, struct span bytes)
{
    char line[H1_CHUNK_LINE];
    put(q, span_of(line, h1_chunk_line(line, bytes.n)));
    put(q, bytes);
    put(q, SPAN("\r\n"));
}

static void reply_body(struct front *f, struct span bytes)
{
    struct h1_request *q = of(f);
    if (q->front->broken || !q->begun || q->done || bytes.n == 0) {
        return;
    }
    switch (q->coding) {
    case H1_NONE:
        break;
    case H1_LENGTH:
        if (bytes.n > q->left) {
            q->front->broken = true;
            return;
        }
        q->left -= bytes.n;
        put(q, bytes);
        break;
    case H1_CHUNKED:
        put_chunk(q, bytes);
        break;
    case H1_CLOSE:
        put(q, bytes);
        break;
    }
}

static void put_last_chunk(struct h1_request *q, const struct fields *trailers)
{
    char memory[HEAD_STACK];
    struct buf out;
    buf_fixed(&out, memory, sizeof(memory));
    h1_write_last_chunk(&out, trailers);
    if (out.failed) {
        q->front->broken = true;
    } else {
        put(q, buf_span(&out));
    }
}

static void reply_end(struct front *f, const struct fields *trailers)
{
    struct h1_request *q = of(f);
    if (q->front->broken || !q->begun || q->done) {
        return;
    }
    q->done = true;
    if (q->coding == H1_CHUNKED) {
        put_last_chunk(q, trailers);
    } else if (q->coding == H1_LENGTH && q->left > 0) {
        q->front->broken = true; /* H19 */
    } else if (q->tunnel) {
        conn_shutdown(q->front->conn);
    }
}

static void want_body(struct front *f, bool want)
{
    struct h1_request *q = of(f);
    bool begins = want && !q->wants;
    q->wants = want;
    if (begins && !q->front->broken) {
        h1_front_redeliver(q->front);
    }
}

/* The connection ends with the release, which follows. */
static void abort_reply(struct front *f, enum err why)
{
    struct h1_request *q = of(f);
    (void)why;
    q->front->broken = true;
    q->gone = true;
}

static size_t pending(const struct front *f)
{
    return conn_pending(container_of(f, const struct h1_request, stream)->front->conn);
}

static size_t room(struct front *f)
{
    return pending(f) > LIMIT_FLOW_HIGH ? 0 : LIMIT_READ;
}

static void keep(struct front *f, bool on)
{
    struct h1_front *h = of(f)->front;
    h->closing = h->closing || !on;
}

static struct conn *connection(const struct front *f)
{
    return container_of(f, const struct h1_request, stream)->front->conn;
}

static void release(struct front *f)
{
    h1_front_finish(of(f)->front);
}

const struct front_ops h1_front_ops = {
    .reply_interim = reply_interim,
    .reply_head = reply_head,
    .reply_body = reply_body,
    .reply_end = reply_end,
    .want_body = want_body,
    .abort = abort_reply,
    .pending = pending,
    .room = room,
    .keep = keep,
    .conn = connection,
    .release = release,
};
