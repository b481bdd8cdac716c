#include "base/hash.h"
#include "base/clock.h"

#include <errno.h>
#include <sys/random.h>
#include <xxhash.h>

__extension__ typedef unsigned __int128 u128;

/* Both halves of the full product folded into one word. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    u128 product = (u128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* splitmix64: turns any sequence, even 0 1 2, into well spread words (Steele, Lea, Flood 2014). */
static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

/* A word that differs from process to process; the clocks stand in where the kernel refuses. */
static uint64_t system_seed(void)
{
    uint64_t seed = 0;
    if (random_bytes(&seed, sizeof seed) == ERR_OK)
        return seed;
    seed = (uint64_t)(uintptr_t)&seed;
    seed ^= (uint64_t)clock_wall_ns();
    seed += (uint64_t)clock_mono_ns() << 32;
    return splitmix(&seed);
}

void hash_key_new(struct hash_key *key)
{
    key->k0 = system_seed();
    key->k1 = system_seed();
}

/* The seed alone leaves 64 secret bits inside XXH3. The second half of the key is mixed with its
 * 128-bit result, so that a table's order shows neither half. */
uint64_t hash_keyed(const struct hash_key *key, struct span s)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(s.p, s.n, key->k0);
    return fold(h.low64 ^ key->k1, h.high64 ^ ~key->k1);
}

uint64_t hash_plain(struct span s)
{
    return XXH3_64bits(s.p, s.n);
}

void rng_seed(struct rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix(&seed);
}

void rng_seed_system(struct rng *r)
{
    rng_seed(r, system_seed());
}

static uint64_t rotate(uint64_t v, int bits)
{
    return v << bits | v >> (64 - bits);
}

/* xoshiro256** (Blackman, Vigna 2018). */
uint64_t rng_u64(struct rng *r)
{
    uint64_t *s = r->s;
    uint64_t out = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return out;
}

uint64_t rng_below(struct rng *r, uint64_t bound)
{
    return (uint64_t)((u128)rng_u64(r) * bound >> 64);
}

double rng_unit(struct rng *r)
{
    return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

enum err random_bytes(void *out, size_t n)
{
    char *p = out;
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno != EINTR)
            return ERR_SYSTEM;
        if (got > 0) {
            p += got;
            n -= (size_t)got;
        }
    }
    return ERR_OK;
}
