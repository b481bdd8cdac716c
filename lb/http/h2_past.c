#include "http/h2_past.h"

#include <nghttp2/nghttp2.h>

void h2_past_done(struct h2_past *p, int32_t id)
{
    p->done[p->next] = id;
    p->next = (p->next + 1) % LIMIT_H2_PAST;
}

static uint32_t judge(const struct h2_past *p, int32_t id)
{
    if (id >= p->gap_from && id < p->gap_to) {
        return NGHTTP2_PROTOCOL_ERROR;
    }
    for (unsigned i = 0; i < LIMIT_H2_PAST; i++) {
        if (p->done[i] == id) {
            return NGHTTP2_STREAM_CLOSED;
        }
    }
    return NGHTTP2_NO_ERROR;
}

uint32_t h2_past_frame(struct h2_past *p, bool headers, int32_t id)
{
    if (id <= p->last) {
        return id > 0 ? judge(p, id) : NGHTTP2_NO_ERROR;
    }
    if (headers) {
        if (id > p->last + 2) {
            p->gap_from = p->last + 1;
            p->gap_to = id;
        }
        p->last = id;
    }
    return NGHTTP2_NO_ERROR;
}
