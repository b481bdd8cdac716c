/* hash: keyed hashing for keys that an attacker may choose (RELIABILITY A4, F31) and random
 * numbers. Knows no table. */
#ifndef MERIDIAN_BASE_HASH_H
#define MERIDIAN_BASE_HASH_H

#include "base/str.h"

/* A per-process secret; made by hash_key_new from the kernel's random source. */
struct hash_key {
    uint64_t k0, k1;
};
void hash_key_new(struct hash_key *key);
/* 64 bits, keyed (XXH3 with the key as seed and a secret mixed in). Any thread. */
uint64_t hash_keyed(const struct hash_key *key, struct span s);
/* 64 bits, not keyed: for trusted keys and checksums only. */
uint64_t hash_plain(struct span s);

/* A small fast generator (xoshiro256**), one per thread, seeded from the kernel or by a test. */
struct rng {
    uint64_t s[4];
};
void rng_seed(struct rng *r, uint64_t seed);
void rng_seed_system(struct rng *r);
uint64_t rng_u64(struct rng *r);
/* Uniform in [0, bound); bound > 0. Without modulo bias worth speaking of (Lemire). */
uint64_t rng_below(struct rng *r, uint64_t bound);
/* Uniform in [0, 1). */
double rng_unit(struct rng *r);
/* n bytes that nobody can guess. ERR_SYSTEM where the kernel refuses. Any thread. */
MUST_CHECK
enum err random_bytes(void *out, size_t n);

#endif
