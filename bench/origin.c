/* origin: a small, fast HTTP/1.1 server that stands for a backend. One thread, one epoll; one port
 * is one personality (body size, delay, name). Requests on a connection are served in order,
 * request bodies are read and thrown away. SIGUSR1 prints counters, SIGUSR2 turns /healthz to 503
 * and back. */
#include "origin.h"
#include "h1.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORTS_MAX = 1024, IN_BYTES = 16 * 1024, EVENTS = 256, ACCEPT_BATCH = 64 };

/* What a connection waits for. */
enum step { READ_HEAD, READ_BODY, WAIT_DELAY, WRITE };

struct conn {
    struct personality *who;
    struct conn *next_free, *next_made;
    uint64_t due_ns;     /* WAIT_DELAY: when to answer */
    size_t timer;        /* WAIT_DELAY: place in the heap */
    uint64_t body_left;  /* READ_BODY with a length */
    uint64_t sent_total; /* WRITE: bytes of the reply already sent */
    size_t in_len;
    int fd;
    enum step step;
    uint32_t interest;
    bool chunked, close_after;
    struct h1_chunked chunks;
    struct reply reply;
    char in[IN_BYTES];
};

struct server {
    int epoll_fd, signal_fd;
    bool dump_at_exit, stopping;
    size_t ports;
    struct personality port[PORTS_MAX];
    struct conn *free_conns, *made; /* made: all that were ever allocated */
    /* delayed answers, a binary heap by due_ns */
    struct conn **heap;
    size_t heap_len, heap_cap;
    char pattern[REPLY_PATTERN];
};

/* --- delayed answers --- */

static void heap_place(struct server *server, size_t at, struct conn *conn)
{
    server->heap[at] = conn;
    conn->timer = at;
}

static void heap_up(struct server *server, size_t at)
{
    struct conn *conn = server->heap[at];
    while (at && server->heap[(at - 1) / 2]->due_ns > conn->due_ns) {
        heap_place(server, at, server->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_place(server, at, conn);
}

static void heap_down(struct server *server, size_t at)
{
    struct conn *conn = server->heap[at];
    for (size_t child = 2 * at + 1; child < server->heap_len; child = 2 * at + 1) {
        if (child + 1 < server->heap_len &&
            server->heap[child + 1]->due_ns < server->heap[child]->due_ns)
            child++;
        if (server->heap[child]->due_ns >= conn->due_ns)
            break;
        heap_place(server, at, server->heap[child]);
        at = child;
    }
    heap_place(server, at, conn);
}

static void heap_add(struct server *server, struct conn *conn)
{
    if (server->heap_len == server->heap_cap)
        tool_die("more than %zu answers wait", server->heap_cap);
    heap_place(server, server->heap_len, conn);
    heap_up(server, server->heap_len++);
    conn->who->inside++;
}

static void heap_remove(struct server *server, struct conn *conn)
{
    size_t at = conn->timer;
    struct conn *last = server->heap[--server->heap_len];
    conn->who->inside--;
    if (at == server->heap_len)
        return;
    heap_place(server, at, last);
    heap_up(server, at);
    heap_down(server, last->timer);
}

/* --- connections --- */

static void conn_close(struct server *server, struct conn *conn)
{
    if (conn->step == WAIT_DELAY)
        heap_remove(server, conn);
    if (conn->step != READ_HEAD || conn->in_len)
        conn->who->aborted++;
    close(conn->fd);
    conn->fd = -1;
    conn->next_free = server->free_conns;
    server->free_conns = conn;
}

static void conn_watch(struct server *server, struct conn *conn, uint32_t interest)
{
    if (conn->interest == interest)
        return;
    conn->interest = interest;
    tool_watch(server->epoll_fd, EPOLL_CTL_MOD, conn->fd, interest, conn);
}

static struct conn *conn_new(struct server *server)
{
    struct conn *conn = tool_alloc(1, sizeof *conn);
    conn->next_made = server->made;
    server->made = conn;
    return conn;
}

static void conn_accept(struct server *server, struct personality *who)
{
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(who->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct conn *conn = server->free_conns;
        if (conn)
            server->free_conns = conn->next_free;
        else
            conn = conn_new(server);
        conn->who = who;
        conn->fd = fd;
        conn->step = READ_HEAD;
        conn->in_len = 0;
        conn->interest = EPOLLIN;
        who->connections++;
        tool_watch(server->epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN, conn);
    }
}

static void in_consume(struct conn *conn, size_t len)
{
    conn->in_len -= len;
    memmove(conn->in, conn->in + len, conn->in_len);
}

/* Sends what the socket takes. 1: all, 0: full, -1: broken. */
static int reply_send(struct server *server, struct conn *conn)
{
    const struct reply *reply = &conn->reply;
    uint64_t total = reply->data_len + reply->body;
    while (conn->sent_total < total) {
        bool in_head = conn->sent_total < reply->data_len;
        const char *from = in_head ? reply->data + conn->sent_total : server->pattern;
        uint64_t left = in_head ? reply->data_len - conn->sent_total : total - conn->sent_total;
        size_t len = left < sizeof server->pattern ? (size_t)left : sizeof server->pattern;
        int more = in_head && reply->body ? MSG_MORE : 0;
        ssize_t sent = send(conn->fd, from, len, MSG_NOSIGNAL | more);
        if (sent < 0)
            return errno == EAGAIN ? 0 : -1;
        conn->sent_total += (uint64_t)sent;
    }
    return 1;
}

/* Writes the answer. False where the connection is gone or must wait. */
static bool conn_write(struct server *server, struct conn *conn)
{
    conn->step = WRITE;
    int result = reply_send(server, conn);
    if (result == 0) {
        conn_watch(server, conn, EPOLLOUT);
        return false;
    }
    conn->who->requests += result > 0;
    if (result > 0 && !conn->close_after) {
        conn->step = READ_HEAD;
        conn_watch(server, conn, EPOLLIN);
        return true;
    }
    if (result > 0) {
        conn->step = READ_HEAD;
        conn->in_len = 0;
        shutdown(conn->fd, SHUT_WR);
    }
    conn_close(server, conn);
    return false;
}

/* When an answer asked for now leaves: with --slots no more than that many are in work at once, the
 * others wait for their turn. */
static uint64_t take_slot(struct personality *who, uint64_t now_ns, uint64_t delay_ns)
{
    size_t first = 0;
    for (size_t i = 1; i < who->slots; i++)
        if (who->slot_free_ns[i] < who->slot_free_ns[first])
            first = i;
    uint64_t start =
        who->slots && who->slot_free_ns[first] > now_ns ? who->slot_free_ns[first] : now_ns;
    who->slot_free_ns[first] = start + delay_ns;
    return start + delay_ns;
}

/* The request has been read completely. False where the connection is gone or must wait. */
static bool conn_answer(struct server *server, struct conn *conn)
{
    conn->sent_total = 0;
    if (!conn->reply.delay_us)
        return conn_write(server, conn);
    conn->step = WAIT_DELAY;
    conn->due_ns = take_slot(conn->who, tool_now_ns(), conn->reply.delay_us * 1000U);
    heap_add(server, conn);
    conn_watch(server, conn, 0);
    return false;
}

static bool conn_read_body(struct server *server, struct conn *conn)
{
    size_t used;
    bool done;
    if (conn->chunked) {
        used = h1_chunked_feed(&conn->chunks, conn->in, conn->in_len);
        if (used == SIZE_MAX) {
            conn->who->broken++;
            conn_close(server, conn);
            return false;
        }
        done = conn->chunks.state == H1_END;
    } else {
        used = conn->in_len < conn->body_left ? conn->in_len : (size_t)conn->body_left;
        conn->body_left -= used;
        done = !conn->body_left;
    }
    in_consume(conn, used);
    return done && conn_answer(server, conn);
}

/* At once, so that nothing is lost when this process is killed. */
static void keep_journal(const struct personality *who, const struct h1_head *head)
{
    char line[512];
    if (who->journal < 0)
        return;
    int len = snprintf(line, sizeof line, "%.*s %.*s\n", (int)head->method_len, head->method,
                       (int)head->target_len, head->target);
    if (len >= (int)sizeof line || write(who->journal, line, (size_t)len) != len)
        tool_die("--journal: cannot be written");
}

static bool conn_read_head(struct server *server, struct conn *conn)
{
    struct h1_head head;
    int result = h1_head_request(&head, conn->in, conn->in_len);
    if (result == 0 && conn->in_len < sizeof conn->in)
        return false;
    if (result <= 0) {
        conn->who->broken++;
        conn_close(server, conn);
        return false;
    }
    origin_reply(&conn->reply, conn->who, &head);
    keep_journal(conn->who, &head);
    conn->close_after = head.close;
    conn->chunked = head.chunked;
    conn->chunks = (struct h1_chunked){0};
    conn->body_left = head.length;
    in_consume(conn, head.size);
    if (!head.chunked && !head.length)
        return conn_answer(server, conn);
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (head.expects_continue && send(conn->fd, go_on, sizeof go_on - 1, MSG_NOSIGNAL) < 0) {
        conn_close(server, conn);
        return false;
    }
    conn->step = READ_BODY;
    return true;
}

/* Walks through what has been read until bytes are missing, an answer waits or the end. */
static void conn_advance(struct server *server, struct conn *conn)
{
    bool more = true;
    while (more && conn->in_len)
        more =
            conn->step == READ_HEAD ? conn_read_head(server, conn) : conn_read_body(server, conn);
}

static void conn_read(struct server *server, struct conn *conn)
{
    ssize_t got = recv(conn->fd, conn->in + conn->in_len, sizeof conn->in - conn->in_len, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        conn_close(server, conn);
        return;
    }
    conn->in_len += (size_t)got;
    conn_advance(server, conn);
}

static void conn_event(struct server *server, struct conn *conn, uint32_t events)
{
    if (conn->fd < 0)
        return;
    if (conn->step == WAIT_DELAY && events & (EPOLLHUP | EPOLLERR))
        conn_close(server, conn);
    else if (conn->step == WRITE) {
        if (conn_write(server, conn))
            conn_advance(server, conn);
    } else if (conn->step != WAIT_DELAY)
        conn_read(server, conn);
}

static void answer_due(struct server *server)
{
    uint64_t now = server->heap_len ? tool_now_ns() : 0;
    while (server->heap_len && server->heap[0]->due_ns <= now) {
        struct conn *conn = server->heap[0];
        heap_remove(server, conn);
        if (conn_write(server, conn))
            conn_advance(server, conn);
    }
}

/* --- the program --- */

static void dump(const struct server *server)
{
    for (size_t i = 0; i < server->ports; i++) {
        const struct personality *who = &server->port[i];
        printf("{\"port\":%u,\"name\":\"%s\",\"connections\":%llu,\"requests\":%llu,"
               "\"aborted\":%llu,\"broken\":%llu,\"waiting\":%zu}\n",
               who->port, who->name, (unsigned long long)who->connections,
               (unsigned long long)who->requests, (unsigned long long)who->aborted,
               (unsigned long long)who->broken, server->heap_len);
    }
    fflush(stdout);
}

static void on_signal(struct server *server)
{
    struct signalfd_siginfo info;
    while (read(server->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGUSR1)
            dump(server);
        else if (info.ssi_signo == SIGUSR2)
            for (size_t i = 0; i < server->ports; i++)
                server->port[i].ill = !server->port[i].ill;
        else
            server->stopping = true;
    }
}

static void on_event(struct server *server, const struct epoll_event *event)
{
    void *data = event->data.ptr;
    if (data == server)
        on_signal(server);
    else if (data >= (void *)server->port && data < (void *)(server->port + server->ports))
        conn_accept(server, data);
    else
        conn_event(server, data, event->events);
}

/* Until the next answer is due, in ms rounded up; -1: no answer waits. */
static int wait_ms(const struct server *server)
{
    if (!server->heap_len)
        return -1;
    uint64_t now = tool_now_ns();
    uint64_t due = server->heap[0]->due_ns;
    return due <= now ? 0 : (int)((due - now) / 1000000U) + 1;
}

static void serve(struct server *server)
{
    struct epoll_event events[EVENTS];
    while (!server->stopping) {
        int count = epoll_wait(server->epoll_fd, events, EVENTS, wait_ms(server));
        for (int i = 0; i < count; i++)
            on_event(server, &events[i]);
        answer_due(server);
    }
    if (server->dump_at_exit)
        dump(server);
}

static void usage(void)
{
    fputs(
        "origin [--bytes N] [--delay-ms D] [--delay-jitter D] [--slots N] [--name NAME] [--json]\n"
        "       [--room N] [--status NNN] [--journal FILE] [--requests] --port N [options of this "
        "port] "
        "[--port N ...]\n"
        "Options before the first --port hold for all ports. Paths: /bytes/N /delay/MS\n"
        "/status/NNN /healthz. --slots: so many delayed answers are in work at once. --room: "
        "beyond "
        "so many, in work or waiting, 503 at once. --status: of all other paths. --journal: METHOD "
        "TARGET\n"
        "of each request as it comes. --requests prints counters at the end; SIGUSR1 prints them "
        "now;\n"
        "SIGUSR2 makes /healthz answer 503, or 200 again. It listens on 127.0.0.1 only.\n",
        stderr);
}

enum {
    OPT_PORT = 256,
    OPT_BYTES,
    OPT_DELAY,
    OPT_JITTER,
    OPT_NAME,
    OPT_JSON,
    OPT_REQUESTS,
    OPT_SLOTS,
    OPT_ROOM,
    OPT_STATUS,
    OPT_JOURNAL
};

static void set_name(struct personality *who, const char *name)
{
    size_t len = strlen(name);
    if (len > NAME_MAX_BYTES || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789-_.") != len)
        tool_die("--name: at most %d letters, digits, '-', '_', '.'", NAME_MAX_BYTES);
    memcpy(who->name, name, len + 1);
}

static void set_option(struct personality *who, int option)
{
    switch (option) {
    case OPT_BYTES:
        who->body_bytes = tool_number("--bytes", optarg, 0, (uint64_t)1 << 40);
        break;
    case OPT_DELAY:
        who->delay_ms = tool_number("--delay-ms", optarg, 0, 600000);
        break;
    case OPT_SLOTS:
        who->slots = (size_t)tool_number("--slots", optarg, 1, SLOTS_MAX);
        break;
    case OPT_JITTER:
        who->jitter_ms = tool_number("--delay-jitter", optarg, 0, 600000);
        break;
    case OPT_NAME:
        set_name(who, optarg);
        break;
    case OPT_ROOM:
        who->room = (size_t)tool_number("--room", optarg, 1, 100000);
        break;
    case OPT_STATUS:
        who->status = (int)tool_number("--status", optarg, 200, 599);
        break;
    case OPT_JOURNAL:
        who->journal = open(optarg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (who->journal < 0)
            tool_die("--journal: %s cannot be opened", optarg);
        break;
    case OPT_JSON:
        who->json = true;
        break;
    default:
        usage();
        exit(2);
    }
}

static void read_options(struct server *server, int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, OPT_PORT},
        {"bytes", required_argument, NULL, OPT_BYTES},
        {"delay-ms", required_argument, NULL, OPT_DELAY},
        {"delay-jitter", required_argument, NULL, OPT_JITTER},
        {"name", required_argument, NULL, OPT_NAME},
        {"slots", required_argument, NULL, OPT_SLOTS},
        {"room", required_argument, NULL, OPT_ROOM},
        {"status", required_argument, NULL, OPT_STATUS},
        {"journal", required_argument, NULL, OPT_JOURNAL},
        {"json", no_argument, NULL, OPT_JSON},
        {"requests", no_argument, NULL, OPT_REQUESTS},
        {0},
    };
    struct personality common = {.body_bytes = 1024, .status = 200, .journal = -1};
    struct personality *who = &common;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == OPT_REQUESTS)
            server->dump_at_exit = true;
        else if (option == OPT_PORT) {
            if (server->ports == PORTS_MAX)
                tool_die("at most %d ports", PORTS_MAX);
            who = &server->port[server->ports++];
            *who = common;
            who->port = (uint16_t)tool_number("--port", optarg, 1, 65535);
        } else
            set_option(who, option);
    }
    if (!server->ports || optind < argc) {
        usage();
        exit(2);
    }
}

int main(int argc, char **argv)
{
    static struct server server;
    static const int signals[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGINT, 0};
    read_options(&server, argc, argv);
    server.heap_cap = tool_descriptors();
    server.heap = tool_alloc(server.heap_cap, sizeof *server.heap);
    memset(server.pattern, 'm', sizeof server.pattern);
    server.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server.signal_fd = tool_signals(signals);
    tool_watch(server.epoll_fd, EPOLL_CTL_ADD, server.signal_fd, EPOLLIN, &server);
    for (size_t i = 0; i < server.ports; i++) {
        struct personality *who = &server.port[i];
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(who->port)};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        origin_reply_prepare(who);
        who->fd = tool_listen(&address, false);
        tool_watch(server.epoll_fd, EPOLL_CTL_ADD, who->fd, EPOLLIN, who);
    }
    serve(&server);
    return 0;
}
