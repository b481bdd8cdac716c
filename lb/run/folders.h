/* folders: what a check of a configuration can say about folders: those that a start needs and does
 * not make, of which it only warns, as a service manager may make them just before; and one that is
 * named where a file is wanted. */
#ifndef MERIDIAN_RUN_FOLDERS_H
#define MERIDIAN_RUN_FOLDERS_H

#include "conf/conf.h"

/* ERR_EXISTS, ERR_SYMLINK: a folder, or links in a circle, are where the access log should be; `to`
 * says so. */
MUST_CHECK
enum err folders_check(const struct conf *conf, struct conf_messages *to);
/* before_start: of those too that a start itself reports. */
void folders_warn(const struct conf *conf, struct conf_messages *to, bool before_start);

#endif
