/* ahead: what servers may send before it is asked for, that is, the windows of all streams that
 * answer requests of one client's connection together (RELIABILITY L18, G11). A front whose
 * connection carries many requests at a time owns one; backs whose servers send ahead, over
 * whatever connections, take from it. Each stream has LIMIT_H2_WINDOW_LEAST; beyond that all
 * together have LIMIT_H2_WINDOW_MOST, of which each may take its share. It must not know messages.
 * Pure; one thread.
 *
 * Where there is none (NULL), a single request is all that its client has. */
#ifndef MERIDIAN_HTTP_AHEAD_H
#define MERIDIAN_HTTP_AHEAD_H

#include <stdbool.h>
#include <stddef.h>

/* All zero: nobody sends. */
struct ahead {
    unsigned streams;
    size_t extra; /* what they have beyond LIMIT_H2_WINDOW_LEAST each */
};

/* One more stream, whose window is LIMIT_H2_WINDOW_LEAST. */
void ahead_join(struct ahead *a);
/* One with this window is over. */
void ahead_leave(struct ahead *a, size_t window);
/* Whether a stream's window may become wider, and if so, takes what that needs. from < to. */
bool ahead_widen(struct ahead *a, size_t from, size_t to);

#endif
