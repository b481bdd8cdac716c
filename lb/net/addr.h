/* addr: a socket address (IPv4, IPv6, unix) as a value, parsed and printed, and CIDR sets. Pure. It
 * must not resolve names. */
#ifndef MERIDIAN_NET_ADDR_H
#define MERIDIAN_NET_ADDR_H

#include "base/str.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct addr {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un un;
    };
    socklen_t len; /* 0: none */
};

#define ADDR_TEXT      128 /* enough for every printed form, NUL included */
#define ADDR_HOST_TEXT 48  /* enough for every one without a port */

/* "1.2.3.4:80", "[::1]:80", "unix:/path". ERR_SYNTAX, ERR_RANGE. */
MUST_CHECK
enum err addr_parse(struct span s, struct addr *out);
/* The address without a port: "1.2.3.4", "::1", brackets allowed. Port 0. */
MUST_CHECK
enum err addr_parse_host(struct span s, struct addr *out);
/* Prints as addr_parse reads; returns the length. */
size_t addr_print(const struct addr *a, char out[ADDR_TEXT]);
/* Without the port and brackets ("unix:" for unix sockets). */
size_t addr_print_host(const struct addr *a, char out[ADDR_HOST_TEXT]);
uint16_t addr_port(const struct addr *a);
bool addr_eq(const struct addr *a, const struct addr *b);
/* ::ffff:a.b.c.d becomes a.b.c.d; others stay. */
void addr_unmap(struct addr *a);
/* 4, 16 or 0 bytes of the IP address in network order. */
size_t addr_bytes(const struct addr *a, const uint8_t **out);

struct cidr {
    uint8_t family; /* AF_INET or AF_INET6 */
    uint8_t bits;
    uint8_t bytes[16];
};
MUST_CHECK
enum err cidr_parse(struct span s, struct cidr *out);
bool cidr_has(const struct cidr *c, const struct addr *a);
/* Any of the n; unix addresses are in none. */
bool cidrs_have(const struct cidr *set, size_t n, const struct addr *a);

#endif
