/* small: small pieces of heap memory, of sizes that come again and again. What is given back is
 * kept for the next borrower up to a bound, so that a warm worker does not touch the heap. Knows no
 * purpose of the memory. One thread: the owner of the store. */
#ifndef MERIDIAN_BASE_SMALL_H
#define MERIDIAN_BASE_SMALL_H

#include "base/reserve.h"

#define SMALL_LEAST 24                    /* the smallest, which is the heap's own */
#define SMALL_STEP  16                    /* from each size to the next, as the heap's */
#define SMALL_MOST  1016                  /* the largest that is kept */
#define SMALL_KEPT  ((size_t)1024 * 1024) /* bytes of all that are kept */

struct small_piece;

/* Zero-initialised is valid. */
struct small_store {
    struct small_piece *free[(SMALL_MOST - SMALL_LEAST) / SMALL_STEP + 1];
    size_t kept;
};

/* Uninitialised bytes, or NULL. What is larger than the largest comes straight from the heap. */
void *small_take(struct small_store *s, size_t size) __attribute__((warn_unused_result));
/* As realloc; on NULL the old piece stays. */
void *small_resize(struct small_store *s, void *p, size_t size) __attribute__((warn_unused_result));
/* The same of what many share. */
void *small_take_lent(struct small_store *s, struct reserve *r, size_t size)
    __attribute__((warn_unused_result));
void *small_resize_lent(struct small_store *s, struct reserve *r, void *p, size_t size)
    __attribute__((warn_unused_result));
/* A piece of this store; NULL is nothing. */
void small_give(struct small_store *s, void *p);
/* The same for one who has asked mem_room(p) already. */
void small_give_known(struct small_store *s, void *p, size_t room);
/* Frees what is kept; every piece has been given back. */
void small_store_fini(struct small_store *s);

#endif
