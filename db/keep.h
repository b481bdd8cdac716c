/* keep: the last registry that was applied, as JSON with a checksum, so that a balancer can start
 * while the database is away. Pure: whoever owns the file reads and writes it. */
#ifndef MERIDIAN_DB_KEEP_H
#define MERIDIAN_DB_KEEP_H

#include "base/buf.h"
#include "db/row.h"

#define KEEP_MOST (32 * 1024 * 1024)

void keep_print(const struct row_set *set, struct buf *out);
/* ERR_CORRUPT: cut short, damaged or of another format; ERR_NO_MEMORY. The caller owns *out. */
MUST_CHECK
enum err keep_read(struct span text, struct row_set **out);

#endif
