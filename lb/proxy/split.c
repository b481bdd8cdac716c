#include "proxy/split.h"

uint32_t split_choose(const uint32_t *ends, uint32_t count, uint64_t random)
{
    uint64_t point = (random >> 32) * ends[count - 1] >> 32;
    uint32_t i = 0;
    while (i + 1 < count && point >= ends[i])
        i++;
    return i;
}
