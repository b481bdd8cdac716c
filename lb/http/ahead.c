#include "http/ahead.h"

#include "base/limits.h"

void ahead_join(struct ahead *a)
{
    if (a != NULL) {
        a->streams++;
    }
}

void ahead_leave(struct ahead *a, size_t window)
{
    if (a != NULL) {
        a->streams--;
        a->extra -= window - LIMIT_H2_WINDOW_LEAST;
    }
}

/* As if one more were there already: who comes next finds something left. */
bool ahead_widen(struct ahead *a, size_t from, size_t to)
{
    if (a == NULL) {
        return true;
    }
    size_t share = LIMIT_H2_WINDOW_MOST / (a->streams + 1), more = to - from;
    if (to - LIMIT_H2_WINDOW_LEAST > share || a->extra + more > LIMIT_H2_WINDOW_MOST) {
        return false;
    }
    a->extra += more;
    return true;
}
