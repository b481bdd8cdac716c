/* Zstandard (RFC 8878). Its memory is its own: the library takes an allocator only in an interface
 * that it does not keep. */
#include "proxy/coding.h"

#include <zstd.h>

/* With these a stream has 95 KiB of memory: little more than half of what twice the window takes,
 * for 4 % more bytes. */
#define WINDOW_BITS 13
#define HASH_BITS   12
#define LEVEL       1
#define TAKES       (96 * 1024)

static bool set(ZSTD_CCtx *c, ZSTD_cParameter what, int value)
{
    return !ZSTD_isError(ZSTD_CCtx_setParameter(c, what, value));
}

static void *zstd_begin(void)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    if (c == NULL)
        return NULL;
    if (set(c, ZSTD_c_compressionLevel, LEVEL) && set(c, ZSTD_c_windowLog, WINDOW_BITS) &&
        set(c, ZSTD_c_hashLog, HASH_BITS))
        return c;
    (void)ZSTD_freeCCtx(c);
    return NULL;
}

static bool zstd_put(void *stream, struct span bytes, bool last, const struct coding_out *out)
{
    ZSTD_inBuffer in = {.src = bytes.p, .size = bytes.n};
    size_t left;
    do {
        char piece[CODING_PIECE];
        ZSTD_outBuffer to = {.dst = piece, .size = sizeof piece};
        left = ZSTD_compressStream2(stream, &to, &in, last ? ZSTD_e_end : ZSTD_e_flush);
        if (ZSTD_isError(left))
            return false;
        if (to.pos > 0)
            out->put(out->user, span_of(piece, to.pos));
    } while (left > 0);
    return true;
}

static bool zstd_reset(void *stream)
{
    return !ZSTD_isError(ZSTD_CCtx_reset(stream, ZSTD_reset_session_only));
}

static size_t zstd_bytes(void *stream)
{
    return ZSTD_sizeof_CCtx(stream);
}

static void zstd_end(void *stream)
{
    (void)ZSTD_freeCCtx(stream);
}

const struct coding_ops coding_zstd = {.name = "zstd",
                                       .library = "zstd " ZSTD_VERSION_STRING,
                                       .takes = TAKES,
                                       .begin = zstd_begin,
                                       .put = zstd_put,
                                       .reset = zstd_reset,
                                       .bytes = zstd_bytes,
                                       .end = zstd_end};
