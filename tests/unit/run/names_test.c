/* Lists that two layers keep because neither may see the other. */
#include "check.h"
#include "conf/text.h"
#include "http/field.h"

/* conf refuses rules for exactly those fields that the codecs own (RELIABILITY H15). */
TEST(names, rules_are_refused_for_what_codecs_own)
{
    unsigned owned = 0;
    for (unsigned i = FIELD_OTHER + 1; i < FIELD_COUNT; i++) {
        enum field_id id = (enum field_id)i;
        bool refused = text_rule_field(field_name(id)) != NULL;
        bool codecs = field_is_hop(id) || field_is_framing(id);
        owned += codecs;
        CHECK(refused == codecs, "%.*s", SPAN_FMT(field_name(id)));
    }
    CHECK(owned >= 10, "%u fields", owned);
}
