#include "check.h"
#include "http/h2_scan.h"

/* Frame headers are found however the bytes are cut. */

static const char WIRE[] = "pre"
                           "\0\0\4\0\1\0\0\0\1data"
                           "\0\0\0\4\0\0\0\0\0"
                           "\0\1\2\x42\xff\x80\0\1\3";

enum { HEADS = 3 + 13 + 9 + 9, LAST = 258, WHOLE = HEADS + LAST };

static unsigned scan(const char *wire, size_t piece, struct h2_frame *found)
{
    struct h2_scan s;
    unsigned n = 0;
    h2_scan_init(&s, 3);
    for (size_t at = 0; at < WHOLE;) {
        struct h2_frame f;
        bool begun;
        size_t most = WHOLE - at < piece ? WHOLE - at : piece;
        size_t taken = h2_scan_next(&s, span_of(wire + at, most), &f, &begun);
        CHECK(taken > 0 && taken <= most, "%zu of %zu", taken, most);
        if (taken == 0 || n == 3) {
            break;
        }
        if (begun) {
            found[n++] = f;
        }
        at += taken;
    }
    return n;
}

TEST(h2_scan, every_cut)
{
    char wire[WHOLE] = {0};
    memcpy(wire, WIRE, HEADS);
    for (size_t piece = 1; piece <= WHOLE; piece++) {
        struct h2_frame f[3] = {0};
        CHECK_INT(scan(wire, piece, f), 3);
        CHECK(f[0].type == 0 && f[0].flags == 1 && f[0].stream == 1 && f[0].length == 4,
              "pieces of %zu", piece);
        CHECK(f[1].type == 4 && f[1].length == 0 && f[1].stream == 0, "pieces of %zu", piece);
        CHECK(f[2].type == 0x42 && f[2].flags == 0xff && f[2].length == LAST &&
                  f[2].stream == 0x103,
              "pieces of %zu", piece);
    }
}
