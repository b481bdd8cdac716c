#include "base/near.h"

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

enum { DISTANCE_MOST = 63 }; /* names of keys are far shorter; longer texts count as unlike */

/* A letter written for another one, left out, too many, or two neighbours swapped: the slips of
 * who types, each counted once (optimal string alignment). */
size_t near_distance(struct span a, struct span b, size_t cap)
{
    size_t rows[3][DISTANCE_MOST + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    if (a.n > DISTANCE_MOST || b.n > DISTANCE_MOST)
        return span_eq(a, b) ? 0 : cap;
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t *last = before;
        before = above;
        above = row;
        row = last;
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            bool same = a.p[i - 1] == b.p[j - 1];
            row[j] = min_size(above[j - 1] + !same, min_size(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
                row[j] = min_size(row[j], before[j - 2] + 1);
        }
    }
    return min_size(row[b.n], cap);
}

struct near near_to(struct span wanted)
{
    return (struct near){.wanted = wanted, .distance = 2 + wanted.n / 4};
}

static size_t common_prefix(struct span a, struct span b)
{
    size_t n = 0;
    while (n < a.n && n < b.n && a.p[n] == b.p[n])
        n++;
    return n;
}

/* The fewest changes win; at a tie the one that begins the same. */
void near_offer(struct near *near, struct span candidate)
{
    size_t longer = candidate.n > near->wanted.n ? candidate.n : near->wanted.n;
    if (near->wanted.n > 63 || longer - (candidate.n + near->wanted.n - longer) > near->distance)
        return;
    size_t distance = near_distance(near->wanted, candidate, near->distance + 1);
    size_t prefix = common_prefix(near->wanted, candidate);
    bool nearer =
        distance < near->distance || (distance == near->distance && near->best.p != NULL &&
                                      prefix > common_prefix(near->wanted, near->best));
    if (nearer && distance < longer) {
        near->best = candidate;
        near->distance = distance;
    }
}

void near_put(const struct near *near, struct buf *out)
{
    if (near->best.n > 0)
        buf_printf(out, "; did you mean '%.*s'?", SPAN_FMT(near->best));
}
