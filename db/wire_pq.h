/* wire_pq: one connection to PostgreSQL in somebody's loop, never blocking it: names are looked up
 * by c-ares, libpq is driven by its socket, and every step has a deadline. It knows no statement.
 * One thread; part of builds with libpq only. */
#ifndef MERIDIAN_DB_WIRE_PQ_H
#define MERIDIAN_DB_WIRE_PQ_H

#include "db/target.h"
#include "db/where.h"
#include "net/loop.h"
#include "net/resolve.h"

#include <libpq-fe.h>

struct wire;

/* What a failure tells, borrowed for the call. */
struct wire_failure {
    const char *text;  /* one line */
    const char *state; /* SQLSTATE where the server has said one, else "" */
    bool asked_secret; /* the server wants a password, or does not like the one it got */
};

/* Called from the loop; on_fail also from inside wire_dial and wire_ask. wire_hang_up may be called
 * in all of them, wire_dial in none. */
struct wire_events {
    void (*on_open)(struct wire *w);
    /* The statement's last result, or its first error's; borrowed. */
    void (*on_answer)(struct wire *w, const PGresult *r);
    void (*on_wakeup)(struct wire *w, uint64_t n); /* so many notifications have come */
    /* Once; it is hung up then. */
    void (*on_fail)(struct wire *w, const struct wire_failure *f);
};

enum wire_step { WIRE_DOWN, WIRE_LOOKUP, WIRE_CONNECT, WIRE_ASKED, WIRE_IDLE };

struct wire {
    /* set once */
    struct loop *loop;
    const struct db_where *where; /* borrowed */
    const struct wire_events *events;
    /* owner thread */
    enum wire_step step;
    PGconn *pg;
    struct io io;
    struct timer deadline, next;
    struct db_target target;
    size_t host; /* whose name is looked up */
    struct resolver *resolver;
    struct resolve *query;
    PGresult *result; /* of the present statement */
    uint64_t heard;   /* bytes that the connection had received when it was sent */
};

void wire_init(struct wire *w, struct loop *loop, const struct db_where *where,
               const struct wire_events *events);
void wire_fini(struct wire *w);
/* It must be down. The whole of it may take so long. */
void wire_dial(struct wire *w, int64_t within_ms);
/* After a PQsend function, with what that returned. */
void wire_ask(struct wire *w, int sent, int64_t within_ms);
void wire_hang_up(struct wire *w);

#endif
