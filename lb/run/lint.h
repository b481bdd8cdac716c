/* lint: what only the central database itself can tell about a configuration: does it answer, does
 * it have what will be asked for, may the role read it. It waits for the database; for `-t
 * --with-database` alone. */
#ifndef MERIDIAN_RUN_LINT_H
#define MERIDIAN_RUN_LINT_H

#include "conf/conf.h"

/* Messages are appended. ERR_SYNTAX: something would not work. */
MUST_CHECK
enum err lint_database(const struct conf *conf, struct buf *messages);

#endif
