#include "http/field.h"

static const struct known {
    struct span name;
    unsigned flags;
} known[FIELD_COUNT] = {
#define FIELD_ROW_(id, text, flag) [FIELD_##id] = {{text, sizeof(text) - 1}, flag},
    FIELD_LIST(FIELD_ROW_)
#undef FIELD_ROW_
};

enum { LONGEST = 32 };

/* The last name of each length: the list is sorted, so that later rows win, which is wanted here.
 */
#pragma GCC diagnostic push
#ifdef __clang__
#pragma GCC diagnostic ignored "-Winitializer-overrides"
#else
#pragma GCC diagnostic ignored "-Woverride-init"
#endif
static const uint8_t last_of_length[LONGEST] = {
#define FIELD_LAST_(id, text, flag) [sizeof(text) - 1] = FIELD_##id,
    FIELD_LIST(FIELD_LAST_)
#undef FIELD_LAST_
};
#pragma GCC diagnostic pop
_Static_assert(FIELD_COUNT <= UINT8_MAX, "last_of_length holds one byte per length");

enum field_id field_id_of(struct span lower_name)
{
    size_t n = lower_name.n;
    if (n == 0 || n >= LONGEST) {
        return FIELD_OTHER;
    }
    for (unsigned id = last_of_length[n]; known[id].name.n == n; id--) {
        if (known[id].name.p[0] == lower_name.p[0] &&
            memcmp(known[id].name.p, lower_name.p, n) == 0) {
            return (enum field_id)id;
        }
    }
    return FIELD_OTHER;
}

struct span field_name(enum field_id id)
{
    return known[id].name;
}

unsigned field_flags(enum field_id id)
{
    return known[id].flags;
}

bool field_is_hop(enum field_id id)
{
    return (known[id].flags & FIELD_HOP) != 0;
}

bool field_is_framing(enum field_id id)
{
    return (known[id].flags & FIELD_FRAMING) != 0;
}

bool field_is_kept(enum field_id id)
{
    return (known[id].flags & (FIELD_KEPT | FIELD_FRAMING)) != 0;
}

/* As such a server sees it. */
static char folded(char c)
{
    return ascii_alpha(c) || ascii_digit(c) ? c : '-';
}

bool field_passes_for(struct span name, struct span lower_name)
{
    size_t i = 0;
    while (name.n == lower_name.n && i < name.n && folded(name.p[i]) == folded(lower_name.p[i])) {
        i++;
    }
    return name.n == lower_name.n && i == name.n;
}

enum err field_judge_odd(enum odd_names rule, struct span name)
{
    if (rule == ODD_NAMES_KEEP) {
        return ERR_OK;
    }
    if (rule != ODD_NAMES_ALLOW) {
        return rule == ODD_NAMES_REJECT ? ERR_BAD_FIELD : ERR_AGAIN;
    }
    for (unsigned id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
        if (field_passes_for(name, known[id].name)) {
            return ERR_AGAIN;
        }
    }
    return ERR_OK;
}

bool field_may_trail(enum field_id id)
{
    static const enum field_id never[] = {
        FIELD_CONTENT_TYPE, FIELD_CONTENT_ENCODING, FIELD_CONTENT_RANGE,   FIELD_CACHE_CONTROL,
        FIELD_SET_COOKIE,   FIELD_LOCATION,         FIELD_WWW_AUTHENTICATE};
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        if (id == never[i]) {
            return false;
        }
    }
    return !field_is_hop(id) && !field_is_kept(id);
}

bool field_is_digest(struct span name)
{
    static const struct span all[] = {SPAN("content-digest"), SPAN("repr-digest"), SPAN("digest"),
                                      SPAN("content-md5")};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (span_eq_nocase(name, all[i])) {
            return true;
        }
    }
    return false;
}
