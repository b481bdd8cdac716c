/* mailbox: a bounded queue of small messages into one loop, from any thread (docs/architecture.md,
 * the first of the four crossings). It knows nothing of what a message means. Posting never blocks
 * beyond the few instructions that copy one message. */
#ifndef MERIDIAN_RUN_MAILBOX_H
#define MERIDIAN_RUN_MAILBOX_H

#include "net/loop.h"

#include <pthread.h>

#define MAILBOX_SIZE   1024
#define MAILBOX_URGENT 8

struct mail {
    int kind; /* the receiver's own enum */
    unsigned n;
    void *p;
    uint64_t v;
};

struct mailbox {
    /* set once */
    void (*on_mail)(void *user, const struct mail *m);
    void *user;
    struct wake wake;
    /* under lock */
    pthread_mutex_t lock;
    struct mail ring[MAILBOX_SIZE];
    unsigned head, count;
};

/* On the receiving thread's loop, before others know of it. */
MUST_CHECK
enum err mailbox_init(struct mailbox *m, struct loop *loop,
                      void (*on_mail)(void *user, const struct mail *m), void *user);
void mailbox_fini(struct mailbox *m);
/* The oldest message, for the receiver; false: none. What is left when nobody sends any more has an
 * owner who must be told. */
bool mailbox_take(struct mailbox *m, struct mail *out);
/* Any thread. ERR_FULL: the receiver is far behind; the message is not taken. */
MUST_CHECK
enum err mailbox_post(struct mailbox *m, struct mail mail);
/* The same for what the main thread says once and must arrive: there is always room for
 * MAILBOX_URGENT of them, whatever else waits. */
MUST_CHECK
enum err mailbox_post_urgent(struct mailbox *m, struct mail mail);
/* The same for what may be lost: leaves half of the room to what may not. */
MUST_CHECK
enum err mailbox_post_hint(struct mailbox *m, struct mail mail);

#endif
