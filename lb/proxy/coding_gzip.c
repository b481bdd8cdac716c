#include "base/mem.h"
#include "proxy/coding.h"

#include <zlib.h>

/* Together 54 KiB of memory for a stream (zlib.h, "memory requirements"): half of what twice the
 * window takes, for 2 % more bytes. */
#define WINDOW_BITS (13 + 16) /* 16: with the header and trailer of gzip */
#define MEMORY      5
#define LEVEL       1
#define TAKES       (56 * 1024)

struct gzip {
    z_stream z;
    size_t bytes; /* what the library has */
};

static void *take_memory(void *user, unsigned count, unsigned size)
{
    struct gzip *g = user;
    void *p = mem_array(count, size);
    g->bytes += p != NULL ? mem_room(p) : 0;
    return p;
}

static void give_memory(void *user, void *p)
{
    struct gzip *g = user;
    g->bytes -= p != NULL ? mem_room(p) : 0;
    mem_free(p);
}

static void *gzip_begin(void)
{
    struct gzip *g = mem_alloc(sizeof *g);
    if (g == NULL)
        return NULL;
    g->z.zalloc = take_memory;
    g->z.zfree = give_memory;
    g->z.opaque = g;
    if (deflateInit2(&g->z, LEVEL, Z_DEFLATED, WINDOW_BITS, MEMORY, Z_DEFAULT_STRATEGY) == Z_OK)
        return g;
    mem_free(g);
    return NULL;
}

static bool gzip_put(void *stream, struct span bytes, bool last, const struct coding_out *out)
{
    struct gzip *g = stream;
    z_stream *z = &g->z;
    char piece[CODING_PIECE];
    z->next_in = (z_const Bytef *)(uintptr_t)bytes.p;
    z->avail_in = (unsigned)bytes.n;
    do {
        z->next_out = (Bytef *)piece;
        z->avail_out = sizeof piece;
        int result = deflate(z, last ? Z_FINISH : Z_SYNC_FLUSH);
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            return false;
        if (z->avail_out < sizeof piece)
            out->put(out->user, span_of(piece, sizeof piece - z->avail_out));
    } while (z->avail_out == 0);
    return true;
}

static bool gzip_reset(void *stream)
{
    struct gzip *g = stream;
    return deflateReset(&g->z) == Z_OK;
}

static size_t gzip_bytes(void *stream)
{
    const struct gzip *g = stream;
    return sizeof *g + g->bytes;
}

static void gzip_end(void *stream)
{
    struct gzip *g = stream;
    (void)deflateEnd(&g->z);
    mem_free(g);
}

const struct coding_ops coding_gzip = {.name = "gzip",
                                       .library = "zlib " ZLIB_VERSION,
                                       .takes = TAKES,
                                       .begin = gzip_begin,
                                       .put = gzip_put,
                                       .reset = gzip_reset,
                                       .bytes = gzip_bytes,
                                       .end = gzip_end};
