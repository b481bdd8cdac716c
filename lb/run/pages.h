/* pages: the files of error pages, read whole when a configuration is loaded, so that no worker
 * ever reads one. Belongs to one snapshot; immutable. Blocking: never on a worker. */
#ifndef MERIDIAN_RUN_PAGES_H
#define MERIDIAN_RUN_PAGES_H

#include "conf/conf.h"

struct pages;

/* Reads every file that is named, at most LIMIT_ERROR_PAGE bytes of each. What cannot be read is
 * reported at its place. *out is NULL on failure: ERR_NOT_FOUND or ERR_NO_MEMORY. */
MUST_CHECK
enum err pages_load(const struct conf *conf, struct conf_messages *to, struct pages **out);
void pages_free(struct pages **pages);
/* By the index of struct conf_page; lives as long as the pages. */
struct span pages_content(const struct pages *pages, size_t index);

#endif
