/* client: one accepted connection and what is known of who is behind it: address, place, distances
 * to the sites of the pool last used. Owns the front codec from the handshake on. It must not know
 * how a request is served. Owner thread only. */
#ifndef MERIDIAN_PROXY_CLIENT_H
#define MERIDIAN_PROXY_CLIENT_H

#include "proxy/proxy.h"

/* Who asks: an address and where it is, looked up once per address. Requests that run side by side
 * on one connection may come from different ones behind a trusted peer, so each holds its own. */
struct origin {
    unsigned refs; /* whoever it is a part of has one, which never ends */
    struct addr addr;
    struct place place;
    uint8_t country; /* its number (geo/country.h); 0: not known */
    uintptr_t site;  /* the last one that it was sent to, to tell it from another; 0: none */
    uint64_t geo_generation; /* of the policy whose database was asked; 0: not yet */
    size_t text_size;
    char text[ADDR_TEXT];  /* without port */
    float *distance_ms;    /* by site of one pool, or NULL */
    uint64_t distance_key; /* which pool of which generation */
};

struct sight;

struct client {
    struct link link;
    struct proxy *proxy;
    struct proxy_listener *listener;
    struct conn *conn;         /* until the codec takes it */
    struct front_codec *codec; /* NULL during the handshake */
    struct timer handshake;    /* L3 */
    struct link shaking;       /* in proxy->handshakes, while it does */
    uint16_t source;           /* slot in the table of sources */
    bool counted;              /* there */
    bool handshaking;
    bool pressed; /* its codec knows that memory is short */
    bool spared;  /* carries a tunnel that a drain leaves alone */
    /* what is shown of it */
    int64_t begun_ns;
    const char *protocol, *tls;             /* static; NULL: not known yet, plain */
    uint64_t requests, bytes_in, bytes_out; /* of exchanges that have ended */
    size_t kept;       /* request content that its exchanges keep for another attempt */
    struct sight *row; /* while somebody looks */
    /* who */
    struct origin peer;    /* the TCP peer */
    struct origin *behind; /* the last client seen behind a trusted peer, or NULL */
};

enum err client_new(struct proxy *p, struct proxy_listener *l, int fd, const struct addr *peer);
/* Ends the connection; what runs on it first. Frees the client (on_closed). */
void client_kill(struct client *c, enum err why);
/* Memory is short, or not any more. */
void client_press(struct client *c, bool on);
/* Where a source's connections are counted: an IPv4 address or an IPv6 /64 (L2). */
uint16_t admission_source(const struct admission *a, const struct addr *peer);
/* No request after the next one. */
void client_last(struct client *c);
/* No further request: an idle connection ends now. */
void client_drain(struct client *c);

/* The origin of a request by the policy's trusted hops, held until origin_let_go. NULL without
 * memory. */
struct origin *client_origin(struct client *c, const struct policy *policy,
                             const struct request *r);
struct origin *origin_hold(struct origin *o);
void origin_let_go(struct origin **o);
/* Whom a server is told of: the origin, and where it came in on `front` (NULL: not known) as an
 * address of the same family. */
struct connpool_client client_announced(const struct origin *o, struct conn *front);
bool client_trusted(const struct client *c, const struct policy *policy);
/* Counts the client at the site that a request of it is sent to, where the last one went elsewhere.
 */
void client_sent_to(struct origin *o, struct site_state *site);
/* Distances from the origin to the pool's sites in ms, weight applied; NULL: use each site's
 * here_ms (BALANCING.md section 3). */
const float *client_distances(struct origin *o, const struct policy *policy,
                              const struct policy_pool *pool);

#endif
