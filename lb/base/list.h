/* list: intrusive doubly linked list. The element embeds a struct link; the list owns nothing. */
#ifndef MERIDIAN_BASE_LIST_H
#define MERIDIAN_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct link {
    struct link *prev, *next;
};

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct link *l)
{
    l->prev = l->next = l;
}

static inline bool list_empty(const struct link *l)
{
    return l->next == l;
}

/* At the front. */
static inline void list_push(struct link *l, struct link *e)
{
    e->prev = l;
    e->next = l->next;
    l->next->prev = e;
    l->next = e;
}

/* At the back. */
static inline void list_append(struct link *l, struct link *e)
{
    e->next = l;
    e->prev = l->prev;
    l->prev->next = e;
    l->prev = e;
}

/* Safe on an element that is in no list but was initialised or removed. */
static inline void list_remove(struct link *e)
{
    e->prev->next = e->next;
    e->next->prev = e->prev;
    e->prev = e->next = e;
}

/* All of `from` to the back of `to`; `from` is empty then. */
static inline void list_move(struct link *from, struct link *to)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

/* `e` may be removed inside the body. */
#define list_each(e, l)                                                                            \
    for (struct link *e = (l)->next, *e##_next = e->next; e != (l);                                \
         e = e##_next, e##_next = e##_next->next)

#endif
