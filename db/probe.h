/* probe: asks a database again and again whether servers that need it can work: does it take
 * connections, does it answer, is it the primary, how far behind is it. One loop and its thread. It
 * knows no server and no pool; what a result means is for whoever hears it. */
#ifndef MERIDIAN_DB_PROBE_H
#define MERIDIAN_DB_PROBE_H

#include "base/hash.h"
#include "db/where.h"
#include "net/loop.h"

enum db_level { DB_ACCEPT, DB_QUERY, DB_PRIMARY, DB_LAG };

struct db_probe;

struct db_result {
    bool good;
    int64_t began_ns; /* of the loop */
    int64_t took_ns;
    const char *why; /* one line where it is not good, else "" */
};

struct db_probe_plan {
    struct db_where where; /* copied */
    enum db_level level;
    int64_t interval_ms, timeout_ms, max_lag_ms;
    /* Monotonic time at which the last question was sent that the database has answered somebody
     * else; NULL: nobody asks it. That counts for DB_QUERY, and saves a probe. */
    const _Atomic int64_t *answered_ns;
    void (*on_result)(void *user, const struct db_result *r); /* may not free the probe */
    void *user;
};

/* Begins within the loop's next turn. ERR_NO_MEMORY, ERR_UNSUPPORTED. */
MUST_CHECK
enum err db_probe_new(struct loop *loop, const struct db_probe_plan *plan, struct db_probe **out);
void db_probe_free(struct db_probe **p);
/* The next one at once; one that runs ends first. */
void db_probe_soon(struct db_probe *p);

#endif
