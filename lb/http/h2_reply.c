#include "http/h2_message.h"
#include "http/h2_nv.h"

static enum err read_status(const struct h2_block *b, struct reply *r)
{
    uint64_t status;
    if (b->status.n != 3 || span_u64(b->status, &status) != ERR_OK || status < 100 ||
        status > 599 || status == 101) {
        return ERR_BACKEND_PROTOCOL;
    }
    r->status = (uint16_t)status;
    return ERR_OK;
}

static enum err read_length(const struct h2_block *b, struct reply *r)
{
    size_t lengths = fields_count(&b->fields, FIELD_CONTENT_LENGTH);
    const struct field *length = fields_get(&b->fields, FIELD_CONTENT_LENGTH);
    if (lengths == 0) {
        return ERR_OK;
    }
    if (lengths > 1 || span_u64(length->value, &r->length) != ERR_OK || r->length > INT64_MAX) {
        return ERR_BACKEND_PROTOCOL;
    }
    r->has_length = true;
    return ERR_OK;
}

/* Whether the length that was given can be that of what follows. Of 204 some servers say that it is
 * 0, and a tunnel has none whatever they say. */
static bool length_fits(struct asked asked, bool end, struct reply *r)
{
    bool tunnel = asked.upgrade == UPGRADE_WEBSOCKET && r->status >= 200 && r->status < 300;
    bool about_another = asked.method == METHOD_HEAD || r->status == 304;
    if (!r->has_length || tunnel || (r->status == 204 && r->length == 0)) {
        r->has_length = false;
        r->length = 0;
        return true;
    }
    return r->status >= 200 && r->status != 204 && (!end || r->length == 0 || about_another);
}

static void read_content(struct asked asked, bool end, struct reply *r)
{
    bool none = end || asked.method == METHOD_HEAD || r->status < 200 || r->status == 204 ||
                r->status == 304;
    r->upgraded = asked.upgrade == UPGRADE_WEBSOCKET && r->status >= 200 && r->status < 300;
    if (none || r->upgraded) {
        return;
    }
    r->content = r->has_length ? CONTENT_LENGTH : CONTENT_STREAM;
}

enum err h2_reply_read(struct h2_block *b, struct asked asked, bool end, struct reply *out)
{
    *out = (struct reply){.version = VERSION_2, .head_bytes = b->size};
    enum err e = b->bad == ERR_HEAD_TOO_LARGE ? ERR_BACKEND_HEAD_TOO_LARGE
                 : b->bad == ERR_NO_MEMORY    ? ERR_NO_MEMORY
                 : b->bad != ERR_OK           ? ERR_BACKEND_PROTOCOL
                                              : ERR_OK;
    e = e == ERR_OK ? read_status(b, out) : e;
    e = e == ERR_OK ? read_length(b, out) : e;
    if (e != ERR_OK) {
        return e;
    }
    if (!length_fits(asked, end, out)) {
        return ERR_BACKEND_PROTOCOL;
    }
    read_content(asked, end, out);
    out->digest_follows = fields_promise_digest(&b->fields);
    fields_strip(&b->fields);
    out->fields = b->fields;
    return ERR_OK;
}

static void put_status(struct h2_nv *out, unsigned status, char digits[static 3])
{
    digits[0] = (char)('0' + status / 100 % 10);
    digits[1] = (char)('0' + status / 10 % 10);
    digits[2] = (char)('0' + status % 10);
    h2_nv_put(out, SPAN(":status"), span_of(digits, 3));
}

enum err h2_reply_write(const struct reply *r, struct span date, struct arena *a, struct h2_nv *out)
{
    char *digits = arena_take(a, 3);
    bool final = r->status >= 200 || r->upgraded;
    bool framed = final && !r->upgraded && r->status != 204 &&
                  (r->has_length || r->content == CONTENT_LENGTH);
    if (digits == NULL || !h2_nv_begin(out, a, &r->fields)) {
        return ERR_NO_MEMORY;
    }
    put_status(out, r->upgraded ? 200 : r->status, digits);
    h2_nv_fields(out, &r->fields, r->upgraded);
    if (final && date.n > 0 && fields_get(&r->fields, FIELD_DATE) == NULL) {
        h2_nv_put(out, field_name(FIELD_DATE), date);
    }
    return framed ? h2_nv_length(out, a, r->length) : ERR_OK;
}
