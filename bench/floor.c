/* floor: a yardstick for proxies, not a proxy. It frames HTTP/1.1 heads with Content-Length, keeps
 * both sides alive, copies bytes and does nothing else: no routes, no checks, no time-outs, no
 * errors. Per request it makes four system calls (recv and send on each side) and shares one epoll
 * wait. What a real proxy needs beyond this is what its features cost. Each client connection has
 * one backend connection of its own. */
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

enum { BUFFER = 64 * 1024, RECORD = 17 * 1024, EVENTS = 256 };

struct pair;

/* One direction's source: the socket that is read, and how far its present message has come. */
struct side {
    struct pair *pair;
    int fd;
    bool is_client;
    uint64_t body_left; /* of the message being copied */
    size_t kept;        /* bytes of an incomplete head */
    char *head;         /* they wait here */
    SSL *ssl;           /* of a TLS client */
};

struct pair {
    struct side client, back;
    struct pair *next;
};

struct floor {
    int epoll_fd, listen_fd, signal_fd;
    struct sockaddr_in back;
    struct pair *dead; /* to be freed when the turn ends */
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

static void pair_close(struct floor *floor, struct pair *pair)
{
    if (pair->client.fd < 0)
        return;
    side_close(&pair->client);
    side_close(&pair->back);
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
    struct side *other = side->is_client ? &side->pair->back : &side->pair->client;
    return side_send(floor, other, floor->buffer, whole) &&
           (whole == len || keep_head(side, floor->buffer + whole, len - whole));
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

static void pair_open(struct floor *floor)
{
    int fd = accept4(floor->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    int back = connect_now(&floor->back);
    if (back < 0) {
        close(fd);
        return;
    }
    struct pair *pair = tool_alloc(1, sizeof *pair);
    pair->client = (struct side){.pair = pair, .fd = fd, .is_client = true};
    if (floor->tls.context)
        pair->client.ssl = floor_tls_new(&floor->tls);
    pair->back = (struct side){.pair = pair, .fd = back};
    tool_watch(floor->epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN, &pair->client);
    tool_watch(floor->epoll_fd, EPOLL_CTL_ADD, back, EPOLLIN, &pair->back);
}

static void free_dead(struct floor *floor)
{
    while (floor->dead) {
        struct pair *pair = floor->dead;
        floor->dead = pair->next;
        free(pair);
    }
}

static void on_side(struct floor *floor, struct side *side)
{
    if (side->fd >= 0 && !side_copy(floor, side))
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
        tool_die("usage: floor LISTEN-PORT BACKEND-PORT [CHAIN KEY]");
    if (argc == 5)
        floor_tls_prepare(&floor.tls, argv[3], argv[4]);
    struct sockaddr_in address = tool_loopback(argv[1]);
    floor.back = tool_loopback(argv[2]);
    tool_descriptors();
    floor.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    floor.signal_fd = tool_signals(signals);
    floor.listen_fd = tool_listen(&address, false);
    tool_watch(floor.epoll_fd, EPOLL_CTL_ADD, floor.signal_fd, EPOLLIN, &floor.signal_fd);
    tool_watch(floor.epoll_fd, EPOLL_CTL_ADD, floor.listen_fd, EPOLLIN, &floor);
    serve(&floor);
    return 0;
}
