/* folders: what a check of a configuration can say about folders that a start needs and does not
 * make. Warnings only: a service manager may make them just before the start. */
#ifndef MERIDIAN_RUN_FOLDERS_H
#define MERIDIAN_RUN_FOLDERS_H

#include "conf/conf.h"

/* before_start: of those too that a start itself reports. */
void folders_warn(const struct conf *conf, struct conf_messages *to, bool before_start);

#endif
