/* The load generator's parts. A `load` is one run: its options, its connections and what was
 * counted. load_conn.c drives one connection, load_report.c prints, load.c decides when a request
 * is due. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "h1.h"
#include "hist.h"

#include <netinet/in.h>
#include <openssl/ssl.h>

enum {
    LOAD_IN_BYTES = 64 * 1024,
    LOAD_ORIGINS = 64,
    LOAD_ORIGIN_NAME = 64,
    LOAD_STATUSES = 600,
    LOAD_LINES_MAX = 100000
};

/* How a request can fail; the names in the report are in load_report.c. */
enum failure {
    FAIL_CONNECT, /* refused, reset or closed before the request was sent */
    FAIL_TLS,
    FAIL_RESET, /* sent, then reset or closed before the first byte of the answer */
    FAIL_TIMEOUT,
    FAIL_STATUS,
    FAIL_SHORT,    /* the answer ended early or with another length than asked for */
    FAIL_PROTOCOL, /* not HTTP, or broken chunks */
    FAIL_UNSENT,   /* due, but no connection was free before the end */
    FAIL_KINDS
};

/* A request's bytes, ready to send. */
struct line {
    char *data;
    size_t len;
    char *path; /* for HTTP/2, which has no fields of a line's own */
    bool head_only;
};

enum phase {
    PHASE_CLOSED,
    PHASE_CONNECT,
    PHASE_TLS,
    PHASE_SEND,
    PHASE_HEAD,
    PHASE_BODY,
    PHASE_IDLE
};

struct conn {
    int fd;
    enum phase phase;
    SSL *ssl;
    struct conn *next_idle, *prev_idle;
    const struct line *line;
    uint64_t started_ns; /* when the request was due */
    uint64_t since_ns;   /* when it was taken up: time-outs count from here */
    size_t sent, head_len;
    bool any_byte; /* of the answer */
    /* the answer's body */
    bool chunked, until_close, close_after;
    int status;
    uint64_t left, body;
    struct h1_chunked chunks;
    size_t origin; /* index, LOAD_ORIGINS: none */
    char head[8 * 1024];
};

struct load {
    /* set once */
    struct sockaddr_in target;
    char host[80], path[2048], method[16];
    SSL_CTX *tls;
    const char *server_name;
    double rate;
    uint64_t run_ns, warm_ns, timeout_ns, request_limit, body_bytes;
    uint64_t expect_bytes;
    int status_min, status_max;
    bool fresh, open_all, resume, expect_length;
    size_t conns_len, lines_len;
    struct line *lines;
    struct conn *conns;
    SSL_SESSION *session;
    size_t streams; /* HTTP/2: requests at once on a connection; 0: HTTP/1.1 */
    struct h2_load *h2;
    /* running */
    int epoll_fd;
    struct conn *idle, *closed;
    uint64_t start_ns, end_ns, issued, in_flight;
    /* counted */
    uint64_t completed, errors[FAIL_KINDS], opened, resumed, body_total;
    uint64_t statuses[LOAD_STATUSES];
    size_t origins_len;
    struct {
        char name[LOAD_ORIGIN_NAME + 1];
        uint64_t count;
    } origins[LOAD_ORIGINS];
    struct hist latency;
    char in[LOAD_IN_BYTES];
};

/* Takes a free connection and sends the request that was due at `due_ns` on it. False: none is
 * free. */
bool load_conn_issue(struct load *load, uint64_t due_ns);

/* The socket has something to say. */
void load_conn_event(struct load *load, struct conn *conn, uint32_t events);

/* Fails what has waited longer than the time-out. */
void load_conn_sweep(struct load *load, uint64_t now_ns);

/* Counts a failed request, also in the time that is not counted otherwise. */
void load_fail(struct load *load, enum failure failure);

/* Counts a request that was answered well. */
void load_count(struct load *load, uint64_t started_ns, int status, uint64_t body);

/* The same as load_conn_*, over HTTP/2 (load_h2.c). */
void load_h2_prepare(struct load *load);
bool load_h2_issue(struct load *load, uint64_t due_ns);
void load_h2_event(struct load *load, void *conn, uint32_t events);
void load_h2_sweep(struct load *load, uint64_t now_ns);
/* Sends what the requests issued and the events of this turn have left to send. */
void load_h2_flush(struct load *load);
/* Whether a request could be issued now. */
bool load_h2_room(const struct load *load);

/* The report as one JSON object on stdout. */
void load_report(const struct load *load);

#endif
