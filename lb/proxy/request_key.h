/* request_key: what tells requests apart where they are counted or shared out: the client's
 * address, a header field, a cookie, the path or the query. Pure; immutable, part of a policy.
 * Knows no table. */
#ifndef MERIDIAN_PROXY_REQUEST_KEY_H
#define MERIDIAN_PROXY_REQUEST_KEY_H

#include "base/hash.h"
#include "http/msg.h"
#include "net/addr.h"

enum key_kind {
    KEY_NONE,   /* nothing: all requests are one */
    KEY_CLIENT, /* IPv4 address, or IPv6 network of 64 bits */
    KEY_HEADER,
    KEY_COOKIE,
    KEY_PATH,
    KEY_QUERY, /* all of it, or one parameter as it is written */
};

struct key_rule {
    enum key_kind kind;
    struct span name; /* of the header, lower case, of the cookie or of the parameter */
};

/* 64 bits of the key. A request without the header, cookie or query has its client for key.
 * `secret` is for limits, where clients must not choose who shares a place with them, nor be
 * somebody else by choice: it keys the hash, and a header or cookie that is there more than once
 * counts as none. NULL: the hash is the same everywhere and for ever, and the first one is taken.
 * client NULL: nobody's. */
uint64_t request_key(const struct key_rule *rule, const struct request *r,
                     const struct addr *client, const struct hash_key *secret);

/* The value of the nth cookie of that name, from 0; SPAN_NONE: there are not so many. */
struct span request_cookie(const struct request *r, struct span name, unsigned nth);

#endif
