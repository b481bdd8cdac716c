#include "http/front.h"

#include "base/hash.h"

int64_t front_age_ns(const struct front_limits *l, const struct conn *c)
{
    const uint64_t seed[2] = {(uint64_t)loop_now_ns(conn_loop(c)), conn_peer_port(c)};
    int64_t most = l->age_ms * NS_PER_MS, fifth = most / 5;
    uint64_t random = hash_plain(span_of((const char *)seed, sizeof(seed)));
    return most - most / 10 + (fifth > 0 ? (int64_t)(random % (uint64_t)fifth) : 0);
}
