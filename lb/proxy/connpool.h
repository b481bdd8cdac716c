/* connpool: the connections of one worker to endpoints. It hands out streams (struct back), at once
 * where an idle connection is there, else when one has opened; an HTTP/1.1 connection is one with a
 * single slot, used again last in first out so that the surplus grows old and closes. It knows
 * addresses, TLS settings and ages; it must not know requests, routes or why an endpoint was
 * picked. Owner thread only. Outlives editions. */
#ifndef MERIDIAN_PROXY_CONNPOOL_H
#define MERIDIAN_PROXY_CONNPOOL_H

#include "http/h1_back.h"
#include "pick/endpoint.h"
#include "proxy/stats.h"

struct connpool;

MUST_CHECK
enum err connpool_new(struct conn_env *env, struct worker_stats *stats, struct connpool **out);
/* Closes everything; nobody may be waiting. */
void connpool_free(struct connpool **p);

struct connpool_target {
    struct endpoint *endpoint;
    const struct addr *address;
    struct tls_client *tls; /* borrowed until replaced by a later declaration or its removal */
    struct span server_name;
    uint64_t settings;
    uint32_t connections, idle; /* bounds (L34) */
};
/* Declares an endpoint, or new settings for one: idle connections opened under other settings
 * close. `generation` marks it as wanted. */
MUST_CHECK
enum err connpool_declare(struct connpool *p, const struct connpool_target *t, uint64_t generation);
/* Endpoints not declared with this generation or a later one close their idle connections and go
 * when their last stream ends. */
void connpool_sweep(struct connpool *p, uint64_t generation);

struct connpool_wait;
struct connpool_events {
    /* The stream belongs to the caller, which ends with back->ops->release. */
    void (*on_stream)(void *user, struct back *b);
    void (*on_fail)(void *user, enum err why);
};
struct connpool_wait {
    const struct connpool_events *events;
    void *user;
    struct link link; /* the pool's */
    struct connpool_host *host;
};

/* fresh: the request may not be repeated, so only a connection idle for less than
 * LIMIT_FRESH_IDLE_MS or a new one will do (L34). ERR_OK: *out is the stream. ERR_AGAIN: the answer
 * comes through `wait`, which stays the caller's memory and must stay valid until then or until
 * connpool_cancel. ERR_FULL: the bound of connections is reached. Others: it failed. */
MUST_CHECK
enum err connpool_get(struct connpool *p, struct endpoint *endpoint, bool fresh,
                      struct connpool_wait *wait, struct back **out);
/* Forgets a wait; the connection being opened is kept for the next one. */
void connpool_cancel(struct connpool_wait *wait);

/* The same for one that took too long: the oldest connection being opened goes too. */
void connpool_give_up(struct connpool_wait *wait);

struct connpool_facts {
    uint32_t open, idle, waiting;
};
void connpool_facts(const struct connpool *p, const struct endpoint *e, struct connpool_facts *out);

#endif
