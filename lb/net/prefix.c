#include "net/prefix.h"

enum err prefix_set_init(struct prefix_set *set, struct arena *arena, size_t n)
{
    *set = (struct prefix_set){.count = 1};
    set->nodes = arena_zero(arena, (2 * n + 1) * sizeof *set->nodes);
    return set->nodes != NULL ? ERR_OK : ERR_NO_MEMORY;
}

static unsigned bit_of(const uint8_t *bytes, unsigned i)
{
    return bytes[i / 8] >> (7 - i % 8) & 1;
}

/* How many of the first `most` bits are the same. */
static unsigned common_bits(const uint8_t *a, const uint8_t *b, unsigned most)
{
    unsigned n = 0;
    while (n + 8 <= most && a[n / 8] == b[n / 8])
        n += 8;
    while (n < most && bit_of(a, n) == bit_of(b, n))
        n++;
    return n;
}

static uint32_t new_node(struct prefix_set *set, const uint8_t *bytes, unsigned bits, uint8_t value)
{
    struct prefix_node *n = &set->nodes[set->count];
    *n = (struct prefix_node){.bits = (uint8_t)bits, .value = value};
    for (unsigned i = 0; i < bits; i++)
        n->bytes[i / 8] |= (uint8_t)(bit_of(bytes, i) << (7 - i % 8));
    return set->count++;
}

/* Puts a node of `bits` bits above the one at *at, which goes on with another bit than `network` or
 * is inside it. */
static void fork_above(struct prefix_set *set, uint32_t *at, const struct cidr *network,
                       unsigned bits, uint8_t value)
{
    uint32_t below = *at;
    bool whole = bits == network->bits;
    uint32_t above = new_node(set, network->bytes, bits, whole ? value : PREFIX_NONE);
    set->nodes[above].child[bit_of(set->nodes[below].bytes, bits)] = below;
    if (!whole)
        set->nodes[above].child[bit_of(network->bytes, bits)] =
            new_node(set, network->bytes, network->bits, value);
    *at = above;
}

void prefix_set_add(struct prefix_set *set, const struct cidr *network, uint8_t value)
{
    uint32_t *at = &set->root[network->family == AF_INET6];
    while (*at != 0) {
        struct prefix_node *n = &set->nodes[*at];
        unsigned least = n->bits < network->bits ? n->bits : network->bits;
        unsigned same = common_bits(n->bytes, network->bytes, least);
        if (same < n->bits) {
            fork_above(set, at, network, same, value);
            return;
        }
        if (n->bits == network->bits) {
            n->value = value;
            return;
        }
        at = &n->child[bit_of(network->bytes, n->bits)];
    }
    *at = new_node(set, network->bytes, network->bits, value);
}

uint8_t prefix_set_find(const struct prefix_set *set, const struct addr *a)
{
    const uint8_t *bytes;
    unsigned size = (unsigned)addr_bytes(a, &bytes) * 8;
    uint32_t at = size != 0 ? set->root[size == 128] : 0;
    uint8_t value = PREFIX_NONE;
    while (at != 0) {
        const struct prefix_node *n = &set->nodes[at];
        if (common_bits(n->bytes, bytes, n->bits) < n->bits)
            break;
        if (n->value != PREFIX_NONE)
            value = n->value;
        at = n->bits < size ? n->child[bit_of(bytes, n->bits)] : 0;
    }
    return value;
}
