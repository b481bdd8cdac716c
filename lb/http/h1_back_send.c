#include "http/h1_back_impl.h"

#include "base/hash.h"
#include "base/limits.h"
#include "http/h1_write.h"

/* Requests: the operations of the stream. None of them calls the exchange. */

/* Heads are spelled on the stack, large ones on the heap. */
enum { HEAD_STACK = 8 * 1024 };

static struct h1_back *of(struct back *b)
{
    return container_of(b, struct h1_back, stream);
}

static void put(struct h1_back *h, struct span bytes)
{
    h->stream.bytes_out += bytes.n;
    h->stream.sent_ns = loop_now_ns(conn_loop(h->conn));
    conn_write(h->conn, bytes);
}

/* What cannot be said inside an operation is said at the end of the turn. */
static void fail_later(struct h1_back *h, enum err why)
{
    h->why = why;
    h->dirty = true;
    task_post(conn_loop(h->conn), &h->later);
}

/* A WebSocket that was asked for over HTTP/2 has no key (RFC 8441 section 5): ours. */
static enum err add_key(struct h1_back *h, struct request *r)
{
    const uint64_t seed[2] = {(uint64_t)loop_now_ns(conn_loop(h->conn)), (uint64_t)(uintptr_t)h};
    uint64_t high = hash_plain(span_of((const char *)seed, sizeof(seed)));
    websocket_key(high, high ^ h->exchanges, h->key);
    h->keyed = true;
    return fields_put(&r->fields, h->stream.arena, FIELD_SEC_WEBSOCKET_KEY,
                      span_of(h->key, sizeof(h->key)));
}

static void put_head(struct h1_back *h, const struct request *r)
{
    struct request keyed = *r;
    char stack[HEAD_STACK];
    struct buf out;
    if (r->upgrade != UPGRADE_NONE && fields_get(&r->fields, FIELD_SEC_WEBSOCKET_KEY) == NULL) {
        if (add_key(h, &keyed) != ERR_OK) {
            fail_later(h, ERR_NO_MEMORY);
            return;
        }
        r = &keyed;
    }
    buf_fixed(&out, stack, sizeof(stack));
    h1_write_request(&out, r);
    if (out.failed) {
        buf_init(&out, H1_HEAD_MOST);
        h1_write_request(&out, r);
    }
    if (out.failed) {
        fail_later(h, ERR_NO_MEMORY);
    } else {
        put(h, buf_span(&out));
    }
    buf_fini(&out);
}

static void send_head(struct back *b, const struct request *r, bool end)
{
    struct h1_back *h = of(b);
    if (h->failed) {
        return;
    }
    h->waiter.age = b->age;
    conn_set_budget(h->conn, b->allowance != NULL ? &b->allowance->all : NULL);
    h->asked = (struct asked){.method = r->method, .upgrade = r->upgrade};
    h->coding = r->content == CONTENT_STREAM   ? H1_CHUNKED
                : r->content == CONTENT_LENGTH ? H1_LENGTH
                                               : H1_NONE;
    h->left = h->coding == H1_LENGTH ? r->length : 0;
    h->head_sent = true;
    h->request_done = end;
    put_head(h, r);
    if (end && (h->coding == H1_CHUNKED || h->left > 0)) {
        fail_later(h, ERR_INTERNAL);
    }
}

static void put_chunk(struct h1_back *h, struct span bytes)
{
    char line[H1_CHUNK_LINE];
    put(h, span_of(line, h1_chunk_line(line, bytes.n)));
    put(h, bytes);
    put(h, SPAN("\r\n"));
}

static void put_counted(struct h1_back *h, struct span bytes)
{
    if (bytes.n > h->left) {
        fail_later(h, ERR_INTERNAL);
        return;
    }
    h->left -= bytes.n;
    put(h, bytes);
}

static void send_body(struct back *b, struct span bytes)
{
    struct h1_back *h = of(b);
    if (h->failed || !h->head_sent || bytes.n == 0) {
        return;
    }
    if (h->tunnel) {
        put(h, bytes);
    } else if (h->coding == H1_CHUNKED && !h->request_done) {
        put_chunk(h, bytes);
    } else {
        put_counted(h, bytes);
    }
}

/* L14: no trailers; too many servers of this version merge them into the header fields. */
static void put_last_chunk(struct h1_back *h)
{
    char memory[HEAD_STACK];
    struct buf out;
    buf_fixed(&out, memory, sizeof(memory));
    h1_write_last_chunk(&out, NULL);
    if (out.failed) {
        fail_later(h, ERR_NO_MEMORY);
    } else {
        put(h, buf_span(&out));
    }
}

static void send_end(struct back *b, const struct fields *trailers)
{
    struct h1_back *h = of(b);
    (void)trailers;
    if (h->failed) {
        return;
    }
    if (h->tunnel) {
        conn_shutdown(h->conn);
    } else if (!h->request_done && h->coding == H1_CHUNKED) {
        put_last_chunk(h);
    } else if (h->left > 0) {
        fail_later(h, ERR_INTERNAL); /* less than was declared must not look complete */
    }
    h->request_done = true;
}

static void want_body(struct back *b, size_t most)
{
    struct h1_back *h = of(b);
    h->wants = most > 0;
    if (h->wants) {
        h->most = most;
        conn_set_read_most(h->conn, most);
    }
    h1_back_watch(h);
}

static size_t pending(const struct back *b)
{
    return conn_pending(container_of(b, const struct h1_back, stream)->conn);
}

static void tell_room(struct back *b)
{
    conn_tell_room(of(b)->conn);
}

static void release(struct back *b)
{
    h1_back_finish(of(b));
}

const struct back_ops h1_back_ops = {
    .send_head = send_head,
    .send_body = send_body,
    .send_end = send_end,
    .want_body = want_body,
    .pending = pending,
    .tell_room = tell_room,
    .release = release,
};
