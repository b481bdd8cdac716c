/* lint: whether a database has what a balancer will ask it for. It connects, asks and waits: for
 * checking a configuration, never for a thread that serves. */
#ifndef MERIDIAN_DB_LINT_H
#define MERIDIAN_DB_LINT_H

#include "db/where.h"

#define DB_VERSION 3 /* of the objects that deploy/sql/meridian.sql makes */

/* Calls `say` for each thing that is wrong, with what to do about it; fatal: it would not work at
 * all. registry: the pool registry is wanted, else it must only answer. ERR_UNSUPPORTED: built
 * without libpq. */
MUST_CHECK
enum err db_lint(const struct db_where *where, bool registry,
                 void (*say)(void *user, bool fatal, const char *text), void *user);

#endif
