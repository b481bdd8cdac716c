/* str: views of bytes (pointer and length, never NUL-terminated input) and the few things done to
 * them. Knows no owner: a span borrows. All functions are pure; numbers are parsed with checked
 * arithmetic (RELIABILITY A6). */
#ifndef MERIDIAN_BASE_STR_H
#define MERIDIAN_BASE_STR_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A borrowed run of bytes. p may be NULL where n is 0. */
struct span {
    const char *p;
    size_t n;
};

#define SPAN(literal)                                                                              \
    (struct span)                                                                                  \
    {                                                                                              \
        .p = (literal), .n = sizeof(literal) - 1                                                   \
    }
#define SPAN_NONE                                                                                  \
    (struct span)                                                                                  \
    {                                                                                              \
        .p = NULL, .n = 0                                                                          \
    }
/* For printf's "%.*s". */
#define SPAN_FMT(s) (int)(s).n, (s).p

static inline struct span span_of(const char *p, size_t n)
{
    return (struct span){.p = p, .n = n};
}

static inline struct span span_str(const char *s)
{
    return (struct span){.p = s, .n = s != NULL ? strlen(s) : 0};
}

/* The first and the last so many bytes, which are all of it. */
#define SPAN_COPY_ENDS_(out, s, size)                                                              \
    do {                                                                                           \
        char head_[size], tail_[size];                                                             \
        memcpy(head_, (s).p, size);                                                                \
        memcpy(tail_, (s).p + (s).n - (size), size);                                               \
        memcpy(out, head_, size);                                                                  \
        memcpy((out) + (s).n - (size), tail_, size);                                               \
    } while (0)

/* As memcpy, for what is mostly short: up to 32 bytes are copied without a call. */
static inline void span_copy(char *out, struct span s)
{
    if (s.n > 32)
        memcpy(out, s.p, s.n);
    else if (s.n >= 16)
        SPAN_COPY_ENDS_(out, s, 16);
    else if (s.n >= 8)
        SPAN_COPY_ENDS_(out, s, 8);
    else if (s.n >= 4)
        SPAN_COPY_ENDS_(out, s, 4);
    else
        for (size_t i = 0; i < s.n; i++)
            out[i] = s.p[i];
}

static inline bool span_eq(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII letters compared without case; other bytes exactly. */
bool span_eq_nocase(struct span a, struct span b);
/* Whether the bytes of `what` stand somewhere in s; always, where there are none. */
bool span_contains(struct span s, struct span what);
static inline bool span_starts(struct span s, struct span prefix)
{
    return s.n >= prefix.n && span_eq(span_of(s.p, prefix.n), prefix);
}
bool span_ends(struct span s, struct span suffix);
/* The index of the first c, or s.n. */
static inline size_t span_find(struct span s, char c)
{
    const char *at = s.n > 0 ? (const char *)memchr(s.p, c, s.n) : NULL;
    return at != NULL ? (size_t)(at - s.p) : s.n;
}
/* Without SP and HTAB at both ends (RFC 9110 OWS). */
static inline struct span span_trim(struct span s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}
/* Bytes [from, to) clipped to the span. */
static inline struct span span_sub(struct span s, size_t from, size_t to)
{
    if (to > s.n)
        to = s.n;
    if (from > to)
        from = to;
    return from > 0 ? span_of(s.p + from, to - from) : span_of(s.p, to);
}
/* Splits at the first c: *head before it, returns what follows (none: *head is all, rest empty). */
struct span span_cut(struct span s, char c, struct span *head);
/* <0, 0, >0 as memcmp, the shorter first where one is the other's prefix. */
int span_cmp(struct span a, struct span b);

/* Decimal digits only, all of s, at most 19 of them; ERR_SYNTAX or ERR_RANGE. */
MUST_CHECK
enum err span_u64(struct span s, uint64_t *out);
/* Hexadecimal digits only, all of s, at most 16 of them. */
MUST_CHECK
enum err span_hex_u64(struct span s, uint64_t *out);

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline bool ascii_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool ascii_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* How many bytes s begins with that stand for themselves between quotes in any log: 0x20 to 0x7e
 * but '"' and '\\'. */
size_t span_quotable(struct span s);
/* Copies s to out. Whether all of it stands for itself there, as above. */
bool span_copy_quotable(char *out, struct span s);
/* The value 0..15 of a hexadecimal digit, or -1. */
int ascii_hex(char c);
/* Writes v in decimal at out (at least 20 bytes), returns the count of digits. No NUL. */
size_t u64_print(char *out, uint64_t v);

/* "00" to "99", each behind the one before. */
extern const char ascii_pairs[200];
/* Writes v, which is below 100, at out as two digits. */
static inline void pair_print(char out[2], unsigned v)
{
    memcpy(out, ascii_pairs + (size_t)2 * v, 2);
}

/* Writes v at out as 16 lower-case hexadecimal digits. No NUL. */
void u64_print_hex(char out[16], uint64_t v);

#endif
