/* check_residency: rules of residency against the sites of their pool. */
#include "conf/check.h"

#define RULES_MOST 64

static bool stands_at(const struct conf_pool *pool, const struct conf_site *site)
{
    for (size_t i = 0; i < pool->backend_count; i++)
        if (pool->backends[i].site == site)
            return true;
    return false;
}

static void check_rule_sites(struct reader *r, const struct conf_pool *pool,
                             struct conf_residency_rule *rule, const struct names *sites)
{
    rule->places = reader_zero(r, rule->site_count + 1, sizeof(const struct conf_site *));
    for (size_t i = 0; rule->places != NULL && i < rule->site_count; i++) {
        rule->places[i] = names_find(sites, rule->sites[i].s);
        if (rule->places[i] == NULL || !stands_at(pool, rule->places[i]))
            conf_report(r->m, rule->sites[i].mark,
                        "no backend of pool '%.*s' stands at '%.*s'; name sites of this pool",
                        SPAN_FMT(pool->name.s), SPAN_FMT(source_clip(rule->sites[i].s)));
    }
}

void check_residency(struct reader *r, const struct conf *conf, struct conf_pool *pool,
                     const struct names *sites)
{
    struct conf_residency *residency = &pool->residency;
    if (!residency->set)
        return;
    if (conf->database_count == 0)
        conf_report(r->m, residency->mark,
                    "residency needs to know where clients are; set geo.databases");
    if (residency->rule_count > RULES_MOST)
        conf_report(r->m, residency->mark, "%zu rules; at most %d", residency->rule_count,
                    RULES_MOST);
    for (size_t i = 0; i < residency->rule_count; i++)
        check_rule_sites(r, pool, &residency->rules[i], sites);
}
