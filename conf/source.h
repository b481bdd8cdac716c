/* source: what a configuration was read from, and how a message about it looks. Knows the text, not
 * what it means. One thread at a time. */
#ifndef MERIDIAN_CONF_SOURCE_H
#define MERIDIAN_CONF_SOURCE_H

#include "base/arena.h"
#include "conf/conf.h"

#define CONF_MESSAGES_MOST 50 /* messages that are written; more are only counted */

#define CONF_FILES_MOST 256

struct conf_file {
    struct span name; /* a NUL follows */
    struct span text; /* without a byte order mark */
};

struct conf_source {
    struct arena arena; /* everything that struct conf owns */
    bool from_file;     /* may include others */
    size_t count, bytes;
    struct conf_file
        files[CONF_FILES_MOST]; /* the one that was asked for, then those it includes */
};

/* Copies name and text; NULL without memory. */
struct conf_source *source_new(const char *name, struct span text);
void source_free(struct conf_source **source);
/* One more file, of which there must be room. ERR_RANGE: all together are too large; ERR_NO_MEMORY.
 */
MUST_CHECK
enum err source_add(struct conf_source *source, const char *name, struct span text, size_t *file);
/* Appends a file's bytes, one more than LIMIT_CONF_BYTES at most, so that the bound is seen.
 * ERR_EXISTS: it is a folder. Blocking, of what is no file (a pipe) for a few seconds at most:
 * ERR_UNSUPPORTED. */
MUST_CHECK
enum err source_read(const char *path, struct buf *text);

/* Why source_read() could not, in words that say how to mend it. */
const char *source_why(enum err e);

/* The file that a place is in. */
static inline struct span source_name(const struct conf_source *source, const struct conf_mark *at)
{
    return source->files[at->file].name;
}

/* Checks what the YAML parser must not be given: bytes that are not UTF-8 text, endless lines.
 * Every finding is reported; true where there is none. */
bool source_check(const struct conf_source *source, size_t file, struct conf_messages *m);

/* At most 64 bytes of s, ended at a character's border: for quoting values in messages. */
struct span source_clip(struct span s);

/* Whether a further message would be written: look-ups that only make one better can be spared. */
static inline bool source_wanted(const struct conf_messages *m)
{
    return m->errors < CONF_MESSAGES_MOST;
}

/* Writes how many messages were held back, if any. To be called once, after the last one. */
void source_finish(struct conf_messages *m);

#endif
