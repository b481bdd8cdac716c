/* central: what the main thread knows from the central database: the rows of the registry that are
 * in force, the file that keeps them for a start without the database, how what servers depend on
 * is, and which session and probes the health thread runs. New rows are settled (leases, brake),
 * compared and, where a balancer would do something else, published as a snapshot of the same
 * configuration. Main thread only. */
#ifndef MERIDIAN_RUN_CENTRAL_H
#define MERIDIAN_RUN_CENTRAL_H

#include "conf/conf.h"
#include "db/lease.h"
#include "db/session.h"
#include "run/dependency.h"
#include "run/helper.h"

struct balancer;

/* A4: 8 MiB, of which those pages are touched that tags hash to. */
#define TAG_SLOTS (1 << 20)

enum central_origin { CENTRAL_NONE, CENTRAL_FILE, CENTRAL_DATABASE };

/* What is known of one dependency; its place is the one in the configuration. */
struct central_dependency {
    struct dependency_facts facts; /* written by the health thread */
    char name[DEPENDENCY_NAME + 1], why[DEPENDENCY_WHY];
};

struct central {
    struct session_facts facts; /* written by the health thread */
    struct tags tags;           /* the same */
    struct central_dependency dependencies[HEALTH_DEPENDENCY_MOST];
    struct lease_book leases;
    struct row_set *rows; /* in force; NULL: none */
    enum central_origin origin;
    char why[DEPENDENCY_WHY];    /* it was away last; "": never */
    size_t skipped;              /* rows of the last read that could not be used */
    struct db_where where;       /* of the session that runs; conninfo NULL: none */
    char *pools;                 /* whose rows it reads */
    const struct conf *starting; /* while the start waits for rows, else NULL */
    struct helper *keeper;
    struct central_save *saving;
    bool save_again;
    _Atomic uint64_t saves, saves_failed;
};

/* At start, before the first snapshot: what the database says if it answers within the time that
 * the file gives it, else what the last process knew (C9). */
void central_begin(struct balancer *b, const struct conf *conf);
/* After a snapshot has been published: the session and the probes that it asks for. */
void central_follow(struct balancer *b, bool new_conf);
/* News from the health thread, freed. */
void central_dependency(struct balancer *b, struct dependency_news *news);
/* Rows from the health thread, taken. */
void central_rows(struct balancer *b, struct row_set *rows);
/* Why there is no session now, freed. */
void central_away(struct balancer *b, char *why);
/* The keeper has written the file. */
void central_saved(struct balancer *b, struct central_save *save);
/* Between the files: */
/* Begins the session that the configuration asks for, or ends the one that it does not. */
MUST_CHECK
enum err central_ask(struct balancer *b, const struct conf *conf);
/* From now on there is a thread that writes the file; it begins with what has come already. */
void central_begin_keeping(struct balancer *b);
/* After the health thread has ended. */
void central_fini(struct balancer *b);

#endif
