/* keep_file: the file in the state folder that holds the last registry: read at start, written anew
 * as a whole, so that a crash leaves the old one or the new one. It blocks: main thread at start,
 * helper afterwards. It knows no row. */
#ifndef MERIDIAN_RUN_KEEP_FILE_H
#define MERIDIAN_RUN_KEEP_FILE_H

#include "base/buf.h"
#include "conf/conf.h"

/* $STATE_DIRECTORY stands in for a folder that was not written. NULL without memory; the caller
 * frees it with mem_free. */
char *keep_file_path(const struct conf *conf);
/* ERR_NOT_FOUND, ERR_PERMISSION, ERR_SYSTEM, ERR_FULL (larger than the buffer may be). */
MUST_CHECK
enum err keep_file_read(const char *path, struct buf *out);
MUST_CHECK
enum err keep_file_write(const char *path, struct span text);

#endif
