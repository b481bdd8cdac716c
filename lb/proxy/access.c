#include "proxy/access.h"

#define NO_COUNTRY UINT_MAX

#include <limits.h>

static unsigned index_of(const char *code)
{
    for (unsigned i = 0; i < 2; i++) {
        if (code[i] < 'A' || code[i] > 'Z')
            return NO_COUNTRY;
    }
    return (unsigned)(code[0] - 'A') * 26 + (unsigned)(code[1] - 'A');
}

void access_country_add(struct access_countries *set, const char *code)
{
    unsigned i = index_of(code);
    if (i != NO_COUNTRY)
        set->bits[i / 64] |= UINT64_C(1) << (i % 64);
}

bool access_country_has(const struct access_countries *set, const char *code)
{
    unsigned i = index_of(code);
    return i != NO_COUNTRY && (set->bits[i / 64] >> (i % 64) & 1) != 0;
}

bool access_allows(const struct access *a, const struct addr *client, const char *country)
{
    uint8_t verdict = prefix_set_find(&a->networks, client);
    if (verdict != PREFIX_NONE)
        return verdict == ACCESS_ALLOW;
    if (access_country_has(&a->deny, country))
        return false;
    return !a->closed || access_country_has(&a->allow, country);
}
