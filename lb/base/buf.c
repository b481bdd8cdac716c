#include "base/buf.h"
#include "base/mem.h"

#include <stdio.h>

enum { CAP_LEAST = 256 };

void buf_init(struct buf *b, size_t limit)
{
    *b = (struct buf){.limit = limit};
}

void buf_fixed(struct buf *b, char *memory, size_t size)
{
    *b = (struct buf){.p = memory, .cap = size, .limit = size, .fixed = true};
}

void buf_fini(struct buf *b)
{
    if (!b->fixed)
        mem_free(b->p);
    *b = (struct buf){.limit = b->limit};
}

/* The capacity for `want` bytes: the next doubling within the limit; 0 where the limit forbids it.
 */
static size_t grown_cap(const struct buf *b, size_t want)
{
    size_t most = b->limit != 0 ? b->limit : SIZE_MAX / 2;
    size_t cap = b->cap > CAP_LEAST ? b->cap : CAP_LEAST;
    if (b->fixed || want > most)
        return 0;
    while (cap < want)
        cap *= 2;
    return cap < most ? cap : most;
}

static bool grow(struct buf *b, size_t want)
{
    size_t cap = grown_cap(b, want);
    char *p = cap != 0 ? mem_resize(b->p, cap) : NULL;
    if (p == NULL)
        return false;
    b->p = p;
    b->cap = cap;
    return true;
}

/* Moves the content to the front, so that the taken bytes are room again. */
static void compact(struct buf *b)
{
    size_t length = buf_len(b);
    if (length > 0)
        memmove(b->p, b->p + b->at, length);
    b->at = 0;
    b->n = length;
}

bool buf_make_room(struct buf *b, size_t n)
{
    size_t want;
    if (!__builtin_add_overflow(buf_len(b), n, &want)) {
        if (want <= b->cap || grow(b, want)) {
            if (n > b->cap - b->n)
                compact(b);
            return true;
        }
    }
    b->failed = true;
    return false;
}

void buf_put_slow(struct buf *b, const void *p, size_t n)
{
    if (n == 0 || b->failed || !buf_reserve(b, n))
        return;
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

void buf_put_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    buf_put(b, digits, u64_print(digits, v));
}

void buf_vprintf(struct buf *b, const char *format, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, ap);
    /* One byte more than the text: vsnprintf ends with a NUL, which is not content. */
    if (n < 0)
        b->failed = true;
    else if (!b->failed && buf_reserve(b, (size_t)n + 1)) {
        vsnprintf(b->p + b->n, (size_t)n + 1, format, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    buf_vprintf(b, format, ap);
    va_end(ap);
}

/* The least code point that a sequence of that many bytes may carry (RFC 3629: no overlong forms).
 */
static const uint32_t utf8_least[] = {0, 0, 0x80, 0x800, 0x10000};

static size_t utf8_lead(unsigned char c)
{
    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c <= 0xdf)
        return 2;
    if (c >= 0xe0 && c <= 0xef)
        return 3;
    return c >= 0xf0 && c <= 0xf4 ? 4 : 0;
}

/* The bytes of the code point at the start of s, 0 where it is not valid UTF-8; its value in *code.
 */
static size_t utf8_decode(struct span s, uint32_t *code)
{
    unsigned char first = (unsigned char)s.p[0];
    size_t n = utf8_lead(first);
    if (n == 0 || n > s.n)
        return 0;
    uint32_t v = n == 1 ? first : first & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c & 0xc0U) != 0x80U)
            return 0;
        v = v << 6 | (c & 0x3fU);
    }
    if (v < utf8_least[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
        return 0;
    *code = v;
    return n;
}

static void put_escape(struct buf *b, uint32_t code)
{
    static const char hex[] = "0123456789abcdef";
    char text[] = {'\\', 'u', '0', '0', hex[code >> 4 & 15], hex[code & 15]};
    switch (code) {
    case '\n':
        buf_put_str(b, "\\n");
        return;
    case '\r':
        buf_put_str(b, "\\r");
        return;
    case '\t':
        buf_put_str(b, "\\t");
        return;
    default:
        buf_put(b, text, sizeof text);
    }
}

/* Controls: C0, DEL and C1, which some terminals obey. */
static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

/* Appends the code point or byte at the start of s, returns how many bytes of s that was. */
static size_t put_safe(struct buf *b, struct span s, bool json)
{
    uint32_t code = 0;
    size_t n = utf8_decode(s, &code);
    if (n == 0) {
        put_escape(b, (unsigned char)s.p[0]);
        return 1;
    }
    if (is_control(code)) {
        put_escape(b, code);
        return n;
    }
    if (json && (code == '"' || code == '\\'))
        buf_put_char(b, '\\');
    buf_put(b, s.p, n);
    return n;
}

/* All or nothing: on failure the content is what it was. */
static void put_escaped(struct buf *b, struct span s, size_t most, bool json)
{
    size_t before = buf_len(b);
    if (b->failed)
        return;
    if (json)
        buf_put_char(b, '"');
    size_t from = buf_len(b);
    for (size_t i = 0; i < s.n && !b->failed;) {
        size_t last = buf_len(b), room = most - (last - from);
        size_t plain = span_quotable(span_sub(s, i, room < s.n - i ? i + room : s.n));
        if (plain > 0) {
            buf_put(b, s.p + i, plain);
            i += plain;
            continue;
        }
        i += put_safe(b, span_sub(s, i, s.n), json);
        if (buf_len(b) - from > most) {
            buf_cut(b, last);
            buf_put_str(b, "\xe2\x80\xa6");
            break;
        }
    }
    if (json)
        buf_put_char(b, '"');
    if (b->failed)
        b->n = b->at + before;
}

void buf_put_json(struct buf *b, struct span s, size_t most)
{
    put_escaped(b, s, most, true);
}

void buf_put_text(struct buf *b, struct span s, size_t most)
{
    put_escaped(b, s, most, false);
}

void buf_take(struct buf *b, size_t n)
{
    b->at += n < buf_len(b) ? n : buf_len(b);
    if (b->at == b->n)
        b->at = b->n = 0;
}
