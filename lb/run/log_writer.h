/* log_writer: takes access-log lines from the workers through one ring each and writes them on a
 * thread of its own, so that a full disk or a stopped reader never holds up a worker (RELIABILITY
 * L38, F29): what does not fit is dropped and counted. It knows files and rings; it must not know
 * what a line says. */
#ifndef MERIDIAN_RUN_LOG_WRITER_H
#define MERIDIAN_RUN_LOG_WRITER_H

#include "base/str.h"

#include <stdint.h>

struct log_writer;

/* path: "stdout", "stderr" or a file, opened for appending. ERR_PERMISSION, ERR_NOT_FOUND,
 * ERR_SYSTEM, ERR_NO_MEMORY. Main thread. */
MUST_CHECK
enum err log_writer_new(const char *path, unsigned workers, struct log_writer **out);
/* Writes what is there (for two seconds at most) and ends the thread. */
void log_writer_free(struct log_writer **w);
/* Opens the path again after rotation. Any thread. */
void log_writer_reopen(struct log_writer *w);
/* Lines that were taken and could not be written (a full disk) since it was last asked. Any thread.
 */
uint64_t log_writer_take_lost(struct log_writer *w);
/* One line of worker i; false: dropped. Worker i's thread only. */
bool log_writer_put(struct log_writer *w, unsigned worker, struct span line);

#endif
