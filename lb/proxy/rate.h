/* rate: exact token buckets, shared by all workers. A bucket is one number: the time at which it
 * will be full again (GCRA: ITU-T I.371, "virtual scheduling"), taken from with compare-and-swap,
 * so that no token is given twice. A bucket that is full needs no place in the table: an idle key
 * costs nothing, and its place is taken by whoever comes.
 *
 * The table is part of struct admission: fixed size, the main thread's, older and younger than any
 * policy, so that a reload changes no bucket. Keys are keyed hashes of 64 bits that the caller
 * makes. Eight keys share a set; where all of a set's buckets are in use, the one that is nearest
 * to full gives way, and its key starts anew with a full bucket: a flood of keys can loosen limits,
 * it cannot refuse anybody. */
#ifndef MERIDIAN_PROXY_RATE_H
#define MERIDIAN_PROXY_RATE_H

#include <stdatomic.h>
#include <stdint.h>

#define RATE_SETS 8192u
#define RATE_WAYS 8u

struct rate_bucket {
    _Atomic uint64_t key; /* 0: nobody's */
    _Atomic int64_t full_ns;
};

struct rate_table {
    struct rate_bucket sets[RATE_SETS][RATE_WAYS];
};

/* Immutable, part of a policy. */
struct rate_rule {
    int64_t interval_ns; /* between two requests in the long run */
    int64_t burst_ns;    /* the burst's count of intervals */
};

/* Takes one token. 0: it was there; else in how many nanoseconds it will be. now_ns is monotonic
 * and the same for all workers but for what a turn of their loops lasts. Any thread. */
int64_t rate_take(struct rate_table *t, uint64_t key, const struct rate_rule *rule, int64_t now_ns);

#endif
