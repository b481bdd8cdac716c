/* What is believed of a host name: RELIABILITY L37, B4, P6. */
#include "check.h"

#include "net/name_set.h"

static struct rng rng;

static struct addr at(unsigned n)
{
    struct addr a = {.len = sizeof a.v4};
    a.v4.sin_family = AF_INET;
    a.v4.sin_port = htons(80);
    a.v4.sin_addr.s_addr = htonl(0x0A000000u + n);
    return a;
}

/* Addresses first..first+n-1. */
static struct name_change take(struct name_set *set, unsigned first, size_t n, uint32_t ttl_s,
                               int64_t now_ms)
{
    struct name_address addrs[LIMIT_NAME_ADDRESSES + 1];
    for (unsigned i = 0; i < n; i++)
        addrs[i] = (struct name_address){.addr = at(first + i)};
    struct name_answer answer = {.addrs = addrs, .count = n, .ttl_s = ttl_s, .complete = true};
    return name_set_take(set, &answer, now_ms, &rng);
}

static struct name_change fail(struct name_set *set, enum err why, int64_t now_ms)
{
    struct name_answer answer = {.result = why, .complete = true};
    return name_set_take(set, &answer, now_ms, &rng);
}

TEST(name_set, ttl_is_clamped_and_jittered_l37)
{
    const struct {
        uint32_t ttl_s;
        int64_t ms;
    } rows[] = {{0, 5000}, {1, 5000}, {60, 60000}, {86400, 300000}, {UINT32_MAX, 300000}};
    rng_seed(&rng, 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool moved = false;
        for (int k = 0; k < 100; k++) {
            struct name_set set = {0};
            take(&set, 1, 2, rows[i].ttl_s, 1000);
            int64_t wait = set.next_ms - 1000;
            CHECK(wait <= rows[i].ms && wait >= rows[i].ms * 9 / 10, "%lld of %lld",
                  (long long)wait, (long long)rows[i].ms);
            moved = moved || wait != rows[i].ms;
        }
        CHECK(moved, "row %zu has no jitter", i);
    }
}

TEST(name_set, failures_keep_the_last_good_set_l37)
{
    static const enum err whys[] = {ERR_NOT_FOUND, ERR_DEADLINE, ERR_SYSTEM,
                                    ERR_CORRUPT,   ERR_FULL,     ERR_OK /* without addresses */};
    struct name_set set = {0};
    int64_t now = 1000, longest = 0;
    rng_seed(&rng, 2);
    take(&set, 1, 3, 60, now);
    for (unsigned i = 0; i < 1000; i++) {
        struct name_change c = fail(&set, whys[i % 6], now);
        CHECK(c.added == 0 && c.removed == 0, "round %u", i);
        CHECK_INT(set.count, 3);
        CHECK(set.next_ms > now, "asks at once again");
        longest = set.next_ms - now > longest ? set.next_ms - now : longest;
        now = set.next_ms;
    }
    CHECK(longest <= LIMIT_NAME_RETRY_MOST_MS, "waits %lld", (long long)longest);
    take(&set, 1, 3, 60, now);
    CHECK_INT(set.failures, 0);
}

TEST(name_set, unknown_name_is_asked_for_soon)
{
    struct name_set set = {0};
    rng_seed(&rng, 3);
    fail(&set, ERR_DEADLINE, 1000);
    CHECK(set.next_ms - 1000 <= 1000, "%lld", (long long)set.next_ms);
    CHECK_INT(take(&set, 1, 2, 60, 2000).added, 2);
}

TEST(name_set, too_many_addresses_are_no_answer_l37)
{
    struct name_set set = {0};
    rng_seed(&rng, 4);
    take(&set, 1, 1, 60, 1000);
    CHECK_INT(take(&set, 1, LIMIT_NAME_ADDRESSES + 1, 60, 2000).added, 0);
    CHECK_INT(set.count, 1);
    CHECK_INT(take(&set, 1, LIMIT_NAME_ADDRESSES, 60, 2000).added, LIMIT_NAME_ADDRESSES - 1);
    CHECK_INT(set.count, LIMIT_NAME_ADDRESSES);
}

TEST(name_set, few_go_at_once)
{
    struct name_set set = {0};
    rng_seed(&rng, 5);
    take(&set, 1, 10, 60, 1000);
    CHECK_INT(take(&set, 1, 7, 60, 2000).removed, 3);
    CHECK_INT(set.count, 7);
    CHECK_INT(set.held, 0);
}

TEST(name_set, mass_removal_is_held_b4)
{
    struct name_set set = {0};
    rng_seed(&rng, 6);
    take(&set, 1, 10, 5, 1000);
    struct name_change c = take(&set, 5, 8, 5, 2000); /* four gone, two new */
    CHECK_INT(c.removed, 0);
    CHECK_INT(c.added, 2);
    CHECK_INT(set.count, 12);
    CHECK_INT(set.held, 4);
    CHECK_INT(take(&set, 5, 8, 5, 2000 + LIMIT_NAME_HOLD_MS - 1).removed, 0);
    CHECK_INT(take(&set, 5, 8, 5, 2000 + LIMIT_NAME_HOLD_MS).removed, 4);
    CHECK_INT(set.count, 8);
    CHECK_INT(set.held, 0);
}

TEST(name_set, who_comes_back_in_time_was_never_away)
{
    struct name_set set = {0};
    rng_seed(&rng, 7);
    take(&set, 1, 4, 5, 1000);
    take(&set, 1, 1, 5, 2000);
    CHECK_INT(set.held, 3);
    take(&set, 1, 4, 5, 20000);
    CHECK_INT(set.held, 0);
    CHECK_INT(take(&set, 1, 1, 5, 2000 + LIMIT_NAME_HOLD_MS).removed, 0);
    CHECK_INT(set.count, 4);
}

TEST(name_set, half_an_answer_only_adds)
{
    struct name_set set = {0};
    struct name_address one = {.addr = at(9)};
    struct name_answer half = {.addrs = &one, .count = 1, .ttl_s = 5};
    rng_seed(&rng, 8);
    take(&set, 1, 4, 5, 1000);
    struct name_change c = name_set_take(&set, &half, 2000, &rng);
    CHECK(c.added == 1 && c.removed == 0, "%zu added, %zu removed", c.added, c.removed);
    CHECK_INT(set.held, 0);
    CHECK_INT(set.count, 5);
}

/* Whatever comes: the bound holds, nothing is twice in it, it never becomes empty again, what the
 * last complete answer had is in it, and it asks again within the bounds. */
TEST(name_set, property)
{
    rng_seed(&rng, 9);
    for (unsigned round = 0; round < 200; round++) {
        struct name_set set = {0};
        int64_t now = 1000;
        for (unsigned step = 0; step < 100; step++) {
            unsigned first = (unsigned)rng_below(&rng, 100);
            size_t n = rng_below(&rng, LIMIT_NAME_ADDRESSES + 2), before = set.count;
            struct name_change c = take(&set, first, n, (uint32_t)rng_below(&rng, 400), now);
            bool good = n != 0 && n <= LIMIT_NAME_ADDRESSES;
            CHECK_INT(set.count, before + c.added - c.removed);
            CHECK(set.count <= LIMIT_NAME_ADDRESSES, "%zu", set.count);
            CHECK(before == 0 || set.count != 0, "it became empty");
            CHECK(set.next_ms > now && set.next_ms <= now + LIMIT_NAME_TTL_MOST_MS, "%lld",
                  (long long)(set.next_ms - now));
            for (size_t i = 0; good && i < n; i++) {
                struct addr a = at(first + (unsigned)i);
                unsigned times = 0;
                for (size_t k = 0; k < set.count; k++)
                    times += addr_eq(&set.members[k].is.addr, &a);
                CHECK(times == 1, "%u times", times);
            }
            now += (int64_t)rng_below(&rng, 40000) + 1;
        }
    }
}

/* Ranks and weights of SRV records follow the answers; they are no removal and no addition. */
TEST(name_set, ranks_and_weights_change)
{
    struct name_set set = {0};
    struct name_address two[] = {{.addr = at(1), .weight = 10}, {.addr = at(2), .rank = 1}};
    struct name_answer answer = {.addrs = two, .count = 2, .ttl_s = 5, .complete = true};
    rng_seed(&rng, 9);
    CHECK_INT(name_set_take(&set, &answer, 1000, &rng).added, 2);
    CHECK_INT(name_set_take(&set, &answer, 2000, &rng).altered, 0);
    two[0].weight = 20;
    two[1].rank = 2;
    struct name_change c = name_set_take(&set, &answer, 3000, &rng);
    CHECK(c.added == 0 && c.removed == 0 && c.altered == 2, "%zu altered", c.altered);
    CHECK(set.members[0].is.weight == 20 && set.members[1].is.rank == 2, "they are in force");
}
