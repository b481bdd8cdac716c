/* srv_answer: the SRV records (RFC 2782) in what a name server has answered (RFC 1035 section 4),
 * read from its bytes because c-ares tells no TTL of them. Pure. It must not know who asks, nor
 * what addresses the targets have. */
#ifndef MERIDIAN_NET_SRV_ANSWER_H
#define MERIDIAN_NET_SRV_ANSWER_H

#include "base/limits.h"
#include "base/str.h"

struct srv_record {
    uint16_t priority, weight, port;
    char target[LIMIT_NAME_BYTES + 1]; /* without a dot at its end */
};

struct srv_answer {
    size_t count;
    uint32_t ttl_s; /* the least of all that lead to the records */
    struct srv_record records[LIMIT_NAME_ADDRESSES];
};

/* The records of the name that the answer's own question asks for, aliases followed inside the
 * answer. A record with port 0 or a target that is no host name is left out. ERR_NOT_FOUND: there
 * is none, or they say that there is no such service (target "."); ERR_FULL: more than
 * LIMIT_NAME_ADDRESSES; ERR_CORRUPT: no answer, or aliases that go round. */
MUST_CHECK
enum err srv_answer_read(struct span bytes, struct srv_answer *out);

/* How many lower priorities there are, at most LIMIT_RANKS - 1: 0 is served first. */
uint8_t srv_rank(const struct srv_answer *answer, size_t record);
/* 1..1000 in proportion, the largest of the answer at most 1000; 0: all records have weight 0,
 * which is how they say nothing of it. */
uint16_t srv_weight(const struct srv_answer *answer, size_t record);

#endif
