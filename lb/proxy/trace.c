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

struct span trace_span(const struct trace *t)
{
    return t->parent.p != NULL ? span_sub(t->parent, PARENT_AT, FLAGS_AT - 1) : SPAN_NONE;
}

/* A parent of our own making: the client's trace where there is one, else a new one. */
static enum err make(struct span id, bool sampled, struct rng *rng, struct arena *arena,
                     struct span *out)
{
    char *p = arena_take(arena, BYTES);
    if (p == NULL)
        return ERR_NO_MEMORY;
    memcpy(p, "00-", ID_AT);
    if (id.n != 0) {
        memcpy(p + ID_AT, id.p, id.n);
    } else {
        u64_print_hex(p + ID_AT, rng_u64(rng) | 1); /* neither may be zero */
        u64_print_hex(p + ID_AT + 16, rng_u64(rng));
    }
    p[PARENT_AT - 1] = '-';
    u64_print_hex(p + PARENT_AT, rng_u64(rng) | 1);
    memcpy(p + FLAGS_AT - 1, sampled ? "-01" : "-00", 3);
    *out = span_of(p, BYTES);
    return ERR_OK;
}

static bool says_sampled(struct span parent)
{
    return (ascii_hex(parent.p[FLAGS_AT + 1]) & 1) != 0;
}

enum err trace_take(const struct request *in, int percent, struct rng *rng, struct arena *arena,
                    struct trace *out)
{
    const struct field *own = fields_get(&in->fields, FIELD_TRACEPARENT);
    *out = (struct trace){.begun = own == NULL || !trace_valid(own->value) ||
                                   fields_count(&in->fields, FIELD_TRACEPARENT) != 1};
    if (out->begun) {
        out->sampled = percent > 0 && rng_u64(rng) % 100 < (uint64_t)percent;
        return make(SPAN_NONE, out->sampled, rng, arena, &out->parent);
    }
    out->parent = own->value;
    out->caller = trace_span(out);
    out->sampled = percent != TRACE_OFF && says_sampled(own->value);
    return out->sampled ? make(trace_id(out), true, rng, arena, &out->parent) : ERR_OK;
}
