#include "pick/ring.h"

#include "base/hash.h"
#include "base/mem.h"

#define POINTS_MOST  512 /* of an endpoint of mean weight */
#define POINTS_LARGE 256 /* the same in a large pool */
#define LARGE        1024
#define HEAD_POINTS  4 /* to each head there are so many, at least */
#define PLACE_BITS   32
#define DIGIT_BITS   8
#define DIGITS       (1 << DIGIT_BITS)

/* How many points a weight is worth, as a power of two: it hardly ever changes as others come and
 * go, so that those who stay keep their points. The share of one endpoint varies by 1/sqrt(points):
 * 5 %, in large pools 8 %. */
static int shift_of(uint64_t total, uint32_t count)
{
    uint64_t most = (uint64_t)count * (count > LARGE ? POINTS_LARGE : POINTS_MOST);
    int shift = 0;
    while (total > 0 && total << (shift + 1) <= most)
        shift++;
    while (shift <= 0 && total >> -shift > most)
        shift--;
    return shift;
}

static uint32_t points_of(uint32_t weight, int shift)
{
    uint32_t points = shift < 0 ? weight >> -shift : weight << shift;
    return points > 0 ? points : 1;
}

/* The finaliser of splitmix64 (Steele and others, 2014). */
static uint64_t scatter(uint64_t v)
{
    v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
    return v ^ v >> 31;
}

static uint64_t *add_points(uint64_t *to, const struct pool_member *m, uint32_t index,
                            uint32_t points)
{
    uint64_t seed = hash_plain(span_str(endpoint_name(m->endpoint)));
    for (uint32_t i = 0; i < points; i++) {
        uint64_t place = scatter(seed + (i + 1) * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
        uint64_t rank = (uint64_t)i * RING_RANKS / points;
        *to++ = place << 32 | (uint64_t)index << RING_RANK_BITS | rank;
    }
    return to;
}

/* One pass of a radix sort: stable, by the digit at `shift`. */
static void sort_digit(const uint64_t *from, uint64_t *to, uint32_t n, unsigned shift)
{
    uint32_t starts[DIGITS + 1] = {0};
    for (uint32_t i = 0; i < n; i++)
        starts[(from[i] >> shift & (DIGITS - 1)) + 1]++;
    for (uint32_t d = 0; d < DIGITS; d++)
        starts[d + 1] += starts[d];
    for (uint32_t i = 0; i < n; i++)
        to[starts[from[i] >> shift & (DIGITS - 1)]++] = from[i];
}

/* By place; where two are at one place, the order of the members decides, which is not that of the
 * names: one key in four billion may differ between balancers configured in another order. */
static void sort_points(uint64_t *points, uint64_t *spare, uint32_t n)
{
    for (unsigned shift = 32; shift < 64; shift += 2 * DIGIT_BITS) {
        sort_digit(points, spare, n, shift);
        sort_digit(spare, points, n, shift + DIGIT_BITS);
    }
}

static unsigned head_bits(uint32_t points)
{
    unsigned bits = 0;
    while ((uint64_t)HEAD_POINTS << (bits + 1) <= points)
        bits++;
    return bits;
}

static void fill_heads(struct ring *ring, unsigned bits)
{
    uint32_t at = 0;
    ring->heads = (uint32_t *)(void *)(ring->points + ring->count);
    ring->head_shift = PLACE_BITS - bits;
    for (uint32_t h = 0; h <= UINT32_C(1) << bits; h++) {
        while (at < ring->count && ring->points[at] >> PLACE_BITS >> ring->head_shift < h)
            at++;
        ring->heads[h] = at;
    }
}

enum err ring_new(const struct pool_member *members, uint32_t count, struct ring **out)
{
    uint64_t total = 0;
    uint32_t n = 0;
    *out = NULL;
    for (uint32_t i = 0; i < count; i++)
        total += members[i].weight;
    int shift = shift_of(total, count);
    for (uint32_t i = 0; i < count; i++)
        n += points_of(members[i].weight, shift);
    unsigned bits = head_bits(n);
    size_t heads = (((size_t)1 << bits) + 1) * sizeof(uint32_t);
    struct ring *ring = mem_alloc(sizeof *ring + n * sizeof *ring->points + heads);
    uint64_t *spare = mem_array(n + 1, sizeof *spare);
    if (ring == NULL || spare == NULL) {
        mem_free(ring);
        mem_free(spare);
        return ERR_NO_MEMORY;
    }
    uint64_t *at = ring->points;
    for (uint32_t i = 0; i < count; i++)
        at = add_points(at, &members[i], i, points_of(members[i].weight, shift));
    ring->count = n;
    sort_points(ring->points, spare, n);
    fill_heads(ring, bits);
    mem_free(spare);
    *out = ring;
    return ERR_OK;
}

void ring_free(struct ring **ring)
{
    mem_free(*ring);
    *ring = NULL;
}

uint32_t ring_find(const struct ring *ring, uint64_t key)
{
    uint64_t place = key >> 32 << 32;
    uint64_t head = key >> 32 >> ring->head_shift;
    uint32_t at = ring->heads[head], n = ring->heads[head + 1] - at;
    while (n > 0) { /* without a branch to mispredict */
        uint32_t half = (n + 1) / 2;
        at += ring->points[at + half - 1] < place ? half : 0;
        n -= half;
    }
    return at < ring->count ? at : 0;
}
