/* buf: one growing run of bytes with a bound, the only append interface (RELIABILITY A6, H13).
 * Knows nothing of what the bytes mean. An append that does not fit sets `failed` and changes
 * nothing else, nor do appends after it, until buf_clear: callers check once at the end. One
 * thread. */
#ifndef MERIDIAN_BASE_BUF_H
#define MERIDIAN_BASE_BUF_H

#include "base/str.h"

#include <stdarg.h>

struct buf {
    char *p;
    size_t at;    /* first byte not yet taken */
    size_t n;     /* end of the bytes; [at, n) is the content */
    size_t cap;   /* allocated */
    size_t limit; /* cap never passes it; 0 = none */
    bool fixed;   /* memory is the caller's: never grown, never freed */
    bool failed;
};

void buf_init(struct buf *b, size_t limit);
/* Uses the caller's memory and never more. */
void buf_fixed(struct buf *b, char *memory, size_t size);
void buf_fini(struct buf *b);
static inline size_t buf_len(const struct buf *b)
{
    return b->n - b->at;
}
static inline struct span buf_span(const struct buf *b)
{
    return span_of(b->p != NULL ? b->p + b->at : NULL, b->n - b->at);
}
static inline void buf_clear(struct buf *b)
{
    b->at = b->n = 0;
    b->failed = false;
}
/* Room for n more bytes at p + n; false (and `failed`) where it cannot be had. */
bool buf_make_room(struct buf *b, size_t n);
static inline bool buf_reserve(struct buf *b, size_t n)
{
    return n <= b->cap - b->n || buf_make_room(b, n);
}
void buf_put_slow(struct buf *b, const void *p, size_t n);
static inline void buf_put(struct buf *b, const void *p, size_t n)
{
    if (n == 0 || b->failed || n > b->cap - b->n) {
        buf_put_slow(b, p, n);
        return;
    }
    memcpy(b->p + b->n, p, n);
    b->n += n;
}
static inline void buf_put_span(struct buf *b, struct span s)
{
    buf_put(b, s.p, s.n);
}
static inline void buf_put_str(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}
static inline void buf_put_char(struct buf *b, char c)
{
    buf_put(b, &c, 1);
}
void buf_put_u64(struct buf *b, uint64_t v);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *format, va_list ap)
    __attribute__((format(printf, 2, 0)));
/* A JSON string with its quotes: control bytes, quotes, backslash and bytes >= 0x7f that are not
 * valid UTF-8 escaped (RELIABILITY H23). At most `most` bytes are written between the quotes,
 * however many of them escapes need (L38); what is longer ends in "…" behind those. */
void buf_put_json(struct buf *b, struct span s, size_t most);
/* The same for a line of plain text: no quotes around it, quotes and backslash as they are. */
void buf_put_text(struct buf *b, struct span s, size_t most);
/* Leaves the first n bytes of the content; there are as many. */
static inline void buf_cut(struct buf *b, size_t n)
{
    b->n = b->at + n;
}
/* Drops n bytes from the front, or all where there are fewer. */
void buf_take(struct buf *b, size_t n);

#endif
