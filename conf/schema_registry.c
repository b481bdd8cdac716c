/* schema_registry: keys about the central database: where it is, what depends on it, and the
 * servers that it names. */
#include "conf/schema.h"
#include "conf/text.h"

#define HOUR_MS 3600000

static const struct schema_field source_fields[] = {
    {.key = "postgres",
     .type = &type_text,
     .offset = offsetof(struct conf_data_source, postgres),
     .most = 1024,
     .flags = SCHEMA_REQUIRED,
     .help = "Words of the connection: \"host=db.internal dbname=app user=meridian "
             "sslmode=verify-full sslrootcert=…\". Host names are looked up anew for each "
             "connection."},
    {.key = "password",
     .type = &type_text,
     .offset = offsetof(struct conf_data_source, password),
     .check = text_secret,
     .fallback = "none, or what `passfile=` says",
     .help =
         "Where the password is: `file:/…`, `credential:NAME` (of systemd) or `${NAME}` (of the "
         "environment). Read anew for each connection."},
    {.key = "start_wait",
     .type = &type_duration,
     .offset = offsetof(struct conf_data_source, start_wait_ms),
     .initial = 2000,
     .most = 10000,
     .help = "How long the start waits for its first answer, where a pool has a registry. Then the "
             "rows that the last process kept serve, or else `backends`."},
};

const struct schema_map schema_source = {SCHEMA_FIELDS(source_fields)};

static const struct schema_word levels[] = {
    {"accept", CONF_LEVEL_ACCEPT},
    {"query", CONF_LEVEL_QUERY},
    {"primary", CONF_LEVEL_PRIMARY},
    {"lag", CONF_LEVEL_LAG},
    {NULL, 0},
};

static const struct schema_field dependency_fields[] = {
    {.key = "data_source",
     .type = &type_text,
     .offset = offsetof(struct conf_dependency, source_name),
     .flags = SCHEMA_REQUIRED,
     .help = "Name of the data source that is asked."},
    {.key = "level",
     .type = &type_word,
     .offset = offsetof(struct conf_dependency, level),
     .words = levels,
     .initial = CONF_LEVEL_QUERY,
     .help =
         "What is good. `accept`: it takes connections; who may connect does not matter. `query`: "
         "it answers. `primary`: it takes writes. `lag`: a standby is not behind by more than "
         "`max_lag`."},
    {.key = "interval",
     .type = &type_duration,
     .offset = offsetof(struct conf_dependency, interval_ms),
     .initial = 2000,
     .least = 100,
     .most = HOUR_MS,
     .help = "Time between two probes, ±20 %. One follows at once where a server is not ready."},
    {.key = "timeout",
     .type = &type_duration,
     .offset = offsetof(struct conf_dependency, timeout_ms),
     .initial = 1000,
     .least = 10,
     .most = HOUR_MS,
     .help = "Time that a probe may take, the connection included."},
    {.key = "rise",
     .type = &type_count,
     .offset = offsetof(struct conf_dependency, rise),
     .initial = 2,
     .least = 1,
     .most = 64,
     .help =
         "Good probes in a row after which it counts as good again; one bad one suffices for the "
         "contrary."},
    {.key = "max_lag",
     .type = &type_duration,
     .offset = offsetof(struct conf_dependency, max_lag_ms),
     .initial = 10000,
     .most = HOUR_MS,
     .help = "For `level: lag`."},
};

const struct schema_map schema_dependency = {SCHEMA_FIELDS(dependency_fields), .paced = true};

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
    {.key = "allow_empty",
     .type = &type_flag,
     .offset = offsetof(struct conf_registry, allow_empty),
     .help =
         "For `authoritative`: a table without rows of the pool leaves it without servers. Else "
         "it changes nothing."},
};

const struct schema_map schema_registry = {SCHEMA_FIELDS(fields), .optional = true};
