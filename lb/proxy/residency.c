#include "proxy/residency.h"

/* The European Union since 2020-02-01, and what the European Economic Area adds to it. */
static const char eu[] = "ATBEBGCYCZDEDKEEESFIFRGRHRHUIEITLTLULVMTNLPLPTROSESISK";
static const char eea_more[] = "ISLINO";

uint32_t residency_continent(const char *code)
{
    static const char codes[] = "AFANASEUNAOCSA";
    for (uint32_t i = 0; i + 1 < sizeof codes; i += 2)
        if (code[0] == codes[i] && code[1] == codes[i + 1])
            return UINT32_C(1) << i / 2;
    return 0;
}

static void add_all(struct access_countries *set, const char *codes)
{
    for (; codes[0] != '\0'; codes += 2)
        access_country_add(set, codes);
}

void residency_add_group(struct access_countries *set, struct span name)
{
    bool eea = span_eq(name, SPAN("eea"));
    if (eea || span_eq(name, SPAN("eu")))
        add_all(set, eu);
    if (eea)
        add_all(set, eea_more);
    if (name.n == 2)
        access_country_add(set, name.p); /* "eu" has no capitals: in no set */
}

static bool in_subdivision(const struct residency_rule *rule, const struct place *place)
{
    for (uint32_t i = 0; i < rule->subdivision_count; i++) {
        struct span s = rule->subdivisions[i];
        if (place->subdivision[0] != '\0' && s.n > 3 &&
            span_eq(span_sub(s, 0, 2), span_str(place->country)) &&
            span_eq(span_sub(s, 3, s.n), span_str(place->subdivision)))
            return true;
    }
    return false;
}

static bool matches(const struct residency_rule *rule, const struct place *place)
{
    return rule->everybody || (rule->unknown && place->country[0] == '\0') ||
           access_country_has(&rule->countries, place->country) ||
           (rule->continents & residency_continent(place->continent)) != 0 ||
           in_subdivision(rule, place);
}

enum err residency_sites(const struct residency *r, const struct place *place, uint64_t *sites)
{
    *sites = UINT64_MAX;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct residency_rule *rule = &r->rules[i];
        if (!matches(rule, place))
            continue;
        *sites = rule->sites;
        return rule->refusal;
    }
    if (place->country[0] != '\0' || r->unknown_allowed)
        return ERR_OK;
    *sites = 0;
    return ERR_RESIDENCY;
}
