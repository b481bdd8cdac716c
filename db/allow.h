/* allow: where a server of the registry may stand. Whoever can write a row must not be able to
 * point a balancer at itself or at a metadata service: loopback and link-local addresses are had
 * only by networks that hold nothing else; unspecified and multicast ones never. Pure. */
#ifndef MERIDIAN_DB_ALLOW_H
#define MERIDIAN_DB_ALLOW_H

#include "net/addr.h"

/* An IPv4 address must not be mapped (addr_unmap). */
bool allow_has(const struct cidr *set, size_t n, const struct addr *a);

#endif
