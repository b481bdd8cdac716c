/* stall: where a thread is when a turn of its loop does not end (RELIABILITY C8, G14): the main
 * thread looks ten times a second, and a thread found in the same turn twice in a row is asked by a
 * signal for its call stack. It must not know what the thread does. */
#ifndef MERIDIAN_RUN_STALL_H
#define MERIDIAN_RUN_STALL_H

#include "base/buf.h"
#include "net/loop.h"

#include <pthread.h>

#define STALL_FRAMES  24
#define STALL_LOOK_MS 100

struct stall {
    /* set once, by the thread */
    pthread_t thread;
    const struct loop *loop;
    _Atomic bool there;
    /* main thread */
    uint64_t seen; /* the turn it was in at the last look; 0: none */
    bool told;
    /* the main thread writes, done with the last answer; the thread reads before the next one */
    _Atomic uint64_t asked; /* the turn that was asked about */
    /* the thread writes, then says so in `taken`; the main thread reads */
    void *frames[STALL_FRAMES];
    int count;
    _Atomic uint64_t taken; /* the phase in which it was */
};

/* Main thread, before there are others. */
MUST_CHECK
enum err stall_prepare(void);
/* On the thread that is to be looked at. */
void stall_begin(struct stall *t, const struct loop *loop);
/* Main thread, each STALL_LOOK_MS. True, once for a turn: it has lasted that long at least, and
 * its call stack has been appended, innermost first, as FILE+OFFSET for addr2line. */
bool stall_look(struct stall *t, struct buf *out);

#endif
