/* proxy: the request path of one worker: what its exchanges share. lb/run makes one per worker and
 * gives it the loop, the policy and the ways to reach others; everything in it belongs to the
 * worker's thread. It knows no configuration file and no other worker. */
#ifndef MERIDIAN_PROXY_PROXY_H
#define MERIDIAN_PROXY_PROXY_H

#include "base/hash.h"
#include "http/front.h"
#include "pick/pick.h"
#include "proxy/challenge.h"
#include "proxy/connpool.h"
#include "proxy/line.h"
#include "proxy/overload.h"
#include "proxy/policy.h"

struct proxy;

/* One pool on this worker; outlives editions, found again by its pool_state. */
struct pool_slot {
    struct pool_state *state;
    struct retry_budget budget;
    struct retry_budget hedges; /* kept where the pool has hedging on */
    struct hedge_times hedge_times;
    struct line line;    /* exchanges in WAIT */
    struct link stalled; /* exchanges whose clients take nothing, the longest first */
    uint32_t freed;      /* slots to be given to waiters at the end of the turn */
    unsigned served;     /* the worker whose waiters got the last one that was released here */
    bool own;            /* who waited last did so for a connection of this worker */
    struct proxy *proxy;
    struct timer unused; /* what others were offered and did not take is for the waiters here */
    uint32_t asked;      /* places that shall become free for waiters, one after the other */
    struct timer room;   /* when the next one may */
    int64_t room_ns;     /* when the last one did; */
    uint32_t given_up;   /* so many of a row, 0: none yet */
    int64_t looked_ms;   /* when proxy_look last asked them all */
    struct link link;    /* in proxy.slots */
    uint32_t refs;       /* editions, waiting exchanges, those that relay a response */
};

struct edition_pool {
    struct pool_view *view;
    struct pool_slot *slot;
};

/* One policy on this worker. Exchanges hold it until the response head has been relayed or a tunnel
 * has begun; when the last one lets go of an edition that is not current, `on_edition_end` tells.
 */
struct edition {
    struct link link; /* in proxy->editions */
    const struct policy *policy;
    uint32_t refs; /* the proxy's own one while current */
    struct edition_pool *pools;
};

struct client;

/* A configured listener on this worker; outlives editions, updated in place by a reload. */
struct proxy_listener {
    struct span name;
    uint32_t clients;              /* connections that came through it and are still there */
    struct listener_stats *counts; /* the owner thread's; NULL: nobody counts */
    bool gone;              /* no configuration has it any more: its connections end (proxy_last) */
    struct tls_server *tls; /* NULL: plain; swapped by a reload; nobody's once it is gone */
    bool speaks_h1, speaks_h2;
    struct span acme_challenges; /* the folder they are below; empty: none are served */
    bool redirect_to_https;
    uint16_t https_port; /* where redirect_to_https points to */
    struct front_limits limits;
    int64_t handshake_ms;
    /* Where connections may come from, each beginning with a PROXY header; NULL: none has one.
     * While the listener is served; of the policy's memory. */
    const struct cidr *spoken_for;
    size_t spoken_for_count;
};

#define ADMISSION_SOURCES (1 << 16)

/* Shared by all workers: fixed size, atomics only. */
struct admission {
    _Atomic uint32_t connections;
    _Atomic uint32_t connections_most; /* L1; the main thread sets it */
    _Atomic uint32_t handshakes;
    _Atomic uint32_t handshakes_most; /* L3 */
    _Atomic uint32_t source_most;     /* L2 */
    struct hash_key key;
    /* By keyed hash of the source; a collision counts for both. */
    _Atomic uint16_t sources[ADMISSION_SOURCES];
    _Atomic uint32_t
        weights[ADMISSION_SOURCES]; /* KiB that each holds, as last weighed (relief.h) */
    struct rate_table rates;        /* token buckets of all routes */
};

/* How the proxy reaches what is not its own; user is lb/run's worker. */
struct proxy_hooks {
    void (*edition_end)(void *user, const struct policy *policy);
    /* Another worker has requests waiting for this pool. */
    void (*slot_free)(void *user, unsigned worker, struct pool_state *pool);
    /* Another worker is to do proxy_shed. False: it is far behind. */
    bool (*shed)(void *user, unsigned worker, struct pool_state *pool, enum rank rank);
    /* One access-log line, newline included; taken or dropped, never blocking. */
    void (*log_line)(void *user, struct span line);
    /* One span (span_json.h), in the same way. */
    void (*span_line)(void *user, struct span line);
    /* Reads the file of a challenge elsewhere and has challenge_read called on this thread then;
     * false: not now. */
    bool (*read_file)(void *user, struct challenge *c);
    void *user;
};

enum access_format { ACCESS_OFF, ACCESS_JSON, ACCESS_COMBINED, ACCESS_TEMPLATE };

struct proxy {
    /* set once */
    unsigned worker, workers;
    struct conn_env *env;
    struct loop *loop;
    struct admission *admission;
    struct proxy_hooks hooks;
    struct worker_stats *stats;
    struct challenge *challenges;
    /* owner thread */
    struct edition *current;
    struct link editions; /* all that are held, oldest first */
    struct task sweep;    /* lets go of endpoints that none of them has */
    enum access_format access;
    const struct template *access_line; /* ACCESS_TEMPLATE: the current policy's */
    struct connpool *connpool;
    struct arena_cache arenas;
    struct rng rng;
    struct link clients;    /* of struct client */
    struct link handshakes; /* those that are not done, oldest first */
    struct link exchanges;  /* live ones */
    struct link spare;      /* exchange objects kept for reuse */
    struct link slots;      /* of struct pool_slot */
    struct compress_store compress;
    struct task serve;         /* gives freed slots to waiters */
    struct buf line;           /* one access-log line while it is written */
    struct pick_explain terms; /* of the choice that is being made */
    size_t spare_count;
    bool draining;
    enum overload overload; /* as last told */
};

struct proxy_spec {
    unsigned worker, workers;
    struct conn_env *env;
    struct admission *admission;
    struct worker_stats *stats;
    struct proxy_hooks hooks;
    /* CHALLENGES places, which outlive whoever reads into them, and so the proxy; NULL: no
     * listener answers challenges. */
    struct challenge *challenges;
    uint64_t seed; /* 0: from the system */
};

MUST_CHECK
enum err proxy_new(const struct proxy_spec *spec, struct proxy **out);
/* All clients and exchanges must have ended (proxy_kill). */
void proxy_free(struct proxy **p);

/* The policy for exchanges that begin from now on, and for those that wait for a server where it
 * still has their route and pool; the old edition ends when nobody holds it. On failure the old one
 * stays. */
MUST_CHECK
enum err proxy_adopt(struct proxy *p, const struct policy *policy);
/* Lets go of the current edition: no further request is routed. */
void proxy_retire(struct proxy *p);

/* A new connection; takes fd. False: no more now (L1, overload), the listener should pause. */
bool proxy_accept(struct proxy *p, struct proxy_listener *l, int fd, const struct addr *peer);
/* Whether accepting may go on after proxy_accept has said no. */
bool proxy_accepting(const struct proxy *p);

/* A slot of the pool became free here: the workers that have waiters get such slots in turns, this
 * one's oldest waiter at the end of the loop's turn. */
void proxy_slot_released(struct proxy *p, struct pool_state *pool);
/* The same, told by another worker: only this one's waiters are served. */
void proxy_slot_free(struct proxy *p, struct pool_state *pool);

/* A more important request of another worker has taken a place in the pool's queue: one of this
 * worker's waiters that are less important gives up its own, if there still is one. */
void proxy_shed(struct proxy *p, struct pool_state *pool, enum rank rank);

/* More may be usable than before, nobody has counted how many: all waiters try again in their
 * order, until some have tried in vain. At most once per ms. */
void proxy_look(struct proxy *p, struct pool_slot *s);

/* The next request of each connection is its last one, and its answer says so. */
void proxy_drain(struct proxy *p);
/* The same for one listener, which is gone from now on. */
void proxy_last(struct proxy *p, struct proxy_listener *l);
/* After proxy_drain or proxy_last: closes connections that are idle; l: only its own, NULL: all. */
void proxy_close_idle(struct proxy *p, const struct proxy_listener *l);
/* Ends what still runs: all but tunnels, answers that stream and connections that carry one of
 * them, or everything. */
void proxy_kill(struct proxy *p, bool spare_tunnels, enum err why);
size_t proxy_exchanges(const struct proxy *p, bool tunnels);
size_t proxy_clients(const struct proxy *p);

/* Ends the requests that still hold that generation or an older one. */
void proxy_kill_old(struct proxy *p, uint64_t generation, enum err why);
/* Ends Meridian's own requests, which no client waits for. */
void proxy_kill_errands(struct proxy *p, enum err why);

/* For the exchange: takes and gives back a hold on a pool's slot, on an edition. */
struct pool_slot *pool_slot_ref(struct pool_slot *s);
void pool_slot_unref(struct pool_slot **s);
struct edition *edition_ref(struct edition *e);
void edition_unref(struct proxy *p, struct edition **e);

#endif
