/* Residency rules (BALANCING.md section 4): which rule decides, and what it says. That picks never
 * leave the mask is proven with the algorithms of lb/pick. */
#include "check.h"
#include "proxy/residency.h"

static struct place at(const char *country, const char *continent, const char *subdivision)
{
    struct place p = {.known = country[0] != '\0'};
    memcpy(p.country, country, strlen(country) + 1);
    memcpy(p.continent, continent, strlen(continent) + 1);
    memcpy(p.subdivision, subdivision, strlen(subdivision) + 1);
    return p;
}

TEST(residency, groups_have_their_countries)
{
    struct access_countries eu = {0}, eea = {0}, one = {0};
    unsigned counts[2] = {0};
    residency_add_group(&eu, SPAN("eu"));
    residency_add_group(&eea, SPAN("eea"));
    residency_add_group(&one, SPAN("CH"));
    for (char a = 'A'; a <= 'Z'; a++)
        for (char b = 'A'; b <= 'Z'; b++) {
            const char code[] = {a, b, '\0'};
            counts[0] += access_country_has(&eu, code);
            counts[1] += access_country_has(&eea, code);
            CHECK(access_country_has(&one, code) == (a == 'C' && b == 'H'), "%s", code);
        }
    CHECK_INT(counts[0], 27);
    CHECK_INT(counts[1], 30);
    CHECK(access_country_has(&eu, "DE") && !access_country_has(&eu, "NO"), "eu");
    CHECK(access_country_has(&eea, "NO") && !access_country_has(&eea, "GB"), "eea");
}

TEST(residency, continents_are_seven_bits)
{
    static const char *const codes[] = {"AF", "AN", "AS", "EU", "NA", "OC", "SA"};
    uint32_t all = 0;
    for (size_t i = 0; i < 7; i++) {
        CHECK((all & residency_continent(codes[i])) == 0, "%s is like another", codes[i]);
        all |= residency_continent(codes[i]);
    }
    CHECK_INT(all, 0x7f);
    CHECK_INT(residency_continent(""), 0);
    CHECK_INT(residency_continent("FA"), 0); /* across two codes */
}

static enum err where(const struct residency *r, const char *country, const char *continent,
                      const char *subdivision, uint64_t *sites)
{
    struct place p = at(country, continent, subdivision);
    return residency_sites(r, &p, sites);
}

TEST(residency, the_first_rule_that_matches_decides)
{
    struct span states[] = {SPAN("US-CA"), SPAN("US-NY")};
    struct residency_rule rules[4] = {{.sites = 1},
                                      {.refusal = ERR_FORBIDDEN},
                                      {.sites = 2, .subdivisions = states, .subdivision_count = 2},
                                      {.sites = 4, .continents = residency_continent("EU")}};
    struct residency r = {.rules = rules, .count = 4};
    uint64_t sites;
    residency_add_group(&rules[0].countries, SPAN("eu"));
    residency_add_group(&rules[1].countries, SPAN("CU"));
    CHECK(where(&r, "DE", "EU", "HE", &sites) == ERR_OK && sites == 1, "the Union's");
    CHECK(where(&r, "GB", "EU", "", &sites) == ERR_OK && sites == 4, "the continent's");
    CHECK_INT(where(&r, "CU", "NA", "", &sites), ERR_FORBIDDEN);
    CHECK_INT((int)sites, 0);
    CHECK(where(&r, "US", "NA", "CA", &sites) == ERR_OK && sites == 2, "the state's");
    CHECK(where(&r, "US", "NA", "TX", &sites) == ERR_OK && sites == UINT64_MAX, "no rule");
    CHECK(where(&r, "MX", "NA", "CA", &sites) == ERR_OK && sites == UINT64_MAX, "another's CA");
    CHECK(where(&r, "US", "NA", "", &sites) == ERR_OK && sites == UINT64_MAX, "no state known");
}

TEST(residency, unknown_clients_are_refused_unless_said_otherwise)
{
    struct residency_rule rules[2] = {{.sites = 1, .continents = residency_continent("EU")},
                                      {.sites = 2, .unknown = true}};
    struct residency r = {.rules = rules, .count = 1};
    uint64_t sites;
    CHECK_INT(where(&r, "", "", "", &sites), ERR_RESIDENCY);
    CHECK_INT((int)sites, 0);
    CHECK(where(&r, "", "EU", "", &sites) == ERR_OK && sites == 1, "the continent is enough");
    r.unknown_allowed = true;
    CHECK(where(&r, "", "", "", &sites) == ERR_OK && sites == UINT64_MAX, "allowed");
    r.count = 2;
    CHECK(where(&r, "", "", "", &sites) == ERR_OK && sites == 2, "a rule of its own");
    CHECK(where(&r, "US", "NA", "", &sites) == ERR_OK && sites == UINT64_MAX, "not for known ones");
    rules[1] = (struct residency_rule){.sites = 8, .everybody = true};
    CHECK(where(&r, "US", "NA", "", &sites) == ERR_OK && sites == 8, "everybody else");
    CHECK(where(&r, "", "", "", &sites) == ERR_OK && sites == 8, "the unknown too");
}
