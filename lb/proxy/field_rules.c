#include "proxy/field_rules.h"

/* Also what a server could take for it (H3): where odd names are allowed, nobody may say by another
 * spelling what a rule takes away or says itself. */
static bool is_of(const struct field *f, const struct field_rule *rule)
{
    return f->id == rule->id && (rule->id != FIELD_OTHER || field_passes_for(f->name, rule->name));
}

static void remove_all(struct fields *fields, const struct field_rule *rule)
{
    size_t kept = 0;
    for (size_t i = 0; i < fields->n; i++) {
        if (!is_of(&fields->v[i], rule))
            fields->v[kept++] = fields->v[i];
    }
    fields->n = kept;
}

static enum err put(const struct field_rule *rule, const struct expand_facts *facts,
                    struct arena *arena, struct fields *fields)
{
    struct span value;
    enum err e = expand_template(&rule->value, facts, arena, &value);
    if (e != ERR_OK || value.n == 0)
        return e;
    return fields_add(fields, arena, rule->id, rule->name, value);
}

enum err field_rules_apply(const struct field_rules *rules, const struct expand_facts *facts,
                           struct arena *arena, struct fields *fields)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < rules->remove_count; i++)
        remove_all(fields, &rules->remove[i]);
    for (size_t i = 0; e == ERR_OK && i < rules->set_count; i++) {
        remove_all(fields, &rules->set[i]);
        e = put(&rules->set[i], facts, arena, fields);
    }
    for (size_t i = 0; e == ERR_OK && i < rules->add_count; i++)
        e = put(&rules->add[i], facts, arena, fields);
    return e;
}
