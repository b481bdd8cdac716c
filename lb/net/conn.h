/* conn: one transport connection, plain or TLS behind one interface: bytes in, bytes out. It knows
 * sockets, TLS and interest in events; it must not know HTTP. One thread: the owner of its env.
 *
 * Reading. Bytes arrive in a buffer that all connections of the worker share. Where a turn has many
 * events, small receives are made one after the other and looked at after that, so that neither the
 * kernel's code nor this program's drives the other out of the processor's caches each time; a
 * connection has at most one that waits, and conn_has_unread tells. on_bytes is handed
 * everything that is there and says how much it took; the rest is kept for it and handed again,
 * with what comes after, as one contiguous run (at most `hold_limit` bytes; beyond that the socket
 * is not read). While conn_want_read is off nothing is read and nothing delivered; bytes kept are
 * delivered again at the end of the turn in which it is switched on. The last byte comes before
 * on_eof.
 *
 * Writing. conn_write takes the bytes before it returns (sent, or copied): small pieces gather and
 * leave together when the loop's turn ends, or some events of it have, so that a head and a body
 * make one system call and one TLS record, and whoever is woken is woken once; large pieces are
 * sent from where they are and only what the kernel did not take is copied. Callers keep to the
 * bound by stopping their source while conn_pending is above LIMIT_FLOW_HIGH; on_room is called
 * when it has fallen to LIMIT_FLOW_LOW or less after having been above LIMIT_FLOW_HIGH, or after
 * conn_tell_room.
 *
 * Ends. After on_fail, or conn_close, no callback comes any more. The memory goes at the end of the
 * loop turn (graveyard), so a callback may close its own connection. */
#ifndef MERIDIAN_NET_CONN_H
#define MERIDIAN_NET_CONN_H

#include "base/budget.h"
#include "base/buf.h"
#include "base/reserve.h"
#include "base/small.h"
#include "net/loop.h"
#include "net/rota.h"

struct conn;
struct tls_server; /* net/tls_ctx.h */
struct tls_client;

struct conn_events {
    /* Connected, and the TLS handshake done where there is one. Not called for plain accepted ones.
     */
    void (*on_open)(void *user, struct conn *c);
    /* Returns how many of the bytes were taken. */
    size_t (*on_bytes)(void *user, struct conn *c, struct span bytes);
    /* The peer will send no more; clean tells whether it was a FIN (plain) or close_notify (TLS).
     * Of accepted connections with TLS once more, not clean, when the connection itself has ended
     * after close_notify: the peer does not read any more either. */
    void (*on_eof)(void *user, struct conn *c, bool clean);
    void (*on_room)(void *user, struct conn *c);
    /* Refused, reset, handshake failed, …: ERR_BACKEND_* on connections we opened, ERR_CLIENT_* on
     * accepted ones. The caller still calls conn_close. */
    void (*on_fail)(void *user, struct conn *c, enum err why);
    /* What conn_aim aimed at has come. NULL: its owner never aims. */
    void (*on_time)(void *user, struct conn *c);
    /* Something has come, conn_read_most of which would be read now. False: not now; whoever says
     * so has switched conn_want_read off. NULL: always. */
    bool (*may_read)(void *user, struct conn *c);
    /* Whether what a receive brings now may wait until all receives of a turn have been made: where
     * it is one message mostly, and means the same then. NULL: never. */
    bool (*may_wait)(void *user);
};

/* For on_open and on_room of owners to whom they say nothing. */
void conn_ignore(void *user, struct conn *c);

/* What one receive has brought, before anybody has looked at it. */
struct conn_got {
    struct conn *c;
    struct span bytes; /* in env->in */
};

#define CONN_GOT_MOST 64

/* What all connections of one worker share. Owner thread only. */
struct conn_env {
    struct loop *loop;
    char *in;       /* receive buffer */
    size_t in_size; /* of one receive, at most */
    size_t in_used; /* by what is in got */
    struct conn_got got[CONN_GOT_MOST];
    unsigned got_count;
    char *clear; /* decrypted bytes */
    size_t clear_size;
    struct link dirty;     /* connections with bytes gathered */
    struct link resume;    /* connections whose kept bytes are to be delivered */
    struct rota yielding;  /* those that go on in the next turn */
    struct rota shaking;   /* behind them: those with a handshake to make */
    struct timer next;     /* when it begins */
    struct link lingering; /* closed by their owners, not yet ended; oldest first */
    size_t lingering_count, lingering_bytes;
    struct link dead; /* closed in this turn */
    struct task turn_end;
    struct buf_store *store;  /* output and hold buffers, lent while bytes are in flight */
    struct small_store small; /* and small pieces, for codecs */
    struct reserve reserve;   /* for what must not fail; filled again at the end of a turn */
    unsigned unsent;          /* events since the last flush that have left something */
    unsigned looks;           /* events that could have looked at the clock */
    bool spent;               /* the turn has lasted as long as turns may */
    bool in_event;
    bool pressed; /* memory is short: windows stay narrow (L21, RELIABILITY section 5) */
    /* counters, read by the owner only */
    uint64_t open, accepted, connected, bytes_in, bytes_out, tls_handshakes, tls_resumed,
        tls_failed;
};

MUST_CHECK
enum err conn_env_init(struct conn_env *env, struct loop *loop);
void conn_env_fini(struct conn_env *env);
/* Sends what has gathered on every connection; done at the end of every event and turn. */
void conn_env_flush(struct conn_env *env);

/* Takes fd. tls NULL: plain. On failure fd is closed. */
MUST_CHECK
enum err conn_accept(struct conn_env *env, int fd, const struct addr *peer, struct tls_server *tls,
                     const struct conn_events *events, void *user, struct conn **out);

/* An open plain connection goes on with TLS as the server: the bytes that its reader does not take
 * are the first of the handshake. From inside on_bytes only; then on_open or on_fail.
 * ERR_NO_MEMORY.
 */
MUST_CHECK
enum err conn_begin_tls(struct conn *c, struct tls_server *tls);

struct conn_target {
    const struct addr *addr;
    struct tls_client *tls;  /* NULL: plain */
    struct span server_name; /* SNI and the name verified; none: no SNI, no name check */
    uint64_t session_key;    /* tells backends apart in the client's session cache */
    struct span alpn;        /* the only protocol offered; none: those of the TLS client */
    struct span prelude;     /* bytes that go first, before TLS; copied; not counted as sent */
    /* Only whether it can be made matters, and nothing is said: on_open comes as soon as the server
     * has agreed. Where it is closed at once with CONN_END_RESET, the system, if it can, leaves it
     * at that, so that no connection is made for the server's program to look at. */
    bool glance;
};
/* Starts connecting; the result comes as on_open or on_fail, never from inside this call. */
MUST_CHECK
enum err conn_connect(struct conn_env *env, const struct conn_target *to,
                      const struct conn_events *events, void *user, struct conn **out);
/* Another reader takes over. From inside on_bytes that takes nothing: the bytes are its. */
void conn_set_events(struct conn *c, const struct conn_events *events, void *user);
/* Whose it is, as a number: where turns are short, those of different ones take turns. Default: any
 * number. */
void conn_set_party(struct conn *c, unsigned party);
/* Most bytes kept unread for the reader; default KIB(64). */
void conn_set_hold_limit(struct conn *c, size_t bytes);
/* Most bytes read at a time, not 0; default: what the env's buffer has room for. */
void conn_set_read_most(struct conn *c, size_t bytes);

void conn_write(struct conn *c, struct span bytes);
/* Bytes written and not yet taken by the kernel. */
size_t conn_pending(const struct conn *c);
/* on_room follows once the kernel has taken some and LIMIT_FLOW_LOW or less is pending. */
void conn_tell_room(struct conn *c);
/* The peer has begun something that is not all here, nor on its way: it is told at once that so
 * much is, for it may hold back the rest until then (RFC 9293 section 3.7.4). Until something is
 * written that is said once. From inside on_bytes. */
void conn_acknowledge(struct conn *c);
/* From inside on_bytes that does not take all: the rest comes in the next turn, and nothing is read
 * before, so that what many bytes ask for holds up no other connection for long. */
void conn_yield(struct conn *c);
/* Whether the turn has lasted as long as turns may, for whoever has done in it what takes time:
 * what is left is for conn_yield. */
bool conn_spent(struct conn *c);
/* Total bytes that the kernel has taken / given since the connection began (application bytes). */
uint64_t conn_sent(const struct conn *c);
/* After its failure or end: whether the peer's system has taken all that was sent. */
bool conn_heard(const struct conn *c);
uint64_t conn_received(const struct conn *c);
/* From now on the memory that its bytes take on their way in and out is booked there, also what a
 * record of TLS takes that has not come whole; NULL: not any more. Until conn_close. Borrowed. */
void conn_set_budget(struct conn *c, struct budget *b);
/* Memory that it holds now, roughly: what is on its way out, what the reader has not taken, TLS. */
size_t conn_bytes(const struct conn *c);
/* Whether its env is pressed for memory. */
bool conn_pressed(const struct conn *c);
/* Whether bytes were received that the reader has not taken. */
bool conn_has_unread(const struct conn *c);
/* On at first. */
void conn_want_read(struct conn *c, bool want);
/* No more writes: FIN (and close_notify) after what is pending. */
void conn_shutdown(struct conn *c);

/* One timer for the owner, whoever it is, until conn_close, which needs it from then on: on_time at
 * at_ns (loop time), in place of what was aimed at before. Costs nothing where it only moves later
 * (timer_aim). */
void conn_aim(struct conn *c, int64_t at_ns);
/* Not any more; as cheap. */
void conn_rest(struct conn *c);

enum conn_end {
    CONN_END_NOW,   /* what is pending is dropped */
    CONN_END_RESET, /* RST: the peer must see an abort */
    CONN_END_FLUSH, /* what is pending leaves first (bounded as any reader's time: L7), then the
                       peer's bytes are read and dropped up to LIMIT_LINGER_BYTES, and it has
                       LIMIT_LINGER_MS to end (RELIABILITY H20), then close; where it cannot all
                       leave, RST. At most LIMIT_LINGERING at a time, and with
                       LIMIT_LINGERING_BYTES to leave: the oldest gives way */
    CONN_END_CUT,   /* as CONN_END_FLUSH, for a peer that does harm: LIMIT_LINGER_CUT_MS from now,
                       whatever it takes or sends meanwhile (F11) */
    CONN_END_LAST,  /* as CONN_END_FLUSH, for a peer that has said that it sends no more: closed as
                       soon as all has left, without waiting for its end */
};
/* The caller forgets the connection; it ends itself. Empties *c. */
void conn_close(struct conn **c, enum conn_end how);

/* 0: a unix socket's. */
uint16_t conn_peer_port(const struct conn *c);
/* The address at this side; len 0: not known. The connection keeps it from the first call on, until
 * it ends. */
const struct addr *conn_local(struct conn *c);

/* How long it took to connect, without TLS; 0 for accepted ones. */
int64_t conn_connect_ns(const struct conn *c);

struct conn_tls_info {
    const char *version; /* "TLSv1.3"; NULL where plain */
    const char *cipher;
    struct span sni; /* as the client sent it, lower case; borrowed from the connection */
    struct span alpn;
    bool resumed;
    bool client_verified; /* mutual TLS: a certificate was given and verified */
    unsigned
        client_auth_id; /* which client-authentication rules the SNI's certificate entry has (H8) */
};
void conn_tls(const struct conn *c, struct conn_tls_info *out);
/* After on_fail with ERR_CLIENT_TLS or ERR_BACKEND_TLS: why, for people. Static; NULL where
 * unknown.
 */
const char *conn_tls_failure(const struct conn *c);
/* After on_fail with ERR_CLIENT_TLS: whether the peer spoke text, not TLS. */
bool conn_spoke_text(const struct conn *c);
/* And from inside that call: an answer in clear, which CONN_END_FLUSH sends. */
void conn_write_clear(struct conn *c, struct span bytes);
struct loop *conn_loop(const struct conn *c);
/* The memory that its env lends while bytes are in flight. */
struct buf_store *conn_store(const struct conn *c);
/* Small pieces of its env; they live longer than the connection. */
struct small_store *conn_small(const struct conn *c);
/* What its env has laid aside for what many requests share; likewise. */
struct reserve *conn_reserve(const struct conn *c);

#endif
