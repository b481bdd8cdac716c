/* file: whole files for tests of the configuration. */
#ifndef MERIDIAN_TESTS_CONF_FILE_H
#define MERIDIAN_TESTS_CONF_FILE_H

#include "conf/conf.h"

/* Appends the file's bytes; false where it cannot be read. */
bool file_read(const char *path, struct buf *out);
/* The names in a folder that end in `suffix`, sorted; at most `most`, each owned by the caller. */
size_t file_list(const char *folder, const char *suffix, char **names, size_t most);

/* Loads text that must be right. */
struct conf *load_good(const char *text);
/* Loads text that must be wrong; the caller frees the messages. */
void load_bad(const char *text, struct buf *messages);

#endif
