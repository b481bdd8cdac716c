/* discovery: asks for host names again and again, by their TTL (RELIABILITY L37, B4), and tells the
 * main thread by mail what has changed. On the health thread's loop; it knows names and addresses,
 * not pools. */
#ifndef MERIDIAN_RUN_DISCOVERY_H
#define MERIDIAN_RUN_DISCOVERY_H

#include "run/mailbox.h"
#include "run/name_book.h"

#include <stdatomic.h>

struct discovery;

struct name_counts {
    _Atomic uint64_t good, bad; /* answers with addresses, and all others */
    _Atomic uint32_t names, unknown, held;
};

/* News go to the mailbox as mail of that kind with a struct name_news in p. log may be NULL. */
MUST_CHECK
enum err discovery_new(struct loop *loop, struct log *log, struct mailbox *to, int kind,
                       struct discovery **out);
void discovery_free(struct discovery **d);
/* Takes the plan, in every case. What is known of names that stay is kept. The servers are set
 * anew, so that a changed /etc/resolv.conf is heard of. On an error names that were not there
 * before are not asked for. */
MUST_CHECK
enum err discovery_plan(struct discovery *d, struct name_plan **plan);
/* Any thread. */
struct name_counts *discovery_counts(struct discovery *d);

#endif
