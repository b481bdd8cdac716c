#include "run/stat_book.h"

#include "base/mem.h"

static void route_free(const struct stat_book *b, struct stat_route *r)
{
    list_remove(&r->link);
    for (unsigned w = 0; r->by_worker != NULL && w < b->slots; w++)
        mem_free(r->by_worker[w]);
    mem_free(r->by_worker);
    mem_free(r->name);
    mem_free(r);
}

static struct stat_route *route_new(struct stat_book *b, struct span name)
{
    struct stat_route *r = mem_alloc(sizeof *r);
    if (r == NULL)
        return NULL;
    list_append(&b->routes, &r->link);
    r->name = mem_copy_str(name.p, name.n);
    r->by_worker = mem_array(b->slots, sizeof(struct route_stats *));
    bool fine = r->name != NULL && r->by_worker != NULL;
    for (unsigned w = 0; fine && w < b->slots; w++) {
        r->by_worker[w] = mem_aligned(64, sizeof(struct route_stats));
        fine = r->by_worker[w] != NULL;
        if (fine)
            r->by_worker[w]->name = r->name;
    }
    if (!fine) {
        route_free(b, r);
        return NULL;
    }
    return r;
}

/* No snapshot names it any more, and no request that outlived its snapshot counts there. */
static bool is_over(const struct stat_book *b, const struct stat_route *r)
{
    bool over = r->refs == 0;
    for (unsigned w = 0; over && w < b->slots; w++)
        over = atomic_load_explicit(&r->by_worker[w]->holders, memory_order_acquire) == 0;
    return over;
}

struct stat_route *stat_book_route(struct stat_book *b, struct span name)
{
    list_each (e, &b->routes) {
        struct stat_route *r = container_of(e, struct stat_route, link);
        if (span_eq(span_str(r->name), name)) {
            r->refs++;
            return r;
        }
        if (is_over(b, r)) /* those that were still held when they were put */
            route_free(b, r);
    }
    struct stat_route *r = route_new(b, name);
    if (r != NULL)
        r->refs = 1;
    return r;
}

void stat_book_put(struct stat_book *b, struct stat_route **rp)
{
    struct stat_route *r = *rp;
    *rp = NULL;
    if (r != NULL && --r->refs == 0 && is_over(b, r))
        route_free(b, r);
}

static void listener_free(struct stat_listener *l)
{
    list_remove(&l->link);
    mem_free(l->by_worker);
    mem_free(l->name);
    mem_free(l);
}

static struct stat_listener *listener_new(struct stat_book *b, struct span name)
{
    struct stat_listener *l = mem_alloc(sizeof *l);
    if (l == NULL)
        return NULL;
    list_append(&b->listeners, &l->link);
    l->name = mem_copy_str(name.p, name.n);
    l->by_worker = mem_aligned(64, b->slots * sizeof *l->by_worker);
    if (l->name == NULL || l->by_worker == NULL) {
        listener_free(l);
        return NULL;
    }
    return l;
}

/* No snapshot names it any more, and no connection that came through it is left. */
static bool listener_is_over(const struct stat_book *b, const struct stat_listener *l)
{
    bool over = l->refs == 0;
    for (unsigned w = 0; over && w < b->slots; w++)
        over = atomic_load_explicit(&l->by_worker[w].open, memory_order_acquire) == 0;
    return over;
}

struct stat_listener *stat_book_listener(struct stat_book *b, struct span name)
{
    list_each (e, &b->listeners) {
        struct stat_listener *l = container_of(e, struct stat_listener, link);
        if (span_eq(span_str(l->name), name)) {
            l->refs++;
            return l;
        }
        if (listener_is_over(b, l))
            listener_free(l);
    }
    struct stat_listener *l = listener_new(b, name);
    if (l != NULL)
        l->refs = 1;
    return l;
}

void stat_book_put_listener(struct stat_book *b, struct stat_listener **lp)
{
    struct stat_listener *l = *lp;
    *lp = NULL;
    if (l != NULL && --l->refs == 0 && listener_is_over(b, l))
        listener_free(l);
}

enum err stat_book_init(struct stat_book *b, unsigned workers)
{
    *b = (struct stat_book){.workers = workers, .slots = workers + 1};
    list_init(&b->routes);
    list_init(&b->listeners);
    b->by_worker = mem_array(b->slots, sizeof(struct worker_stats *));
    bool fine = b->by_worker != NULL;
    for (unsigned w = 0; fine && w < b->slots; w++) {
        b->by_worker[w] = mem_aligned(64, sizeof(struct worker_stats));
        fine = b->by_worker[w] != NULL;
    }
    b->unrouted = fine ? stat_book_route(b, SPAN("(none)")) : NULL;
    b->mirrors = fine ? stat_book_route(b, SPAN("(mirror)")) : NULL;
    return b->unrouted != NULL && b->mirrors != NULL ? ERR_OK : ERR_NO_MEMORY;
}

void stat_book_fini(struct stat_book *b)
{
    list_each (e, &b->routes)
        route_free(b, container_of(e, struct stat_route, link));
    list_each (e, &b->listeners)
        listener_free(container_of(e, struct stat_listener, link));
    for (unsigned w = 0; b->by_worker != NULL && w < b->slots; w++)
        mem_free(b->by_worker[w]);
    mem_free(b->by_worker);
}
