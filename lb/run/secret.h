/* secret: a key, a token or a password from where the configuration says it is. It reads a regular
 * file at most, and waits for nothing else: helper thread, the start, or a new connection to the
 * database. */
#ifndef MERIDIAN_RUN_SECRET_H
#define MERIDIAN_RUN_SECRET_H

#include "base/buf.h"

enum { SECRET_MOST = 4096 };

struct secret {
    size_t n;
    char bytes[SECRET_MOST];
};

/* What a regular file holds, without blanks and line ends behind it. ERR_RANGE: fewer than `least`
 * bytes, or SECRET_MOST and more; ERR_UNSUPPORTED: no regular file, which could keep us waiting. */
MUST_CHECK
enum err secret_read(const char *path, size_t least, struct secret *out);

/* Wiped, freed, and *out is NULL then; NULL is fine. */
void secret_free(struct secret **out);

/* The same of "file:/…", "credential:NAME" (of the service manager) or "${NAME}" (of the
 * environment), appended to *out. ERR_NOT_FOUND; ERR_SYNTAX: empty, several lines, or a NUL. */
MUST_CHECK
enum err secret_fetch(const char *where, struct buf *out);

#endif
