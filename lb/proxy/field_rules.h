/* field_rules: changes of header fields that a route asks for. Immutable, part of a policy; pure.
 * Fields of one connection and of the framing cannot be named in rules: conf refuses them, and the
 * codecs own them (docs/architecture.md, law 2). */
#ifndef MERIDIAN_PROXY_FIELD_RULES_H
#define MERIDIAN_PROXY_FIELD_RULES_H

#include "proxy/expand.h"

struct field_rule {
    enum field_id id;
    struct span name;      /* lower case */
    struct template value; /* not for `remove` */
};

/* All zero changes nothing. */
struct field_rules {
    const struct field_rule *remove, *set, *add;
    size_t remove_count, set_count, add_count;
};

static inline bool field_rules_any(const struct field_rules *r)
{
    return r->remove_count + r->set_count + r->add_count > 0;
}
/* Removes, then sets (in place of all fields of that name), then adds. A value that comes out empty
 * adds no field. Errors are those of expand_template. */
MUST_CHECK
enum err field_rules_apply(const struct field_rules *rules, const struct expand_facts *facts,
                           struct arena *arena, struct fields *fields);

#endif
