/* stamp: what the file system says about a file, to notice that it was replaced, changed, taken
 * away or given other permissions. Follows symbolic links. Reads the file system: never on a
 * worker. */
#ifndef MERIDIAN_RUN_STAMP_H
#define MERIDIAN_RUN_STAMP_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct stamp {
    bool there;
    uint64_t device, inode;
    int64_t bytes, changed_ns, status_ns;
};

/* path NULL: like a file that is not there. */
struct stamp stamp_of(const char *path);
bool stamp_eq(const struct stamp *a, const struct stamp *b);

#endif
