/* tags: when each tag of the change log was last invalidated (CAPABILITIES A4.2 and A4.5), as
 * numbers of polls that only grow. Whoever keeps something made of the database's content notes
 * tags_now before he begins to make it, and asks tags_hold each time that he uses it. Tags share
 * slots by a keyed hash: a collision only costs making it anew. One writer (the session's thread),
 * any readers, no lock. Knows no connection and no poll. */
#ifndef MERIDIAN_DB_TAGS_H
#define MERIDIAN_DB_TAGS_H

#include "base/hash.h"

#include <stdatomic.h>

#define TAG_MOST 200 /* octets of one tag (A2.1) */

struct tags {
    /* set once */
    struct hash_key key;
    size_t mask;
    _Atomic uint64_t *slots;
    /* shared, atomic; written by one thread */
    _Atomic uint64_t seq, flush_seq;
    _Atomic int64_t lease_ns; /* of the boot clock, just before the last poll that ended well was
                                 sent; 0: never */
};

/* slots: a power of two. ERR_NO_MEMORY. */
MUST_CHECK
enum err tags_init(struct tags *t, size_t slots);
void tags_fini(struct tags *t);

/* The writer: what one poll told, then its publication. `*` counts as a flush. */
void tags_mark(struct tags *t, struct span tag);
void tags_flush(struct tags *t);
void tags_publish(struct tags *t);
void tags_renew(struct tags *t, int64_t asked_ns);

/* Readers. */
uint64_t tags_now(const struct tags *t);
/* Whether nothing that carries this tag has been invalidated since `since`: neither the tag nor a
 * wildcard above it. */
bool tags_hold(const struct tags *t, uint64_t since, struct span tag);
/* How old what is known is at most; -1: nothing is known. */
int64_t tags_lease_age_ms(const struct tags *t);

#endif
