/* allowance: what the requests of one client's connection make us hold, all together (RELIABILITY
 * L18, G11): their heads, their content on its way to servers or kept for another attempt, what
 * servers may send before it is asked for (the windows of HTTP/2, over whatever connections), and
 * what of it the client has not taken. A front whose connection carries many requests at a time
 * owns one; whoever holds something for it says so here, and asks before he holds more. It must not
 * know messages. Pure; one thread.
 *
 * Each request has LIMIT_H2_SHARE of it: LIMIT_H2_WINDOW_LEAST as a server's window and
 * LIMIT_READ_CROWDED on its way to the client. What is more comes out of LIMIT_H2_SHARED; heads and
 * content that waits also out of the shares of those that are not there: where they come after all
 * and nothing is left, they are refused. The window of the client's own connection is not in it: as
 * long as content is held that the window let through, it stays closed by as much, or that content
 * is counted here as kept.
 *
 * Where there is none (NULL), a single request is all that its client has. */
#ifndef MERIDIAN_HTTP_ALLOWANCE_H
#define MERIDIAN_HTTP_ALLOWANCE_H

#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero: nothing is held. */
struct allowance {
    uint32_t most;    /* set once: requests at a time (L20), LIMIT_H2_STREAMS at least */
    uint32_t streams; /* requests that live */
    size_t heads;     /* of them, as L13 counts them, and of their responses */
    size_t waiting;   /* content that the client has not taken */
    /* through the functions below */
    uint32_t answering; /* servers' streams: hedging has two of one request */
    size_t ahead;       /* what their windows have beyond LIMIT_H2_WINDOW_LEAST each */
    size_t kept, unsent;
};

/* What may be held beyond what is. */
size_t allowance_left(const struct allowance *a);
/* Whether nothing is held. */
bool allowance_is_free(const struct allowance *a);
/* Whether one more request may come. */
bool allowance_admits(const struct allowance *a);
/* Whether so little is left that responses and requests go in the smallest pieces. */
bool allowance_tight(const struct allowance *a);

/* One more server's stream, whose window is LIMIT_H2_WINDOW_LEAST. */
void allowance_join(struct allowance *a);
/* One with this window is over. */
void allowance_leave(struct allowance *a, size_t window);
/* Whether a stream's window may become wider, and if so, takes what that needs. from < to. */
bool allowance_widen(struct allowance *a, size_t from, size_t to);

/* Whether n bytes of content may be kept for another attempt, and if so, takes them. */
bool allowance_keep(struct allowance *a, size_t n);
/* The same out of all that is left, of content that can only be kept: its request has no server. */
bool allowance_keep_all(struct allowance *a, size_t n);
/* They are kept no more. */
void allowance_forget(struct allowance *a, size_t n);

/* Of one request's content `to` bytes have not been taken by its server, and the client's window
 * has been opened by them; before that `from`. Or of its head, which the exchange holds too. */
void allowance_unsent(struct allowance *a, size_t from, size_t to);
/* How much may wait so for one server while more is taken from the client. */
size_t allowance_unsent_most(const struct allowance *a);

#endif
