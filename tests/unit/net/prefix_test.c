/* The longest network wins, against a search through all of them. */
#include "net/prefix.h"

#include "base/hash.h"
#include "base/mem.h"
#include "check.h"

#include <stdlib.h>

static struct arena arena;

static struct cidr network(const char *text)
{
    struct cidr c;
    CHECK_INT(cidr_parse(span_str(text), &c), ERR_OK);
    return c;
}

static struct addr address(const char *text)
{
    struct addr a;
    CHECK_INT(addr_parse_host(span_str(text), &a), ERR_OK);
    return a;
}

TEST(prefix, longest_wins)
{
    static const char *const networks[] = {"10.0.0.0/8",    "10.1.0.0/16", "10.1.128.0/17",
                                           "10.1.2.3/32",   "12.0.0.0/8",  "192.168.0.0/16",
                                           "2001:db8::/32", "::/0",        "2001:db8:0:1::/64"};
    static const struct {
        const char *address;
        uint8_t value;
    } rows[] = {
        {"10.0.0.1", 0},
        {"10.1.0.1", 1},
        {"10.1.128.1", 2},
        {"10.1.2.3", 3},
        {"10.1.2.4", 1},
        {"12.255.255.255", 4},
        {"192.168.255.255", 5},
        {"11.0.0.0", PREFIX_NONE},
        {"9.255.255.255", PREFIX_NONE},
        {"192.169.0.0", PREFIX_NONE},
        {"2001:db8::1", 6},
        {"2001:db9::1", 7},
        {"::1", 7},
        {"2001:db8:0:1::5", 8},
    };
    struct prefix_set set;
    size_t n = sizeof networks / sizeof *networks;
    arena_init(&arena, NULL, 4096, 0);
    /* in every rotation of the order */
    for (size_t first = 0; first < n; first++) {
        CHECK_INT(prefix_set_init(&set, &arena, n), ERR_OK);
        for (size_t i = 0; i < n; i++) {
            struct cidr c = network(networks[(first + i) % n]);
            prefix_set_add(&set, &c, (uint8_t)((first + i) % n));
        }
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            struct addr a = address(rows[i].address);
            CHECK_INT(prefix_set_find(&set, &a), rows[i].value);
        }
    }
    arena_reset(&arena);
}

TEST(prefix, ends_of_the_range)
{
    struct prefix_set set = {0};
    struct addr a = address("0.0.0.0"), unix_peer = {.len = sizeof(sa_family_t)};
    unix_peer.any.sa_family = AF_UNIX;
    CHECK_INT(prefix_set_find(&set, &a), PREFIX_NONE);
    arena_init(&arena, NULL, 4096, 0);
    CHECK_INT(prefix_set_init(&set, &arena, 4), ERR_OK);
    struct cidr all = network("0.0.0.0/0"), last = network("255.255.255.255/32"),
                six = network("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128");
    prefix_set_add(&set, &last, 1);
    prefix_set_add(&set, &all, 2);
    prefix_set_add(&set, &six, 3);
    prefix_set_add(&set, &all, 4); /* again: the new value */
    CHECK_INT(prefix_set_find(&set, &a), 4);
    a = address("255.255.255.255");
    CHECK_INT(prefix_set_find(&set, &a), 1);
    a = address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    CHECK_INT(prefix_set_find(&set, &a), 3);
    a = address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe");
    CHECK_INT(prefix_set_find(&set, &a), PREFIX_NONE);
    CHECK_INT(prefix_set_find(&set, &unix_peer), PREFIX_NONE);
    arena_reset(&arena);
}

#define RANDOM_NETWORKS 200

/* Addresses of few different bytes, so that networks lie in each other. */
static void random_bytes_of(struct rng *rng, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(rng_below(rng, 3) * 127);
}

static struct cidr random_network(struct rng *rng)
{
    struct cidr c = {.family = AF_INET, .bits = (uint8_t)rng_below(rng, 33)};
    uint8_t bytes[4];
    random_bytes_of(rng, bytes, 4);
    for (unsigned i = 0; i < c.bits; i++)
        c.bytes[i / 8] |= (uint8_t)(bytes[i / 8] & (0x80 >> i % 8));
    return c;
}

static uint8_t slow_find(const struct cidr *all, size_t n, const struct addr *a)
{
    uint8_t value = PREFIX_NONE;
    int bits = -1;
    for (size_t i = 0; i < n; i++) {
        if (!cidr_has(&all[i], a) || all[i].bits < bits)
            continue;
        bits = all[i].bits; /* the same network again: the later one */
        value = (uint8_t)i;
    }
    return value;
}

TEST(prefix, agrees_with_a_slow_search)
{
    static struct cidr all[RANDOM_NETWORKS];
    struct rng rng;
    struct prefix_set set;
    rng_seed(&rng, 7);
    for (int round = 0; round < 20; round++) {
        arena_init(&arena, NULL, 4096, 0);
        CHECK_INT(prefix_set_init(&set, &arena, RANDOM_NETWORKS), ERR_OK);
        for (size_t i = 0; i < RANDOM_NETWORKS; i++) {
            all[i] = random_network(&rng);
            prefix_set_add(&set, &all[i], (uint8_t)i);
        }
        CHECK(set.count <= 2 * RANDOM_NETWORKS + 1, "%u nodes", set.count);
        for (int k = 0; k < 500; k++) {
            struct addr a = address("0.0.0.0");
            random_bytes_of(&rng, (uint8_t *)&a.v4.sin_addr, 4);
            CHECK_INT(prefix_set_find(&set, &a), slow_find(all, RANDOM_NETWORKS, &a));
        }
        arena_reset(&arena);
    }
}

TEST(prefix, memory_may_run_out)
{
    struct prefix_set set;
    arena_init(&arena, NULL, 4096, 0);
    mem_fail_at(1);
    CHECK_INT(prefix_set_init(&set, &arena, 10), ERR_NO_MEMORY);
    mem_fail_at(0);
    arena_reset(&arena);
}
