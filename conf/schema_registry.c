/* schema_registry: keys about the central database. */
#include "conf/schema.h"
#include "conf/text.h"

static const struct schema_word modes[] = {
    {"off", CONF_REGISTRY_OFF},
    {"merge", CONF_REGISTRY_MERGE},
    {"authoritative", CONF_REGISTRY_AUTHORITATIVE},
    {NULL, 0},
};

static const struct schema_field network = {.type = &type_cidr};

static const struct schema_field fields[] = {
    {.key = "source",
     .type = &type_text,
     .offset = offsetof(struct conf_registry, source_name),
     .flags = SCHEMA_REQUIRED,
     .help = "Name of the data source whose table `meridian.pool_server` is read."},
    {.key = "mode",
     .type = &type_word,
     .offset = offsetof(struct conf_registry, mode),
     .words = modes,
     .initial = CONF_REGISTRY_MERGE,
     .help =
         "`merge`: its servers are added to `backends`, and where both name an address, the file "
         "wins. `authoritative`: `backends` serve only until the table has named some. `off`: "
         "the table is not looked at."},
    {.key = "allow",
     .type = &type_list,
     .offset = offsetof(struct conf_registry, allow),
     .count_offset = offsetof(struct conf_registry, allow_count),
     .element = &network,
     .element_size = sizeof(struct conf_cidr),
     .least = 1,
     .flags = SCHEMA_REQUIRED,
     .help = "Networks in which its servers may stand; rows with other addresses are skipped and "
             "counted. Loopback and link-local addresses have to be named by networks that hold "
             "nothing else."},
};

const struct schema_map schema_registry = {SCHEMA_FIELDS(fields), .optional = true};
