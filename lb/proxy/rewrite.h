/* rewrite: the path towards servers. Immutable, part of a policy; pure. Knows no route. */
#ifndef MERIDIAN_PROXY_REWRITE_H
#define MERIDIAN_PROXY_REWRITE_H

#include "base/arena.h"

/* Both begin with '/' and do not end with it, or are empty. All zero changes nothing. */
struct rewrite {
    struct span strip, add;
};

/* Takes `strip` off where the path begins with it up to a segment's border, then puts `add` before
 * what is left. The result begins with exactly one slash (RELIABILITY H17); "*" stays. *out is the
 * path's own memory or the arena's. ERR_NO_MEMORY. */
MUST_CHECK
enum err rewrite_path(const struct rewrite *w, struct span path, struct arena *arena,
                      struct span *out);

#endif
