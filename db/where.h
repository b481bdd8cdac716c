/* where: how a database is reached: the words of the connection and what is not in them. Plain
 * data. */
#ifndef MERIDIAN_DB_WHERE_H
#define MERIDIAN_DB_WHERE_H

#include "base/buf.h"

struct db_where {
    char *conninfo;     /* words, as libpq reads them */
    char *password;     /* where it is, for `secret`; NULL: nowhere but in the words */
    char *name_servers; /* whom host names are asked of, as resolver_new takes it; NULL: the
                           system's */
    /* Reads a secret, appended to *out. Called on the thread of the connection, each time that one
     * is made: it must not wait for anything. */
    enum err (*secret)(const char *where, struct buf *out);
};

/* ERR_NO_MEMORY: *to is empty. */
MUST_CHECK
enum err db_where_copy(struct db_where *to, const struct db_where *from);
void db_where_free(struct db_where *w);
bool db_where_same(const struct db_where *a, const struct db_where *b);

#endif
