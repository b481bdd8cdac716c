#include "net/resolve.h"

#include "base/mem.h"
#include "net/srv_answer.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <netdb.h>

#define WATCHED_MOST 16 /* one UDP and one TCP socket for each of up to eight servers */

struct watched {
    struct io io; /* io.loop NULL: free */
    struct resolver *resolver;
};

struct resolver {
    struct loop *loop;
    ares_channel channel;
    struct timer timer;
    struct link queries; /* of struct resolve */
    struct watched watched[WATCHED_MOST];
};

/* What the addresses of one name get: of the name asked for, or of the target of one record. */
struct part {
    struct resolve *query;
    uint16_t port, weight;
    uint8_t rank;
};

struct resolve {
    struct link link;
    struct resolver *resolver;
    struct task told;
    resolve_done *done; /* NULL: cancelled */
    void *user;
    struct part own;
    struct part *parts;         /* of a service: one for each record; NULL: not known yet */
    struct srv_answer *records; /* while they are read */
    unsigned pending;           /* questions that c-ares still has */
    unsigned failed;            /* questions that nobody has answered */
    enum err why;               /* of the last of these */
    uint32_t ttl_s;
    bool full;
    size_t count;
    struct name_address addrs[LIMIT_NAME_ADDRESSES];
};

bool resolver_available(void)
{
    return true;
}

const char *resolver_library_version(void)
{
    return ares_version(NULL);
}

static void aim(struct resolver *r)
{
    struct timeval tv, *next = ares_timeout(r->channel, NULL, &tv);
    if (next == NULL)
        timer_stop(&r->timer);
    else
        timer_in_ms(&r->timer, (int64_t)next->tv_sec * 1000 + next->tv_usec / 1000 + 1);
}

static void on_time(struct timer *t)
{
    struct resolver *r = container_of(t, struct resolver, timer);
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    aim(r);
}

static void on_ready(struct io *io, unsigned events)
{
    struct resolver *r = container_of(io, struct watched, io)->resolver;
    int fd = io->fd;
    ares_process_fd(r->channel, (events & IO_READ) != 0 ? fd : ARES_SOCKET_BAD,
                    (events & IO_WRITE) != 0 ? fd : ARES_SOCKET_BAD);
    aim(r);
}

/* The place of the descriptor, or a free one; NULL: all are taken. */
static struct watched *place_of(struct resolver *r, int fd)
{
    struct watched *free_one = NULL;
    for (size_t i = 0; i < WATCHED_MOST; i++) {
        struct watched *w = &r->watched[i];
        if (w->io.loop == NULL)
            free_one = w;
        else if (w->io.fd == fd)
            return w;
    }
    return free_one;
}

/* c-ares tells what it waits for, and with neither before it closes a socket. A socket without a
 * place is not heard: its question runs into the timeout. */
static void on_socket(void *user, ares_socket_t fd, int readable, int writable)
{
    struct resolver *r = user;
    struct watched *w = place_of(r, fd);
    unsigned events = (readable != 0 ? IO_READ : 0) | (writable != 0 ? IO_WRITE : 0);
    if (w == NULL || (w->io.loop == NULL && events == 0))
        return;
    if (w->io.loop == NULL)
        io_init(&w->io, r->loop, fd, on_ready);
    io_want(&w->io, events);
    if (events == 0)
        w->io.loop = NULL;
}

static enum err err_from_ares(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return ERR_OK;
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
        return ERR_NOT_FOUND;
    case ARES_ETIMEOUT:
    case ARES_ECONNREFUSED:
        return ERR_DEADLINE;
    case ARES_EBADRESP:
    case ARES_EFORMERR:
        return ERR_CORRUPT;
    case ARES_EBADNAME:
    case ARES_EBADSTR:
        return ERR_SYNTAX;
    case ARES_ENOMEM:
        return ERR_NO_MEMORY;
    default:
        return ERR_SYSTEM;
    }
}

static enum err open_channel(struct resolver *r)
{
    struct ares_options options = {
        .timeout = LIMIT_NAME_TIMEOUT_MS,
        .tries = LIMIT_NAME_TRIES,
        .sock_state_cb = on_socket,
        .sock_state_cb_data = r,
    };
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    return err_from_ares(ares_init_options(&r->channel, &options, mask));
}

static enum err set_servers(struct resolver *r, struct span servers)
{
    if (servers.n == 0)
        return ERR_OK;
    char *text = mem_copy_str(servers.p, servers.n);
    if (text == NULL)
        return ERR_NO_MEMORY;
    int status = ares_set_servers_ports_csv(r->channel, text);
    mem_free(text);
    return status == ARES_ENOMEM ? ERR_NO_MEMORY : status == ARES_SUCCESS ? ERR_OK : ERR_SYNTAX;
}

enum err resolver_new(struct loop *loop, struct span servers, struct resolver **out)
{
    struct resolver *r = mem_alloc(sizeof *r);
    *out = NULL;
    if (r == NULL)
        return ERR_NO_MEMORY;
    r->loop = loop;
    list_init(&r->queries);
    timer_init(&r->timer, loop, on_time);
    for (size_t i = 0; i < WATCHED_MOST; i++)
        r->watched[i].resolver = r;
    enum err e = open_channel(r);
    if (e == ERR_OK)
        e = set_servers(r, servers);
    if (e != ERR_OK)
        resolver_free(&r);
    *out = r;
    return e;
}

static void query_free(struct resolve *q)
{
    list_remove(&q->link);
    task_cancel(&q->told);
    mem_free(q->parts);
    mem_free(q->records);
    mem_free(q);
}

void resolver_free(struct resolver **rp)
{
    struct resolver *r = *rp;
    *rp = NULL;
    if (r == NULL)
        return;
    list_each (e, &r->queries)
        container_of(e, struct resolve, link)->done = NULL;
    if (r->channel != NULL)
        ares_destroy(r->channel); /* ends all questions */
    list_each (e, &r->queries)
        query_free(container_of(e, struct resolve, link));
    timer_stop(&r->timer);
    mem_free(r);
}

/* One family without an answer leaves the other one's addresses good, but not the whole set. */
static void tell(struct task *t)
{
    struct resolve *q = container_of(t, struct resolve, told);
    struct name_answer answer = {
        .result = q->full          ? ERR_FULL
                  : q->count != 0  ? ERR_OK
                  : q->failed != 0 ? q->why
                                   : ERR_NOT_FOUND,
        .addrs = q->addrs,
        .count = q->count,
        .ttl_s = q->ttl_s,
        .complete = q->failed == 0,
    };
    if (q->done != NULL)
        q->done(q->user, &answer);
    query_free(q);
}

static void add(const struct part *part, const struct ares_addrinfo_node *node)
{
    struct resolve *q = part->query;
    struct name_address new = {
        .addr.len = node->ai_addrlen, .weight = part->weight, .rank = part->rank};
    struct addr *a = &new.addr;
    if (node->ai_addrlen > sizeof a->v6)
        return;
    memcpy(&a->any, node->ai_addr, node->ai_addrlen);
    if (a->any.sa_family == AF_INET)
        a->v4.sin_port = htons(part->port);
    else if (a->any.sa_family == AF_INET6)
        a->v6.sin6_port = htons(part->port);
    else
        return;
    for (size_t i = 0; i < q->count; i++) {
        if (!addr_eq(&q->addrs[i].addr, a))
            continue;
        if (new.rank < q->addrs[i].rank) /* two records lead there: the better one counts */
            q->addrs[i] = new;
        return;
    }
    q->full = q->full || q->count == LIMIT_NAME_ADDRESSES;
    if (!q->full)
        q->addrs[q->count++] = new;
}

static void answered(struct resolve *q, enum err e)
{
    if (e != ERR_OK && e != ERR_NOT_FOUND) {
        q->failed++;
        q->why = e;
    }
    if (--q->pending == 0)
        task_post(q->resolver->loop, &q->told);
}

static void on_answer(void *user, int status, int timeouts, struct ares_addrinfo *info)
{
    const struct part *part = user;
    struct resolve *q = part->query;
    (void)timeouts;
    for (struct ares_addrinfo_node *n = info != NULL ? info->nodes : NULL; n != NULL;
         n = n->ai_next) {
        uint32_t ttl_s = n->ai_ttl > 0 ? (uint32_t)n->ai_ttl : 0;
        q->ttl_s = ttl_s < q->ttl_s ? ttl_s : q->ttl_s;
        add(part, n);
    }
    if (info != NULL)
        ares_freeaddrinfo(info);
    answered(q, err_from_ares(status));
}

/* Each family is a question of its own, so that one that fails is not taken for an empty one.
 * NOSORT: sorting would try the addresses with sockets. */
static void ask_addresses(struct part *part, const char *name, enum resolve_what what)
{
    struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NOSORT, .ai_socktype = SOCK_STREAM};
    struct resolve *q = part->query;
    q->pending += what == RESOLVE_BOTH ? 2 : 1;
    if (what != RESOLVE_IPV6) {
        hints.ai_family = AF_INET;
        ares_getaddrinfo(q->resolver->channel, name, NULL, &hints, on_answer, part);
    }
    if (what != RESOLVE_IPV4) {
        hints.ai_family = AF_INET6;
        ares_getaddrinfo(q->resolver->channel, name, NULL, &hints, on_answer, part);
    }
}

/* Targets are whole names: the dot keeps the search list away from them. */
static enum err ask_targets(struct resolve *q)
{
    const struct srv_answer *answer = q->records;
    char name[RESOLVE_NAME_MOST + 2];
    q->parts = mem_array(answer->count, sizeof *q->parts);
    if (q->parts == NULL)
        return ERR_NO_MEMORY;
    q->ttl_s = answer->ttl_s;
    for (size_t i = 0; i < answer->count; i++) {
        const struct srv_record *record = &answer->records[i];
        q->parts[i] = (struct part){.query = q,
                                    .port = record->port,
                                    .weight = srv_weight(answer, i),
                                    .rank = srv_rank(answer, i)};
        size_t n = strlen(record->target);
        memcpy(name, record->target, n);
        memcpy(name + n, ".", 2);
        ask_addresses(&q->parts[i], name, RESOLVE_BOTH);
    }
    return ERR_OK;
}

static void on_records(void *user, int status, int timeouts, unsigned char *bytes, int n)
{
    struct resolve *q = user;
    enum err e = err_from_ares(status);
    (void)timeouts;
    if (e == ERR_OK)
        e = srv_answer_read(span_of((const char *)bytes, (size_t)n), q->records);
    if (e == ERR_OK && q->done != NULL)
        e = ask_targets(q);
    answered(q, e);
}

static enum err ask(struct resolve *q, const char *name, enum resolve_what what)
{
    if (what != RESOLVE_SERVICE) {
        ask_addresses(&q->own, name, what);
    } else {
        q->records = mem_alloc(sizeof *q->records);
        if (q->records == NULL)
            return ERR_NO_MEMORY;
        q->pending = 1;
        ares_search(q->resolver->channel, name, ns_c_in, ns_t_srv, on_records, q);
    }
    aim(q->resolver);
    return ERR_OK;
}

enum err resolve_start(struct resolver *r, struct span name, enum resolve_what what, uint16_t port,
                       resolve_done *done, void *user, struct resolve **out)
{
    char text[RESOLVE_NAME_MOST + 1];
    *out = NULL;
    if (name.n == 0 || name.n > RESOLVE_NAME_MOST)
        return ERR_RANGE;
    struct resolve *q = mem_alloc(sizeof *q);
    if (q == NULL)
        return ERR_NO_MEMORY;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    q->resolver = r;
    q->done = done;
    q->user = user;
    q->own = (struct part){.query = q, .port = port};
    q->ttl_s = UINT32_MAX;
    task_init(&q->told, tell);
    list_init(&q->link);
    list_append(&r->queries, &q->link);
    enum err e = ask(q, text, what);
    if (e != ERR_OK)
        query_free(q);
    else
        *out = q;
    return e;
}

void resolve_cancel(struct resolve **q)
{
    if (*q != NULL)
        (*q)->done = NULL;
    *q = NULL;
}
