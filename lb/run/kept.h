/* kept: what a reload cannot change, as it was when the process began, so that a configuration that
 * has something else there is told so for as long as it has. Knows the keys; not who uses what is
 * under them. Main thread. */
#ifndef MERIDIAN_RUN_KEPT_H
#define MERIDIAN_RUN_KEPT_H

#include "conf/conf.h"

#define KEPT_TEXTS 3

struct kept {
    char *texts[KEPT_TEXTS];
};

/* Copies them. ERR_NO_MEMORY; kept_fini is needed all the same. */
MUST_CHECK
enum err kept_init(struct kept *kept, const struct conf *conf);
void kept_fini(struct kept *kept);
/* A line for each key that is not as it was. */
void kept_warn(const struct kept *kept, const struct conf *conf, struct buf *messages);

#endif
