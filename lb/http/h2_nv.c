#include "http/h2_nv.h"

enum { EXTRA = 10 }; /* pseudo-header fields, te, content-length, date */

bool h2_nv_begin(struct h2_nv *to, struct arena *a, const struct fields *fields)
{
    to->n = 0;
    to->v = arena_take(a, (fields->n + EXTRA) * sizeof(*to->v));
    return to->v != NULL;
}

void h2_nv_put(struct h2_nv *to, struct span name, struct span value)
{
    /* The library copies, and never writes here. */
    to->v[to->n++] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.p,
                                  .value = (uint8_t *)(uintptr_t)value.p,
                                  .namelen = name.n,
                                  .valuelen = value.n,
                                  .flags = NGHTTP2_NV_FLAG_NONE};
}

void h2_nv_fields(struct h2_nv *to, const struct fields *fields)
{
    for (size_t i = 0; i < fields->n; i++) {
        const struct field *f = &fields->v[i];
        bool leave = field_is_hop(f->id) || field_is_framing(f->id) ||
                     f->id == FIELD_SEC_WEBSOCKET_KEY || f->id == FIELD_SEC_WEBSOCKET_ACCEPT;
        if (!leave) {
            h2_nv_put(to, f->name, f->value);
        }
    }
}

enum err h2_nv_length(struct h2_nv *to, struct arena *a, uint64_t length)
{
    enum { DIGITS = 20 };
    char *digits = arena_take(a, DIGITS);
    if (digits == NULL) {
        return ERR_NO_MEMORY;
    }
    h2_nv_put(to, field_name(FIELD_CONTENT_LENGTH), span_of(digits, u64_print(digits, length)));
    return ERR_OK;
}
