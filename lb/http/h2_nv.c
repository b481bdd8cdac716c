#include "http/h2_nv.h"

enum { EXTRA = 10 }; /* pseudo-header fields, te, content-length, date */

bool h2_nv_begin(struct h2_nv *to, struct arena *a, const struct fields *fields)
{
    to->n = 0;
    to->v = arena_take(a, (fields->n + EXTRA) * sizeof(*to->v));
    return to->v != NULL;
}

/* The library never writes here, and copies what no flag says it need not. */
static void put(struct h2_nv *to, struct span name, struct span value, uint8_t flags)
{
    to->v[to->n++] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.p,
                                  .value = (uint8_t *)(uintptr_t)value.p,
                                  .namelen = name.n,
                                  .valuelen = value.n,
                                  .flags = flags};
}

void h2_nv_put(struct h2_nv *to, struct span name, struct span value)
{
    put(to, name, value, NGHTTP2_NV_FLAG_NO_COPY_NAME);
}

/* A value of which no second message has the same would only push out of the compression's table
 * what comes again. */
static void put_field(struct h2_nv *to, const struct field *f, unsigned flags)
{
    if (f->id == FIELD_OTHER) {
        put(to, f->name, f->value, NGHTTP2_NV_FLAG_NONE);
        return;
    }
    uint8_t index = (flags & FIELD_UNIQUE) != 0 ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
    put(to, field_name(f->id), f->value, NGHTTP2_NV_FLAG_NO_COPY_NAME | index);
}

void h2_nv_fields(struct h2_nv *to, const struct fields *fields, bool tunnel)
{
    for (size_t i = 0; i < fields->n; i++) {
        const struct field *f = &fields->v[i];
        unsigned flags = field_flags(f->id);
        bool leave = (flags & (FIELD_HOP | FIELD_FRAMING)) != 0;
        if (tunnel) {
            leave =
                leave || f->id == FIELD_SEC_WEBSOCKET_KEY || f->id == FIELD_SEC_WEBSOCKET_ACCEPT;
        }
        if (!leave) {
            put_field(to, f, flags);
        }
    }
}

void h2_nv_teach(struct h2_nv *nv)
{
    const char *id = field_name(FIELD_X_REQUEST_ID).p, *trace = field_name(FIELD_TRACEPARENT).p;
    for (size_t i = 0; i < nv->n; i++) {
        const char *name = (const char *)nv->v[i].name;
        if (name == id || name == trace) {
            nv->v[i].flags &= (uint8_t)~NGHTTP2_NV_FLAG_NO_INDEX;
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
