#include "base/mem.h"
#include "proxy/coding.h"

#include <zlib.h>

/* Together 96 KiB of memory for a stream (zlib.h, "memory requirements"). */
#define WINDOW_BITS (14 + 16) /* 16: with the header and trailer of gzip */
#define MEMORY      6
#define LEVEL       1

static void *take_memory(void *user, unsigned count, unsigned size)
{
    (void)user;
    return mem_array(count, size);
}

static void give_memory(void *user, void *p)
{
    (void)user;
    mem_free(p);
}

static void *gzip_begin(void)
{
    z_stream *z = mem_alloc(sizeof *z);
    if (z == NULL)
        return NULL;
    z->zalloc = take_memory;
    z->zfree = give_memory;
    if (deflateInit2(z, LEVEL, Z_DEFLATED, WINDOW_BITS, MEMORY, Z_DEFAULT_STRATEGY) == Z_OK)
        return z;
    mem_free(z);
    return NULL;
}

static bool gzip_put(void *stream, struct span bytes, bool last, const struct coding_out *out)
{
    z_stream *z = stream;
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
    return deflateReset(stream) == Z_OK;
}

static void gzip_end(void *stream)
{
    (void)deflateEnd(stream);
    mem_free(stream);
}

const struct coding_ops coding_gzip = {.name = "gzip",
                                       .library = "zlib " ZLIB_VERSION,
                                       .begin = gzip_begin,
                                       .put = gzip_put,
                                       .reset = gzip_reset,
                                       .end = gzip_end};
