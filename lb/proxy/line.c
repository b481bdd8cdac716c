#include "proxy/line.h"

#include <string.h>

static struct waiter *of(struct link *e)
{
    return container_of(e, struct waiter, link);
}

void line_init(struct line *l)
{
    for (int r = 0; r < RANK_COUNT; r++)
        list_init(&l->ranks[r]);
    list_init(&l->late);
    l->count = 0;
    memset(l->of_rank, 0, sizeof l->of_rank);
}

/* From the end, where a new one belongs when all may wait equally long. */
void line_join(struct line *l, struct waiter *w)
{
    struct link *head = &l->ranks[w->rank];
    struct link *before = head->prev;
    for (unsigned i = 0; i < LINE_LOOK && before != head && of(before)->due_ns > w->due_ns; i++)
        before = before->prev;
    w->late = false;
    list_push(before, &w->link);
    l->count++;
    l->of_rank[w->rank]++;
}

void line_leave(struct line *l, struct waiter *w)
{
    list_remove(&w->link);
    l->count--;
    l->of_rank[w->rank]--;
}

/* The first from e on who is in time; those who are not go behind all. */
static struct waiter *in_time(struct line *l, struct link *e, const struct link *head,
                              int64_t now_ns)
{
    while (e != head && of(e)->latest_ns < now_ns) {
        struct link *late = e;
        e = e->next;
        of(late)->late = true;
        list_remove(late);
        list_append(&l->late, late);
    }
    return e != head ? of(e) : NULL;
}

static struct waiter *from_rank(struct line *l, int rank, int64_t now_ns)
{
    for (; rank < RANK_COUNT; rank++) {
        struct waiter *w = in_time(l, l->ranks[rank].next, &l->ranks[rank], now_ns);
        if (w != NULL)
            return w;
    }
    return list_empty(&l->late) ? NULL : of(l->late.next);
}

struct waiter *line_first(struct line *l, int64_t now_ns)
{
    return from_rank(l, RANK_HIGH, now_ns);
}

struct waiter *line_after(struct line *l, const struct waiter *w, int64_t now_ns)
{
    if (w->late)
        return w->link.next != &l->late ? of(w->link.next) : NULL;
    struct waiter *next = in_time(l, w->link.next, &l->ranks[w->rank], now_ns);
    return next != NULL ? next : from_rank(l, (int)w->rank + 1, now_ns);
}

struct waiter *line_yields(const struct line *l, enum rank rank)
{
    if (!list_empty(&l->late) && of(l->late.prev)->rank >= rank)
        return of(l->late.prev);
    for (int r = RANK_COUNT - 1; r > (int)rank; r--) {
        if (!list_empty(&l->ranks[r]))
            return of(l->ranks[r].prev);
    }
    return NULL;
}
