/* clock: the only place that reads the system's clocks. Workers use the cached time of their loop
 * (net/loop.h) instead; tests replace both. Any thread. */
#ifndef MERIDIAN_BASE_CLOCK_H
#define MERIDIAN_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define NS_PER_US 1000LL
#define NS_PER_MS 1000000LL
#define NS_PER_S  1000000000LL

/* Nanoseconds of the monotonic clock. */
int64_t clock_mono_ns(void);
/* The same, also while the machine sleeps: for how long something may be believed. */
int64_t clock_boot_ns(void);
/* Nanoseconds since 1970, UTC; for Date, logs and certificates only (RELIABILITY C5). */
int64_t clock_wall_ns(void);
/* CPU time of the calling thread in nanoseconds. */
int64_t clock_thread_ns(void);
/* "2026-11-23T10:11:12.345Z" (24 bytes, no NUL). */
void clock_print_rfc3339(char out[24], int64_t wall_ns);
/* The same, kept from one moment to the next: within a second only its end is written anew. Begins
 * zeroed. */
struct clock_stamp {
    int64_t from_ns, to_ns; /* the second that text is of */
    char text[24];
};
void clock_stamp_set(struct clock_stamp *s, int64_t wall_ns);
/* "Mon, 23 Nov 2026 10:11:12 GMT" (29 bytes, no NUL; RFC 9110 section 5.6.7). */
void clock_print_http(char out[29], int64_t wall_ns);
/* "23/Nov/2026:10:11:12 +0000" (26 bytes, no NUL; the combined log's form). */
void clock_print_log(char out[26], int64_t wall_ns);

#endif
