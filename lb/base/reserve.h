/* reserve: memory that one thread lays aside for the moment at which the heap has none left
 * (RELIABILITY section 5, F16: a failed allocation ends one exchange, nothing else). What a request
 * asks for alone may fail: that request ends. What many share must not, as all of them would end: a
 * connection, what libnghttp2 holds for one, bytes that wait on one. Whoever takes memory for such
 * a thing gives a block of the reserve back to the heap where that refuses, and asks it once more.
 * What was lent is laid aside anew as soon as it can be had; until then, once all is lent, it is as
 * without a reserve: the connection ends. Knows no purpose of the memory. One thread: its owner,
 * the conn_env of a worker. */
#ifndef MERIDIAN_BASE_RESERVE_H
#define MERIDIAN_BASE_RESERVE_H

#include <stdbool.h>
#include <stddef.h>

#define RESERVE_BLOCK  ((size_t)20 * 1024) /* a frame of HTTP/2 or a record of TLS fits */
#define RESERVE_BLOCKS 8

/* Zero-initialised is valid: nothing is laid aside. Pages of it that nobody has touched take
 * address space only. */
struct reserve {
    void *blocks[RESERVE_BLOCKS];
    size_t count;
};

/* Lays aside what is missing, as far as the heap has it; whether nothing is missing now. */
bool reserve_fill(struct reserve *r);
/* Gives as much back to the heap as `size` bytes need; false: there is not so much left. */
bool reserve_lend(struct reserve *r, size_t size);
/* As mem_alloc, of what many share. */
void *reserve_alloc(struct reserve *r, size_t size) __attribute__((malloc, warn_unused_result));
/* Gives all back. */
void reserve_fini(struct reserve *r);

#endif
