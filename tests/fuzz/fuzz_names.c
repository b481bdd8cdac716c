/* SEES: net base
 * Whatever answers come about a host name, in whatever order and at whatever times: the set keeps
 * its bound, never becomes empty once it had an address, has none twice, and always says when to
 * ask next (L37, B4, P6, F21). Eight bytes are an answer: result, how many addresses, the first of
 * them, time to live (2), what is complete, seconds until the next (2). */
#include "net/name_set.h"

#include "base/limits.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool fine)
{
    if (!fine)
        abort();
}

static struct addr at(unsigned n)
{
    struct addr a = {.len = sizeof a.v4};
    a.v4.sin_family = AF_INET;
    a.v4.sin_port = htons(80);
    a.v4.sin_addr.s_addr = htonl(0x0A000000u + n);
    return a;
}

static void check(const struct name_set *set, int64_t now_ms)
{
    must(set->count <= LIMIT_NAME_ADDRESSES && set->held <= set->count);
    must(set->next_ms > now_ms && set->next_ms <= now_ms + 300 * 1000);
    for (size_t i = 0; i < set->count; i++)
        for (size_t k = 0; k < i; k++)
            must(!addr_eq(&set->members[i].is.addr, &set->members[k].is.addr));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum err results[] = {ERR_OK,        ERR_OK,    ERR_OK,
                                       ERR_NOT_FOUND, ERR_AGAIN, ERR_NO_MEMORY};
    static struct name_address addrs[256];
    struct name_set set = {0};
    struct rng rng;
    int64_t now_ms = 1000;
    bool had = false;
    rng_seed(&rng, 1);
    for (size_t i = 0; i + 8 <= size; i += 8) {
        const uint8_t *d = data + i;
        struct name_answer answer = {.result = results[d[0] % 6],
                                     .addrs = addrs,
                                     .count = d[1],
                                     .ttl_s = (uint32_t)(d[3] << 8 | d[4]),
                                     .complete = (d[5] & 1) != 0};
        for (unsigned k = 0; k < d[1]; k++)
            addrs[k] = (struct name_address){.addr = at((d[5] & 2) != 0 ? d[2] : d[2] + k),
                                             .weight = d[5] >> 2,
                                             .rank = d[5] >> 5};
        size_t before = set.count;
        struct name_change change = name_set_take(&set, &answer, now_ms, &rng);
        must(set.count == before + change.added - change.removed);
        must(answer.result == ERR_OK || (change.added == 0 && change.removed == 0));
        check(&set, now_ms);
        had = had || set.count > 0;
        must(!had || set.count > 0);
        now_ms += 1 + 1000 * (d[6] << 8 | d[7]);
    }
    return 0;
}
