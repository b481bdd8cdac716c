/* SEES: base
 * Whatever bytes a peer sends, what is written of them into a log is one JSON string: no control
 * byte, no quote that ends it early, at most six bytes out for one in (RELIABILITY H23). */
#include "base/buf.h"

#include <stdlib.h>

static void check_json(struct span out)
{
    bool escaped = false;
    if (out.n < 2 || out.p[0] != '"' || out.p[out.n - 1] != '"')
        abort();
    for (size_t i = 1; i + 1 < out.n; i++) {
        unsigned char c = (unsigned char)out.p[i];
        if (c < 0x20 || c == 0x7f || (c == '"' && !escaped))
            abort();
        escaped = c == '\\' && !escaped;
    }
    if (escaped)
        abort();
}

/* What is valid UTF-8 once stays as it is when written again: the output is valid UTF-8. */
static void check_stable(struct span out)
{
    struct buf again;
    buf_init(&again, 0);
    buf_put_text(&again, out, out.n);
    if (!again.failed && !span_eq(buf_span(&again), out))
        abort();
    buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of((const char *)data, size);
    struct buf out;
    uint64_t v;
    char digits[20];
    buf_init(&out, 0);
    buf_put_json(&out, in, size / 2 + 1);
    if (out.failed)
        return 0;
    check_json(buf_span(&out));
    check_stable(buf_span(&out));
    if (buf_len(&out) > 6 * size + 5)
        abort();
    buf_fini(&out);
    if (span_u64(in, &v) == ERR_OK && u64_print(digits, v) > size)
        abort();
    return 0;
}
