/* watch: notices that certificates or geo databases were replaced while the process runs, reads
 * them again and publishes what is good (RELIABILITY C3, C4, F28). The configuration itself is not
 * read: that waits for a reload. A thread of its own looks at the files every second, so that a
 * file system that hangs holds up nobody; a file is read when it has looked the same twice, so that
 * nobody's half-written file is taken for a broken one. Main thread only. */
#ifndef MERIDIAN_RUN_WATCH_H
#define MERIDIAN_RUN_WATCH_H

#include "run/helper.h"

struct balancer;
struct material_share;
struct watch_file;
struct watch_look;

struct watch {
    struct helper *helper;
    struct material_share *of; /* whose files these are; counted */
    struct watch_file *files;  /* the helper's while it looks */
    size_t file_count;
    struct watch_look *looking; /* at the helper; NULL: none */
    struct watch_look *found;   /* waits for a reload to end; NULL: nothing */
    unsigned again; /* ticks until what was refused is tried once more; 0: nothing was */
    int64_t expiry_checked_s;
    _Atomic uint64_t certs_good, certs_bad, geo_good, geo_bad;
};

/* Once a second. */
void watch_tick(struct balancer *b);
/* The helper has looked. */
void watch_looked(struct balancer *b, struct watch_look *look);
/* Waits for the helper. */
void watch_fini(struct balancer *b);

#endif
