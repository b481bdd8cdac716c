/* proxy_world: what the parts of proxy_sim share: the world of one seed, its requests ("wishes"),
 * the two ends of a connection ("peers"). proxy_sim.c builds and checks it, proxy_clients.c and
 * proxy_servers.c play in it, proxy_wire.c reads and writes HTTP/1 without any code of Meridian's,
 * so that both cannot be wrong in the same way; proxy_h2_clients.c and proxy_h2_servers.c speak
 * HTTP/2 by libnghttp2. One thread. */
#ifndef MERIDIAN_TESTS_PROXY_WORLD_H
#define MERIDIAN_TESTS_PROXY_WORLD_H

#include "net/listener.h"
#include "proxy/proxy.h"
#include "sim.h"

#define CLIENTS       8
#define REQUESTS      1000 /* G12 */
#define SERVERS       2
#define LETTERS       4093
#define REPEATED_MOST 3 /* L30: two attempts after the first */

struct world;
struct h2_client;
struct h2_server;

enum wish_method { WISH_GET, WISH_HEAD, WISH_POST, WISH_PUT };

/* One request, as the seed decides it. */
struct wish {
    enum wish_method method;
    bool chunked, expect;
    bool tunnel;       /* asks for a WebSocket */
    bool hasty;        /* tunnel: sends before it has been granted */
    bool server_first; /* tunnel: the server ends its half first */
    size_t send, get;  /* bytes of content each way */
    /* what became of it */
    unsigned heads; /* that reached servers */
    unsigned outcomes;
    bool
        cut_open; /* a server ended content too soon whose end nothing but the connection's tells */
};

enum ending { THEN_STAY, THEN_SHUTDOWN, THEN_CLOSE, THEN_RESET };

/* One connection of a client or a server. */
struct peer {
    struct world *w;
    struct conn *c;
    struct buf in, plan; /* what came and is not understood yet; what is still to be said */
    bool dribble;        /* says it in small pieces, with pauses */
    enum ending then;    /* when the plan has been said */
    bool shut;           /* its half has ended */
    struct timer pump;
    bool tunnel;      /* bytes in both directions, no messages any more */
    size_t tunnelled; /* received since */
    /* client */
    unsigned first, next, end; /* requests answered from `first`, sent up to `next` */
    bool old;                  /* HTTP/1.0 */
    bool lasting;              /* and asks for the connection to be kept */
    bool half;                 /* ends its half after the request */
    bool lazy;                 /* reads with pauses */
    bool held;                 /* content waits for 100 */
    bool to_end;               /* content that the connection's end delimits */
    struct timer patience, reading, quit;
    /* server */
    bool heard;        /* the head of `wish` has come */
    bool answered;     /* before the content had come */
    bool silent;       /* owes an answer that never comes */
    bool known;        /* that the proxy speaks HTTP/1.1 to it */
    size_t content_at; /* where in the plan the answer's content begins */
    unsigned wish;
    struct peer *list; /* next in the world's */
};

/* One generation of the policy. */
struct regime {
    struct policy policy;
    struct policy_pool pool;
    struct policy_route route;
    struct policy_endpoint endpoints[SERVERS];
};

enum outcome { ANSWERED, REFUSED, ABORTED, OUTCOMES };

struct world {
    uint64_t seed;
    bool calm;         /* no fault, nobody misbehaves: every request is served */
    bool bytewise;     /* most reads and writes are of one byte */
    bool starved;      /* allocations of the proxy fail (F16) */
    bool h1_only;      /* else who speaks which version is drawn from `versions` */
    unsigned requests; /* at most REQUESTS, a multiple of CLIENTS */
    struct rng rng, versions;
    struct sim *sim;
    struct loop *worker, *server_loop, *client_loop;
    struct conn_env worker_env, server_env, client_env;
    struct registry *registry;
    struct route_stats *route_stats;
    struct worker_stats *stats;
    struct admission *admission;
    struct regime *regime; /* the newest */
    unsigned regimes;      /* not yet ended */
    uint64_t generation;
    struct timer reload, jolt;
    struct proxy *proxy;
    struct proxy_listener listener;
    struct listener *doors[SERVERS + 1];
    int fds[SERVERS + 1];
    struct addr at, server_at[SERVERS];
    char letters[LETTERS];
    struct wish wishes[REQUESTS];
    struct peer clients[CLIENTS];
    struct h2_client *h2_clients[CLIENTS]; /* NULL: it speaks HTTP/1 */
    struct peer *servers;
    struct h2_server *h2_servers;
    unsigned open; /* clients that are not through */
    unsigned outcomes[OUTCOMES], tunnels;
    unsigned behind; /* pipelined behind one that was refused with the connection: never begun */
};

/* Prints the seed and ends the process. */
_Noreturn void world_fail(const struct world *w, const char *what, long long n);
static inline void need(const struct world *w, bool fine, const char *what, long long n)
{
    if (!fine)
        world_fail(w, what, n);
}
/* True once in n times, by the seed. */
static inline bool one_in(struct world *w, uint64_t n)
{
    return rng_below(&w->rng, n) == 0;
}
/* Whether this one speaks HTTP/2. */
static inline bool speaks_h2(struct world *w)
{
    return !w->h1_only && rng_below(&w->versions, 2) == 0;
}

/* proxy_wire.c */
struct head {
    size_t bytes;           /* 0: not there yet */
    struct span text;       /* with its empty line */
    unsigned status;        /* of a response */
    long long length, wish; /* -1: none */
    bool chunked, close, old;
};
/* Reads the head at the front; refuses one that says two things about its framing. */
struct head wire_head(const struct world *w, struct span s);
bool wire_has(struct span s, const char *text);
/* The answer to the Sec-WebSocket-Key of a request's head (RFC 6455 section 4.2.2). */
#define WIRE_ACCEPT 29
void wire_accept(const struct world *w, struct span head, char out[static WIRE_ACCEPT]);
/* What content is made of; each request's begins elsewhere. */
void wire_letters(struct world *w);
/* All of s is content of request i, from byte `from` on. */
void wire_check(const struct world *w, struct span s, unsigned i, size_t from);
/* A whole chunked body at the front of s: its length on the wire, or 0; *content what it carries.
 */
size_t wire_chunked(const struct world *w, struct span s, unsigned i, size_t *content);
/* Appends n bytes of content from byte 0 on, plain or in chunks (last one included). */
void wire_put(const struct world *w, struct buf *out, unsigned i, size_t n);
void wire_put_chunked(struct world *w, struct buf *out, unsigned i, size_t n);

/* proxy_wire.c: saying what is planned */
void peer_init(struct peer *p, struct world *w, struct loop *l);
void peer_fini(struct peer *p);
/* Says the plan, now or bit by bit, and then ends as told. */
void peer_say(struct peer *p);
/* Nothing more is said. */
void peer_close(struct peer *p, enum conn_end how);

/* proxy_clients.c */
void clients_make(struct world *w);
void clients_free(struct world *w);
/* How a request ended: once for each. */
void world_outcome(struct world *w, unsigned wish, enum outcome kind);

/* proxy_h2_clients.c: asks for the wishes from `first` to before `end`. */
struct h2_client *h2_client_new(struct world *w, unsigned first, unsigned end);
void h2_client_free(struct h2_client **k);

/* proxy_servers.c: accepts a connection for listener_start; user is the world. */
bool server_accept(void *user, int fd, const struct addr *peer);
void servers_free(struct world *w);
/* A request's head has reached a server that may act on it (P4, L30). */
void world_heard(struct world *w, unsigned wish);

/* proxy_h2_servers.c: takes over a connection whose first bytes are those of HTTP/2; they come
 * again. */
void h2_server_begin(struct world *w, struct conn *c);
void h2_servers_free(struct world *w);

#endif
