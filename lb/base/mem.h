/* mem: the one place where heap memory is had and given back (RELIABILITY A2), so that tests can
 * make the n-th allocation fail and the process can account for what it holds. Knows no purpose of
 * the memory. Any thread. */
#ifndef MERIDIAN_BASE_MEM_H
#define MERIDIAN_BASE_MEM_H

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
/* n bytes at p and a NUL after them, or NULL. */
char *mem_copy_str(const char *p, size_t n) __attribute__((warn_unused_result));

/* Tests only: the allocation number n from now (1 = the next) fails, once; 0 switches it off. */
void mem_fail_at(uint64_t n);
/* Allocations since the start of the process, for tests that count. */
uint64_t mem_count(void);

/* Overwrites secrets, also where nobody reads them afterwards. */
void mem_wipe(void *p, size_t n);

#endif
