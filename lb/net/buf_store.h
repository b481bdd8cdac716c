/* buf_store: pieces of memory of a few fixed sizes, lent to connections while bytes are in flight,
 * and chains of them. It knows sizes; it must not know whose bytes they hold. What is given back is
 * kept for the next borrower up to a bound, so that a warm worker does not touch the heap. One
 * thread: the owner of the store. */
#ifndef MERIDIAN_NET_BUF_STORE_H
#define MERIDIAN_NET_BUF_STORE_H

#include "base/reserve.h"
#include "base/str.h"

#include <sys/uio.h>

struct chunk {
    struct chunk *next;
    size_t at, n; /* [at, n) is the content */
    size_t cap;
    char bytes[];
};

struct buf_store;

MUST_CHECK
enum err buf_store_new(struct buf_store **out);
void buf_store_free(struct buf_store **s);
/* An empty chunk of at least `size` bytes; NULL without memory. Larger ones than the largest class
 * come straight from the heap. */
struct chunk *buf_store_take(struct buf_store *s, size_t size);
/* The same of what many share. */
struct chunk *buf_store_take_lent(struct buf_store *s, struct reserve *r, size_t size);
/* Gives it back and empties *c; NULL is nothing. */
void buf_store_give(struct buf_store *s, struct chunk **c);
/* Bytes that are kept for borrowers. */
size_t buf_store_kept(const struct buf_store *s);

static inline struct span chunk_span(const struct chunk *c)
{
    return span_of(c->bytes + c->at, c->n - c->at);
}

/* Bytes in order, in chunks. All zero: empty. */
struct chain {
    struct chunk *first, *last;
    uint32_t bytes;
    uint32_t room; /* what its chunks take */
};

/* Copies all of s to the end, or nothing: false without memory. */
bool chain_put(struct chain *c, struct buf_store *s, struct span bytes);
/* The same of what many share. */
bool chain_put_lent(struct chain *c, struct buf_store *s, struct reserve *r, struct span bytes);
/* Drops n bytes from the front. */
void chain_take(struct chain *c, struct buf_store *s, size_t n);
void chain_clear(struct chain *c, struct buf_store *s);
/* Fills at most `most` entries with the front of the chain; the count of entries. */
int chain_iov(const struct chain *c, struct iovec *iov, int most);

#endif
