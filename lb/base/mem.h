/* mem: the one place where heap memory is had and given back (RELIABILITY A2), so that tests can
 * make allocations fail (F16) and the process knows what it holds (A3, section 5). Knows no purpose
 * of the memory. Any thread. */
#ifndef MERIDIAN_BASE_MEM_H
#define MERIDIAN_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed memory, or NULL. The caller owns it and gives it back with mem_free. */
void *mem_alloc(size_t size) __attribute__((malloc, warn_unused_result));
/* count * size, zeroed, overflow checked; NULL where it cannot be had. */
void *mem_array(size_t count, size_t size) __attribute__((warn_unused_result));
/* As realloc; on NULL the old block stays. New bytes are not zeroed. */
void *mem_resize(void *p, size_t size) __attribute__((warn_unused_result));
/* size must be a multiple of align; zeroed. For cache-line-separated objects. */
void *mem_aligned(size_t align, size_t size) __attribute__((warn_unused_result));
void mem_free(void *p);
/* Bytes at p that its owner may use: those asked for, or some more. */
size_t mem_room(void *p);
/* n bytes at p and a NUL after them, or NULL. */
char *mem_copy_str(const char *p, size_t n) __attribute__((warn_unused_result));

/* Gives the system back what is free by whole pages. Takes a fraction of a millisecond for each MiB
 * that it gives back, and holds up who allocates meanwhile: for after something large has ended. */
void mem_trim(void);

/* Bytes that are out now, of all threads. Each thread counts for itself, in a cache line of its
 * own; this sums, so it is for a few times a second. */
uint64_t mem_used(void);

/* Tests only: the allocation number n from now (1 = the next) fails, once; 0 switches it off. */
void mem_fail_at(uint64_t n);
/* Tests only: that one and those that follow it fail, `row` in all. */
void mem_fail_row(uint64_t n, uint64_t row);
/* Tests only: so many of ten thousand allocations fail, by the seed; 0 switches it off. */
void mem_fail_some(uint64_t seed, unsigned of_10000);
/* Tests only: while held, nothing fails and nothing counts towards mem_fail_at. */
void mem_fail_hold(bool on);
/* Allocations that have failed because a test wanted it. */
uint64_t mem_failed(void);
/* Allocations since the start of the process, for tests that count. */
uint64_t mem_count(void);

/* Overwrites secrets, also where nobody reads them afterwards. */
void mem_wipe(void *p, size_t n);

#endif
