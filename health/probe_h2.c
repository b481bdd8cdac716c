#include "health/probe.h"

#include "base/mem.h"

#include <nghttp2/nghttp2.h>

/* One request over HTTP/2: the GET of an http check, or a call of grpc.health.v1.Health/Check. */

enum {
    MESSAGE_HEAD = 5, /* of gRPC: compressed or not, and the length */
    SERVICE_MOST = 120,
    OTHER_MOST = KIB(64), /* what else may come with the content (L31) */
    SERVING = 1,
};

struct probe_h2 {
    struct probe *probe;
    nghttp2_session *wire;
    uint64_t status, grpc_status;
    bool has_grpc_status, wants_content, ended;
    size_t heard; /* bytes from the server (L31) */
    size_t reply_size, message_size, message_sent;
    char message[MESSAGE_HEAD + 2 + SERVICE_MOST];
    char reply[]; /* probe_content_most */
};

static bool is_grpc(const struct probe *p)
{
    return p->job.check->kind == HEALTH_GRPC;
}

/* HealthCheckRequest { string service = 1; } behind its length. */
static void write_message(struct probe_h2 *h, struct span service)
{
    size_t n = service.n > 0 ? 2 + service.n : 0;
    h->message[4] = (char)n;
    h->message_size = MESSAGE_HEAD + n;
    if (n > 0) {
        h->message[5] = 0x0a; /* field 1, bytes */
        h->message[6] = (char)service.n;
        memcpy(h->message + 7, service.p, service.n);
    }
}

/* HealthCheckResponse { ServingStatus status = 1; }: absent means 0, unknown. */
static bool is_serving(const struct probe_h2 *h)
{
    return h->reply_size == MESSAGE_HEAD + 2 && h->reply[0] == 0 && h->reply[4] == 2 &&
           h->reply[5] == 0x08 && h->reply[6] == SERVING;
}

static enum err verdict(const struct probe_h2 *h)
{
    bool good = is_grpc(h->probe)
                    ? h->status == 200 && h->has_grpc_status && h->grpc_status == 0 && is_serving(h)
                    : probe_status_good(h->probe, h->status);
    return good ? ERR_OK : ERR_BACKEND_UNHEALTHY;
}

static int on_header(nghttp2_session *wire, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user)
{
    struct probe_h2 *h = user;
    struct span n = span_of((const char *)name, name_size),
                v = span_of((const char *)value, value_size);
    (void)wire;
    (void)frame;
    (void)flags;
    if (span_eq(n, SPAN(":status"))) {
        h->status = span_u64(v, &h->status) == ERR_OK ? h->status : 0;
        h->wants_content = probe_wants_content(h->probe, h->status, SPAN_NONE);
    }
    if (span_eq(n, SPAN("content-type"))) {
        h->wants_content = probe_wants_content(h->probe, h->status, v);
    }
    if (span_eq(n, SPAN("grpc-status"))) {
        h->has_grpc_status = span_u64(v, &h->grpc_status) == ERR_OK;
    }
    return 0;
}

static int on_data(nghttp2_session *wire, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n,
                   void *user)
{
    struct probe_h2 *h = user;
    (void)wire;
    (void)flags;
    (void)id;
    size_t room = probe_content_most(h->probe) - h->reply_size, kept = n < room ? n : room;
    memcpy(h->reply + h->reply_size, bytes, kept);
    h->reply_size += kept;
    return 0;
}

/* The head decides an http check, unless its content may say more; a call has to end. */
static int on_frame_recv(nghttp2_session *wire, const nghttp2_frame *frame, void *user)
{
    struct probe_h2 *h = user;
    (void)wire;
    bool last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    bool head = frame->hd.type == NGHTTP2_HEADERS && h->status >= 200;
    bool content = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    bool whole = is_grpc(h->probe) || h->wants_content;
    h->ended = h->ended || (whole ? content && last : head);
    return 0;
}

static int on_stream_close(nghttp2_session *wire, int32_t id, uint32_t code, void *user)
{
    struct probe_h2 *h = user;
    (void)wire;
    (void)id;
    if (!h->ended && code != NGHTTP2_NO_ERROR) {
        h->status = 0;
    }
    h->ended = true;
    return 0;
}

static ssize_t read_message(nghttp2_session *wire, int32_t id, uint8_t *to, size_t most,
                            uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct probe_h2 *h = user;
    size_t left = h->message_size - h->message_sent, n = left < most ? left : most;
    (void)wire;
    (void)id;
    (void)source;
    memcpy(to, h->message + h->message_sent, n);
    h->message_sent += n;
    if (h->message_sent == h->message_size) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)n;
}

static void put(nghttp2_nv *nv, size_t *n, struct span name, struct span value)
{
    nv[(*n)++] = (nghttp2_nv){(uint8_t *)(uintptr_t)name.p, (uint8_t *)(uintptr_t)value.p, name.n,
                              value.n, NGHTTP2_NV_FLAG_NONE};
}

static bool submit(struct probe_h2 *h)
{
    const struct probe *p = h->probe;
    nghttp2_nv nv[8];
    size_t n = 0;
    nghttp2_data_provider content = {.read_callback = read_message};
    put(nv, &n, SPAN(":method"), is_grpc(p) ? SPAN("POST") : SPAN("GET"));
    put(nv, &n, SPAN(":scheme"), p->job.check->tls != NULL ? SPAN("https") : SPAN("http"));
    put(nv, &n, SPAN(":authority"), probe_host(p));
    put(nv, &n, SPAN(":path"),
        is_grpc(p) ? SPAN("/grpc.health.v1.Health/Check") : p->job.page->path);
    put(nv, &n, SPAN("user-agent"), SPAN("meridian-health"));
    if (is_grpc(p)) {
        put(nv, &n, SPAN("content-type"), SPAN("application/grpc"));
        put(nv, &n, SPAN("te"), SPAN("trailers"));
        write_message(h, p->job.check->service);
    }
    return nghttp2_submit_settings(h->wire, NGHTTP2_FLAG_NONE, NULL, 0) == 0 &&
           nghttp2_submit_request(h->wire, NULL, nv, n, is_grpc(p) ? &content : NULL, NULL) > 0;
}

static bool wire_new(struct probe_h2 *h)
{
    nghttp2_session_callbacks *callbacks = NULL;
    if (nghttp2_session_callbacks_new(&callbacks) != 0) {
        return false;
    }
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    bool made = nghttp2_session_client_new(&h->wire, callbacks, h) == 0;
    nghttp2_session_callbacks_del(callbacks);
    return made;
}

static bool pump(struct probe_h2 *h)
{
    const uint8_t *bytes;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(h->wire, &bytes)) > 0) {
        conn_write(h->probe->conn, span_of((const char *)bytes, (size_t)n));
    }
    return n == 0;
}

static void h2_open(struct probe *p)
{
    struct probe_h2 *h = mem_alloc(sizeof(*h) + probe_content_most(p));
    p->talk = h;
    if (h == NULL) {
        probe_end(p, ERR_NO_MEMORY);
        return;
    }
    h->probe = p;
    if (!wire_new(h) || !submit(h) || !pump(h)) {
        probe_end(p, ERR_NO_MEMORY);
    }
}

static size_t h2_bytes(struct probe *p, struct span bytes)
{
    struct probe_h2 *h = p->talk;
    h->heard += bytes.n;
    if (h->heard > OTHER_MOST + probe_content_most(p) ||
        nghttp2_session_mem_recv(h->wire, (const uint8_t *)bytes.p, bytes.n) < 0 || !pump(h)) {
        probe_end(p, ERR_BACKEND_PROTOCOL);
    } else if (h->wants_content && (h->ended || p->seeks)) {
        bool whole = h->ended || h->reply_size == probe_content_most(p);
        probe_content(p, span_of(h->reply, h->reply_size), whole);
    } else if (h->ended) {
        probe_end(p, h->status >= 100 && h->status < 600 ? verdict(h) : ERR_BACKEND_PROTOCOL);
    } else if (nghttp2_session_want_read(h->wire) == 0) {
        probe_end(p, ERR_BACKEND_PROTOCOL);
    }
    return bytes.n;
}

static void h2_eof(struct probe *p, bool clean)
{
    (void)clean;
    probe_end(p, p->unready || p->seeks ? ERR_BACKEND_UNHEALTHY : ERR_BACKEND_RESET);
}

static void h2_close(struct probe *p)
{
    struct probe_h2 *h = p->talk;
    p->talk = NULL;
    if (h != NULL) {
        nghttp2_session_del(h->wire);
        mem_free(h);
    }
}

const struct probe_stages probe_h2 = {
    .open = h2_open, .bytes = h2_bytes, .eof = h2_eof, .close = h2_close, .good_end = CONN_END_NOW};
