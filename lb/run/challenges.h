/* challenges: reads the files of ACME challenges on a helper's thread, for all workers, one after
 * the other: a folder that does not answer holds up no request but those that ask for such a file.
 * The places are the workers' and outlive this. Main thread, but the reading. */
#ifndef MERIDIAN_RUN_CHALLENGES_H
#define MERIDIAN_RUN_CHALLENGES_H

#include "proxy/challenge.h"
#include "run/helper.h"

#define CHALLENGES_WAITING 64

struct challenges {
    struct helper *helper; /* NULL: nobody has asked yet */
    struct challenge *waiting[CHALLENGES_WAITING];
    unsigned first, count;
};

/* A worker asks; the reply comes into the box as reply_kind. False: too many wait. */
bool challenges_ask(struct challenges *q, struct challenge *c, struct mailbox *box, int reply_kind);
/* The reply has been taken: the next one is read. */
void challenges_next(struct challenges *q);
/* Before the workers go. */
void challenges_fini(struct challenges *q);

#endif
