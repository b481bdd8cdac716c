/* Requests over HTTP/2: each connection carries up to load->streams of them at once. All frames of
 * one turn leave a connection in one write. */
#include "load.h"

#include "tool.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OUT_BYTES = 64 * 1024, WINDOW = 16 * 1024 * 1024 };

enum h2_phase { H2_CLOSED, H2_CONNECT, H2_TLS, H2_OPEN };

struct h2_request {
    struct h2_request *next_free;
    const struct line *line;
    uint64_t started_ns, since_ns, body;
    int status;
    bool open;
};

struct h2_conn {
    struct load *load;
    int fd;
    enum h2_phase phase;
    SSL *ssl;
    nghttp2_session *session;
    struct h2_request *requests, *free;
    size_t active;
    bool dirty; /* has frames to send */
    size_t out_len, out_at;
    char out[OUT_BYTES];
};

struct h2_load {
    struct h2_conn *conns;
    nghttp2_session_callbacks *callbacks;
    size_t next;
};

static void request_end(struct h2_conn *conn, struct h2_request *request)
{
    request->open = false;
    request->next_free = conn->free;
    conn->free = request;
    conn->active--;
    conn->load->in_flight--;
}

static void conn_close(struct h2_conn *conn)
{
    nghttp2_session_del(conn->session);
    conn->session = NULL;
    SSL_free(conn->ssl);
    conn->ssl = NULL;
    ERR_clear_error();
    close(conn->fd);
    conn->fd = -1;
    conn->phase = H2_CLOSED;
    conn->dirty = false;
    conn->out_len = conn->out_at = 0;
}

static void conn_fail(struct h2_conn *conn, enum failure failure)
{
    struct load *load = conn->load;
    for (size_t i = 0; i < load->streams; i++) {
        if (!conn->requests[i].open)
            continue;
        request_end(conn, &conn->requests[i]);
        load_fail(load, failure);
    }
    conn_close(conn);
}

/* --- what the session tells --- */

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    struct h2_request *request = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    (void)flags, (void)user;
    if (!request || name_len != 7 || memcmp(name, ":status", 7) != 0 || value_len != 3)
        return 0;
    request->status = (value[0] - '0') * 100 + (value[1] - '0') * 10 + (value[2] - '0');
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t len, void *user)
{
    struct h2_request *request = nghttp2_session_get_stream_user_data(session, stream_id);
    (void)flags, (void)data, (void)user;
    if (request)
        request->body += len;
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream_id, uint32_t error, void *user)
{
    struct h2_conn *conn = user;
    struct load *load = conn->load;
    struct h2_request *request = nghttp2_session_get_stream_user_data(session, stream_id);
    if (!request)
        return 0;
    if (error || request->status < 100 || request->status >= LOAD_STATUSES)
        load_fail(load, FAIL_RESET);
    else if (request->status < load->status_min || request->status > load->status_max)
        load_fail(load, FAIL_STATUS);
    else if (load->expect_length && request->body != load->expect_bytes)
        load_fail(load, FAIL_SHORT);
    else
        load_count(load, request->started_ns, request->status, request->body);
    request_end(conn, request);
    return 0;
}

/* --- bytes --- */

static bool would_block(struct h2_conn *conn, int result)
{
    if (!conn->ssl)
        return errno == EAGAIN;
    int error = SSL_get_error(conn->ssl, result);
    ERR_clear_error();
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static void fill_out(struct h2_conn *conn)
{
    const uint8_t *data;
    ssize_t len;
    conn->out_len = conn->out_at = 0;
    while (conn->out_len < OUT_BYTES / 2 &&
           (len = nghttp2_session_mem_send(conn->session, &data)) > 0) {
        if ((size_t)len > OUT_BYTES - conn->out_len)
            tool_die("a frame of HTTP/2 is too long");
        memcpy(conn->out + conn->out_len, data, (size_t)len);
        conn->out_len += (size_t)len;
    }
}

static void conn_send(struct h2_conn *conn)
{
    conn->dirty = false;
    for (;;) {
        if (conn->out_at == conn->out_len)
            fill_out(conn);
        size_t len = conn->out_len - conn->out_at;
        if (!len)
            return;
        const char *from = conn->out + conn->out_at;
        int sent = conn->ssl ? SSL_write(conn->ssl, from, (int)len)
                             : (int)send(conn->fd, from, len, MSG_NOSIGNAL);
        if (sent <= 0 && would_block(conn, sent)) {
            tool_watch(conn->load->epoll_fd, EPOLL_CTL_MOD, conn->fd, EPOLLIN | EPOLLOUT, conn);
            return;
        }
        if (sent <= 0) {
            conn_fail(conn, FAIL_RESET);
            return;
        }
        conn->out_at += (size_t)sent;
    }
}

static void conn_read(struct h2_conn *conn)
{
    struct load *load = conn->load;
    for (;;) {
        int got = conn->ssl ? SSL_read(conn->ssl, load->in, sizeof load->in)
                            : (int)recv(conn->fd, load->in, sizeof load->in, 0);
        if (got < 0 && would_block(conn, got))
            break;
        if (got <= 0) {
            conn_fail(conn, FAIL_RESET);
            return;
        }
        if (nghttp2_session_mem_recv(conn->session, (const uint8_t *)load->in, (size_t)got) < 0) {
            conn_fail(conn, FAIL_PROTOCOL);
            return;
        }
        if (conn->ssl ? !SSL_has_pending(conn->ssl) : got < (int)sizeof load->in)
            break;
    }
    conn->dirty = true;
}

/* --- life --- */

static void conn_open(struct h2_conn *conn)
{
    struct load *load = conn->load;
    conn->fd = tool_connect(&load->target);
    if (conn->fd < 0) {
        load_fail(load, FAIL_CONNECT);
        return;
    }
    conn->phase = H2_CONNECT;
    tool_watch(load->epoll_fd, EPOLL_CTL_ADD, conn->fd, EPOLLOUT, conn);
}

static void conn_ready(struct h2_conn *conn)
{
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                               {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW}};
    conn->phase = H2_OPEN;
    if (nghttp2_session_client_new(&conn->session, conn->load->h2->callbacks, conn) ||
        nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, settings, 2) ||
        nghttp2_session_set_local_window_size(conn->session, NGHTTP2_FLAG_NONE, 0, WINDOW))
        tool_die("out of memory for HTTP/2");
    conn_send(conn);
}

static void conn_handshake(struct h2_conn *conn)
{
    int result = SSL_do_handshake(conn->ssl);
    if (result == 1)
        conn_ready(conn);
    else if (!would_block(conn, result))
        conn_fail(conn, FAIL_TLS);
}

static void conn_connected(struct h2_conn *conn)
{
    struct load *load = conn->load;
    load->opened++;
    tool_watch(load->epoll_fd, EPOLL_CTL_MOD, conn->fd, EPOLLIN, conn);
    if (!load->tls) {
        conn_ready(conn);
        return;
    }
    conn->ssl = SSL_new(load->tls);
    if (!conn->ssl || !SSL_set_fd(conn->ssl, conn->fd))
        tool_die("out of memory for TLS");
    SSL_set_tlsext_host_name(conn->ssl, load->server_name);
    SSL_set_connect_state(conn->ssl);
    conn->phase = H2_TLS;
    conn_handshake(conn);
}

void load_h2_event(struct load *load, void *data, uint32_t events)
{
    struct h2_conn *conn = data;
    if (conn->phase == H2_CONNECT && events & (EPOLLERR | EPOLLHUP))
        conn_fail(conn, FAIL_CONNECT);
    else if (conn->phase == H2_CONNECT)
        conn_connected(conn);
    else if (conn->phase == H2_TLS)
        conn_handshake(conn);
    else if (conn->phase == H2_OPEN) {
        if (events & EPOLLOUT) {
            tool_watch(load->epoll_fd, EPOLL_CTL_MOD, conn->fd, EPOLLIN, conn);
            conn->dirty = true;
        }
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            conn_read(conn);
    }
}

void load_h2_flush(struct load *load)
{
    for (size_t i = 0; i < load->conns_len; i++)
        if (load->h2->conns[i].dirty && load->h2->conns[i].phase == H2_OPEN)
            conn_send(&load->h2->conns[i]);
}

static void submit(struct h2_conn *conn, struct h2_request *request)
{
    struct load *load = conn->load;
    const char *path = request->line->path, *scheme = load->tls ? "https" : "http";
#define NV(name, value, len)                                                                       \
    {                                                                                              \
        (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, (len), NGHTTP2_NV_FLAG_NONE       \
    }
    const nghttp2_nv fields[] = {
        NV(":method", load->method, strlen(load->method)), NV(":scheme", scheme, strlen(scheme)),
        NV(":authority", load->host, strlen(load->host)), NV(":path", path, strlen(path))};
#undef NV
    if (nghttp2_submit_request(conn->session, NULL, fields, 4, NULL, request) < 0)
        tool_die("out of memory for HTTP/2");
    conn->dirty = true;
}

/* After GOAWAY a connection takes no further request (RFC 9113 section 6.8). */
static bool has_room(const struct h2_conn *conn)
{
    return conn->phase == H2_OPEN && conn->free &&
           nghttp2_session_check_request_allowed(conn->session);
}

static bool has_gone_away(const struct h2_conn *conn)
{
    return conn->phase == H2_OPEN && conn->active == 0 && !has_room(conn);
}

bool load_h2_issue(struct load *load, uint64_t due_ns)
{
    struct h2_load *h2 = load->h2;
    for (size_t i = 0; i < load->conns_len; i++) {
        struct h2_conn *conn = &h2->conns[h2->next];
        h2->next = h2->next + 1 < load->conns_len ? h2->next + 1 : 0;
        if (has_gone_away(conn))
            conn_close(conn);
        if (conn->phase == H2_CLOSED)
            conn_open(conn);
        if (!has_room(conn))
            continue;
        struct h2_request *request = conn->free;
        conn->free = request->next_free;
        conn->active++;
        *request = (struct h2_request){.line = &load->lines[load->issued % load->lines_len],
                                       .started_ns = due_ns,
                                       .since_ns = load->rate > 0 ? tool_now_ns() : due_ns,
                                       .open = true};
        load->issued++;
        load->in_flight++;
        submit(conn, request);
        return true;
    }
    return false;
}

void load_h2_sweep(struct load *load, uint64_t now_ns)
{
    for (size_t i = 0; i < load->conns_len; i++) {
        struct h2_conn *conn = &load->h2->conns[i];
        bool late = false;
        for (size_t k = 0; k < load->streams; k++) {
            const struct h2_request *request = &conn->requests[k];
            late = late || (request->open && now_ns > request->since_ns &&
                            now_ns - request->since_ns > load->timeout_ns);
        }
        if (late)
            conn_fail(conn, FAIL_TIMEOUT);
    }
}

bool load_h2_room(const struct load *load)
{
    for (size_t i = 0; i < load->conns_len; i++)
        if (has_room(&load->h2->conns[i]))
            return true;
    return false;
}

void load_h2_prepare(struct load *load)
{
    struct h2_load *h2 = load->h2 = tool_alloc(1, sizeof *load->h2);
    h2->conns = tool_alloc(load->conns_len, sizeof *h2->conns);
    if (nghttp2_session_callbacks_new(&h2->callbacks))
        tool_die("out of memory for HTTP/2");
    nghttp2_session_callbacks_set_on_header_callback(h2->callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(h2->callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(h2->callbacks, on_close);
    for (size_t i = 0; i < load->conns_len; i++) {
        struct h2_conn *conn = &h2->conns[i];
        conn->load = load;
        conn->fd = -1;
        conn->requests = tool_alloc(load->streams, sizeof *conn->requests);
        for (size_t k = 0; k < load->streams; k++) {
            conn->requests[k].next_free = conn->free;
            conn->free = &conn->requests[k];
        }
    }
}
