/* SEES: health http net pick base
 * Whatever a server says of its health: it blames nobody who was not named, and with more after it
 * that is no blank it blames nobody at all. */
#include "base/buf.h"
#include "health/blame.h"

#include <stdlib.h>

static void check_longer(struct span in)
{
    static const struct span name = {"db", 2};
    struct buf longer;
    uint32_t blamed;
    buf_init(&longer, 0);
    buf_put_span(&longer, in);
    buf_put_char(&longer, 'x');
    if (blame_read(buf_span(&longer), &name, 1, &blamed) == ERR_OK || blamed != 0)
        abort();
    buf_fini(&longer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct span names[] = {{"db", 2}, {"cache", 5}, {"other", 5}};
    struct span in = span_of((const char *)data, size);
    uint32_t all, first;
    enum err e = blame_read(in, names, 3, &all);
    if (all >= 8 || (e != ERR_OK && all != 0))
        abort();
    if (blame_read(in, names, 1, &first) != e || (all & 1) != first)
        abort();
    if (e == ERR_OK)
        check_longer(in);
    return 0;
}
