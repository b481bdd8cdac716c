/* connpool: the connections of one worker to endpoints. It hands out streams (struct back), at once
 * where a connection has a free slot, else when one has opened. An HTTP/1.1 connection has a single
 * slot; an HTTP/2 connection as many as the server allows, so that one is opened for many who wait,
 * and more when its slots are used up. What is used already is used first, and of idle ones the
 * last used, so that the surplus grows old and closes. It knows addresses, TLS settings and ages;
 * it must not know requests, routes or why an endpoint was picked. Owner thread only. Outlives
 * editions. */
#ifndef MERIDIAN_PROXY_CONNPOOL_H
#define MERIDIAN_PROXY_CONNPOOL_H

#include "base/hash.h"
#include "http/back.h"
#include "pick/endpoint.h"
#include "proxy/stats.h"

struct connpool;

/* key: the process's secret, borrowed. ERR_NO_MEMORY. */
MUST_CHECK
enum err connpool_new(struct conn_env *env, struct worker_stats *stats, const struct hash_key *key,
                      struct connpool **out);
/* Closes everything; nobody may be waiting. */
void connpool_free(struct connpool **p);

enum connpool_protocol {
    CONNPOOL_HTTP_1_1,
    CONNPOOL_H2,   /* without TLS: by prior knowledge (RFC 9113 section 3.3) */
    CONNPOOL_AUTO, /* what the TLS handshake has chosen (ALPN), else HTTP/1.1 */
};

/* Whether connections begin with a PROXY header, which says whom they are for. */
enum connpool_header { CONNPOOL_NO_HEADER, CONNPOOL_HEADER_V1, CONNPOOL_HEADER_V2 };

/* Whom a stream is for: the client's address, and the one that it came to (len 0: not known). */
struct connpool_client {
    struct addr from, to;
};

struct connpool_target {
    struct endpoint *endpoint;
    const struct addr *address;
    struct tls_client *tls; /* counted while it is declared */
    struct span server_name;
    enum connpool_protocol protocol;
    enum connpool_header header;
    uint64_t settings;          /* of all that makes connections differ */
    uint32_t connections, idle; /* bounds (L34) */
};
/* Declares an endpoint, or new settings for one: idle connections opened under other settings
 * close. `generation` marks it as wanted. */
MUST_CHECK
enum err connpool_declare(struct connpool *p, const struct connpool_target *t, uint64_t generation);
/* Endpoints not declared with this generation or a later one close their idle connections and go
 * when their last stream ends. */
void connpool_sweep(struct connpool *p, uint64_t generation);

/* What connections will do. */
enum connpool_age {
    CONNPOOL_ANY,
    CONNPOOL_FRESH, /* in use, idle for less than LIMIT_FRESH_IDLE_MS, or new (L34) */
    CONNPOOL_NEW,   /* that never had a stream; where the bound allows no other, as FRESH */
};

struct connpool_wait;
struct connpool_events {
    /* The stream belongs to the caller, which ends with back->ops->release. */
    void (*on_stream)(void *user, struct back *b);
    /* ERR_NO_MEMORY: ours; it says nothing of the server (B2). */
    void (*on_fail)(void *user, enum err why);
};
struct connpool_wait {
    const struct connpool_events *events;
    void *user;
    /* the pool's */
    struct link link;
    struct connpool_host *host;
    int64_t since_ns;
    bool anew; /* CONNPOOL_NEW */
};

/* client: for targets with a header, whose connections serve one client each; not looked at for
 * others. age: FRESH where the request may not be repeated, NEW where a used connection has just
 * refused it. modest: what of the connections is left to others (endpoint_places_left).
 * ERR_OK: *out is the stream. ERR_AGAIN: the answer comes through `wait`, which stays
 * the caller's memory and must stay valid until then or until connpool_cancel. ERR_FULL: the bound
 * of connections is reached. Others: it failed. */
MUST_CHECK
enum err connpool_get(struct connpool *p, struct endpoint *endpoint,
                      const struct connpool_client *client, enum connpool_age age, unsigned modest,
                      struct connpool_wait *wait, struct back **out);
/* Forgets a wait; the connection being opened is kept for the next one. */
void connpool_cancel(struct connpool_wait *wait);

/* The same for one that took too long: the oldest connection being opened goes too, unless it is
 * younger than the wait and somebody else needs it. */
void connpool_give_up(struct connpool_wait *wait);

struct connpool_facts {
    uint32_t open; /* connections, those being opened included */
    uint32_t idle, waiting;
};
void connpool_facts(const struct connpool *p, const struct endpoint *e, struct connpool_facts *out);

#endif
