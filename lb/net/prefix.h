/* prefix: networks with a value each, of which the longest that has an address wins: one compressed
 * binary trie for each family. Built once into an arena, then immutable; a look-up follows at most
 * as many nodes as the address has bits. Pure; any thread. */
#ifndef MERIDIAN_NET_PREFIX_H
#define MERIDIAN_NET_PREFIX_H

#include "base/arena.h"
#include "net/addr.h"

#define PREFIX_NONE UINT8_MAX

struct prefix_node {
    uint8_t bytes[16]; /* zero after `bits` */
    uint8_t bits;
    uint8_t value;     /* PREFIX_NONE: a fork only */
    uint32_t child[2]; /* by the bit after `bits`; 0: none */
};

/* All zero is the empty set. */
struct prefix_set {
    struct prefix_node *nodes; /* nodes[0] is not used */
    uint32_t root[2];          /* IPv4, IPv6 */
    uint32_t count;
};

/* Memory for n networks. ERR_NO_MEMORY. */
MUST_CHECK
enum err prefix_set_init(struct prefix_set *set, struct arena *arena, size_t n);
/* At most n times. A network that is there gets the new value. value below PREFIX_NONE. */
void prefix_set_add(struct prefix_set *set, const struct cidr *network, uint8_t value);
/* The value of the longest network that has the address; PREFIX_NONE where there is none and for
 * unix addresses. An IPv4 address must not be mapped (addr_unmap). */
uint8_t prefix_set_find(const struct prefix_set *set, const struct addr *a);

#endif
