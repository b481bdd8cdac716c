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
 * of them stand still halfway. Where none can, its owner ends the youngest.
 *
 * What a server of HTTP/2 says of itself, heads and trailers, cannot be held back: there a request
 * is only sent when there is room for an answer as large as they have been here lately, and waits
 * until then, where it holds little. Who reads content leaves that room alone. How large answers
 * are is learned from those that come; before the first one is there they are taken for as large as
 * the same servers' answers to others were lately, and where there were none, for large, as long as
 * it may be on its way.
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
    uint32_t begun;                      /* of those, the ones that may ask one */
    uint32_t due[2];                     /* answers to come: asked for since this epoch, the last */
    uint32_t epoch, ticks;               /* and its age */
    size_t head;                         /* what an answer's head may take */
    size_t tail;                         /* and its trailers */
    bool learned;                        /* since one has come */
    struct link asking;                  /* who may not ask a server yet, the oldest first */
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

/* A request that a server shall be asked. All zero but for what it is set to, and the link. */
struct allowance_asker {
    struct link link;                           /* list_init before its first use */
    uint32_t age;                               /* as a waiter's */
    bool large;                                 /* its answer can come unasked (HTTP/2) */
    void (*go_on)(struct allowance_asker *k);   /* it may ask */
    void (*give_up)(struct allowance_asker *k); /* it will not; it is to end */
    /* the allowance's */
    bool unserved, begun, due;
    uint32_t epoch; /* when it began */
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
 * them at a time, and as long as requests still come in. */
bool allowance_may_code(const struct allowance *a, size_t n);
/* What took *was takes `now`. */
void allowance_book_coding(struct allowance *a, size_t *was, size_t now);

/* One more request for which a server will be there later. */
void allowance_expect(struct allowance *a, struct allowance_asker *k);
/* Whether it may ask a server now; where not, go_on says when. One whose answer can be held back
 * does not wait. */
bool allowance_ask(struct allowance *a, struct allowance_asker *k);
/* A server's stream is there: what it takes is booked from now on. */
void allowance_served(struct allowance *a, struct allowance_asker *k);
/* The answer's head has come and is booked, or none will come; it does not wait any more either. */
void allowance_answered(struct allowance *a, struct allowance_asker *k);
/* It does not want to ask for now. */
void allowance_ask_no_more(struct allowance *a, struct allowance_asker *k);
/* What the head of a server's answer takes, of so many bytes (L13) in so many fields; pure. */
size_t allowance_head_takes(size_t bytes, size_t fields);
/* What is expected where so much has come now: it grows at once, and falls by steps; pure. */
void allowance_learn(size_t *was, size_t now);
/* What others have found that heads take there; for as long as none has come here. */
void allowance_guess_head(struct allowance *a, size_t takes);
/* A head has come that takes so much; 0: it could have been held back. */
void allowance_learn_head(struct allowance *a, size_t takes);
/* Trailers have come unasked. */
void allowance_learn_tail(struct allowance *a, size_t bytes, size_t fields);
/* What those that have asked may make us hold still. */
size_t allowance_expected(const struct allowance *a);
/* A quarter of a second has passed while some wait. */
void allowance_tick(struct allowance *a);
/* Lets those ask who may by now. */
void allowance_let_ask(struct allowance *a);
/* Ends those who wait for that. */
void allowance_ask_in_vain(struct allowance *a);

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
