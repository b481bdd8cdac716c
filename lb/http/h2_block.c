#include "http/h2_block.h"

#include "base/buf.h"
#include "base/eight.h"
#include "base/limits.h"
#include "http/h1_scan.h"

void h2_block_begin(struct h2_block *b, struct arena *a, enum h2_block_kind kind,
                    enum odd_names odd_names)
{
    *b = (struct h2_block){.arena = a, .kind = kind, .odd_names = odd_names};
}

static struct span *pseudo_of(struct h2_block *b, struct span name)
{
    if (b->kind != H2_BLOCK_REQUEST) {
        return b->kind == H2_BLOCK_RESPONSE && span_eq(name, SPAN(":status")) ? &b->status : NULL;
    }
    switch (name.n) {
    case sizeof(":path") - 1:
        return span_eq(name, SPAN(":path")) ? &b->path : NULL;
    case sizeof(":method") - 1:
        return span_eq(name, SPAN(":method"))   ? &b->method
               : span_eq(name, SPAN(":scheme")) ? &b->scheme
                                                : NULL;
    case sizeof(":protocol") - 1:
        return span_eq(name, SPAN(":protocol")) ? &b->protocol : NULL;
    case sizeof(":authority") - 1:
        return span_eq(name, SPAN(":authority")) ? &b->authority : NULL;
    default:
        return NULL;
    }
}

static bool has_control(uint64_t x)
{
    return (eight_below(x, 0x20) | eight_equal(x, 0x7f)) != 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* RFC 9113 section 8.2.1. */
static bool value_sound(struct span v)
{
    enum { EIGHT = sizeof(uint64_t) };
    size_t i = 0;
    if (v.n > 0 && (is_blank(v.p[0]) || is_blank(v.p[v.n - 1]))) {
        return false;
    }
    while (v.n - i >= EIGHT && !has_control(eight_at(v.p + i))) {
        i += EIGHT;
    }
    if (v.n >= EIGHT && v.n - i < EIGHT && !has_control(eight_at(v.p + v.n - EIGHT))) {
        return true;
    }
    for (; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

enum name_kind { NAME_BAD, NAME_ODD, NAME_PLAIN };

/* What each byte makes of a name at most; upper case is bad in HTTP/2. */
static const uint8_t name_bytes[256] = {
    ['a' ... 'z'] = NAME_PLAIN, ['0' ... '9'] = NAME_PLAIN, ['-'] = NAME_PLAIN,
    ['!'] = NAME_ODD,           ['#' ... '\''] = NAME_ODD,  ['*' ... '+'] = NAME_ODD,
    ['.'] = NAME_ODD,           ['^' ... '`'] = NAME_ODD,   ['|'] = NAME_ODD,
    ['~'] = NAME_ODD,
};

static enum name_kind name_kind(struct span name)
{
    uint8_t kind = name.n > 0 && name.n <= LIMIT_FIELD_NAME ? NAME_PLAIN : NAME_BAD;
    for (size_t i = 0; i < name.n; i++) {
        uint8_t most = name_bytes[(unsigned char)name.p[i]];
        kind = most < kind ? most : kind;
    }
    return (enum name_kind)kind;
}

static void malformed(struct h2_block *b)
{
    b->bad = ERR_BAD_FIELD;
    b->malformed = true;
}

static bool is_token(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!h1_is_token(s.p[i])) {
            return false;
        }
    }
    return true;
}

/* None is ever empty. */
static void add_pseudo(struct h2_block *b, struct span name, struct span value)
{
    struct span *place = pseudo_of(b, name);
    bool late = b->fields.n > 0 || b->dropped > 0;
    if (place == NULL || place->p != NULL || value.n == 0 || late ||
        (place == &b->method && !is_token(value))) {
        malformed(b);
        return;
    }
    *place = arena_copy(b->arena, value);
    if (place->p == NULL) {
        b->bad = ERR_NO_MEMORY;
    }
}

static bool has_upper(struct span name)
{
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] >= 'A' && name.p[i] <= 'Z') {
            return true;
        }
    }
    return false;
}

/* H9: fields that only a connection can mean. */
static bool forbidden(enum field_id id, struct span value)
{
    if (id == FIELD_TE) {
        return !span_eq_nocase(value, SPAN("trailers"));
    }
    return id == FIELD_CONNECTION || id == FIELD_KEEP_ALIVE || id == FIELD_PROXY_CONNECTION ||
           id == FIELD_UPGRADE || id == FIELD_TRANSFER_ENCODING;
}

static void add_field(struct h2_block *b, struct span name, struct span value)
{
    enum field_id id = field_id_of(name);
    enum name_kind kind = id != FIELD_OTHER ? NAME_PLAIN : name_kind(name);
    enum err e = kind == NAME_PLAIN ? ERR_OK
                 : kind == NAME_ODD ? field_judge_odd(b->odd_names, name)
                                    : ERR_BAD_FIELD;
    if (e == ERR_AGAIN) {
        b->dropped++;
        return;
    }
    if (forbidden(id, value) || (e != ERR_OK && has_upper(name))) {
        malformed(b);
        return;
    }
    if (e != ERR_OK) {
        b->bad = ERR_BAD_FIELD;
        return;
    }
    struct span kept = id != FIELD_OTHER ? field_name(id) : arena_copy(b->arena, name);
    struct span copy = arena_copy(b->arena, value);
    if (kept.p == NULL || copy.p == NULL) {
        b->bad = ERR_NO_MEMORY;
        return;
    }
    b->bad = fields_add(&b->fields, b->arena, id, kept, copy);
}

void h2_block_add(struct h2_block *b, const struct h2_block_limits *l, struct span name,
                  struct span value)
{
    if (b->bad != ERR_OK) {
        return;
    }
    b->size += name.n + value.n + LIMIT_FIELD_OVERHEAD;
    if (name.n + value.n > l->field || b->size > l->size || b->fields.n >= l->fields ||
        b->dropped >= l->fields) {
        b->bad = ERR_HEAD_TOO_LARGE;
    } else if (!value_sound(value)) {
        b->bad = ERR_BAD_FIELD;
    } else if (name.n > 0 && name.p[0] == ':') {
        add_pseudo(b, name, value);
    } else {
        add_field(b, name, value);
    }
}

/* RFC 9113 sections 8.3.1, 8.3.2 and 8.5, RFC 8441 section 4. Which host it is for may be missing:
 * that has an answer of its own. */
static bool whole(const struct h2_block *b)
{
    if (b->kind != H2_BLOCK_REQUEST) {
        return b->kind == H2_BLOCK_TRAILERS || b->status.n > 0;
    }
    bool connect = span_eq(b->method, SPAN("CONNECT"));
    bool tunnel = b->protocol.n > 0;
    if (b->method.n == 0 || (tunnel && !connect) || (connect && b->authority.n == 0)) {
        return false;
    }
    return connect && !tunnel ? b->scheme.n == 0 && b->path.n == 0
                              : b->scheme.n > 0 && b->path.n > 0;
}

static void join_crumbs(struct h2_block *b)
{
    size_t need = 0, crumbs = 0;
    struct field *first = NULL;
    for (size_t i = 0; i < b->fields.n; i++) {
        struct field *f = &b->fields.v[i];
        if (f->id == FIELD_COOKIE) {
            need += f->value.n + 2;
            first = crumbs++ == 0 ? f : first;
        }
    }
    if (crumbs < 2 || b->bad != ERR_OK) {
        return;
    }
    char *memory = arena_take(b->arena, need);
    if (memory == NULL) {
        b->bad = ERR_NO_MEMORY;
        return;
    }
    struct buf joined;
    buf_fixed(&joined, memory, need);
    for (size_t i = 0; i < b->fields.n; i++) {
        if (b->fields.v[i].id == FIELD_COOKIE && b->fields.v[i].value.n > 0) {
            buf_put_str(&joined, buf_len(&joined) > 0 ? "; " : "");
            buf_put_span(&joined, b->fields.v[i].value);
        }
    }
    struct field cookie = {first->name, buf_span(&joined), FIELD_COOKIE};
    fields_remove(&b->fields, FIELD_COOKIE);
    b->fields.v[b->fields.n++] = cookie; /* there was room for all of them */
}

void h2_block_finish(struct h2_block *b)
{
    if (b->bad == ERR_OK && !whole(b)) {
        malformed(b);
    }
    join_crumbs(b);
}
