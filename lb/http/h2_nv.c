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

/* Values of which no second message has the same: in the compression's table they would only push
 * out what comes again. */
static bool is_unique(enum field_id id)
{
    return id == FIELD_X_REQUEST_ID || id == FIELD_TRACEPARENT || id == FIELD_TRACESTATE ||
           id == FIELD_IDEMPOTENCY_KEY;
}

static void put_field(struct h2_nv *to, const struct field *f)
{
    if (f->id == FIELD_OTHER) {
        put(to, f->name, f->value, NGHTTP2_NV_FLAG_NONE);
        return;
    }
    put(to, field_name(f->id), f->value,
        NGHTTP2_NV_FLAG_NO_COPY_NAME | (is_unique(f->id) ? NGHTTP2_NV_FLAG_NO_INDEX : 0));
}

void h2_nv_fields(struct h2_nv *to, const struct fields *fields, bool tunnel)
{
    for (size_t i = 0; i < fields->n; i++) {
        const struct field *f = &fields->v[i];
        bool proof = f->id == FIELD_SEC_WEBSOCKET_KEY || f->id == FIELD_SEC_WEBSOCKET_ACCEPT;
        bool leave = field_is_hop(f->id) || field_is_framing(f->id) || (tunnel && proof);
        if (!leave) {
            put_field(to, f);
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
