/* Brotli (RFC 7932). */
#include "base/mem.h"
#include "proxy/coding.h"

#include <brotli/encode.h>

/* With these a stream has up to 56 KiB of memory, and as much again while it works. */
#define WINDOW_BITS 13
#define QUALITY     1
#define TAKES       (56 * 1024)

struct brotli {
    BrotliEncoderState *state;
    size_t bytes; /* what the library has */
};

static void *take_memory(void *user, size_t size)
{
    struct brotli *b = user;
    void *p = mem_alloc(size);
    b->bytes += p != NULL ? mem_room(p) : 0;
    return p;
}

static void give_memory(void *user, void *p)
{
    struct brotli *b = user;
    b->bytes -= p != NULL ? mem_room(p) : 0;
    mem_free(p);
}

static void brotli_end(void *stream)
{
    struct brotli *b = stream;
    BrotliEncoderDestroyInstance(b->state);
    mem_free(b);
}

static void *brotli_begin(void)
{
    struct brotli *b = mem_alloc(sizeof *b);
    if (b == NULL)
        return NULL;
    b->state = BrotliEncoderCreateInstance(take_memory, give_memory, b);
    if (b->state != NULL && BrotliEncoderSetParameter(b->state, BROTLI_PARAM_QUALITY, QUALITY) &&
        BrotliEncoderSetParameter(b->state, BROTLI_PARAM_LGWIN, WINDOW_BITS))
        return b;
    brotli_end(b);
    return NULL;
}

static bool brotli_put(void *stream, struct span bytes, bool last, const struct coding_out *out)
{
    BrotliEncoderState *state = ((struct brotli *)stream)->state;
    const uint8_t *in = (const uint8_t *)bytes.p;
    size_t left = bytes.n;
    BrotliEncoderOperation what = last ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_FLUSH;
    do {
        char piece[CODING_PIECE];
        uint8_t *to = (uint8_t *)piece;
        size_t room = sizeof piece;
        if (!BrotliEncoderCompressStream(state, what, &left, &in, &room, &to, NULL))
            return false;
        if (room < sizeof piece)
            out->put(out->user, span_of(piece, sizeof piece - room));
    } while (left > 0 || BrotliEncoderHasMoreOutput(state));
    return true;
}

/* The library has no way to begin anew. */
static bool brotli_reset(void *stream)
{
    (void)stream;
    return false;
}

static size_t brotli_bytes(void *stream)
{
    const struct brotli *b = stream;
    return sizeof *b + b->bytes;
}

const struct coding_ops coding_brotli = {.name = "br",
                                         .library = "brotli " BROTLI_VERSION,
                                         .takes = TAKES,
                                         .begin = brotli_begin,
                                         .put = brotli_put,
                                         .reset = brotli_reset,
                                         .bytes = brotli_bytes,
                                         .end = brotli_end};
