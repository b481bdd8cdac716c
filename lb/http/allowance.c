#include "http/allowance.h"

static size_t minus(size_t a, size_t b)
{
    return a > b ? a - b : 0;
}

static size_t count(const struct allowance *a)
{
    return a->streams > a->answering ? a->streams : a->answering;
}

/* What is held beyond shares. */
static size_t beyond(const struct allowance *a)
{
    return minus(a->waiting, count(a) * LIMIT_READ_CROWDED) + a->ahead + a->heads + a->kept +
           a->unsent;
}

size_t allowance_left(const struct allowance *a)
{
    size_t most = a->most > LIMIT_H2_STREAMS ? a->most : LIMIT_H2_STREAMS;
    return minus(most * LIMIT_H2_SHARE + LIMIT_H2_SHARED, count(a) * LIMIT_H2_SHARE + beyond(a));
}

/* Whether n bytes that can be done without leave the shares to those who may still come. */
static bool spares(const struct allowance *a, size_t n)
{
    return minus(LIMIT_H2_SHARED, beyond(a)) >= n + LIMIT_H2_SPARE;
}

bool allowance_is_free(const struct allowance *a)
{
    return count(a) + a->waiting + beyond(a) == 0;
}

bool allowance_admits(const struct allowance *a)
{
    return allowance_left(a) >= LIMIT_H2_SHARE;
}

bool allowance_tight(const struct allowance *a)
{
    return allowance_left(a) < LIMIT_H2_SPARE;
}

void allowance_join(struct allowance *a)
{
    if (a != NULL) {
        a->answering++;
    }
}

void allowance_leave(struct allowance *a, size_t window)
{
    if (a != NULL) {
        a->answering--;
        a->ahead -= window - LIMIT_H2_WINDOW_LEAST;
    }
}

/* As if one more were there already: who comes next finds something left. */
bool allowance_widen(struct allowance *a, size_t from, size_t to)
{
    if (a == NULL) {
        return true;
    }
    size_t share = LIMIT_H2_WINDOW_MOST / (a->answering + 1), more = to - from;
    if (to - LIMIT_H2_WINDOW_LEAST > share || !spares(a, more)) {
        return false;
    }
    a->ahead += more;
    return true;
}

bool allowance_keep(struct allowance *a, size_t n)
{
    if (a == NULL) {
        return true;
    }
    if (!spares(a, n)) {
        return false;
    }
    a->kept += n;
    return true;
}

bool allowance_keep_all(struct allowance *a, size_t n)
{
    if (a == NULL) {
        return true;
    }
    if (allowance_left(a) < n) {
        return false;
    }
    a->kept += n;
    return true;
}

void allowance_forget(struct allowance *a, size_t n)
{
    if (a != NULL) {
        a->kept -= n;
    }
}

void allowance_unsent(struct allowance *a, size_t from, size_t to)
{
    if (a != NULL) {
        a->unsent += to - from;
    }
}

size_t allowance_unsent_most(const struct allowance *a)
{
    bool many = a != NULL && (a->unsent > LIMIT_H2_UNSENT || allowance_tight(a));
    return many ? 0 : LIMIT_FLOW_HIGH;
}
