/* health: the active checks of all endpoints, on a loop of their own. It knows addresses, probes
 * and times; it writes what it finds into the endpoints' atomics (lb/pick) and tells their pools.
 * It reads no request data, no file and no configuration, and must not know who runs its loop.
 *
 * A plan says what is to be checked and how. It is built on the main thread, posted to the health
 * thread and given to health_set_targets there. An endpoint that was in the plan before keeps all
 * that is known of it (RELIABILITY B3, C2). Bounds: checks in flight by L31, checks per second by
 * B4. */
#ifndef MERIDIAN_HEALTH_HEALTH_H
#define MERIDIAN_HEALTH_HEALTH_H

#include "base/hash.h"
#include "base/log.h"
#include "net/conn.h"
#include "pick/site.h"

#define HEALTH_SERVICE_MOST    120
#define HEALTH_DEPENDENCY_MOST 16 /* things that servers depend on, together */

enum health_kind {
    HEALTH_OFF,  /* no checks: the endpoint counts as up */
    HEALTH_TCP,  /* connect, and the TLS handshake where there is TLS */
    HEALTH_HTTP, /* GET path, the status decides; HTTP/2 where that is chosen by ALPN */
    HEALTH_GRPC, /* grpc.health.v1.Health/Check over HTTP/2 */
};

/* One page of a server that is asked for. */
struct health_page {
    struct span path;     /* HTTP; begins with "/" */
    struct span host;     /* HTTP, gRPC; none: the endpoint's address */
    uint64_t status[10];  /* HTTP; bit s (s / 64, s % 64) set: status s is good */
    struct span contains; /* HTTP; what the content of a good answer has in it; none: anything */
};

/* How the endpoints of one pool are checked. */
struct health_check {
    enum health_kind kind;
    struct span pool; /* for the log */
    struct health_page page;
    /* The page says whether the server is ready, with all that it needs; whether it lives is
     * another question, which the `live` page answers, or the connection where its path is empty.
     */
    bool ready;
    struct health_page live;
    const struct span *depends; /* names; their servers fail together where one of these fails */
    size_t depend_count;        /* at most HEALTH_DEPENDENCY_MOST; with `ready` */
    struct span service; /* gRPC; at most HEALTH_SERVICE_MOST bytes; empty: the server as a whole */
    unsigned header;     /* version of the PROXY header that goes first; 0: none */
    bool h2;             /* without TLS: the server speaks HTTP/2 from the start */
    int64_t interval_ms, timeout_ms;
    unsigned fall, rise;    /* at least 1 */
    size_t content_most;    /* bytes of an answer that are read; 0: LIMIT_CHECK_BODY */
    struct tls_client *tls; /* NULL: plain; for the health thread alone */
};

struct health_plan;

/* NULL without memory. */
struct health_plan *health_plan_new(void);
/* Frees one that was not given to health_set_targets. Any thread. */
void health_plan_free(struct health_plan **plan);
/* Copies the text and takes check->tls, also on failure. *index is for health_plan_target. */
MUST_CHECK
enum err health_plan_check(struct health_plan *plan, const struct health_check *check,
                           size_t *index);
/* Takes a reference to the endpoint. An endpoint may be in a plan once. server_name: whom its
 * certificate must be for, where the check has TLS; copied. */
MUST_CHECK
enum err health_plan_target(struct health_plan *plan, size_t check, struct endpoint *endpoint,
                            const struct addr *addr, struct span server_name);
/* Connects of the newest target's checks tell its site how far it is (site_connected). Where
 * members is not 0, what the checks take are samples of the site too, which has so many
 * (site_checked). Takes a reference. */
void health_plan_site(struct health_plan *plan, struct site_state *site, uint32_t members);

struct health;

/* Makes a transport environment of its own on the loop. rng is copied. log may be NULL. */
MUST_CHECK
enum err health_new(struct loop *loop, const struct rng *rng, struct log *log, struct health **out);
/* Ends the checks that run, without a verdict. On the health thread, or after it has ended. */
void health_free(struct health **h);
/* Takes the plan, in every case. Health thread. On ERR_NO_MEMORY the old plan stays in force. */
MUST_CHECK
enum err health_set_targets(struct health *h, struct health_plan **plan);

/* What one probe of a dependency has found, and when it began (of the loop). One bad result makes
 * it fail, `rise` good ones in a row end that; one that nobody has told of does not fail. True: it
 * fails. Health thread. */
struct health_finding {
    bool good;
    int64_t began_ns;
    unsigned rise;
};
bool health_dependency(struct health *h, struct span name, const struct health_finding *found);
/* Nobody tells of it any more. */
void health_forget_dependency(struct health *h, struct span name);
/* Whom to ask for a finding that is new: before servers are blamed. The name is borrowed. */
void health_on_doubt(struct health *h, void (*ask)(void *user, struct span name), void *user);

/* Figures for metrics; read from any thread. */
struct health_counts {
    _Atomic uint64_t good, bad; /* checks that ended, by result */
    _Atomic uint64_t local;   /* checks that said nothing: no descriptor, port, memory (B2), or this
                                 thread had been stopped (F27) */
    _Atomic uint64_t changes; /* of an endpoint's health */
    _Atomic uint32_t running, targets;
};
struct health_counts *health_counts(struct health *h);

#endif
