#include "proxy/line.h"

#include <string.h>

static struct waiter *of(struct link *e)
{
    return container_of(e, struct waiter, link);
}

#define GROUPS (RANK_COUNT * STANDING_COUNT)

static int group_of(enum rank rank, enum standing standing)
{
    return (int)rank * STANDING_COUNT + (int)standing;
}

void line_init(struct line *l)
{
    for (int g = 0; g < GROUPS; g++)
        list_init(&l->groups[g]);
    list_init(&l->late);
    l->count = 0;
    memset(l->of_rank, 0, sizeof l->of_rank);
}

/* From the end, where a new one belongs when all may wait equally long. */
void line_join(struct line *l, struct waiter *w)
{
    struct link *head = &l->groups[group_of(w->rank, w->standing)];
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

static struct waiter *from_group(struct line *l, int group, int64_t now_ns)
{
    for (; group < GROUPS; group++) {
        struct waiter *w = in_time(l, l->groups[group].next, &l->groups[group], now_ns);
        if (w != NULL)
            return w;
    }
    return list_empty(&l->late) ? NULL : of(l->late.next);
}

struct waiter *line_first(struct line *l, int64_t now_ns)
{
    return from_group(l, 0, now_ns);
}

struct waiter *line_after(struct line *l, const struct waiter *w, int64_t now_ns)
{
    if (w->late)
        return w->link.next != &l->late ? of(w->link.next) : NULL;
    int group = group_of(w->rank, w->standing);
    struct waiter *next = in_time(l, w->link.next, &l->groups[group], now_ns);
    return next != NULL ? next : from_group(l, group + 1, now_ns);
}

struct waiter *line_neglected(const struct line *l, int64_t now_ns)
{
    int rank = 0;
    while (rank < RANK_COUNT && l->of_rank[rank] == 0)
        rank++;
    if (rank == RANK_COUNT)
        return NULL;
    const struct link *fresh = &l->groups[group_of((enum rank)rank, STANDING_NEW)];
    struct waiter *w = list_empty(fresh) ? NULL : of(fresh->next);
    return w != NULL && w->neglected_ns <= now_ns && w->latest_ns >= now_ns ? w : NULL;
}

struct waiter *line_yields(const struct line *l, enum rank rank, enum standing standing)
{
    if (!list_empty(&l->late) && of(l->late.prev)->rank >= rank)
        return of(l->late.prev);
    for (int g = GROUPS - 1; g > group_of(rank, standing); g--) {
        if (!list_empty(&l->groups[g]))
            return of(l->groups[g].prev);
    }
    return NULL;
}

struct waiter *line_slowest(const struct line *l, enum rank rank)
{
    const struct link *unfinished = &l->groups[group_of(rank, STANDING_UNFINISHED)];
    return list_empty(unfinished) ? NULL : of(unfinished->next);
}
