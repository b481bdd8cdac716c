/* load: an HTTP/1.1 load generator. Closed loop by default (each connection asks again when it was
 * answered); with --rate requests are due at fixed times whatever the server does, and latency
 * counts from the time a request was due, so that a stalled server cannot hide its stalls. One
 * thread. */
#include "load.h"

#include "tool.h"

#include <errno.h>
#include <getopt.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { EVENTS = 512, EXTRA_MAX = 4096, SWEEP_NS = 50 * 1000 * 1000, ISSUE_BATCH = 256 };

/* Options that only serve to build the requests. */
struct wording {
    char extra[EXTRA_MAX];
    size_t extra_len;
    const char *paths;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/* --- requests --- */

static void add_line(struct load *load, const struct wording *wording, const char *path,
                     const char *fields)
{
    if (load->lines_len == LOAD_LINES_MAX)
        tool_die("--paths: at most %d lines", LOAD_LINES_MAX);
    struct line *line = &load->lines[load->lines_len++];
    char length[64] = "";
    if (load->body_bytes)
        snprintf(length, sizeof length, "Content-Length: %llu\r\n",
                 (unsigned long long)load->body_bytes);
    size_t cap = strlen(path) + strlen(fields) + wording->extra_len + 256;
    line->data = tool_alloc(1, cap + (size_t)load->body_bytes);
    int len = snprintf(line->data, cap, "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s%s%s\r\n", load->method,
                       path, load->host, load->fresh ? "Connection: close\r\n" : "", wording->extra,
                       fields, length);
    line->len = (size_t)len + (size_t)load->body_bytes;
    line->path = strdup(path);
    if (!line->path)
        tool_die("out of memory");
    memset(line->data + len, 'b', (size_t)load->body_bytes);
    line->head_only = strcmp(load->method, "HEAD") == 0;
}

/* One line of a --paths file: the path, then fields, all separated by tabs. */
static void read_line(struct load *load, const struct wording *wording, char *text)
{
    char fields[EXTRA_MAX] = "";
    size_t len = 0;
    char *rest = text;
    const char *path = strsep(&rest, "\t");
    while (rest) {
        const char *field = strsep(&rest, "\t");
        int more = snprintf(fields + len, sizeof fields - len, "%s\r\n", field);
        len += (size_t)more;
        if (len >= sizeof fields)
            tool_die("--paths: a line is too long");
    }
    add_line(load, wording, path, fields);
}

static void read_paths(struct load *load, const struct wording *wording)
{
    FILE *file = fopen(wording->paths, "re");
    if (!file)
        tool_die("%s: %s", wording->paths, strerror(errno));
    char text[EXTRA_MAX];
    while (fgets(text, sizeof text, file)) {
        text[strcspn(text, "\r\n")] = '\0';
        if (text[0] == '/')
            read_line(load, wording, text);
    }
    fclose(file);
    if (!load->lines_len)
        tool_die("%s: no line begins with '/'", wording->paths);
}

/* --- options --- */

static void usage(void)
{
    fputs("load [options] http[s]://127.0.0.1:PORT/PATH\n"
          "  --connections N    at most N at once (default 16)\n"
          "  --seconds S, --requests N   when to end (default 10 seconds)\n"
          "  --rate R           open loop: R requests per second on schedule\n"
          "  --warm S           of the first S seconds only failures are counted\n"
          "  --timeout MS       per request (default 5000)\n"
          "  --method M, --header 'Name: value', --body-bytes N\n"
          "  --paths FILE       lines PATH<tab>Name: value<tab>..., taken in turn\n"
          "  --fresh            a new connection for each request; --resume: resume TLS sessions\n"
          "  --open-all         all connections are opened before one is used again\n"
          "  --status A[-B]     what counts as good (default 200-399); --expect-bytes N\n"
          "  --host NAME        Host and server name of TLS\n"
          "  --tls12            TLS 1.2 instead of 1.3\n"
          "  --h2 N             HTTP/2, N requests at once on each connection; GET without fields\n"
          "Certificates are not verified; only loopback addresses are accepted.\n",
          stderr);
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct load *load = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_SESSION_free(load->session);
    load->session = session;
    return 1;
}

static void use_tls(struct load *load, bool tls12)
{
    load->tls = SSL_CTX_new(TLS_client_method());
    if (!load->tls)
        tool_die("no TLS");
    int version = tls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
    if (!SSL_CTX_set_min_proto_version(load->tls, version) ||
        !SSL_CTX_set_max_proto_version(load->tls, version) ||
        !SSL_CTX_set_ciphersuites(load->tls, "TLS_AES_128_GCM_SHA256"))
        tool_die("TLS options refused");
    SSL_CTX_set_mode(load->tls, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(load->tls, 1);
    SSL_CTX_set_app_data(load->tls, load);
    static const unsigned char h2[] = {2, 'h', '2'};
    if (load->streams && SSL_CTX_set_alpn_protos(load->tls, h2, sizeof h2))
        tool_die("TLS options refused");
    if (load->resume) {
        SSL_CTX_set_session_cache_mode(load->tls,
                                       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(load->tls, keep_session);
    }
}

static bool read_url(struct load *load, const char *url, const char *host)
{
    bool secure = strncmp(url, "https://", 8) == 0;
    if (!secure && strncmp(url, "http://", 7) != 0)
        tool_die("%s: http:// or https:// is needed", url);
    const char *authority = url + (secure ? 8 : 7);
    const char *path = strchr(authority, '/');
    size_t len = path ? (size_t)(path - authority) : strlen(authority);
    char target[80];
    if (len >= sizeof target || (path && strlen(path) >= sizeof load->path))
        tool_die("%s: too long", url);
    memcpy(target, authority, len);
    target[len] = '\0';
    load->target = tool_loopback(target);
    snprintf(load->host, sizeof load->host, "%s", host ? host : target);
    snprintf(load->path, sizeof load->path, "%s", path ? path : "/");
    load->server_name = host ? host : "localhost";
    return secure;
}

static void read_status(struct load *load, const char *text)
{
    char low[4] = "";
    const char *dash = strchr(text, '-');
    snprintf(low, sizeof low, "%.3s", text);
    load->status_min = (int)tool_number("--status", low, 100, 599);
    load->status_max = dash ? (int)tool_number("--status", dash + 1, 100, 599) : load->status_min;
}

static void add_field(struct wording *wording, const char *field)
{
    if (!strchr(field, ':') || strpbrk(field, "\r\n"))
        tool_die("--header: 'Name: value' is needed");
    int len = snprintf(wording->extra + wording->extra_len,
                       sizeof wording->extra - wording->extra_len, "%s\r\n", field);
    wording->extra_len += (size_t)len;
    if (wording->extra_len >= sizeof wording->extra)
        tool_die("--header: too much");
}

static double decimal(const char *what, double max)
{
    char *end;
    double value = strtod(optarg, &end);
    if (end == optarg || *end || !(value > 0 && value <= max))
        tool_die("%s: a number above 0, at most %g, is needed", what, max);
    return value;
}

enum {
    OPT_CONNECTIONS = 256,
    OPT_SECONDS,
    OPT_REQUESTS,
    OPT_RATE,
    OPT_WARM,
    OPT_TIMEOUT,
    OPT_METHOD,
    OPT_HEADER,
    OPT_BODY,
    OPT_PATHS,
    OPT_FRESH,
    OPT_OPEN_ALL,
    OPT_RESUME,
    OPT_STATUS,
    OPT_EXPECT,
    OPT_HOST,
    OPT_TLS12,
    OPT_H2
};

static const struct option OPTIONS[] = {
    {"connections", required_argument, NULL, OPT_CONNECTIONS},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"requests", required_argument, NULL, OPT_REQUESTS},
    {"rate", required_argument, NULL, OPT_RATE},
    {"warm", required_argument, NULL, OPT_WARM},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"method", required_argument, NULL, OPT_METHOD},
    {"header", required_argument, NULL, OPT_HEADER},
    {"body-bytes", required_argument, NULL, OPT_BODY},
    {"paths", required_argument, NULL, OPT_PATHS},
    {"fresh", no_argument, NULL, OPT_FRESH},
    {"open-all", no_argument, NULL, OPT_OPEN_ALL},
    {"resume", no_argument, NULL, OPT_RESUME},
    {"status", required_argument, NULL, OPT_STATUS},
    {"expect-bytes", required_argument, NULL, OPT_EXPECT},
    {"host", required_argument, NULL, OPT_HOST},
    {"tls12", no_argument, NULL, OPT_TLS12},
    {"h2", required_argument, NULL, OPT_H2},
    {0},
};

/* Options that say what a request is; false where `option` is not one of them. */
static bool set_wording(struct load *load, struct wording *wording, int option)
{
    switch (option) {
    case OPT_METHOD:
        snprintf(load->method, sizeof load->method, "%s", optarg);
        return true;
    case OPT_HEADER:
        add_field(wording, optarg);
        return true;
    case OPT_BODY:
        load->body_bytes = tool_number("--body-bytes", optarg, 0, 64U << 20);
        return true;
    case OPT_PATHS:
        wording->paths = optarg;
        return true;
    case OPT_STATUS:
        read_status(load, optarg);
        return true;
    case OPT_EXPECT:
        load->expect_length = true;
        load->expect_bytes = tool_number("--expect-bytes", optarg, 0, (uint64_t)1 << 40);
        return true;
    default:
        return false;
    }
}

/* Options that say how much and for how long. */
static void set_amount(struct load *load, int option)
{
    switch (option) {
    case OPT_CONNECTIONS:
        load->conns_len = (size_t)tool_number("--connections", optarg, 1, 60000);
        break;
    case OPT_SECONDS:
        load->run_ns = (uint64_t)(decimal("--seconds", 86400) * 1e9);
        break;
    case OPT_REQUESTS:
        load->request_limit = tool_number("--requests", optarg, 1, (uint64_t)1 << 40);
        break;
    case OPT_RATE:
        load->rate = decimal("--rate", 1e6);
        break;
    case OPT_WARM:
        load->warm_ns = (uint64_t)(decimal("--warm", 3600) * 1e9);
        break;
    case OPT_TIMEOUT:
        load->timeout_ns = tool_number("--timeout", optarg, 1, 600000) * 1000000U;
        break;
    case OPT_FRESH:
        load->fresh = true;
        break;
    case OPT_OPEN_ALL:
        load->open_all = true;
        break;
    case OPT_RESUME:
        load->resume = true;
        break;
    case OPT_H2:
        load->streams = (size_t)tool_number("--h2", optarg, 1, 1000);
        break;
    default:
        usage();
        exit(2);
    }
}

static void read_options(struct load *load, int argc, char **argv)
{
    static struct wording wording;
    const char *host = NULL;
    bool tls12 = false;
    for (int option; (option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1;) {
        if (option == OPT_HOST)
            host = optarg;
        else if (option == OPT_TLS12)
            tls12 = true;
        else if (!set_wording(load, &wording, option))
            set_amount(load, option);
    }
    if (optind + 1 != argc) {
        usage();
        exit(2);
    }
    if (read_url(load, argv[optind], host))
        use_tls(load, tls12);
    if (!load->run_ns)
        load->run_ns = load->request_limit ? 3600ULL * 1000000000U : 10ULL * 1000000000U;
    load->lines = tool_alloc(wording.paths ? LOAD_LINES_MAX : 1, sizeof *load->lines);
    if (wording.paths)
        read_paths(load, &wording);
    else
        add_line(load, &wording, load->path, "");
}

/* --- the run --- */

/* How many requests are due at `now`, and when the next one is. */
static uint64_t due_count(const struct load *load, uint64_t now_ns)
{
    uint64_t limit = load->request_limit ? load->request_limit : UINT64_MAX;
    if (load->rate <= 0)
        return limit;
    uint64_t due = (uint64_t)((double)(now_ns - load->start_ns) * load->rate / 1e9) + 1;
    return due < limit ? due : limit;
}

static uint64_t due_at(const struct load *load, uint64_t index, uint64_t now_ns)
{
    if (load->rate <= 0)
        return now_ns;
    return load->start_ns + (uint64_t)((double)index * 1e9 / load->rate);
}

static void issue(struct load *load, uint64_t now_ns)
{
    uint64_t due = due_count(load, now_ns);
    for (int i = 0; i < ISSUE_BATCH && load->issued < due; i++)
        if (!(load->streams ? load_h2_issue : load_conn_issue)(load,
                                                               due_at(load, load->issued, now_ns)))
            return;
}

static bool has_room(const struct load *load)
{
    return load->streams ? load_h2_room(load) : load->idle || load->closed;
}

/* Sleeps at most until the next request is due. */
static int wait_events(const struct load *load, struct epoll_event *events, bool issuing)
{
    uint64_t wait_ns = 10 * 1000 * 1000;
    bool free_conn = has_room(load);
    uint64_t now = tool_now_ns();
    if (issuing && free_conn) {
        uint64_t next = due_at(load, load->issued, now);
        wait_ns = next <= now ? 0 : next - now < wait_ns ? next - now : wait_ns;
    }
    struct timespec timeout = {.tv_nsec = (long)wait_ns};
    return epoll_pwait2(load->epoll_fd, events, EVENTS, &timeout, NULL);
}

/* What was due while every connection was taken. */
static void count_unsent(struct load *load)
{
    bool free_conn = has_room(load);
    uint64_t due = load->rate > 0 && !free_conn ? due_count(load, load->end_ns) : load->issued;
    for (; load->issued < due; load->issued++)
        load_fail(load, FAIL_UNSENT);
}

static void run(struct load *load)
{
    struct epoll_event events[EVENTS];
    uint64_t swept = load->start_ns;
    bool issuing = true;
    while (issuing || load->in_flight) {
        uint64_t now = tool_now_ns();
        if (issuing && (interrupted || now - load->start_ns >= load->run_ns ||
                        (load->request_limit && load->issued >= load->request_limit))) {
            issuing = false;
            load->end_ns = now;
            count_unsent(load);
        }
        if (issuing)
            issue(load, now);
        if (now - swept > SWEEP_NS) {
            (load->streams ? load_h2_sweep : load_conn_sweep)(load, now);
            swept = now;
        }
        if (load->streams)
            load_h2_flush(load);
        int count = wait_events(load, events, issuing);
        for (int i = 0; i < count; i++) {
            if (load->streams)
                load_h2_event(load, events[i].data.ptr, events[i].events);
            else
                load_conn_event(load, events[i].data.ptr, events[i].events);
        }
    }
    if (load->request_limit)
        load->end_ns = tool_now_ns();
}

static void prepare(struct load *load)
{
    if (tool_descriptors() < load->conns_len + 16)
        tool_die("--connections: more than the limit of descriptors");
    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (load->streams)
        load_h2_prepare(load);
    load->conns = tool_alloc(load->conns_len, sizeof *load->conns);
    for (size_t i = load->conns_len; i-- > 0;) {
        load->conns[i].fd = -1;
        load->conns[i].next_idle = load->closed;
        load->closed = &load->conns[i];
    }
    load->start_ns = tool_now_ns();
}

int main(int argc, char **argv)
{
    static struct load load = {
        .conns_len = 16,
        .timeout_ns = 5000ULL * 1000000U,
        .status_min = 200,
        .status_max = 399,
        .method = "GET",
    };
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    read_options(&load, argc, argv);
    prepare(&load);
    run(&load);
    load_report(&load);
    return 0;
}
