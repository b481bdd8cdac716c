#include "proxy/forward.h"

#include "base/buf.h"

#define VIA_NAME "meridian"

/* Made anew by us, or the client's own word where the peer is not to be believed. */
static bool dropped(enum field_id id, bool trusted)
{
    if (id == FIELD_X_FORWARDED_FOR || id == FIELD_FORWARDED || id == FIELD_VIA ||
        id == FIELD_X_REAL_IP || id == FIELD_X_REQUEST_ID)
        return true;
    return !trusted && (id == FIELD_X_FORWARDED_PROTO || id == FIELD_X_FORWARDED_HOST ||
                        id == FIELD_X_FORWARDED_PORT);
}

/* Joins the values of all fields with that id and one more, as one list (RFC 9110 section 5.3). */
static struct span continued(const struct fields *f, enum field_id id, struct span last,
                             struct arena *arena)
{
    size_t need = last.n + 1;
    for (size_t i = 0; i < f->n; i++)
        need += f->v[i].id == id ? f->v[i].value.n + 2 : 0;
    if (need == last.n + 1)
        return last;
    char *p = arena_take(arena, need);
    struct buf b;
    if (p == NULL)
        return SPAN_NONE;
    buf_fixed(&b, p, need);
    for (size_t i = 0; i < f->n; i++) {
        if (f->v[i].id != id)
            continue;
        buf_put_span(&b, f->v[i].value);
        buf_put(&b, ", ", 2);
    }
    buf_put_span(&b, last);
    return buf_span(&b);
}

static struct span forwarded_element(const struct request *in, const struct forward_facts *facts,
                                     struct arena *arena)
{
    size_t need = facts->peer.n + in->authority.n + 64;
    char *p = arena_take(arena, need);
    struct buf b;
    if (p == NULL)
        return SPAN_NONE;
    buf_fixed(&b, p, need);
    if (facts->peer_v6) {
        buf_put_str(&b, "for=\"[");
        buf_put_span(&b, facts->peer);
        buf_put_str(&b, "]\"");
    } else {
        /* A peer at a unix socket has no name of RFC 7239 section 6. */
        bool named = span_find(facts->peer, ':') == facts->peer.n;
        buf_put_str(&b, "for=");
        buf_put_span(&b, named ? facts->peer : SPAN("unknown"));
    }
    if (in->authority.n != 0) {
        buf_put_str(&b, ";host=\"");
        buf_put_span(&b, in->authority);
        buf_put_char(&b, '"');
    }
    buf_put_str(&b, ";proto=");
    buf_put_span(&b, in->scheme);
    return buf_span(&b);
}

static struct span via_element(enum version v)
{
    return v == VERSION_1_0   ? SPAN("1.0 " VIA_NAME)
           : v == VERSION_1_1 ? SPAN("1.1 " VIA_NAME)
                              : SPAN("2 " VIA_NAME);
}

/* The forwarding fields, each made by us or continued where the peer is trusted. */
static enum err put_forwarding(const struct request *in, const struct forward_facts *facts,
                               struct arena *arena, struct fields *out)
{
    struct span chain = facts->peer, element = forwarded_element(in, facts, arena);
    bool first = !facts->peer_trusted;
    if (facts->peer_trusted && facts->forwarded_kept)
        element = continued(&in->fields, FIELD_FORWARDED, element, arena);
    else if (facts->peer_trusted)
        chain = continued(&in->fields, FIELD_X_FORWARDED_FOR, chain, arena);
    if (element.p == NULL || chain.p == NULL)
        return ERR_NO_MEMORY;
    enum err e = fields_put(out, arena, FIELD_X_FORWARDED_FOR, chain);
    if (e == ERR_OK && (first || fields_get(&in->fields, FIELD_X_FORWARDED_PROTO) == NULL))
        e = fields_put(out, arena, FIELD_X_FORWARDED_PROTO, in->scheme);
    if (e == ERR_OK && in->authority.n != 0 &&
        (first || fields_get(&in->fields, FIELD_X_FORWARDED_HOST) == NULL))
        e = fields_put(out, arena, FIELD_X_FORWARDED_HOST, in->authority);
    return e == ERR_OK ? fields_put(out, arena, FIELD_FORWARDED, element) : e;
}

enum err forward_request(const struct request *in, const struct forward_facts *facts,
                         struct arena *arena, struct request *out)
{
    *out = *in;
    out->fields = (struct fields){.cap = in->fields.n + 8};
    out->fields.v = arena_take(arena, out->fields.cap * sizeof(struct field));
    if (out->fields.v == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < in->fields.n; i++) {
        enum field_id id = in->fields.v[i].id;
        bool other_trace = (facts->trace.p != NULL && id == FIELD_TRACEPARENT) ||
                           (facts->trace_begun && id == FIELD_TRACESTATE);
        if (!other_trace && !dropped(id, facts->peer_trusted))
            out->fields.v[out->fields.n++] = in->fields.v[i];
    }
    enum err e = put_forwarding(in, facts, arena, &out->fields);
    struct span via = continued(&in->fields, FIELD_VIA, via_element(in->version), arena);
    if (e == ERR_OK && via.p == NULL)
        e = ERR_NO_MEMORY;
    if (e == ERR_OK)
        e = fields_put(&out->fields, arena, FIELD_VIA, via);
    if (e == ERR_OK)
        e = fields_put(&out->fields, arena, FIELD_X_REQUEST_ID, facts->id);
    if (e == ERR_OK && facts->trace.p != NULL)
        e = fields_put(&out->fields, arena, FIELD_TRACEPARENT, facts->trace);
    if (facts->authority.p != NULL)
        out->authority = facts->authority;
    return e;
}

enum err forward_reply(struct reply *reply, struct arena *arena)
{
    struct span via = continued(&reply->fields, FIELD_VIA, via_element(reply->version), arena);
    if (via.p == NULL)
        return ERR_NO_MEMORY;
    fields_remove(&reply->fields, FIELD_VIA);
    return fields_put(&reply->fields, arena, FIELD_VIA, via);
}

static bool id_safe(struct span s)
{
    if (s.n == 0 || s.n > 128)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!ascii_alpha(c) && !ascii_digit(c) && memchr("-_.=+/:", c, 7) == NULL)
            return false;
    }
    return true;
}

struct span forward_id(const struct request *in, uint64_t high, uint64_t low, struct arena *arena)
{
    const struct field *own = fields_get(&in->fields, FIELD_X_REQUEST_ID);
    if (own != NULL && id_safe(own->value))
        return own->value;
    char *p = arena_take(arena, 32);
    if (p == NULL)
        return SPAN_NONE;
    u64_print_hex(p, high);
    u64_print_hex(p + 16, low);
    return span_of(p, 32);
}
