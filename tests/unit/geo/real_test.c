/* The real country database, where scripts/geo-database.sh has fetched it: flat, 8 MB, 1.4 million
 * networks. Elsewhere this test says that it was left out. */
#include "geo_files.h"

TEST(real, country_database)
{
    const char *path = getenv("MERIDIAN_GEO_COUNTRY_DB");
    if (path == NULL)
        path = SOURCE_DIR "/build/geo/country.mmdb";
    if (access(path, R_OK) != 0) {
        (void)fprintf(stderr, "left out: %s is not there (scripts/geo-database.sh)\n", path);
        return;
    }
    const char *paths[] = {path};
    struct geo_db *db = NULL;
    struct geo_facts facts;
    CHECK_INT(geo_open(paths, 1, &db, NULL), ERR_OK);
    geo_facts(db, 0, &facts);
    CHECK_STR(facts.layout, "flat");
    CHECK(facts.nodes > 100000 && facts.records > 200, "%u, %u", facts.nodes, facts.records);
    /* Addresses of name servers that have been where they are for decades. */
    static const char *const want[][2] = {{"193.0.14.129", "EU"}, {"202.12.27.33", "AS"},
                                          {"198.41.0.4", "NA"},   {"2001:610::1", "EU"},
                                          {"196.216.2.1", "AF"},  {"200.160.0.10", "SA"}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        struct place p = place_of_text(db, want[i][0]);
        CHECK(p.known && p.has_location && p.central, "%s", want[i][0]);
        CHECK_STR(p.continent, want[i][1]);
    }
    geo_free(&db);
}
