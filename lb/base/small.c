#include "base/small.h"
#include "base/mem.h"
#include "base/poison.h"

#include <string.h>

struct small_piece {
    struct small_piece *next;
};

enum { CLASSES = (SMALL_MOST - SMALL_LEAST) / SMALL_STEP + 1 };

static size_t size_of(size_t class)
{
    return SMALL_LEAST + class * SMALL_STEP;
}

void *small_take(struct small_store *s, size_t size)
{
    size_t i = size > SMALL_LEAST ? (size - SMALL_LEAST + SMALL_STEP - 1) / SMALL_STEP : 0;
    if (i >= CLASSES)
        return mem_resize(NULL, size);
    struct small_piece *p = s->free[i];
    if (p == NULL)
        return mem_resize(NULL, size_of(i));
    ASAN_UNPOISON_MEMORY_REGION(p, size_of(i));
    s->free[i] = p->next;
    s->kept -= size_of(i);
    __builtin_prefetch(p->next, 1);
    return p;
}

/* The class that a piece with so much room serves: the heap may have given more than was asked
 * for, never less. */
static bool class_of(size_t room, size_t *class)
{
    *class = (room - SMALL_LEAST) / SMALL_STEP;
    return room >= SMALL_LEAST && *class < CLASSES;
}

void small_give(struct small_store *s, void *given)
{
    if (given != NULL)
        small_give_known(s, given, mem_room(given));
}

void small_give_known(struct small_store *s, void *given, size_t room)
{
    struct small_piece *p = given;
    size_t i;
    if (!class_of(room, &i) || s->kept + size_of(i) > SMALL_KEPT) {
        mem_free(p);
        return;
    }
    p->next = s->free[i];
    s->free[i] = p;
    s->kept += size_of(i);
    ASAN_POISON_MEMORY_REGION(p, size_of(i));
}

void *small_resize(struct small_store *s, void *p, size_t size)
{
    size_t room = p != NULL ? mem_room(p) : 0;
    if (p != NULL && size <= room)
        return p;
    void *q = small_take(s, size);
    if (q == NULL || p == NULL)
        return q;
    memcpy(q, p, room);
    small_give(s, p);
    return q;
}

void *small_take_lent(struct small_store *s, struct reserve *r, size_t size)
{
    void *p = small_take(s, size);
    return p == NULL && reserve_lend(r, size) ? small_take(s, size) : p;
}

void *small_resize_lent(struct small_store *s, struct reserve *r, void *p, size_t size)
{
    void *q = small_resize(s, p, size);
    return q == NULL && reserve_lend(r, size) ? small_resize(s, p, size) : q;
}

void small_store_fini(struct small_store *s)
{
    for (size_t i = 0; i < CLASSES; i++) {
        while (s->free[i] != NULL) {
            struct small_piece *p = s->free[i];
            ASAN_UNPOISON_MEMORY_REGION(p, size_of(i));
            s->free[i] = p->next;
            mem_free(p);
        }
    }
    s->kept = 0;
}
