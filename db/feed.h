/* feed: what was seen of the change log, and what an answer of the poll means. The poll returns the
 * tags of exactly those transactions that committed between two snapshots of the database, whatever
 * the order of their numbers (deploy/sql/meridian.sql). Where that cannot be told, everything
 * counts as changed: a flush. What changed goes into the table of tags. Pure; it knows no
 * connection and no clock. */
#ifndef MERIDIAN_DB_FEED_H
#define MERIDIAN_DB_FEED_H

#include "base/buf.h"
#include "db/tags.h"

#define FEED_SNAPSHOT_MOST KIB(256)
#define FEED_SERVER_MOST   128
#define FEED_TAGS_MOST     100000 /* of one poll; more are a flush */

struct feed {
    struct buf at; /* the last snapshot, as text with a NUL; empty: none yet */
    char server[FEED_SERVER_MOST];
    size_t server_n;
    uint64_t next; /* xmax of that snapshot: a database never goes back behind it by itself */
    bool same;     /* the connection is the one of the last answer */
};

/* One answer of the poll; text borrowed. */
struct feed_answer {
    struct span now_at;
    struct span server; /* identity of the database; empty: it could not be asked */
    struct span floor;  /* the log is complete from here on */
    struct span tags;   /* one a line */
};

enum feed_news {
    FEED_NOTHING,
    FEED_CHANGED, /* there were tags */
    FEED_FLUSHED, /* something may have been missed */
};

void feed_init(struct feed *f);
void feed_fini(struct feed *f);
static inline bool feed_began(const struct feed *f)
{
    return buf_len(&f->at) != 0;
}
/* $1 of the next poll. */
const char *feed_snapshot(const struct feed *f);
/* The next answer comes by another connection: perhaps from another database, or from one that was
 * set back. Without a known identity it flushes. */
void feed_disconnected(struct feed *f);
/* The next poll is the first one. */
void feed_forget(struct feed *f);
/* Moves on to the answer and publishes its tags. ERR_SYNTAX, ERR_NO_MEMORY: nothing was taken from
 * it, and the connection is not to be trusted. */
MUST_CHECK
enum err feed_apply(struct feed *f, const struct feed_answer *a, struct tags *tags,
                    enum feed_news *news);

#endif
