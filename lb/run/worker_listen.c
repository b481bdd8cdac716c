/* The listening sockets of a worker: which are watched, for which listener, and what becomes of
 * those that a configuration does not name any more. */
#include "run/worker_impl.h"

#include "base/mem.h"

#include <fcntl.h>
#include <unistd.h>

#define RESUME_MS 100

static void on_resume(struct timer *t)
{
    struct worker *w = container_of(t, struct worker, resume);
    if (!proxy_accepting(w->proxy)) {
        timer_in_ms(t, RESUME_MS);
        return;
    }
    list_each (e, &w->watches) {
        struct worker_watch *watch = container_of(e, struct worker_watch, link);
        if (watch->listener != NULL)
            listener_resume(watch->listener);
    }
}

void worker_listen_init(struct worker *w)
{
    list_init(&w->listeners);
    list_init(&w->watches);
    list_init(&w->let_go);
    timer_init(&w->resume, w->loop, on_resume);
}

static bool on_accept(void *user, int fd, const struct addr *peer)
{
    struct worker_watch *watch = user;
    struct worker *w = watch->worker;
    bool more = proxy_accept(w->proxy, &watch->of->settings, fd, peer);
    if (!more && w->resume.due_ns == 0)
        timer_in_ms(&w->resume, RESUME_MS);
    return more;
}

void worker_forget_numbers(struct worker *w, int64_t before_ns)
{
    list_each (v, &w->let_go) {
        struct worker_watch *watch = container_of(v, struct worker_watch, link);
        if (watch->ended_ns > before_ns)
            continue;
        if (watch->ended_ns != 0)
            close(watch->own);
        list_remove(&watch->link);
        mem_free(watch);
    }
}

static void on_idle(struct timer *t)
{
    struct worker_listener *l = container_of(t, struct worker_listener, idle);
    proxy_close_idle(l->worker->proxy, &l->settings);
}

/* A listener that has gone, or has changed between plain text and TLS, is another one: what came
 * through it ends. */
static bool listener_is(const struct worker_listener *l, struct span name, bool tls)
{
    return !l->settings.gone && (l->settings.tls != NULL) == tls &&
           span_eq(span_str(l->name), name);
}

static struct worker_listener *listener_get(struct worker *w, struct span name, bool tls)
{
    list_each (e, &w->listeners) {
        struct worker_listener *l = container_of(e, struct worker_listener, link);
        if (listener_is(l, name, tls))
            return l;
    }
    struct worker_listener *l = mem_alloc(sizeof *l);
    if (l == NULL)
        return NULL;
    l->name = mem_copy_str(name.p, name.n);
    if (l->name == NULL) {
        mem_free(l);
        return NULL;
    }
    l->worker = w;
    l->settings.name = span_str(l->name);
    timer_init(&l->idle, w->loop, on_idle);
    list_append(&w->listeners, &l->link);
    return l;
}

static void settle_listener(struct worker_listener *l, const struct snapshot_listener *from,
                            unsigned worker)
{
    struct span name = l->settings.name, folder = from->settings.acme_challenges;
    uint32_t clients = l->settings.clients;
    struct listener_stats *counts = &from->counts->by_worker[worker];
    l->wanted = true;
    l->settings = from->settings;
    l->settings.name = name;
    l->settings.acme_challenges = span_of(l->folder, folder.n);
    if (folder.n != 0)
        memcpy(l->folder, folder.p, folder.n);
    l->settings.clients = clients;
    l->settings.counts = counts;
    l->settings.tls = from->servers != NULL ? from->servers[worker] : NULL;
}

static struct worker_watch *watch_find(struct worker *w, int fd)
{
    list_each (e, &w->watches) {
        struct worker_watch *watch = container_of(e, struct worker_watch, link);
        if (watch->fd == fd)
            return watch;
    }
    return NULL;
}

static enum err watch_begin(struct worker_watch *watch)
{
    struct loop *loop = watch->worker->loop;
    if (watch->listener != NULL)
        return ERR_OK;
    watch->own = fcntl(watch->fd, F_DUPFD_CLOEXEC, 0);
    if (watch->own < 0)
        return ERR_NO_DESCRIPTOR;
    enum err e = listener_start(loop, watch->own, on_accept, watch, &watch->listener);
    if (e != ERR_OK)
        close(watch->own);
    return e;
}

void worker_listen_again(struct worker *w)
{
    list_each (v, &w->watches)
        (void)!watch_begin(container_of(v, struct worker_watch, link));
}

static enum err watch(struct worker *w, int fd, struct worker_listener *of)
{
    struct worker_watch *watch = watch_find(w, fd);
    if (watch == NULL) {
        watch = mem_alloc(sizeof *watch);
        if (watch == NULL)
            return ERR_NO_MEMORY;
        *watch = (struct worker_watch){.worker = w, .fd = fd};
        list_append(&w->watches, &watch->link);
    }
    watch->of = of;
    watch->wanted = true;
    return watch_begin(watch);
}

/* The socket is let go at once. Its number is not: where another process has the socket too, the
 * kernel may still tell our loop of it, and what the loop then does to the number must not meet
 * what another thread has under it. */
static void watch_end(struct worker_watch *watch)
{
    struct worker *w = watch->worker;
    bool begun = watch->listener != NULL;
    listener_stop(&watch->listener);
    list_remove(&watch->link);
    if (!begun) {
        mem_free(watch);
        return;
    }
    if (dup3(STDERR_FILENO, watch->own, O_CLOEXEC) < 0)
        close(watch->own);
    else
        watch->ended_ns = loop_now_ns(w->loop);
    list_append(&w->let_go, &watch->link);
}

static enum err first_of(enum err a, enum err b)
{
    return a != ERR_OK ? a : b;
}

static enum err watch_bound(struct worker *w, const struct bound *b, struct worker_listener *of)
{
    enum err e = ERR_OK;
    for (unsigned i = 0; i < b->count; i++) {
        if (b->shared || i % w->spec.count == w->spec.index)
            e = first_of(e, watch(w, b->fds[i], of));
    }
    return e;
}

static enum err take_listener(struct worker *w, const struct snapshot_listener *from)
{
    enum err e = ERR_OK;
    struct worker_listener *l = listener_get(w, from->name, from->servers != NULL);
    if (l == NULL)
        return ERR_NO_MEMORY;
    settle_listener(l, from, w->spec.index);
    for (size_t b = 0; b < from->conf->bind_count; b++)
        e = first_of(e, watch_bound(w, from->bounds[b], l));
    return e;
}

enum err worker_listen(struct worker *w, const struct snapshot *s)
{
    enum err e = ERR_OK;
    list_each (l, &w->listeners)
        container_of(l, struct worker_listener, link)->wanted = false;
    list_each (v, &w->watches)
        container_of(v, struct worker_watch, link)->wanted = false;
    for (size_t i = 0; i < s->listener_count; i++)
        e = first_of(e, take_listener(w, &s->listeners[i]));
    return e;
}

/* Its connections end as those of a drain do, its tunnels and downloads go on. */
static void retire(struct worker *w, struct worker_listener *l)
{
    if (l->settings.gone)
        return;
    proxy_last(w->proxy, &l->settings);
    timer_in_ms(&l->idle, IDLE_MS);
}

void worker_drop_unwanted(struct worker *w)
{
    list_each (v, &w->watches) {
        struct worker_watch *watch = container_of(v, struct worker_watch, link);
        if (!watch->wanted)
            watch_end(watch);
    }
    list_each (e, &w->listeners) {
        struct worker_listener *l = container_of(e, struct worker_listener, link);
        if (l->wanted)
            continue;
        retire(w, l);
        if (l->settings.clients != 0)
            continue;
        timer_stop(&l->idle);
        list_remove(&l->link);
        mem_free(l->name);
        mem_free(l);
    }
}

void worker_unwatch(struct worker *w)
{
    list_each (v, &w->watches)
        watch_end(container_of(v, struct worker_watch, link));
}

void worker_pause(struct worker *w)
{
    list_each (e, &w->watches) {
        struct worker_watch *watch = container_of(e, struct worker_watch, link);
        if (watch->listener != NULL)
            listener_pause(watch->listener);
    }
    if (w->resume.due_ns == 0)
        timer_in_ms(&w->resume, RESUME_MS);
}

void worker_unlisten(struct worker *w)
{
    worker_unwatch(w);
    worker_forget_numbers(w, INT64_MAX);
    list_each (e, &w->listeners)
        container_of(e, struct worker_listener, link)->wanted = false;
    worker_drop_unwanted(w);
    timer_stop(&w->resume);
}
