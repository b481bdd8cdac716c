/* source: what a configuration was read from, and how a message about it looks. Knows the text, not
 * what it means. One thread at a time. */
#ifndef MERIDIAN_CONF_SOURCE_H
#define MERIDIAN_CONF_SOURCE_H

#include "base/arena.h"
#include "conf/conf.h"

#define CONF_MESSAGES_MOST 50 /* messages that are written; more are only counted */

struct conf_source {
    struct arena arena; /* everything that struct conf owns */
    struct span name;   /* of the file */
    struct span text;   /* without a byte order mark */
};

/* Copies name and text; NULL without memory. */
struct conf_source *source_new(const char *name, struct span text);
void source_free(struct conf_source **source);

/* Checks what the YAML parser must not be given: bytes that are not UTF-8 text, endless lines.
 * Every finding is reported; true where there is none. */
bool source_check(const struct conf_source *source, struct conf_messages *m);

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
