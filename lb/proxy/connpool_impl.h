/* connpool_impl: what connpool.c (hosts, declarations, who gets a stream) and connpool_link.c (the
 * life of one connection) share. Private to the two. */
#ifndef MERIDIAN_PROXY_CONNPOOL_IMPL_H
#define MERIDIAN_PROXY_CONNPOOL_IMPL_H

#include "base/limits.h"
#include "http/back_link.h"
#include "proxy/connpool.h"

/* Where a connection stands: in exactly one list of its host. */
enum connpool_place {
    PLACE_OPENING, /* or asked for a sign of life; oldest first */
    PLACE_SHARED,  /* has streams, and free slots */
    PLACE_IDLE,    /* has none; last used first. Of slots too, where the server took them back */
    PLACE_BUSY,    /* has streams and no free slot, or is given none any more */
    PLACES,
};

struct pooled {
    struct link link;
    struct connpool_host *host;
    struct conn *conn;       /* while connecting */
    struct back_link *codec; /* from then on */
    enum connpool_place place;
    int64_t since_ns; /* PLACE_OPENING, PLACE_IDLE */
    int64_t until_ns; /* close it then at the latest, while idle */
    uint64_t settings;
    uint32_t promise; /* slots expected of it while in PLACE_OPENING */
    bool opened;      /* it has had slots */
    bool h2;          /* what it speaks */
};

/* How long a connection may take to open once nobody waits for it any more. */
#define CONNPOOL_OPENING_MS LIMIT_HANDSHAKE_MS

/* One endpoint; and where its connections begin with a PROXY header, one client at it: then what is
 * declared stands in the endpoint's own (`root`), and connections are counted there too. */
struct connpool_host {
    struct connpool *pool;
    struct endpoint *endpoint;     /* referenced */
    struct connpool_host *root;    /* NULL: it is the endpoint's own */
    struct connpool_client client; /* root != NULL */
    struct link clients;           /* of those with this root; root != NULL: its place there */
    uint32_t clients_count, clients_idle; /* of the connections of all clients */
    struct addr address;
    struct tls_client *tls;
    bool secure; /* tls was given; it is not there any more once the endpoint is not wanted */
    enum connpool_header header;
    bool single; /* the last connection opened had one slot only */
    enum connpool_protocol protocol;
    char *server_name;
    size_t server_name_size;
    uint64_t settings, generation; /* 0: not wanted any more */
    int64_t h1_until_ns;           /* of two versions it wants this one until then */
    int64_t up_since_ms;           /* the endpoint's, when it was last asked for a stream */
    uint32_t most, most_idle;
    uint32_t count, counts[PLACES];
    uint32_t promised; /* slots of all in PLACE_OPENING */
    uint32_t waiting_count;
    uint32_t telling; /* somebody is being told, who may ask again: it stays */
    struct link places[PLACES];
    struct link waiters;        /* of struct connpool_wait, oldest first */
    struct timer upkeep;        /* closes what has been idle too long */
    struct connpool_host *next; /* in the bucket */
};

struct connpool {
    struct conn_env *env;
    struct worker_stats *stats;
    const struct hash_key *key;
    struct connpool_host **buckets;
    size_t bucket_count, host_count;
};

/* Where it is declared what holds for the host. */
static inline struct connpool_host *connpool_declared(struct connpool_host *h)
{
    return h->root != NULL ? h->root : h;
}
static inline uint32_t connpool_count(struct connpool_host *h)
{
    const struct connpool_host *d = connpool_declared(h);
    return d->count + d->clients_count;
}

/* Where declared: the server has said that it requires HTTP/1.1, and there is a choice. */
static inline bool connpool_wants_h1(const struct connpool_host *d)
{
    return d->protocol == CONNPOOL_AUTO && d->h1_until_ns > loop_now_ns(d->pool->env->loop);
}

/* connpool.c */
/* All connections to the endpoint, whoever they are for: those with streams get no more. */
void connpool_close_unused(struct connpool_host *root);
void connpool_wait_done(struct connpool_wait *w);
/* F4: checks had found it down since: what was opened before may lead nowhere. */
static inline void connpool_forget_fallen(struct connpool_host *root)
{
    int64_t up_ms = atomic_load_explicit(&root->endpoint->up_since, memory_order_relaxed);
    if (root->up_since_ms != up_ms) {
        root->up_since_ms = up_ms;
        connpool_close_unused(root);
    }
}
/* Frees a host that nobody wants and nothing belongs to. */
void connpool_host_settle(struct connpool_host *h);

/* connpool_link.c */
/* Begins to connect. */
MUST_CHECK
enum err pooled_open(struct connpool_host *h);
void pooled_move(struct pooled *c, enum connpool_place to);
/* Ends it at once, without a word to anybody. */
void pooled_close(struct pooled *c);
/* Asks an idle one for a sign of life; it serves who waits when that has come. false: its protocol
 * cannot. */
bool pooled_check(struct pooled *c);
/* The time of connpool_host.upkeep has come: closes what is overdue. */
void connpool_on_upkeep(struct timer *t);
/* As many attempts as those who wait need. */
void pooled_open_for_waiters(struct connpool_host *h);

#endif
