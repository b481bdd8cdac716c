#include "proxy/trace.h"

#define ID_AT     3
#define PARENT_AT 36
#define FLAGS_AT  53
#define BYTES     55 /* 00-<32>-<16>-<2> */

/* Lower-case digits only. *zero: whether all of them are 0. */
static bool is_hex(struct span s, bool *zero)
{
    *zero = true;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!ascii_digit(c) && (c < 'a' || c > 'f'))
            return false;
        *zero = *zero && c == '0';
    }
    return true;
}

bool trace_valid(struct span parent)
{
    bool version_0, no_id, no_parent, no_flags;
    if (parent.n < BYTES || parent.p[2] != '-' || parent.p[PARENT_AT - 1] != '-' ||
        parent.p[FLAGS_AT - 1] != '-')
        return false;
    if (!is_hex(span_sub(parent, 0, 2), &version_0) ||
        !is_hex(span_sub(parent, ID_AT, PARENT_AT - 1), &no_id) ||
        !is_hex(span_sub(parent, PARENT_AT, FLAGS_AT - 1), &no_parent) ||
        !is_hex(span_sub(parent, FLAGS_AT, BYTES), &no_flags))
        return false;
    if (no_id || no_parent || span_starts(parent, SPAN("ff")))
        return false;
    return parent.n == BYTES || (!version_0 && parent.p[BYTES] == '-');
}

struct span trace_id(const struct trace *t)
{
    return t->parent.p != NULL ? span_sub(t->parent, ID_AT, PARENT_AT - 1) : SPAN_NONE;
}

static void put_hex(char *out, uint64_t v)
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < 16; i++)
        out[i] = digits[v >> (60 - 4 * i) & 15];
}

enum err trace_take(const struct request *in, struct rng *rng, struct arena *arena,
                    struct trace *out)
{
    const struct field *own = fields_get(&in->fields, FIELD_TRACEPARENT);
    if (own != NULL && trace_valid(own->value) &&
        fields_count(&in->fields, FIELD_TRACEPARENT) == 1) {
        *out = (struct trace){.parent = own->value};
        return ERR_OK;
    }
    char *p = arena_take(arena, BYTES);
    if (p == NULL)
        return ERR_NO_MEMORY;
    memcpy(p, "00-", ID_AT);
    put_hex(p + ID_AT, rng_u64(rng) | 1); /* neither may be zero */
    put_hex(p + ID_AT + 16, rng_u64(rng));
    p[PARENT_AT - 1] = '-';
    put_hex(p + PARENT_AT, rng_u64(rng) | 1);
    memcpy(p + FLAGS_AT - 1, "-00", 3);
    *out = (struct trace){.parent = span_of(p, BYTES), .begun = true};
    return ERR_OK;
}
