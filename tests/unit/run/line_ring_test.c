/* Rings of lines between workers and one writer: whole or not at all, in order, over the seam. */
#include "run/line_ring.h"

#include "base/limits.h"
#include "check.h"

TEST(line_ring, whole_lines_over_the_seam)
{
    struct line_rings *r;
    struct span parts[2];
    CHECK_INT(line_rings_new(2, KIB(128), &r), ERR_OK);
    static char line[1000], got[2 * KIB(64)];
    unsigned put = 0, taken = 0;
    for (unsigned turn = 0; turn < 40; turn++) {
        for (;;) {
            memset(line, 'a' + (int)(put % 26), sizeof line);
            if (!line_rings_put(r, 1, span_of(line, sizeof line)))
                break;
            put++;
        }
        CHECK_INT(line_rings_peek(r, 0, SIZE_MAX, parts), 0);
        size_t n = line_rings_peek(r, 1, sizeof line * 7, parts);
        CHECK_INT(n, sizeof line * 7);
        memcpy(got, parts[0].p, parts[0].n);
        memcpy(got + parts[0].n, parts[1].p, parts[1].n);
        for (size_t i = 0; i < n; i++)
            CHECK(got[i] == 'a' + (int)((taken + i / sizeof line) % 26), "byte %zu of turn %u", i,
                  turn);
        line_rings_taken(r, 1, n);
        taken += 7;
    }
    CHECK(put > 65, "%u lines", put);
    line_rings_free(&r);
    CHECK(r == NULL, "forgotten");
}
