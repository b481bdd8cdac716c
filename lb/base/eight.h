/* eight: looks at eight bytes at once, in a word of 64 bits. Knows nothing of what they mean. Pure.
 *
 * A mask has the high bit of some byte set where a byte of x is what is asked for, and is 0 where
 * none is; which byte it is cannot be told from it. */
#ifndef MERIDIAN_BASE_EIGHT_H
#define MERIDIAN_BASE_EIGHT_H

#include <stdint.h>
#include <string.h>

#define EIGHT_EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static inline uint64_t eight_at(const char *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof(x));
    return x;
}

/* Bytes below `least`, which is at most 0x80. */
static inline uint64_t eight_below(uint64_t x, uint64_t least)
{
    return (x - EIGHT_EACH(least)) & ~x & EIGHT_EACH(0x80);
}

static inline uint64_t eight_equal(uint64_t x, uint64_t c)
{
    return eight_below(x ^ EIGHT_EACH(c), 1);
}

/* Bytes above 0x7f. */
static inline uint64_t eight_high(uint64_t x)
{
    return x & EIGHT_EACH(0x80);
}

#endif
