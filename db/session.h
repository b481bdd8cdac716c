/* session: one connection to the central PostgreSQL, in somebody's loop and never blocking it. It
 * listens for wake-ups, polls the change log into the table of tags, reads the registry's rows when
 * their tags do not hold any more (and every REREAD_MS in any case), and hands them on. It knows
 * no configuration; it must not run on a worker. A database that is away, slow or talking nonsense
 * costs nothing but a retry.
 *
 * Built without libpq, session_check says so and nothing else is called. */
#ifndef MERIDIAN_DB_SESSION_H
#define MERIDIAN_DB_SESSION_H

#include "base/log.h"
#include "db/row.h"
#include "db/tags.h"
#include "db/where.h"
#include "net/loop.h"

#include <stdatomic.h>

/* What is shown of a session; written by its thread, read by any. */
struct session_facts {
    _Atomic bool up;
    _Atomic uint64_t connects, failures; /* tries that ended well; all that ended otherwise */
    _Atomic uint64_t polls, wakeups, changes, flushes, reads, resumes;
    _Atomic int64_t contact_ns; /* monotonic: when the last answer was asked for; 0: never */
    _Atomic uint32_t poll_us;   /* how long the last poll took */
};

struct session;

struct session_plan {
    struct db_where where;                             /* copied */
    char *pools;                                       /* whose rows: "api,web"; copied */
    struct session_facts *facts;                       /* borrowed */
    struct tags *tags;                                 /* borrowed; written by this session alone */
    struct log *log;                                   /* borrowed, may be NULL */
    void (*on_rows)(void *user, struct row_set *rows); /* the receiver owns them */
    void (*on_away)(void *user, const char *why); /* one line; when the reason is another one */
    void *user;
};

/* Whether such a connection can be had: ERR_SYNTAX with the reason appended, ERR_UNSUPPORTED where
 * this build has no libpq. It connects to nothing. Any thread. */
MUST_CHECK
enum err session_check(const char *conninfo, struct buf *why);
/* Begins to connect in this loop's next turn. ERR_NO_MEMORY, ERR_UNSUPPORTED. */
MUST_CHECK
enum err session_new(struct loop *loop, const struct session_plan *plan, struct session **out);
/* True: the plan is about the same place, and what else it says holds from now on, without another
 * connection. */
bool session_follow(struct session *s, const struct session_plan *plan);
void session_free(struct session **s);

#endif
