#include "http/h2_scan.h"

#include <string.h>

void h2_scan_init(struct h2_scan *s, size_t preface)
{
    *s = (struct h2_scan){.skip = preface};
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void read_head(const uint8_t *h, struct h2_frame *f)
{
    f->length = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
    f->type = h[3];
    f->flags = h[4];
    f->stream = (int32_t)((uint32_t)(h[5] & 0x7f) << 24 | (uint32_t)h[6] << 16 |
                          (uint32_t)h[7] << 8 | h[8]);
}

size_t h2_scan_next(struct h2_scan *s, struct span bytes, struct h2_frame *f, bool *begun)
{
    size_t taken = 0;
    *begun = false;
    if (s->skip == 0) {
        taken = least(sizeof(s->head) - s->n, bytes.n);
        memcpy(s->head + s->n, bytes.p, taken);
        s->n += taken;
        if (s->n < sizeof(s->head)) {
            return taken;
        }
        read_head(s->head, f);
        *begun = true;
        s->n = 0;
        s->skip = f->length;
    }
    size_t rest = least(s->skip, bytes.n - taken);
    s->skip -= rest;
    return taken + rest;
}
