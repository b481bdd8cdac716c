/* SEES: http net base */
/* Chunked content: cuts make no difference to verdict, content, trailers and bytes taken; content
 * encoded again decodes to itself (RELIABILITY H6, L14, L15). */
#include "base/limits.h"
#include "http/h1_body.h"
#include "http/h1_write.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    enum err e;
    bool done;
    size_t taken;
    struct buf content;
    struct fields trailers;
};

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* Decodes what can be of in[o->taken, n); false when there is nothing more to wait for. */
static bool feed(struct h1_body *b, struct span in, size_t n, struct outcome *o)
{
    while (!h1_body_done(b)) {
        size_t used = 0;
        struct span piece, rest = span_sub(in, o->taken, n);
        o->e = h1_body_step(b, rest, &used, &piece);
        must(used <= rest.n && piece.n <= used);
        o->taken += used;
        buf_put_span(&o->content, piece);
        if (o->e != ERR_OK) {
            return o->e == ERR_AGAIN;
        }
    }
    o->done = true;
    return false;
}

static void decode(struct span in, bool cut, struct arena *a, struct outcome *o)
{
    struct h1_body b;
    *o = (struct outcome){.e = ERR_AGAIN};
    buf_init(&o->content, 0);
    h1_body_init(&b, H1_CHUNKED, 0, a, &o->trailers);
    for (size_t n = cut ? 0 : in.n, i = 0; feed(&b, in, n, o) && n < in.n; i++) {
        size_t step = 1 + ((unsigned char)in.p[i % in.n] & 7);
        n = in.n - n < step ? in.n : n + step;
    }
    must(!o->done || b.content == buf_len(&o->content));
}

static void encode_again(const struct outcome *o, struct arena *a)
{
    struct buf out;
    struct outcome second;
    struct span content = buf_span(&o->content);
    buf_init(&out, 0);
    for (size_t at = 0; at < content.n;) {
        size_t n = content.n - at < 1000 ? content.n - at : 1000;
        char line[H1_CHUNK_LINE];
        buf_put(&out, line, h1_chunk_line(line, n));
        buf_put(&out, content.p + at, n);
        buf_put_str(&out, "\r\n");
        at += n;
    }
    h1_write_last_chunk(&out, &o->trailers);
    must(!out.failed);
    decode(buf_span(&out), false, a, &second);
    must(second.done && second.e == ERR_OK && second.taken == buf_len(&out));
    must(span_eq(buf_span(&second.content), content));
    must(second.trailers.n == o->trailers.n);
    buf_fini(&out);
    buf_fini(&second.content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of((const char *)data, size);
    struct arena a;
    struct outcome whole, cut;
    arena_init(&a, NULL, KIB(4), 0);
    decode(in, false, &a, &whole);
    decode(in, true, &a, &cut);
    must(whole.e == cut.e && whole.done == cut.done);
    must(span_eq(buf_span(&whole.content), buf_span(&cut.content)));
    must(whole.trailers.n == cut.trailers.n);
    if (whole.done) {
        must(whole.taken == cut.taken);
        encode_again(&whole, &a);
    }
    buf_fini(&whole.content);
    buf_fini(&cut.content);
    arena_reset(&a);
    return 0;
}
