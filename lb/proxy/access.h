/* access: who may come to a route, by address and country. Immutable, part of a policy. Knows no
 * request and no status.
 *
 * The longest network that has the address decides. Where none has it, the country does: a denied
 * one may not come, an allowed one may. Who is in no list may come, unless there is a list of those
 * who may. */
#ifndef MERIDIAN_PROXY_ACCESS_H
#define MERIDIAN_PROXY_ACCESS_H

#include "net/prefix.h"

enum access_verdict { ACCESS_DENY, ACCESS_ALLOW };

/* Two capital letters are a bit. */
struct access_countries {
    uint64_t bits[(26 * 26 + 63) / 64];
};

/* All zero lets everybody in. */
struct access {
    struct prefix_set networks; /* values: enum access_verdict */
    struct access_countries allow, deny;
    bool closed; /* there is a list of those who may come */
};

/* Codes other than two capital letters are in no set. */
void access_country_add(struct access_countries *set, const char *code);
bool access_country_has(const struct access_countries *set, const char *code);

/* country: two letters and NUL, or "" where it is not known. */
bool access_allows(const struct access *a, const struct addr *client, const char *country);

#endif
