/* SEES: proxy http net pick geo base
 * Whatever a client sends as traceparent: what is called valid has a trace of 32 digits, and what
 * is begun in its place is valid. */
#include "proxy/trace.h"

#include <stdlib.h>

static void check(const struct trace *t)
{
    struct span id = trace_id(t);
    if (!trace_valid(t->parent) || id.n != 32)
        abort();
    for (size_t i = 0; i < id.n; i++) {
        if (ascii_hex(id.p[i]) < 0)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of((const char *)data, size);
    struct arena arena;
    struct rng rng;
    struct request r = {.method = METHOD_GET};
    struct trace t;
    rng_seed(&rng, size);
    arena_init(&arena, NULL, 1024, 0);
    if (fields_put(&r.fields, &arena, FIELD_TRACEPARENT, in) == ERR_OK &&
        trace_take(&r, 50, &rng, &arena, &t) == ERR_OK) {
        check(&t);
        if (t.begun == trace_valid(in))
            abort();
    }
    arena_reset(&arena);
    return 0;
}
