/* floor: a yardstick for proxies, not a proxy. It frames HTTP/1.1 heads with Content-Length, keeps
 * both sides alive, copies bytes and does nothing else: no routes, no checks, no time-outs, no
 * errors. Per request it makes four system calls (recv and send on each side) and shares one epoll
 * wait. What a real proxy needs beyond this is what its features cost. Each request goes to the
 * next backend in turn, over the connection there that was used last. */
#include "floor_tls.h"
#include "h1.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 64 * 1024, RECORD = 17 * 1024, EVENTS = 256, BACKENDS = 1000 };

struct pair;
struct backend;

/* One direction's source: the socket that is read, and how far its present message has come. */
struct side {
    struct pair *pair; /* NULL: an idle backend connection */
    struct backend *backend;
    struct side *below; /* that was idle before it */
    int fd;
    bool is_client;
    bool last;          /* it has said that its connection ends with this message */
    uint64_t body_left; /* of the message being copied */
    size_t kept;        /* bytes of an incomplete head */
    char *head;         /* they wait here */
    SSL *ssl;           /* of a TLS client */
};

struct backend {
    struct sockaddr_in address;
    struct side *idle;
};

struct pair {
    struct side client, *back; /* NULL: nothing is asked */
    struct pair *next;
};

struct floor {
    int epoll_fd, listen_fd, signal_fd;
    struct backend backends[BACKENDS];
    size_t count, turn;
    struct pair *dead; /* to be freed when the turn ends */
    struct side *ended;
    struct floor_tls tls;
    char buffer[BUFFER], raw[BUFFER];
};

static void side_close(struct side *side)
{
    close(side->fd);
    side->fd = -1;
    free(side->head);
    SSL_free(side->ssl);
    side->head = NULL;
    side->ssl = NULL;
}

static void back_close(struct floor *floor, struct side *back)
{
    side_close(back);
    back->below = floor->ended;
    floor->ended = back;
}

static void pair_close(struct floor *floor, struct pair *pair)
{
    if (pair->client.fd < 0)
        return;
    side_close(&pair->client);
    if (pair->back)
        back_close(floor, pair->back);
    pair->next = floor->dead;
    floor->dead = pair;
}

/* Walks over whole messages in `data`; false where it is not HTTP/1.1 with a length. *whole is what
 * may be sent on, the rest is the beginning of a head. */
static bool side_frame(struct side *side, const char *data, size_t len, size_t *whole)
{
    size_t at = 0;
    while (at < len) {
        if (side->body_left) {
            size_t take = len - at < side->body_left ? len - at : (size_t)side->body_left;
            side->body_left -= take;
            at += take;
            continue;
        }
        struct h1_head head;
        int result = side->is_client ? h1_head_request(&head, data + at, len - at)
                                     : h1_head_response(&head, data + at, len - at);
        if (result < 0 || (result > 0 && head.chunked))
            return false;
        if (!result)
            break;
        side->body_left = head.length;
        side->last = head.close;
        at += head.size;
    }
    *whole = at;
    return true;
}

static bool send_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            struct epoll_event event;
            int wait_fd = epoll_create1(EPOLL_CLOEXEC);
            tool_watch(wait_fd, EPOLL_CTL_ADD, fd, EPOLLOUT, NULL);
            epoll_wait(wait_fd, &event, 1, 1000);
            close(wait_fd);
            continue;
        }
        if (sent <= 0)
            return false;
        data += sent;
        len -= (size_t)sent;
    }
    return true;
}

static bool keep_head(struct side *side, const char *data, size_t len)
{
    if (len > BUFFER / 2)
        return false;
    if (!side->head)
        side->head = tool_alloc(1, BUFFER / 2);
    memcpy(side->head, data, len);
    side->kept = len;
    return true;
}

static bool send_records(struct floor *floor, int fd)
{
    bool sent = send_all(fd, floor->tls.out, floor->tls.out_len);
    floor->tls.out_len = 0;
    return sent;
}

static bool side_send(struct floor *floor, struct side *side, const char *data, size_t len)
{
    if (!side->ssl)
        return send_all(side->fd, data, len);
    return floor_tls_seal(side->ssl, data, len) && send_records(floor, side->fd);
}

/* One receive, decrypted where it needs be. Bytes of content, 0: none now, -1: the end. */
static ssize_t side_receive(struct floor *floor, struct side *side, char *into, size_t cap)
{
    size_t most = side->ssl ? cap - RECORD : cap; /* a piece of a record may lie with OpenSSL */
    ssize_t got = recv(side->fd, side->ssl ? floor->raw : into, most, 0);
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got <= 0)
        return -1;
    if (!side->ssl)
        return got;
    got = floor_tls_open(&floor->tls, side->ssl, floor->raw, (size_t)got, into, cap);
    return send_records(floor, side->fd) ? got : -1;
}

static int connect_now(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) ||
        fcntl(fd, F_SETFL, O_NONBLOCK)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* A connection to the next backend. NULL: there is none. */
static struct side *back_take(struct floor *floor, struct pair *pair)
{
    struct backend *to = &floor->backends[floor->turn++ % floor->count];
    struct side *back = to->idle;
    if (back) {
        to->idle = back->below;
    } else {
        int fd = connect_now(&to->address);
        if (fd < 0)
            return NULL;
        back = tool_alloc(1, sizeof *back);
        *back = (struct side){.fd = fd, .backend = to};
        tool_watch(floor->epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN, back);
    }
    back->pair = pair;
    return back;
}

/* Its answer is whole. */
static void back_give(struct side *back)
{
    back->pair->back = NULL;
    back->pair = NULL;
    back->below = back->backend->idle;
    back->backend->idle = back;
}

/* Where what was read goes; NULL: nowhere. */
static struct side *other_side(struct floor *floor, struct side *side)
{
    struct pair *pair = side->pair;
    if (!side->is_client)
        return &pair->client;
    if (!pair->back)
        pair->back = back_take(floor, pair);
    return pair->back;
}

/* Copies what one read brings. False: the pair is at its end. */
static bool side_copy(struct floor *floor, struct side *side)
{
    if (side->kept)
        memcpy(floor->buffer, side->head, side->kept);
    ssize_t got =
        side_receive(floor, side, floor->buffer + side->kept, sizeof floor->buffer - side->kept);
    if (got <= 0)
        return got == 0;
    size_t len = side->kept + (size_t)got;
    size_t whole = 0;
    side->kept = 0;
    if (!side_frame(side, floor->buffer, len, &whole))
        return false;
    struct side *other = other_side(floor, side);
    if (!other || !side_send(floor, other, floor->buffer, whole))
        return false;
    if (whole != len)
        return keep_head(side, floor->buffer + whole, len - whole);
    if (!side->is_client && !side->body_left && !side->last && !side->pair->client.last)
        back_give(side);
    return true;
}

static void pair_open(struct floor *floor)
{
    int fd = accept4(floor->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct pair *pair = tool_alloc(1, sizeof *pair);
    pair->client = (struct side){.pair = pair, .fd = fd, .is_client = true};
    if (floor->tls.context)
        pair->client.ssl = floor_tls_new(&floor->tls);
    tool_watch(floor->epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN, &pair->client);
}

static void free_dead(struct floor *floor)
{
    while (floor->dead) {
        struct pair *pair = floor->dead;
        floor->dead = pair->next;
        free(pair);
    }
    while (floor->ended) {
        struct side *back = floor->ended;
        floor->ended = back->below;
        free(back);
    }
}

/* An idle connection that says something is at its end. */
static void idle_end(struct floor *floor, struct side *back)
{
    struct side **at = &back->backend->idle;
    while (*at != back)
        at = &(*at)->below;
    *at = back->below;
    back_close(floor, back);
}

static void on_side(struct floor *floor, struct side *side)
{
    if (side->fd < 0)
        return;
    if (!side->pair)
        idle_end(floor, side);
    else if (!side_copy(floor, side))
        pair_close(floor, side->pair);
}

static void serve(struct floor *floor)
{
    struct epoll_event events[EVENTS];
    for (;;) {
        int count = epoll_wait(floor->epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            void *data = events[i].data.ptr;
            if (data == &floor->signal_fd)
                return;
            if (data == floor)
                pair_open(floor);
            else
                on_side(floor, data);
        }
        free_dead(floor);
    }
}

int main(int argc, char **argv)
{
    static struct floor floor;
    static const int signals[] = {SIGTERM, SIGINT, 0};
    if (argc != 3 && argc != 5)
        tool_die("usage: floor LISTEN-PORT BACKEND-PORT[,BACKEND-PORT...] [CHAIN KEY]");
    if (argc == 5)
        floor_tls_prepare(&floor.tls, argv[3], argv[4]);
    struct sockaddr_in address = tool_loopback(argv[1]);
    for (char *port = strtok(argv[2], ","); port; port = strtok(NULL, ",")) {
        if (floor.count == BACKENDS)
            tool_die("more than %d backends", BACKENDS);
        floor.backends[floor.count++].address = tool_loopback(port);
    }
    tool_descriptors();
    floor.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    floor.signal_fd = tool_signals(signals);
    floor.listen_fd = tool_listen(&address, false);
    tool_watch(floor.epoll_fd, EPOLL_CTL_ADD, floor.signal_fd, EPOLLIN, &floor.signal_fd);
    tool_watch(floor.epoll_fd, EPOLL_CTL_ADD, floor.listen_fd, EPOLLIN, &floor);
    serve(&floor);
    return 0;
}
