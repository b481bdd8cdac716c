/* Brotli (RFC 7932). */
#include "base/mem.h"
#include "proxy/coding.h"

#include <brotli/encode.h>

/* With these a stream has about 100 KiB of memory. */
#define WINDOW_BITS 14
#define QUALITY     1

static void *take_memory(void *user, size_t size)
{
    (void)user;
    return mem_alloc(size);
}

static void give_memory(void *user, void *p)
{
    (void)user;
    mem_free(p);
}

static void *brotli_begin(void)
{
    BrotliEncoderState *s = BrotliEncoderCreateInstance(take_memory, give_memory, NULL);
    if (s == NULL)
        return NULL;
    if (BrotliEncoderSetParameter(s, BROTLI_PARAM_QUALITY, QUALITY) &&
        BrotliEncoderSetParameter(s, BROTLI_PARAM_LGWIN, WINDOW_BITS))
        return s;
    BrotliEncoderDestroyInstance(s);
    return NULL;
}

static bool brotli_put(void *stream, struct span bytes, bool last, const struct coding_out *out)
{
    const uint8_t *in = (const uint8_t *)bytes.p;
    size_t left = bytes.n;
    BrotliEncoderOperation what = last ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_FLUSH;
    do {
        char piece[CODING_PIECE];
        uint8_t *to = (uint8_t *)piece;
        size_t room = sizeof piece;
        if (!BrotliEncoderCompressStream(stream, what, &left, &in, &room, &to, NULL))
            return false;
        if (room < sizeof piece)
            out->put(out->user, span_of(piece, sizeof piece - room));
    } while (left > 0 || BrotliEncoderHasMoreOutput(stream));
    return true;
}

/* The library has no way to begin anew. */
static bool brotli_reset(void *stream)
{
    (void)stream;
    return false;
}

static void brotli_end(void *stream)
{
    BrotliEncoderDestroyInstance(stream);
}

const struct coding_ops coding_brotli = {.name = "br",
                                         .library = "brotli " BROTLI_VERSION,
                                         .begin = brotli_begin,
                                         .put = brotli_put,
                                         .reset = brotli_reset,
                                         .end = brotli_end};
