/* allowance: what the requests of one client's connection make us hold, all together (RELIABILITY
 * L18, G11), in bytes of memory that are really taken: the library's state and its copies of heads,
 * arenas, content in both directions in whole chunks, what connections to servers have read for
 * them; and what may come unasked, which are open windows: the client's own, and those of servers
 * of HTTP/2. A front whose connection carries many requests at a time owns one. It must not know
 * messages. Pure; one thread.
 *
 * Whatever can be refused is asked for before it is taken, so that the sum never passes
 * LIMIT_H2_HOLDS. Beyond LIMIT_H2_HOLDS_SOFT no stream is taken; LIMIT_H2_SPARE before that nothing
 * goes on by itself any more: no window becomes wider, and of those who want to read from servers,
 * or open a window to them, only the oldest that fits goes on, one after the other, so that not all
 * of them stand still halfway. Where none can, its owner ends the youngest. Some room is kept for
 * requests whose server is still being waited for: who is served first does not take all of it.
 *
 * Where there is none (NULL), a single request is all that its client has. */
#ifndef MERIDIAN_HTTP_ALLOWANCE_H
#define MERIDIAN_HTTP_ALLOWANCE_H

#include "base/budget.h"
#include "base/limits.h"
#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct allowance {
    uint32_t most;     /* set once: requests at a time (L20), LIMIT_H2_STREAMS at least */
    struct budget all; /* what is held, and what may come */
    uint32_t streams;  /* requests that live */
    uint32_t unserved; /* of them, those that no server has yet */
    size_t coding;     /* of what is held: by content codings */
    /* through the functions below */
    uint32_t answering;                  /* servers' streams: hedging has two of one request */
    struct link waiting;                 /* who may not go on, the oldest first */
    const struct allowance_waiter *turn; /* whose it is beyond the bound; NULL: the oldest's */
    bool shut;                           /* the client's window, for want of room */
    void (*changed)(void *owner);        /* one who waits might go on: wake is due */
    void *owner;
};

/* One who reads for a request, or lets its server send. */
struct allowance_waiter {
    struct link link;                            /* list_init before its first use */
    uint32_t age;                                /* of its request: lower is older */
    size_t step;                                 /* what it could make us hold, at most */
    size_t n;                                    /* what it wants */
    void (*go_on)(struct allowance_waiter *w);   /* it may ask again */
    void (*give_up)(struct allowance_waiter *w); /* it will not; its request is to end */
};

void allowance_init(struct allowance *a, uint32_t most, void (*changed)(void *owner), void *owner);
/* Whether one more request may come. */
bool allowance_admits(const struct allowance *a);
/* What is left before requests have to wait. */
size_t allowance_left(const struct allowance *a);
/* Whether so little is left that responses and requests go in the smallest pieces. */
bool allowance_tight(const struct allowance *a);
/* Whether n bytes can be taken at all. */
bool allowance_fits(const struct allowance *a, size_t n);
/* Whether n bytes that can be done without leave enough to the requests that may still come. */
bool allowance_spares(const struct allowance *a, size_t n);
/* The same of n bytes more for the client's own window, which is never narrowed again while nothing
 * comes: it leaves less, so that it may have 1 MiB (L21) where a single request is there. */
bool allowance_opens(const struct allowance *a, size_t n);
/* How much of it may open again, of what came through it. */
size_t allowance_room(const struct allowance *a);
/* How much may wait for a request's server while more is taken from the client. */
size_t allowance_unsent_most(const struct allowance *a);

/* Whether an answer may be given in a content coding, which takes n bytes until its end: some of
 * them at a time, and where there is room for others. */
bool allowance_may_code(const struct allowance *a, size_t n);
/* What took *was takes `now`. */
void allowance_book_coding(struct allowance *a, size_t *was, size_t now);

/* One more request for which a server will be there later. */
void allowance_expect(struct allowance *a);
/* It is there, or the request has ended without. */
void allowance_expect_no_more(struct allowance *a);

/* One more server's stream, with a window of so much, which fits. */
void allowance_join(struct allowance *a, size_t window);
/* One is over. What its window could bring has been taken off before. */
void allowance_leave(struct allowance *a);
/* Whether a stream's window may become wider, and if so, takes what that needs. from < to. */
bool allowance_widen(struct allowance *a, size_t from, size_t to);

/* Whether w may go on with n bytes, which may make us hold `step` at most; where not, it waits.
 * Where it may beyond the bound it is its turn until allowance_forget. */
bool allowance_may(struct allowance *a, struct allowance_waiter *w, size_t n, size_t step);
/* It does not want to any more, or has done it. */
void allowance_forget(struct allowance *a, struct allowance_waiter *w);
/* It is not the turn any more of whose it was. */
void allowance_next_turn(struct allowance *a);
/* Less is held than before, perhaps. */
void allowance_fell(struct allowance *a);
/* Those who may by now go on. */
void allowance_wake(struct allowance *a);
/* Whether somebody waits, and for none there will be room until others have gone. */
bool allowance_stuck(const struct allowance *a);
/* Ends the youngest ones that wait until the oldest may go on; there is one who waits. */
void allowance_make_room(struct allowance *a);

#endif
