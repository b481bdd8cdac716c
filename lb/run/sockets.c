#include "run/sockets.h"

#include "base/mem.h"
#include "net/listener.h"
#include "net/sock.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define STORE_PREFIX "listener."
#define STORE_NAME   160

enum err sockets_init(struct sockets *s, unsigned workers, struct log *log)
{
    *s = (struct sockets){.workers = workers, .log = log};
    list_init(&s->all);
    service_sockets(&s->given);
    s->used = mem_array(s->given.count + 1, sizeof *s->used);
    return s->used != NULL ? ERR_OK : ERR_NO_MEMORY;
}

/* The name of socket i in the service manager's store, where a colon is not allowed. */
static struct span store_name(const struct bound *b, unsigned i, char out[STORE_NAME])
{
    int n = snprintf(out, STORE_NAME, STORE_PREFIX "%.120s.%u", b->name, i);
    for (char *p = strchr(out, ':'); p != NULL; p = strchr(p, ':'))
        *p = '=';
    return span_of(out, (size_t)n);
}

static bool is_stored(struct span name)
{
    return span_starts(name, SPAN(STORE_PREFIX));
}

static void bound_keep(struct bound *b, unsigned from)
{
    char name[STORE_NAME];
    for (unsigned i = from; i < b->count && service_present(); i++) {
        (void)store_name(b, i, name);
        service_store(b->fds[i], name);
        b->kept = true;
    }
}

static void bound_forget(struct bound *b)
{
    char name[STORE_NAME];
    for (unsigned i = 0; i < b->count && b->kept; i++)
        service_forget(store_name(b, i, name));
    b->kept = false;
}

/* A unix socket's file goes with the last who could serve it. */
static void bound_close(struct bound *b)
{
    for (unsigned i = 0; i < b->count; i++)
        close(b->fds[i]);
    if (b->count != 0 && b->at.any.sa_family == AF_UNIX && !b->inherited && !b->kept &&
        !b->passed_on)
        unlink(b->at.un.sun_path);
    b->count = 0;
}

static void bound_free(struct bound *b)
{
    list_remove(&b->link);
    bound_close(b);
    mem_free(b->fds);
    mem_free(b->name);
    mem_free(b);
}

static bool pass_to_nobody_else(int fd)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

int sockets_take(struct sockets *s, struct span name)
{
    for (unsigned i = 0; i < s->given.count; i++) {
        int fd = s->given.first + (int)i;
        if (s->used[i] || !span_eq(service_socket_name(&s->given, i), name))
            continue;
        s->used[i] = true;
        return pass_to_nobody_else(fd) ? fd : -1;
    }
    return -1;
}

void sockets_each(struct sockets *s, void (*give)(void *user, int fd, struct span name), void *user)
{
    char memory[STORE_NAME];
    struct span systemd = SPAN("systemd:");
    list_each (e, &s->all) {
        struct bound *b = container_of(e, struct bound, link);
        struct span name = span_str(b->name);
        for (unsigned i = 0; i < b->count; i++)
            give(user, b->fds[i],
                 span_starts(name, systemd) ? span_sub(name, systemd.n, name.n)
                                            : store_name(b, i, memory));
    }
}

void sockets_handed_over(struct sockets *s)
{
    list_each (e, &s->all) {
        struct bound *b = container_of(e, struct bound, link);
        b->passed_on = true;
        b->kept = false;
    }
}

void sockets_refuse(struct sockets *s)
{
    list_each (e, &s->all) {
        struct bound *b = container_of(e, struct bound, link);
        if (!b->inherited && !b->passed_on)
            bound_close(b);
    }
}

void sockets_close_unused(struct sockets *s)
{
    for (unsigned i = 0; i < s->given.count; i++) {
        char at[ADDR_TEXT + 1] = "";
        struct addr local = {.len = sizeof local.un};
        struct span name = service_socket_name(&s->given, i);
        int fd = s->given.first + (int)i;
        if (s->used[i])
            continue;
        s->used[i] = true;
        if (getsockname(fd, &local.any, &local.len) == 0)
            at[addr_print(&local, at)] = '\0';
        log_event(s->log, LOG_WARN, "inherited-socket-unused",
                  "name=%s address=%s effect=\"closed; no listener names it\"", LOG_QUOTE(name),
                  LOG_QUOTE(span_str(at)));
        if (is_stored(name))
            service_forget(name);
        close(fd);
    }
}

void sockets_leave(struct sockets *s)
{
    list_each (e, &s->all)
        bound_close(container_of(e, struct bound, link));
}

void sockets_fini(struct sockets *s)
{
    list_each (e, &s->all)
        bound_free(container_of(e, struct bound, link));
    mem_free(s->used);
    s->used = NULL;
}

void sockets_put(struct bound **bp)
{
    struct bound *b = *bp;
    *bp = NULL;
    if (b == NULL || --b->refs != 0)
        return;
    bound_forget(b);
    bound_free(b);
}

void sockets_addr(const struct conf_address *from, struct addr *to)
{
    *to = (struct addr){0};
    switch (from->family) {
    case CONF_IPV4:
        to->v4.sin_family = AF_INET;
        to->v4.sin_port = htons(from->port);
        memcpy(&to->v4.sin_addr, from->bytes, 4);
        to->len = sizeof to->v4;
        break;
    case CONF_IPV6:
        to->v6.sin6_family = AF_INET6;
        to->v6.sin6_port = htons(from->port);
        memcpy(&to->v6.sin6_addr, from->bytes, 16);
        to->len = sizeof to->v6;
        break;
    case CONF_UNIX:
        to->un.sun_family = AF_UNIX;
        memcpy(to->un.sun_path, from->path.p,
               from->path.n < sizeof to->un.sun_path ? from->path.n : sizeof to->un.sun_path - 1);
        to->len = sizeof to->un;
        break;
    case CONF_NO_ADDRESS:
    case CONF_SYSTEMD:
    case CONF_NAME:
    case CONF_SERVICE:
        break;
    }
}

static struct bound *bound_find(struct sockets *s, struct span name)
{
    list_each (e, &s->all) {
        struct bound *b = container_of(e, struct bound, link);
        if (span_eq(span_str(b->name), name))
            return b;
    }
    return NULL;
}

static bool has_reuse_port(int fd)
{
    int on = 0;
    socklen_t size = sizeof on;
    return getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, &size) == 0 && on != 0;
}

/* Whether each worker can have a socket of its own of every address: one for each, in a row, made
 * with SO_REUSEPORT. Else all workers watch all: an address whose one socket belonged to one worker
 * would have that worker alone. */
static bool one_for_each(const struct sockets *s, const struct bound *b, unsigned n)
{
    struct addr first = {0}, local = {0};
    for (unsigned i = 0; i < n; i++) {
        local.len = sizeof local.un;
        if (!has_reuse_port(b->fds[i]) || getsockname(b->fds[i], &local.any, &local.len) != 0)
            return false;
        if (i % s->workers == 0)
            first = local;
        else if (!addr_eq(&first, &local))
            return false;
    }
    return n % s->workers == 0;
}

/* Inherited sockets that are meant: by name, or listening at the address. */
static bool is_meant(const struct sockets *s, unsigned i, const struct conf_address *at,
                     const struct addr *want)
{
    struct addr local = {.len = sizeof local.un};
    if (at->family == CONF_SYSTEMD)
        return span_eq(service_socket_name(&s->given, i), at->path);
    if (getsockname(s->given.first + (int)i, &local.any, &local.len) != 0)
        return false;
    return addr_eq(&local, want);
}

static unsigned adopt_inherited(struct sockets *s, const struct conf_address *at, struct bound *b)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->given.count; i++) {
        if (s->used[i] || !is_meant(s, i, at, &b->at))
            continue;
        int fd = s->given.first + (int)i;
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
            fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            continue;
        sock_tune_listener(fd);
        s->used[i] = true;
        bool ours = is_stored(service_socket_name(&s->given, i));
        b->kept |= ours && service_present();
        b->inherited |= !ours;
        b->fds[n++] = fd;
    }
    if (at->family == CONF_SYSTEMD)
        b->shared = !one_for_each(s, b, n);
    else
        b->shared = n == 1 && (s->workers > 1) && !has_reuse_port(b->fds[0]);
    return n;
}

/* Whether we listen at this port already, perhaps at another address of it: by another listener, or
 * by the process before us. */
static bool is_our_port(const struct sockets *s, const struct bound *asking)
{
    uint16_t port = addr_port(&asking->at);
    list_each (e, &s->all) {
        const struct bound *b = container_of(e, struct bound, link);
        if (b != asking && b->count != 0 && addr_port(&b->at) == port)
            return true;
    }
    for (unsigned i = 0; i < s->given.count; i++) {
        struct addr local = {.len = sizeof local.un};
        if (getsockname(s->given.first + (int)i, &local.any, &local.len) == 0 &&
            addr_port(&local) == port)
            return true;
    }
    return false;
}

/* The first socket of a port must not join another program's. Ours may join it then: those of the
 * other workers, and with one worker too another address of the same port, to which a reload may
 * move a listener. */
static enum err open_one(const struct sockets *s, struct bound *b)
{
    int *fd = &b->fds[b->count];
    if (b->count != 0 || b->at.any.sa_family == AF_UNIX || is_our_port(s, b))
        return listener_open(&b->at, true, fd);
    enum err e = listener_open(&b->at, false, fd);
    if (e != ERR_OK)
        return e;
    e = listener_share(*fd);
    if (e != ERR_OK)
        close(*fd);
    return e;
}

static enum err fill(struct sockets *s, const struct conf_address *at, struct bound *b)
{
    unsigned wanted = at->family == CONF_UNIX ? 1 : s->workers;
    b->count = adopt_inherited(s, at, b);
    bool adopted = b->count != 0;
    if (adopted && (b->shared || b->count >= wanted || at->family == CONF_SYSTEMD))
        return ERR_OK;
    if (at->family == CONF_SYSTEMD)
        return ERR_NOT_FOUND;
    b->shared = wanted == 1 && s->workers > 1;
    unsigned had = b->count;
    while (b->count < wanted) {
        enum err e = open_one(s, b);
        if (e != ERR_OK && !adopted)
            return e;
        if (e != ERR_OK) {
            b->shared = true; /* somebody else's socket: nobody may join it, all watch it */
            break;
        }
        b->count++;
    }
    bound_keep(b, had);
    return ERR_OK;
}

enum err sockets_get(struct sockets *s, const struct conf_address *at, struct bound **out)
{
    struct bound *b = bound_find(s, at->text.s);
    *out = NULL;
    if (b != NULL) {
        b->refs++;
        *out = b;
        return ERR_OK;
    }
    b = mem_alloc(sizeof *b);
    if (b == NULL)
        return ERR_NO_MEMORY;
    list_append(&s->all, &b->link);
    b->refs = 1;
    sockets_addr(at, &b->at);
    b->name = mem_copy_str(at->text.s.p, at->text.s.n);
    b->fds = mem_array(s->workers + s->given.count, sizeof *b->fds);
    enum err e = b->name != NULL && b->fds != NULL ? fill(s, at, b) : ERR_NO_MEMORY;
    if (e != ERR_OK) {
        bound_free(b);
        return e;
    }
    *out = b;
    return ERR_OK;
}
