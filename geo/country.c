#include "geo/country.h"

#include <string.h>

static const struct country countries[] = {
#include "geo/country_table.inc"
};

#define COUNTRIES (sizeof countries / sizeof countries[0])

const struct country *country_find(const char code[2])
{
    size_t low = 0, high = COUNTRIES;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(code, countries[middle].code, 2);
        if (order == 0)
            return &countries[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

size_t country_count(void)
{
    return COUNTRIES;
}

_Static_assert(COUNTRIES < 255, "a number of a country fits into a byte");

unsigned country_number(const char code[2])
{
    const struct country *c = country_find(code);
    return c != NULL ? (unsigned)(c - countries) + 1 : 0;
}

const struct country *country_at(size_t i)
{
    return i < COUNTRIES ? &countries[i] : NULL;
}
