#include "base/hash.h"
#include "check.h"

#include <stdio.h>

TEST(hash, a_key_decides)
{
    struct hash_key a = {1, 2}, first = {9, 2}, second = {1, 9};
    struct span s = SPAN("api.example.com");
    uint64_t h = hash_keyed(&a, s);
    CHECK(h == hash_keyed(&a, s), "the same again");
    CHECK(h != hash_keyed(&first, s) && h != hash_keyed(&second, s), "each half counts");
    CHECK(h != hash_plain(s), "keyed is not plain");
    CHECK(hash_keyed(&a, SPAN_NONE) != hash_keyed(&first, SPAN_NONE), "even of nothing");
}

TEST(hash, new_keys_differ)
{
    struct hash_key a, b;
    hash_key_new(&a);
    hash_key_new(&b);
    CHECK(a.k0 != b.k0 && a.k1 != b.k1 && a.k0 != a.k1, "random");
}

/* A4: keys that differ little fall evenly into a table's slots. Of 1 << 14 keys in 1 << 10 slots,
 * 16 each are expected; 48 in one slot is eight standard deviations away. */
TEST(hash, similar_keys_spread)
{
    enum { SLOTS = 1 << 10, KEYS = 1 << 14 };
    static unsigned low[SLOTS], high[SLOTS];
    struct hash_key key = {3, 4};
    for (int i = 0; i < KEYS; i++) {
        char text[32];
        uint64_t h = hash_keyed(&key, span_of(text, (size_t)snprintf(text, 32, "10.0.0.%d", i)));
        low[h % SLOTS]++;
        high[h >> 54]++;
    }
    for (int i = 0; i < SLOTS; i++)
        CHECK(low[i] < 48 && high[i] < 48, "slot %d: %u, %u", i, low[i], high[i]);
}

TEST(rng, a_seed_gives_a_sequence)
{
    struct rng a, b, c;
    rng_seed(&a, 0);
    rng_seed(&b, 0);
    rng_seed(&c, 1);
    for (int i = 0; i < 100; i++) {
        uint64_t v = rng_u64(&a);
        CHECK(v == rng_u64(&b) && v != rng_u64(&c), "step %d", i);
    }
    rng_seed_system(&a);
    rng_seed_system(&b);
    CHECK(rng_u64(&a) != rng_u64(&b), "the system's seeds differ");
}

/* The published first outputs of xoshiro256** from the state 1, 2, 3, 4. */
TEST(rng, known_outputs)
{
    static const uint64_t want[] = {11520, 0, 1509978240, 1215971899390074240U};
    struct rng r = {{1, 2, 3, 4}};
    for (int i = 0; i < 4; i++)
        CHECK(rng_u64(&r) == want[i], "output %d", i);
}

TEST(rng, below_is_even)
{
    unsigned seen[10] = {0};
    struct rng r;
    rng_seed(&r, 7);
    for (int i = 0; i < 10000; i++) {
        uint64_t v = rng_below(&r, 10);
        CHECK(v < 10, "in range");
        seen[v]++;
    }
    for (int i = 0; i < 10; i++)
        CHECK(seen[i] > 850 && seen[i] < 1150, "%d came %u times", i, seen[i]);
    CHECK_INT(rng_below(&r, 1), 0);
}

TEST(rng, unit_is_in_the_interval)
{
    struct rng r;
    double sum = 0;
    rng_seed(&r, 7);
    for (int i = 0; i < 10000; i++) {
        double v = rng_unit(&r);
        CHECK(v >= 0 && v < 1, "%f", v);
        sum += v;
    }
    CHECK(sum > 4800 && sum < 5200, "mean %f", sum / 10000);
}

TEST(random, bytes)
{
    unsigned char a[1000] = {0}, b[1000] = {0};
    CHECK(random_bytes(a, sizeof a) == ERR_OK && random_bytes(b, sizeof b) == ERR_OK, "had");
    CHECK(memcmp(a, b, sizeof a) != 0 && memcmp(a, a + 500, 500) != 0, "not twice the same");
    CHECK(random_bytes(a, 0) == ERR_OK, "none is fine");
}
