/* client: one accepted connection, from accept over PROXY header and handshake to the codec, which
 * it owns from then on, and who is behind it. It must not know how a request is served. Owner
 * thread only. */
#ifndef MERIDIAN_PROXY_CLIENT_H
#define MERIDIAN_PROXY_CLIENT_H

#include "proxy/origin.h"
#include "proxy/proxy.h"

struct sight;

/* What a request touches comes first. */
struct client {
    struct proxy *proxy;
    struct proxy_listener *listener;
    struct front_codec *codec;              /* NULL during the handshake */
    uint64_t requests, bytes_in, bytes_out; /* of exchanges that have ended; for who looks at it */
    unsigned invited; /* exchanges whose content comes before they have a server */
    uint16_t source;  /* slot in the table of sources */
    bool counted;     /* there */
    bool handshaking;
    bool pressed; /* its codec knows that memory is short */
    bool proven;  /* a server's answer has gone to it whole */
    bool spared;  /* carries a tunnel or a stream that a drain leaves alone */
    /* who */
    struct origin *behind; /* the last client seen behind a trusted peer, or NULL */
    struct origin peer;    /* the TCP peer */
    /* its beginning */
    struct link link;
    struct conn *conn;   /* until the codec takes it */
    struct link shaking; /* in proxy->handshakes, while it does */
    /* what is shown of it */
    int64_t begun_ns;
    const char *protocol, *tls; /* static; NULL: not known yet, plain */
    struct sight *row;          /* while somebody looks */
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
/* No further request: a connection without one ends now, be it inside a handshake or a head. */
void client_drain(struct client *c);

/* The origin of a request by the policy's trusted hops, held until origin_let_go. NULL without
 * memory. */
struct origin *client_origin(struct client *c, const struct policy *policy,
                             const struct request *r);
bool client_trusted(const struct client *c, const struct policy *policy);

#endif
