/* row: servers as the registry names them, read from text that nobody has checked. A row that
 * cannot be used is left out and counted, never fatal. Pure; it knows no connection, no
 * configuration and no health. */
#ifndef MERIDIAN_DB_ROW_H
#define MERIDIAN_DB_ROW_H

#include "base/arena.h"
#include "net/addr.h"

#define ROWS_MOST       65536 /* as many as there can be endpoints */
#define ROWS_POOL_MOST  10000
#define ROW_WEIGHT_MOST 1000
#define ROW_TTL_MOST_MS 86400000
#define ROW_SITE_MOST   63

enum row_desired { ROW_ACTIVE, ROW_DRAIN, ROW_MAINTENANCE };

struct row {
    struct span pool, address, site; /* in the set's arena; address as addr_print writes it */
    struct addr addr;
    uint32_t weight; /* 0..ROW_WEIGHT_MOST; 0: no traffic */
    enum row_desired desired;
    int64_t ttl_ms; /* of its lease; 0: permanent */
    bool lapsed;    /* the lease is over */
    bool expired;   /* for ten times its length */
};

/* A row that serves nobody, for whoever asks why: some of them are kept. */
struct row_idle {
    struct span pool, address; /* what was read, cut */
    const char *why;
};
#define ROWS_IDLE_MOST 32

struct row_set {
    struct arena arena;
    struct row *rows;         /* by pool and address, after row_set_settle */
    size_t count, held, room; /* room: what it may grow to */
    size_t skipped;
    struct row_idle bad[ROWS_IDLE_MOST]; /* the first of those that were left out */
    size_t bad_count;
    bool after_gap;     /* the first read of a connection */
    struct span server; /* which database said so, as feed has it; in the arena */
    int64_t read_s;     /* when: seconds since 1970; 0: unknown */
};

/* The columns of one row as text. */
enum row_column {
    COLUMN_POOL,
    COLUMN_ADDRESS,
    COLUMN_WEIGHT,
    COLUMN_SITE,
    COLUMN_DESIRED,
    COLUMN_TTL_MS,
    COLUMN_LAPSED,
    COLUMN_EXPIRED,
    ROW_COLUMNS
};

/* NULL without memory. Room for so many rows; the others count as skipped. */
struct row_set *row_set_new(size_t room);
void row_set_free(struct row_set **set);
/* ERR_NO_MEMORY; a row that cannot be used is ERR_OK and counted. */
MUST_CHECK
enum err row_set_add(struct row_set *set, const struct span columns[ROW_COLUMNS]);
/* Remembers that a row was left out, as far as there is room and memory. */
void row_set_note(struct row_set *set, struct span pool, struct span address, const char *why);
/* Copies a row of another set. ERR_NO_MEMORY. */
MUST_CHECK
enum err row_set_copy(struct row_set *set, const struct row *row);
/* Sorts, and leaves out an address that is there twice and what is too much for one pool. */
void row_set_settle(struct row_set *set);
/* Drops those for which `gone` says so. */
void row_set_drop(struct row_set *set, bool (*gone)(void *ctx, const struct row *row), void *ctx);
/* The rows of one pool: *first, and how many. */
size_t row_set_pool(const struct row_set *set, struct span pool, const struct row **first);
/* Whether both say the same to a balancer; leases aside. Either may be NULL: empty. */
bool row_set_same(const struct row_set *a, const struct row_set *b);
const char *row_desired_name(enum row_desired desired);

#endif
