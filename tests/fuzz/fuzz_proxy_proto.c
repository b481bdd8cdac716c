/* SEES: net base
 * Any bytes as the header of the PROXY protocol: what is one is within them and its bounds, does
 * not depend on what follows, and is read the same after it was written anew. */
#include "net/proxy_proto.h"

#include <stdlib.h>

static void check_again(const struct proxy_proto *p,
                        void (*put)(struct buf *, const struct addr *, const struct addr *))
{
    char memory[PROXY_PROTO_V1_MOST];
    struct buf b;
    struct proxy_proto again;
    buf_fixed(&b, memory, sizeof memory);
    put(&b, &p->from, &p->to);
    if (b.failed || proxy_proto_parse(buf_span(&b), &again) != ERR_OK ||
        again.bytes != buf_len(&b) || again.local || !addr_eq(&again.from, &p->from) ||
        !addr_eq(&again.to, &p->to))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of((const char *)data, size);
    struct proxy_proto p, part;
    enum err e = proxy_proto_parse(in, &p);
    if (e == ERR_AGAIN && size >= PROXY_PROTO_V2_MOST)
        abort();
    if (e != ERR_OK)
        return 0;
    if (p.bytes > size || p.bytes > PROXY_PROTO_V2_MOST ||
        proxy_proto_parse(span_sub(in, 0, p.bytes), &part) != ERR_OK ||
        proxy_proto_parse(span_sub(in, 0, p.bytes - 1), &part) != ERR_AGAIN)
        abort();
    if (!p.local) {
        check_again(&p, proxy_proto_put_v1);
        check_again(&p, proxy_proto_put_v2);
    }
    return 0;
}
