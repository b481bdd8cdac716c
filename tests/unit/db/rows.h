/* rows: sets of rows for tests, written as lines "pool address weight site desired ttl_ms l e". */
#ifndef MERIDIAN_TESTS_DB_ROWS_H
#define MERIDIAN_TESTS_DB_ROWS_H

#include "db/row.h"

struct row_set *rows_of(const char *lines);

#endif
