/* line: the requests of one pool that wait on one worker, and who is served next: the more
 * important before the less important, of equals the one of better standing, then the one
 * whose time is up first; behind all of them those that can hardly be answered in time any more. It
 * knows no request and no clock. Pure.
 */
#ifndef MERIDIAN_PROXY_LINE_H
#define MERIDIAN_PROXY_LINE_H

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

enum rank { RANK_HIGH, RANK_NORMAL, RANK_LOW, RANK_COUNT };

/* How likely it is that who gets a server's place holds it for nothing (RELIABILITY G9). */
enum standing {
    STANDING_PROVEN,     /* its connection has taken an answer, and its content is here */
    STANDING_NEW,        /* it may turn out to read nothing */
    STANDING_UNFINISHED, /* its content may never come */
    STANDING_COUNT
};

struct waiter {
    struct link link;
    int64_t due_ns;    /* until when it waits */
    int64_t latest_ns; /* who is served after this is hardly answered in time; INT64_MAX: never */
    int64_t neglected_ns; /* who is new has waited long by then */
    enum rank rank;
    enum standing standing;
    bool late; /* the line's own */
};

struct line {
    struct link groups[RANK_COUNT * STANDING_COUNT]; /* each by due_ns */
    struct link late;                                /* in the order in which they became so */
    uint32_t count, of_rank[RANK_COUNT];
};

void line_init(struct line *l);
/* Looks at no more than LINE_LOOK places from the end: in a line of many different times one may
 * stand behind somebody who could wait longer. */
#define LINE_LOOK 64
void line_join(struct line *l, struct waiter *w);
void line_leave(struct line *l, struct waiter *w);
/* Who is served next, and who after w (which is in the line); NULL: nobody. */
struct waiter *line_first(struct line *l, int64_t now_ns);
struct waiter *line_after(struct line *l, const struct waiter *w, int64_t now_ns);
/* Of the most important who wait the new one that those of better standing have kept waiting for
 * long; NULL: nobody. It is to be asked first: where the old ones alone fill all servers, no new
 * one would ever be served. */
struct waiter *line_neglected(const struct line *l, int64_t now_ns);
/* Who gives up the place for a new request of this rank: one who is late and not more important,
 * else the last of those who would be served last; NULL: nobody would be served after it. */
struct waiter *line_yields(const struct line *l, enum rank rank, enum standing standing);
/* Of those of the rank whose content has not come the one who has had the longest time to send it;
 * NULL: nobody. */
struct waiter *line_slowest(const struct line *l, enum rank rank);

#endif
