/* proxy_proto: the PROXY protocol's header, versions 1 and 2, read and written: whom a load
 * balancer in front speaks for ("The PROXY protocol", HAProxy's doc/proxy-protocol.txt). Takes
 * bytes and gives addresses; knows no connection and does not decide who may send one. Pure; any
 * thread. */
#ifndef MERIDIAN_NET_PROXY_PROTO_H
#define MERIDIAN_NET_PROXY_PROTO_H

#include "base/buf.h"
#include "net/addr.h"

#define PROXY_PROTO_V1_MOST 107  /* bytes of a line, its end included */
#define PROXY_PROTO_V2_MOST 2048 /* bytes of a header with what is added to it; *fixed* */

struct proxy_proto {
    bool local; /* the sender speaks for itself, or does not know: the connection's own addresses */
    struct addr from, to; /* where not local */
    size_t bytes;         /* of the header; what follows is the client's */
};

/* ERR_AGAIN: a header may be the beginning of more. ERR_SYNTAX: it is none, or its length, its
 * addresses or what is added to it do not fit. */
MUST_CHECK
enum err proxy_proto_parse(struct span in, struct proxy_proto *out);

/* Appends a header that says so; UNKNOWN or LOCAL where the two are no addresses of one IP family.
 */
void proxy_proto_put_v1(struct buf *out, const struct addr *from, const struct addr *to);
void proxy_proto_put_v2(struct buf *out, const struct addr *from, const struct addr *to);

#endif
