/* sight: what the connections of one worker look like at a moment, copied into rows that another
 * thread may read afterwards. It changes nothing and knows nobody who looks. Owner thread only. */
#ifndef MERIDIAN_PROXY_SIGHT_H
#define MERIDIAN_PROXY_SIGHT_H

#include "proxy/proxy.h"

#define SIGHT_TEXT 64

/* One client's connection. Longer names are cut. */
struct sight {
    char listener[SIGHT_TEXT], client[ADDR_TEXT + 1];
    char pool[SIGHT_TEXT], backend[SIGHT_TEXT]; /* of its exchange; may be empty */
    const char *protocol, *tls;                 /* static; NULL: not known yet, plain */
    const char *state; /* static; of its exchange, the oldest one where there are several */
    int64_t age_ms;
    uint64_t requests, bytes_in, bytes_out; /* also of those that still run */
};

/* Fills at most `most` rows, the oldest connections first. Returns how many. */
size_t sight_take(const struct proxy *p, struct sight *rows, size_t most);

#endif
