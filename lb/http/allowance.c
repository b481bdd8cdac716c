#include "http/allowance.h"

/* A chunk that is not full, beside each window. */
enum { ROUNDING = 4 * 1024 };

/* So many of those that no server has yet find room for an ordinary request each. */
enum { EXPECTED_MOST = 16 };

static size_t minus(size_t a, size_t b)
{
    return a > b ? a - b : 0;
}

static size_t soft(const struct allowance *a)
{
    return a->all.most - (LIMIT_H2_HOLDS - LIMIT_H2_HOLDS_SOFT);
}

void allowance_init(struct allowance *a, uint32_t most, void (*changed)(void *owner), void *owner)
{
    most = most > LIMIT_H2_STREAMS ? most : LIMIT_H2_STREAMS;
    *a = (struct allowance){.most = most, .changed = changed, .owner = owner};
    a->all.most = LIMIT_H2_HOLDS + (most - LIMIT_H2_STREAMS) * LIMIT_H2_SHARE;
    list_init(&a->waiting);
}

size_t allowance_left(const struct allowance *a)
{
    return minus(soft(a), a->all.used);
}

bool allowance_admits(const struct allowance *a)
{
    return allowance_left(a) >= LIMIT_H2_SHARE;
}

bool allowance_tight(const struct allowance *a)
{
    return allowance_left(a) < LIMIT_H2_SPARE;
}

bool allowance_fits(const struct allowance *a, size_t n)
{
    return a == NULL || budget_has(&a->all, n);
}

bool allowance_spares(const struct allowance *a, size_t n)
{
    size_t come = a != NULL ? (minus(a->most, a->streams) + a->unserved) * LIMIT_H2_SHARE : 0;
    return a == NULL || allowance_left(a) >= come + n + LIMIT_H2_SPARE;
}

bool allowance_opens(const struct allowance *a, size_t n)
{
    size_t come =
        (minus(a->most, a->streams) + a->unserved) * (LIMIT_H2_SHARE - LIMIT_H2_WINDOW_LEAST);
    return allowance_left(a) >= come + n;
}

/* What is left over is for requests that come. */
size_t allowance_room(const struct allowance *a)
{
    return minus(allowance_left(a), LIMIT_H2_SPARE);
}

static size_t expected(const struct allowance *a)
{
    uint32_t n = a->unserved < EXPECTED_MOST ? a->unserved : EXPECTED_MOST;
    return n * LIMIT_H2_SHARE;
}

static bool within(const struct allowance *a, size_t n)
{
    return allowance_room(a) >= n + expected(a);
}

size_t allowance_unsent_most(const struct allowance *a)
{
    return allowance_spares(a, 0) ? LIMIT_FLOW_HIGH : 0;
}

bool allowance_may_code(const struct allowance *a, size_t n)
{
    return a == NULL || (a->coding + n <= LIMIT_H2_CODING && within(a, n));
}

void allowance_book_coding(struct allowance *a, size_t *was, size_t now)
{
    if (a == NULL) {
        return;
    }
    bool less = now < *was;
    a->coding += now - *was;
    budget_book(&a->all, was, now);
    if (less) {
        allowance_fell(a);
    }
}

void allowance_expect(struct allowance *a)
{
    if (a != NULL) {
        a->unserved++;
    }
}

void allowance_expect_no_more(struct allowance *a)
{
    if (a != NULL) {
        a->unserved--;
        allowance_fell(a);
    }
}

void allowance_join(struct allowance *a, size_t window)
{
    if (a != NULL) {
        a->all.used += window + ROUNDING;
        a->answering++;
    }
}

void allowance_leave(struct allowance *a)
{
    if (a != NULL) {
        a->answering--;
        a->all.used -= ROUNDING;
        allowance_fell(a);
    }
}

/* As if one more were there already: who comes next finds something left. */
bool allowance_widen(struct allowance *a, size_t from, size_t to)
{
    if (a == NULL) {
        return true;
    }
    size_t share = LIMIT_H2_WINDOW_MOST / (a->answering + 1), more = to - from;
    if (to - LIMIT_H2_WINDOW_LEAST > share || !allowance_spares(a, more)) {
        return false;
    }
    a->all.used += more;
    return true;
}

static struct allowance_waiter *of(struct link *l)
{
    return container_of(l, struct allowance_waiter, link);
}

static bool fits(const struct allowance *a, const struct allowance_waiter *w)
{
    return within(a, w->n) || budget_has(&a->all, w->step + expected(a));
}

/* The oldest of those that fit: one whose head has been read may end, and leave room to others that
 * need more at once. NULL: none. */
static struct allowance_waiter *oldest(const struct allowance *a)
{
    for (struct link *e = a->waiting.next; e != &a->waiting; e = e->next) {
        if (fits(a, of(e))) {
            return of(e);
        }
    }
    return NULL;
}

/* Whether it is, or would be, the one that goes on beyond the bound. */
static bool has_turn(const struct allowance *a, const struct allowance_waiter *w)
{
    const struct allowance_waiter *first = a->turn == NULL ? oldest(a) : NULL;
    return fits(a, w) &&
           (a->turn == w || (a->turn == NULL && (first == NULL || first->age >= w->age)));
}

/* Who goes on by now. */
static struct allowance_waiter *next(const struct allowance *a)
{
    struct allowance_waiter *w = oldest(a);
    return w == NULL || within(a, w->n) || has_turn(a, w) ? w : NULL;
}

/* Most that wait have come last. */
static void wait(struct allowance *a, struct allowance_waiter *w)
{
    struct link *after = a->waiting.prev;
    while (after != &a->waiting && of(after)->age > w->age) {
        after = after->prev;
    }
    list_push(after, &w->link);
}

bool allowance_may(struct allowance *a, struct allowance_waiter *w, size_t n, size_t step)
{
    if (a == NULL) {
        return true;
    }
    w->n = n;
    w->step = step;
    bool all = within(a, n);
    if (all || has_turn(a, w)) {
        list_remove(&w->link);
        a->turn = all ? a->turn : w;
        return true;
    }
    a->turn = a->turn == w ? NULL : a->turn; /* what it needs is not there any more */
    if (list_empty(&w->link)) {
        wait(a, w);
    }
    return false;
}

void allowance_forget(struct allowance *a, struct allowance_waiter *w)
{
    if (a != NULL && (a->turn == w || !list_empty(&w->link))) {
        a->turn = a->turn == w ? NULL : a->turn;
        list_remove(&w->link);
        allowance_fell(a);
    }
}

void allowance_next_turn(struct allowance *a)
{
    a->turn = NULL;
    allowance_fell(a);
}

void allowance_fell(struct allowance *a)
{
    if (a != NULL && !list_empty(&a->waiting)) {
        a->changed(a->owner);
    }
}

/* Beyond the bound one at a time: what it takes shows only when it has. */
void allowance_wake(struct allowance *a)
{
    struct allowance_waiter *w;
    bool all = true;
    while (all && (w = next(a)) != NULL) {
        all = within(a, w->n);
        a->turn = all ? a->turn : w;
        list_remove(&w->link);
        w->go_on(w);
    }
}

bool allowance_stuck(const struct allowance *a)
{
    return !list_empty(&a->waiting) && oldest(a) == NULL;
}

void allowance_make_room(struct allowance *a)
{
    while (allowance_stuck(a)) {
        struct allowance_waiter *w = of(a->waiting.prev);
        list_remove(&w->link);
        w->give_up(w);
    }
    allowance_wake(a);
}
