#include "load.h"

#include "tool.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a read or write came to. */
enum { IO_AGAIN = -1, IO_END = -2, IO_ERROR = -3 };

static void idle_push(struct load *load, struct conn *conn)
{
    conn->phase = PHASE_IDLE;
    conn->prev_idle = NULL;
    conn->next_idle = load->idle;
    if (load->idle)
        load->idle->prev_idle = conn;
    load->idle = conn;
}

static void idle_remove(struct load *load, struct conn *conn)
{
    if (conn->prev_idle)
        conn->prev_idle->next_idle = conn->next_idle;
    else
        load->idle = conn->next_idle;
    if (conn->next_idle)
        conn->next_idle->prev_idle = conn->prev_idle;
}

static void conn_close(struct load *load, struct conn *conn)
{
    if (conn->phase == PHASE_IDLE)
        idle_remove(load, conn);
    if (conn->ssl) {
        if (conn->phase >= PHASE_SEND)
            SSL_shutdown(conn->ssl);
        SSL_free(conn->ssl);
        conn->ssl = NULL;
        ERR_clear_error();
    }
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
    conn->phase = PHASE_CLOSED;
    conn->next_idle = load->closed;
    load->closed = conn;
}

static bool counts(const struct load *load, uint64_t due_ns)
{
    return due_ns >= load->start_ns + load->warm_ns;
}

void load_fail(struct load *load, enum failure failure)
{
    load->errors[failure]++;
}

static void conn_fail(struct load *load, struct conn *conn, enum failure failure)
{
    load->in_flight--;
    load_fail(load, failure);
    conn_close(load, conn);
}

void load_count(struct load *load, uint64_t started_ns, int status, uint64_t body)
{
    if (!counts(load, started_ns))
        return;
    load->completed++;
    load->body_total += body;
    load->statuses[status]++;
    uint64_t now = tool_now_ns();
    hist_add(&load->latency, now > started_ns ? now - started_ns : 0);
}

static void count_done(struct load *load, const struct conn *conn)
{
    load_count(load, conn->started_ns, conn->status, conn->body);
    if (counts(load, conn->started_ns) && conn->origin < LOAD_ORIGINS)
        load->origins[conn->origin].count++;
}

/* The answer is complete: judge it and free the connection for the next request. */
static void conn_done(struct load *load, struct conn *conn)
{
    if (conn->status < load->status_min || conn->status > load->status_max) {
        if (counts(load, conn->started_ns))
            load->statuses[conn->status]++;
        conn_fail(load, conn, FAIL_STATUS);
        return;
    }
    if (load->expect_length && !conn->line->head_only && conn->body != load->expect_bytes) {
        conn_fail(load, conn, FAIL_SHORT);
        return;
    }
    count_done(load, conn);
    load->in_flight--;
    if (conn->close_after || load->fresh)
        conn_close(load, conn);
    else
        idle_push(load, conn);
}

static int io_result(struct conn *conn, int result)
{
    switch (SSL_get_error(conn->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return IO_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return IO_END;
    default:
        ERR_clear_error();
        return IO_ERROR;
    }
}

static int io_read(struct load *load, struct conn *conn)
{
    if (conn->ssl) {
        int got = SSL_read(conn->ssl, load->in, (int)sizeof load->in);
        return got > 0 ? got : io_result(conn, got);
    }
    ssize_t got = recv(conn->fd, load->in, sizeof load->in, 0);
    if (got > 0)
        return (int)got;
    return got == 0 ? IO_END : errno == EAGAIN ? IO_AGAIN : IO_ERROR;
}

static int io_write(struct conn *conn, const char *data, size_t len)
{
    if (conn->ssl) {
        int sent = SSL_write(conn->ssl, data, (int)len);
        return sent > 0 ? sent : io_result(conn, sent);
    }
    ssize_t sent = send(conn->fd, data, len, MSG_NOSIGNAL);
    return sent >= 0 ? (int)sent : errno == EAGAIN ? IO_AGAIN : IO_ERROR;
}

static void conn_send(struct load *load, struct conn *conn)
{
    conn->phase = PHASE_SEND;
    while (conn->sent < conn->line->len) {
        int sent = io_write(conn, conn->line->data + conn->sent, conn->line->len - conn->sent);
        if (sent == IO_AGAIN) {
            tool_watch(load->epoll_fd, EPOLL_CTL_MOD, conn->fd, EPOLLIN | EPOLLOUT, conn);
            return;
        }
        if (sent < 0) {
            conn_fail(load, conn, conn->sent ? FAIL_RESET : FAIL_CONNECT);
            return;
        }
        conn->sent += (size_t)sent;
    }
    conn->phase = PHASE_HEAD;
}

static size_t origin_index(struct load *load, const char *name, size_t len)
{
    if (!name || len > LOAD_ORIGIN_NAME)
        return LOAD_ORIGINS;
    for (size_t i = 0; i < load->origins_len; i++)
        if (strncmp(load->origins[i].name, name, len) == 0 && !load->origins[i].name[len])
            return i;
    if (load->origins_len == LOAD_ORIGINS)
        return LOAD_ORIGINS;
    memcpy(load->origins[load->origins_len].name, name, len);
    return load->origins_len++;
}

/* Gives body bytes to the answer. Returns how many were used; on broken chunks the request has
 * failed and the rest is lost. */
static size_t take_body(struct load *load, struct conn *conn, const char *data, size_t len)
{
    size_t used = len;
    bool done = false;
    if (conn->chunked) {
        used = h1_chunked_feed(&conn->chunks, data, len);
        if (used == SIZE_MAX) {
            conn_fail(load, conn, FAIL_PROTOCOL);
            return len;
        }
        conn->body = conn->chunks.body;
        done = conn->chunks.state == H1_END;
    } else {
        if (!conn->until_close && conn->left < used)
            used = (size_t)conn->left;
        conn->left -= conn->until_close ? 0 : used;
        conn->body += used;
        done = !conn->until_close && !conn->left;
    }
    if (!done)
        return used;
    if (used < len) { /* bytes after the answer */
        conn_fail(load, conn, FAIL_PROTOCOL);
        return len;
    }
    conn_done(load, conn);
    return used;
}

static void begin_body(struct load *load, struct conn *conn, const struct h1_head *head)
{
    bool none = conn->line->head_only || head->status == 204 || head->status == 304;
    conn->status = head->status;
    conn->close_after = head->close;
    conn->origin = origin_index(load, head->origin, head->origin_len);
    conn->chunked = head->chunked && !none;
    conn->until_close = !none && !head->chunked && !head->has_length;
    conn->left = none || conn->chunked ? 0 : head->length;
    conn->close_after = conn->close_after || conn->until_close;
    conn->chunks = (struct h1_chunked){0};
    conn->body = 0;
    conn->phase = PHASE_BODY;
}

/* Bytes of the head. Returns how many were used. */
static size_t take_head(struct load *load, struct conn *conn, const char *data, size_t len)
{
    size_t before = conn->head_len;
    size_t room = sizeof conn->head - before;
    size_t copy = len < room ? len : room;
    memcpy(conn->head + before, data, copy);
    conn->head_len += copy;
    conn->any_byte = true;
    struct h1_head head;
    int result = h1_head_response(&head, conn->head, conn->head_len);
    if (result < 0 || (result == 0 && copy < len) ||
        (result > 0 && (head.status < 100 || head.status >= LOAD_STATUSES))) {
        conn_fail(load, conn, FAIL_PROTOCOL);
        return len;
    }
    if (result == 0)
        return len;
    conn->head_len = 0;
    size_t used = head.size - before;
    if (head.status < 200)
        return used;
    begin_body(load, conn, &head);
    if (used == len && !conn->chunked && !conn->until_close && !conn->left)
        conn_done(load, conn);
    return used;
}

static void take(struct load *load, struct conn *conn, const char *data, size_t len)
{
    while (len) {
        size_t used;
        if (conn->phase == PHASE_HEAD || conn->phase == PHASE_SEND)
            used = take_head(load, conn, data, len);
        else if (conn->phase == PHASE_BODY)
            used = take_body(load, conn, data, len);
        else
            return;
        data += used;
        len -= used;
    }
}

/* The peer has ended the connection, cleanly or not. */
static void conn_ended(struct load *load, struct conn *conn, bool clean)
{
    if (conn->phase == PHASE_IDLE)
        conn_close(load, conn);
    else if (conn->phase == PHASE_BODY && conn->until_close && clean) {
        conn->close_after = true;
        conn_done(load, conn);
    } else if (conn->phase == PHASE_BODY || conn->any_byte)
        conn_fail(load, conn, FAIL_SHORT);
    else
        conn_fail(load, conn, FAIL_RESET);
}

static void conn_read(struct load *load, struct conn *conn)
{
    for (;;) {
        int got = io_read(load, conn);
        if (got == IO_AGAIN)
            return;
        if (got < 0) {
            conn_ended(load, conn, got == IO_END);
            return;
        }
        if (conn->phase == PHASE_IDLE) { /* an answer to nothing, such as 408: the peer closes */
            conn_close(load, conn);
            return;
        }
        take(load, conn, load->in, (size_t)got);
        if (conn->phase == PHASE_CLOSED || (!conn->ssl && got < (int)sizeof load->in))
            return;
    }
}

static void conn_handshake(struct load *load, struct conn *conn)
{
    int result = SSL_do_handshake(conn->ssl);
    if (result != 1) {
        if (io_result(conn, result) != IO_AGAIN)
            conn_fail(load, conn, FAIL_TLS);
        return;
    }
    load->resumed += (uint64_t)SSL_session_reused(conn->ssl);
    conn_send(load, conn);
}

static void conn_connected(struct load *load, struct conn *conn)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len) || error) {
        conn_fail(load, conn, FAIL_CONNECT);
        return;
    }
    load->opened++;
    tool_watch(load->epoll_fd, EPOLL_CTL_MOD, conn->fd, EPOLLIN, conn);
    if (!load->tls) {
        conn_send(load, conn);
        return;
    }
    conn->ssl = SSL_new(load->tls);
    if (!conn->ssl || !SSL_set_fd(conn->ssl, conn->fd))
        tool_die("out of memory for TLS");
    SSL_set_tlsext_host_name(conn->ssl, load->server_name);
    if (load->resume && load->session)
        SSL_set_session(conn->ssl, load->session);
    SSL_set_connect_state(conn->ssl);
    conn->phase = PHASE_TLS;
    conn_handshake(load, conn);
}

void load_conn_event(struct load *load, struct conn *conn, uint32_t events)
{
    if (conn->phase == PHASE_CONNECT)
        conn_connected(load, conn);
    else if (conn->phase == PHASE_TLS)
        conn_handshake(load, conn);
    else if (conn->phase == PHASE_SEND && events & EPOLLOUT) {
        conn_send(load, conn);
        if (conn->phase == PHASE_HEAD)
            tool_watch(load->epoll_fd, EPOLL_CTL_MOD, conn->fd, EPOLLIN, conn);
    } else if (conn->phase != PHASE_CLOSED)
        conn_read(load, conn);
}

static void conn_open(struct load *load, struct conn *conn)
{
    conn->phase = PHASE_CONNECT;
    conn->fd = tool_connect(&load->target);
    if (conn->fd < 0) {
        conn_fail(load, conn, FAIL_CONNECT);
        return;
    }
    tool_watch(load->epoll_fd, EPOLL_CTL_ADD, conn->fd, EPOLLOUT, conn);
}

bool load_conn_issue(struct load *load, uint64_t due_ns)
{
    struct conn *conn = load->idle && !load->open_all ? load->idle : load->closed;
    if (!conn)
        return false;
    conn->line = &load->lines[load->issued % load->lines_len];
    conn->started_ns = due_ns;
    conn->since_ns = load->rate > 0 ? tool_now_ns() : due_ns;
    conn->sent = conn->head_len = 0;
    conn->any_byte = false;
    load->issued++;
    load->in_flight++;
    if (conn == load->idle) {
        idle_remove(load, conn);
        conn_send(load, conn);
    } else {
        load->closed = conn->next_idle;
        load->open_all = load->open_all && load->closed;
        conn_open(load, conn);
    }
    return true;
}

void load_conn_sweep(struct load *load, uint64_t now_ns)
{
    for (size_t i = 0; i < load->conns_len; i++) {
        struct conn *conn = &load->conns[i];
        if (conn->phase == PHASE_CLOSED || conn->phase == PHASE_IDLE)
            continue;
        if (now_ns > conn->since_ns && now_ns - conn->since_ns > load->timeout_ns)
            conn_fail(load, conn, FAIL_TIMEOUT);
    }
}
