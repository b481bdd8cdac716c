/* schema_residency: keys of `residency`: which sites may serve whom. */
#include "conf/reader.h"
#include "conf/text.h"

static const char *text_group(struct span s)
{
    bool group = span_eq(s, SPAN("eu")) || span_eq(s, SPAN("eea"));
    return group || (s.n == 2 && text_country(s) == NULL)
               ? NULL
               : "eu, eea or two capital letters of ISO 3166-1, such as CH";
}

static const char *text_subdivision(struct span s)
{
    bool good = s.n >= 4 && s.n <= 6 && s.p[2] == '-' && text_country(span_sub(s, 0, 2)) == NULL;
    for (size_t i = 3; good && i < s.n; i++)
        good = (s.p[i] >= 'A' && s.p[i] <= 'Z') || ascii_digit(s.p[i]);
    return good ? NULL : "a code of ISO 3166-2, such as US-CA";
}

static const struct schema_field group = {.type = &type_text, .check = text_group};
static const struct schema_field country = {.type = &type_text, .check = text_country};
static const struct schema_field continent = {.type = &type_text, .check = text_continent};
static const struct schema_field subdivision = {.type = &type_text, .check = text_subdivision};
static const struct schema_field site = {.type = &type_text, .check = text_name};

#define PLACES(key_, member, count_member, element_, help_)                                        \
    {                                                                                              \
        .key = (key_), .type = &type_list, .offset = offsetof(struct conf_residency_rule, member), \
        .count_offset = offsetof(struct conf_residency_rule, count_member),                        \
        .element = &(element_), .element_size = sizeof(struct conf_text), .least = 1,              \
        .fallback = "none", .help = (help_)                                                        \
    }

static const struct schema_word refusals[] = {{"451", 451}, {"403", 403}, {NULL, 0}};

static const struct schema_field rule_fields[] = {
    PLACES("groups", groups, group_count, group,
           "Countries together: `eu` (27 since 2020-02-01), `eea`, or single ISO 3166-1 codes."),
    PLACES("countries", countries, country_count, country, "ISO 3166-1 codes, such as DE."),
    PLACES("continents", continents, continent_count, continent,
           "AF, AN, AS, EU, NA, OC or SA: geographic, not the European Union."),
    PLACES("subdivisions", subdivisions, subdivision_count, subdivision,
           "ISO 3166-2 codes, such as US-CA."),
    {.key = "unknown",
     .type = &type_flag,
     .offset = offsetof(struct conf_residency_rule, unknown),
     .help = "Clients whose country is not known."},
    PLACES("sites", sites, site_count, site,
           "The only sites that may serve them. Where none of them can: 503, never another one."),
    {.key = "deny",
     .type = &type_word,
     .offset = offsetof(struct conf_residency_rule, deny),
     .words = refusals,
     .fallback = "the sites serve",
     .help = "Refuse them with this status."},
};

static const char *const outcomes[] = {"sites", "deny", NULL};
static const struct schema_map rule_map = {SCHEMA_FIELDS(rule_fields), .one_of = outcomes,
                                           .one_needed = true, .marked = true};
static const struct schema_field rule = {.type = &type_map, .map = &rule_map};

static const struct schema_word policies[] = {{"deny", 0}, {"allow", 1}, {NULL, 0}};

static const struct schema_field fields[] = {
    {.key = "unknown",
     .type = &type_word,
     .offset = offsetof(struct conf_residency, unknown),
     .words = policies,
     .help = "Clients whose country is not known and that no rule is for: refused with 451, or "
             "served by any site."},
    {.key = "rules",
     .type = &type_list,
     .offset = offsetof(struct conf_residency, rules),
     .count_offset = offsetof(struct conf_residency, rule_count),
     .element = &rule,
     .element_size = sizeof(struct conf_residency_rule),
     .least = 1,
     .flags = SCHEMA_REQUIRED,
     .help =
         "The first that is for the client decides; what it names is united, and one that names "
         "no place is for everybody. Clients in a known country that no rule is for may go "
         "anywhere. At most 64."},
};

const struct schema_map schema_residency = {SCHEMA_FIELDS(fields), .optional = true};
