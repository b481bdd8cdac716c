/* conn_impl: what the files of the connection share: conn.c (life), conn_turn.c (the end of events
 * and turns), conn_read.c, conn_write.c. No other file may include it. */
#ifndef MERIDIAN_NET_CONN_IMPL_H
#define MERIDIAN_NET_CONN_IMPL_H

#include "base/limits.h"
#include "net/buf_store.h"
#include "net/conn.h"
#include "net/tls.h"

enum conn_state {
    CONN_CONNECTING,
    CONN_HANDSHAKE,
    CONN_OPEN,
    CONN_FAILED, /* on_fail was called; waits for conn_close */
    CONN_LINGER, /* closed by its owner: what is pending leaves, the peer's bytes are dropped */
    CONN_DEAD,   /* in the graveyard */
};

/* What each event touches comes first, so that it lies in few cache lines: with thousands of
 * connections most of them are out of the caches when their turn comes. And thousands that are idle
 * hold this and little more each (L19). */
struct conn {
    struct conn_env *env; /* set once */
    struct tls *tls;      /* set once; NULL: plain */
    /* owner thread */
    const struct conn_events *events;
    void *user;
    struct io io;
    struct link dirty;  /* in env->dirty: has something to send */
    struct chain out;   /* as it goes to the socket */
    struct chunk *held; /* handed over and not taken */
    uint32_t hold_limit, read_most;
    uint64_t written, sent, received;
    enum conn_state state;
    enum err broken;       /* told at the end of the turn */
    uint32_t booked;       /* of what it takes, in the budget */
    uint16_t peer_port;    /* set once */
    uint8_t group;         /* in env->yielding and shaking */
    bool outgoing;         /* set once */
    bool by_path;          /* set once: to a unix socket */
    bool want;             /* the reader wants bytes */
    bool yields;           /* what it has waits for the next turn */
    bool late;             /* so does what the kernel has for it */
    bool parked;           /* an event came that nobody wanted: not watched for reading */
    bool blocked;          /* the kernel did not take all: watched for writing */
    bool above;            /* conn_pending passed the high mark */
    bool room_due;         /* on_room is to be called */
    bool mute;             /* writing failed: bytes are dropped */
    bool cut;              /* CONN_END_CUT: nothing gives it more time */
    bool said_all;         /* CONN_END_LAST: the peer's end is not waited for */
    bool fin_asked;        /* conn_shutdown */
    bool fin_sent;         /* by the socket */
    bool heard;            /* at least one byte came */
    bool got;              /* some are in env->got */
    bool acknowledged;     /* conn_acknowledge, since it was last written */
    bool eof;              /* the peer sent all */
    bool eof_clean;        /* by FIN (plain) or close_notify (TLS) */
    bool eof_told;         /* on_eof was called */
    bool tail;             /* TLS has ended, and the connection not: its end is to be told too */
    bool redeliver;        /* what is kept is to be handed over again */
    struct timer time;     /* the owner's (conn_aim), then that of its end */
    struct link resume;    /* in env->resume: has something to tell */
    struct budget *budget; /* whose bytes these are; NULL: nobody's in particular */
    /* its beginning and its end */
    struct addr *local;    /* NULL: nobody has asked for it */
    int64_t connect_ns;    /* when connecting began, then how long it took */
    int64_t linger_end_ns; /* when all that is pending must have left */
    struct link place;     /* in env->yielding, shaking, lingering or dead */
    uint32_t lingers_with; /* bytes that were pending when its owner closed it */
    uint32_t dropped;      /* bytes read while lingering */
};
_Static_assert(offsetof(struct conn, time.impl) <= 4 * 64, "four cache lines");

static inline bool conn_alive(const struct conn *c)
{
    return c->state <= CONN_OPEN;
}

/* Bytes to the end of its output, which must not fail: all its requests would end. */
static inline bool conn_put(struct conn *c, struct span bytes)
{
    return chain_put_lent(&c->out, c->env->store, &c->env->reserve, bytes);
}

/* conn.c */
/* Watches what the state asks for: the only place that decides interest. */
void conn_set_interest(struct conn *c);
/* After each event of this connection. */
void conn_end_event(struct conn *c);
/* Calls on_fail, once. */
void conn_fail(struct conn *c, enum err why);
/* What a negated errno means on this connection. */
enum err conn_errno(const struct conn *c, ssize_t result);
void conn_book_now(struct conn *c);
/* Its memory and that of what it holds. */
void conn_release(struct conn *c);
/* Closes the socket; the memory goes at the end of the turn. */
void conn_bury(struct conn *c, bool reset);
/* The same, where nobody waits for what is pending any more: that it was cut short shows (P3). */
void conn_bury_short(struct conn *c);

/* Brings the budget up to date. */
static inline void conn_book(struct conn *c)
{
    if (c->budget != NULL)
        conn_book_now(c);
}

/* Events of a turn: so few that nothing waits for anything else. */
#define EVENTS_FEW 4
/* Bytes of several receives that are looked at together, about. */
#define GATHER KIB(64)

/* conn_turn.c */
/* Something is to be told at the end of the turn. */
void conn_settle_later(struct conn *c);
/* An event has been seen to: now or later it is used and sent. */
void conn_event_end(struct conn_env *env);
/* Whether reading is for the next turn, as this one has lasted long enough. */
bool conn_puts_off(struct conn *c);
/* Those that yielded or were put off go on. */
void conn_next_turn(struct timer *t);
/* Now. */
void conn_end_batch(struct conn_env *env);
void conn_turn_end(struct task *t);
void conn_release_dead(struct conn_env *env);

/* conn_read.c */
void conn_on_readable(struct conn *c);
/* Looks at what the receives of a turn have brought. */
void conn_use_got(struct conn_env *env);
/* The TLS handshake goes on with the bytes at hand; on_open or on_fail where it ends. */
void conn_handshake(struct conn *c);
/* Tells what had to wait for the end of the turn. */
void conn_settle(struct conn *c);

/* conn_write.c */
void conn_mark_dirty(struct conn *c);
/* How long a lingering connection has from now. */
void conn_linger_aim(struct conn *c);
/* Encrypts and sends what it can, and ends the writing half where asked and all is out. */
void conn_flush(struct conn *c);

#endif
