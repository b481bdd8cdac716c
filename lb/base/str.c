#include "base/str.h"
#include "base/eight.h"

bool span_eq_nocase(struct span a, struct span b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
            return false;
    return true;
}

bool span_ends(struct span s, struct span suffix)
{
    return s.n >= suffix.n && span_eq(span_sub(s, s.n - suffix.n, s.n), suffix);
}

struct span span_cut(struct span s, char c, struct span *head)
{
    size_t at = span_find(s, c);
    *head = span_of(s.p, at);
    return span_sub(s, at + 1, s.n);
}

int span_cmp(struct span a, struct span b)
{
    size_t shared = a.n < b.n ? a.n : b.n;
    int order = shared > 0 ? memcmp(a.p, b.p, shared) : 0;
    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static bool is_quotable(char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static bool are_quotable(const char *p)
{
    uint64_t x = eight_at(p);
    return (eight_below(x, 0x20) | eight_equal(x, 0x7f) | eight_high(x) | eight_equal(x, '"') |
            eight_equal(x, '\\')) == 0;
}

size_t span_quotable(struct span s)
{
    enum { EIGHT = sizeof(uint64_t) };
    size_t n = 0;
    while (s.n - n >= EIGHT && are_quotable(s.p + n))
        n += EIGHT;
    /* The rest together with some that were looked at. */
    if (n > 0 && s.n - n < EIGHT && are_quotable(s.p + s.n - EIGHT))
        return s.n;
    while (n < s.n && is_quotable(s.p[n]))
        n++;
    return n;
}

enum { U64_DIGITS = 19, U64_HEX_DIGITS = 16 }; /* so many always fit into 64 bits */

enum err span_u64(struct span s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.n == 0)
        return ERR_SYNTAX;
    for (size_t i = 0; i < s.n; i++) {
        if (!ascii_digit(s.p[i]))
            return ERR_SYNTAX;
        if (i >= U64_DIGITS)
            return ERR_RANGE;
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    *out = v;
    return ERR_OK;
}

enum err span_hex_u64(struct span s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.n == 0)
        return ERR_SYNTAX;
    for (size_t i = 0; i < s.n; i++) {
        int digit = ascii_hex(s.p[i]);
        if (digit < 0)
            return ERR_SYNTAX;
        if (i >= U64_HEX_DIGITS)
            return ERR_RANGE;
        v = v << 4 | (uint64_t)digit;
    }
    *out = v;
    return ERR_OK;
}

int ascii_hex(char c)
{
    if (ascii_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t u64_print(char *out, uint64_t v)
{
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    return n;
}

/* Eight digits at once: each of the eight bytes gets one nibble, then the letters their distance.
 */
static void put_hex32(char *out, uint32_t v)
{
    uint64_t x = v;
    x = (x << 16 | x) & 0x0000ffff0000ffffULL;
    x = (x << 8 | x) & 0x00ff00ff00ff00ffULL;
    x = (x << 4 | x) & 0x0f0f0f0f0f0f0f0fULL;
    uint64_t letters = (x + 0x0606060606060606ULL) >> 4 & 0x0101010101010101ULL;
    x += 0x3030303030303030ULL + letters * ('a' - '0' - 10);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    x = __builtin_bswap64(x); /* the first digit is the highest byte */
#endif
    memcpy(out, &x, sizeof x);
}

void u64_print_hex(char out[16], uint64_t v)
{
    put_hex32(out, (uint32_t)(v >> 32));
    put_hex32(out + 8, (uint32_t)v);
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

enum { DISTANCE_MOST = 63 }; /* names of keys are far shorter; longer texts count as unlike */

size_t span_distance(struct span a, struct span b, size_t cap)
{
    size_t row[DISTANCE_MOST + 1];
    if (a.n > DISTANCE_MOST || b.n > DISTANCE_MOST)
        return span_eq(a, b) ? 0 : cap;
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t swap = diagonal + (a.p[i - 1] != b.p[j - 1]);
            diagonal = row[j];
            row[j] = min_size(swap, min_size(row[j], row[j - 1]) + 1);
        }
    }
    return min_size(row[b.n], cap);
}

bool span_contains(struct span s, struct span what)
{
    return what.n == 0 || (s.n >= what.n && memmem(s.p, s.n, what.p, what.n) != NULL);
}
