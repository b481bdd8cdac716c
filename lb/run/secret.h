/* secret: a key or a token out of a file. Blocking: helper thread, or the start. */
#ifndef MERIDIAN_RUN_SECRET_H
#define MERIDIAN_RUN_SECRET_H

#include "base/err.h"
#include "base/str.h"

enum { SECRET_MOST = 4096 };

struct secret {
    size_t n;
    char bytes[SECRET_MOST];
};

/* What a regular file holds, without blanks and line ends behind it. ERR_RANGE: fewer than `least`
 * bytes, or SECRET_MOST and more; ERR_UNSUPPORTED: no regular file, which could keep us waiting. */
MUST_CHECK
enum err secret_read(const char *path, size_t least, struct secret *out);

#endif
