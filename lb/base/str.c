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

enum { EIGHT = sizeof(uint64_t) };

/* The high bit of some byte is set where a byte is not quotable. Each term has it for one kind of
 * them, and beside bytes that are quotable for none: what is carried from one byte to the next
 * comes from such that are not. The last bit of each term alone counts. */
static inline uint64_t not_quotable(uint64_t x)
{
    return x | (x + EIGHT_EACH(1)) | (x - EIGHT_EACH(0x20)) |
           ((x ^ EIGHT_EACH('"')) - EIGHT_EACH(1)) | ((x ^ EIGHT_EACH('\\')) - EIGHT_EACH(1));
}

static inline bool are_quotable(const char *p)
{
    return eight_high(not_quotable(eight_at(p))) == 0;
}

/* The same for sixteen, as a vector of the compiler's. */
typedef uint8_t sixteen __attribute__((vector_size(16)));

static inline sixteen not_quotable_each(sixteen x)
{
    return x | (x + 1) | (x - 0x20) | (sixteen)(x == '"') | (sixteen)(x == '\\');
}

static inline bool has_high(sixteen x)
{
    uint64_t half[2];
    memcpy(half, &x, sizeof half);
    return eight_high(half[0] | half[1]) != 0;
}

/* Fewer than eight bytes, and harmless ones in the places that are left. */
static inline uint64_t copy_few(char *out, struct span s)
{
    if (s.n >= 4) {
        uint32_t head, tail;
        memcpy(&head, s.p, sizeof head);
        memcpy(&tail, s.p + s.n - 4, sizeof tail);
        memcpy(out, &head, sizeof head);
        memcpy(out + s.n - 4, &tail, sizeof tail);
        return (uint64_t)tail << 32 | head;
    }
    uint64_t x = EIGHT_EACH('a');
    for (size_t i = 0; i < s.n; i++) {
        out[i] = s.p[i];
        x = x << 8 | (unsigned char)s.p[i];
    }
    return x;
}

static inline sixteen copy_sixteen(char *out, const char *p)
{
    sixteen x;
    memcpy(&x, p, sizeof x);
    memcpy(out, &x, sizeof x);
    return not_quotable_each(x);
}

/* What does not fill a piece is copied together with some that was before. */
bool span_copy_quotable(char *out, struct span s)
{
    enum { EACH = sizeof(sixteen) };
    uint64_t half[2];
    sixteen x;
    if (s.n >= EACH) {
        sixteen bad = copy_sixteen(out + s.n - EACH, s.p + s.n - EACH);
        for (size_t i = 0; i < s.n - EACH; i += EACH)
            bad |= copy_sixteen(out + i, s.p + i);
        return !has_high(bad);
    }
    if (s.n >= EIGHT) {
        half[0] = eight_at(s.p);
        half[1] = eight_at(s.p + s.n - EIGHT);
        memcpy(out, &half[0], EIGHT);
        memcpy(out + s.n - EIGHT, &half[1], EIGHT);
    } else {
        half[0] = half[1] = copy_few(out, s);
    }
    memcpy(&x, half, sizeof x);
    return !has_high(not_quotable_each(x));
}

size_t span_quotable(struct span s)
{
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

const char ascii_pairs[200] = {
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546"
    "4748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293"
    "949596979899"};

static size_t digits_of(uint64_t v)
{
    enum { MOST = 20 };
    size_t n = 1;
    for (uint64_t least = 10; v >= least && n < MOST; least *= 10)
        n++;
    return n;
}

size_t u64_print(char *out, uint64_t v)
{
    size_t n = digits_of(v);
    char *p = out + n;
    for (; v >= 100; v /= 100) {
        p -= 2;
        pair_print(p, (unsigned)(v % 100));
    }
    if (v >= 10)
        pair_print(out, (unsigned)v);
    else
        out[0] = (char)('0' + v);
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

bool span_contains(struct span s, struct span what)
{
    return what.n == 0 || (s.n >= what.n && memmem(s.p, s.n, what.p, what.n) != NULL);
}
