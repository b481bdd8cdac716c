/* budget: how much memory the parts of something may take together. Whoever takes some for it books
 * that here, by what is really taken; who can be refused asks first. It must not know what the
 * memory is for. One thread: the owner of what it is a budget of. */
#ifndef MERIDIAN_BASE_BUDGET_H
#define MERIDIAN_BASE_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

struct budget {
    size_t most; /* set once */
    size_t used;
};

/* Whether n bytes more fit. */
static inline bool budget_has(const struct budget *b, size_t n)
{
    return b->used <= b->most && b->most - b->used >= n;
}

/* What took *was takes `now`; nobody is asked. b NULL: it is part of nothing. */
static inline void budget_book(struct budget *b, size_t *was, size_t now)
{
    if (b != NULL)
        b->used += now - *was;
    *was = now;
}

#endif
