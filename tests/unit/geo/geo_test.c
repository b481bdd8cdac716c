#include "geo_files.h"

#include <math.h>
#include <pthread.h>
#include <sys/stat.h>

static bool at(const struct place *p, double latitude, double longitude)
{
    return p->has_location && fabs((double)p->latitude - latitude) < 0.01 &&
           fabs((double)p->longitude - longitude) < 0.01;
}

static const char world[] = "192.0.2.0/24,DE,EU,HE,50.11,8.68,20\n"
                            "192.0.2.128/25,FR,EU,IDF,48.86,2.35,30\n"
                            "203.0.113.7/32,JP,AS,13,35.68,139.69,5\n"
                            "2001:db8::/32,BR,SA,SP,-23.55,-46.63,50\n"
                            "2001:db8:1::/48,AU,OC,NSW,-33.87,151.21,20\n";

static void check_world(const struct geo_db *db, bool nested)
{
    static const struct {
        const char *address, *country, *continent, *subdivision;
        double latitude, longitude;
        int accuracy;
    } want[] = {
        {"192.0.2.1", "DE", "EU", "HE", 50.11, 8.68, 20},
        {"192.0.2.127", "DE", "EU", "HE", 50.11, 8.68, 20},
        {"192.0.2.128", "FR", "EU", "IDF", 48.86, 2.35, 30},
        {"::ffff:192.0.2.200", "FR", "EU", "IDF", 48.86, 2.35, 30},
        {"203.0.113.7", "JP", "AS", "13", 35.68, 139.69, 5},
        {"2001:db8::1", "BR", "SA", "SP", -23.55, -46.63, 50},
        {"2001:db8:1:ffff::", "AU", "OC", "NSW", -33.87, 151.21, 20},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        struct geo_facts facts;
        geo_facts(db, 0, &facts);
        bool v6 = strchr(want[i].address, ':') != NULL && strchr(want[i].address, '.') == NULL;
        struct place p = place_of_text(db, want[i].address);
        CHECK(p.known == !(v6 && facts.ip_version == 4), "%s", want[i].address);
        if (!p.known)
            continue;
        CHECK_STR(p.country, want[i].country);
        CHECK_STR(p.continent, want[i].continent);
        CHECK_STR(p.subdivision, nested ? want[i].subdivision : "");
        CHECK_INT(p.accuracy_km, nested ? want[i].accuracy : 0);
        CHECK(at(&p, want[i].latitude, want[i].longitude) && !p.central, "%s", want[i].address);
    }
    CHECK(!place_of_text(db, "203.0.113.8").known, "not in the database");
    CHECK(!place_of_text(db, "2001:db9::").known, "not in the database");
}

/* Both layouts, float and double, every record size, IPv4 and IPv6 files. */
TEST(geo, reads_every_form_of_database)
{
    static const unsigned sizes[] = {24, 28, 32};
    for (int layout = 0; layout < 2; layout++)
        for (int degrees = 0; degrees < 3; degrees++)
            for (size_t s = 0; s < 3; s++)
                for (unsigned version = 4; version <= 6; version += 2) {
                    struct mmdb_options o = {.layout = (enum mmdb_layout)layout,
                                             .degrees = (enum mmdb_degrees)degrees,
                                             .record_bits = sizes[s],
                                             .ip_version = version};
                    struct geo_db *db = db_of(&o, world);
                    check_world(db, layout == MMDB_LAYOUT_NESTED);
                    geo_free(&db);
                }
}

TEST(geo, states_the_facts_of_a_database)
{
    struct mmdb_options o = {.record_bits = 28, .ip_version = 4, .built_s = 1700000000};
    struct geo_db *db = db_of(&o, world);
    struct geo_facts f;
    CHECK_INT(geo_count(db), 1);
    geo_facts(db, 0, &f);
    CHECK_STR(f.type, "Meridian-Test-City");
    CHECK_STR(f.layout, "nested");
    CHECK_INT(f.built_s, 1700000000);
    CHECK_INT(f.record_bits, 28);
    CHECK_INT(f.ip_version, 4);
    CHECK_INT(f.records, 3);
    CHECK(f.nodes >= 32 && f.size_bytes > 7ull * f.nodes, "%u nodes", f.nodes);
    CHECK(strstr(f.path, "/meridian-geo-") != NULL, "%s", f.path);
    geo_free(&db);
    CHECK(db == NULL && geo_count(db) == 0, "freed");
}

/* BALANCING.md section 3: every field may be missing, and the country stands in for coordinates and
 * continent; where the network is registered says nothing of the user. */
TEST(geo, completes_what_the_country_tells)
{
    struct mmdb_options o = {.record_bits = 24};
    struct geo_db *db = db_of(&o, "192.0.2.0/28,IT\n"
                                  "192.0.2.16/28,,EU\n"
                                  "192.0.2.32/28,,,,1.5,2.5\n"
                                  "192.0.2.48/28,,,,,,,US\n"
                                  "192.0.2.64/28,de,eu,he,91.0,8.0,20\n"
                                  "192.0.2.80/28,D1,E-,ABCD,50.0\n"
                                  "192.0.2.96/28,QQ\n");
    struct place p = place_of_text(db, "192.0.2.1");
    CHECK_STR(p.continent, "EU");
    CHECK(p.known && p.central && p.latitude > 40 && p.latitude < 46, "%f", (double)p.latitude);
    p = place_of_text(db, "192.0.2.17");
    CHECK(p.known && !p.has_location && p.country[0] == '\0', "the continent alone");
    p = place_of_text(db, "192.0.2.33");
    CHECK(p.known && at(&p, 1.5, 2.5) && p.country[0] == '\0', "coordinates alone");
    CHECK(!place_of_text(db, "192.0.2.49").known, "registered_country does not count");
    p = place_of_text(db, "192.0.2.65");
    CHECK_STR(p.country, "DE");
    CHECK_STR(p.subdivision, "HE");
    CHECK(p.central && p.accuracy_km == 0, "latitude 91 is none");
    CHECK(!place_of_text(db, "192.0.2.81").known, "no codes, half a pair of coordinates");
    p = place_of_text(db, "192.0.2.97");
    CHECK(p.known && !p.has_location && p.continent[0] == '\0', "a code that nobody knows");
    geo_free(&db);
}

/* Section 3.3: unknown even where a file claims to know. */
TEST(geo, addresses_that_are_nowhere_are_unknown)
{
    static const char *const nowhere[] = {"0.0.0.0",
                                          "0.255.255.255",
                                          "10.0.0.1",
                                          "10.255.255.255",
                                          "100.64.0.0",
                                          "100.127.255.255",
                                          "127.0.0.1",
                                          "169.254.1.1",
                                          "172.16.0.0",
                                          "172.31.255.255",
                                          "192.168.0.1",
                                          "224.0.0.1",
                                          "255.255.255.255",
                                          "::",
                                          "::1",
                                          "fc00::1",
                                          "fdff::1",
                                          "fe80::1",
                                          "febf::1",
                                          "ff02::1",
                                          "::ffff:10.0.0.1",
                                          "::ffff:127.0.0.1",
                                          "::ffff:192.168.1.1"};
    static const char *const somewhere[] = {
        "1.0.0.0",     "9.255.255.255",   "11.0.0.0",    "100.63.255.255",
        "100.128.0.0", "126.255.255.255", "128.0.0.0",   "172.15.255.255",
        "172.32.0.0",  "192.167.255.255", "192.169.0.0", "223.255.255.255",
        "fbff::1",     "fe00::1",         "2001:db8::1", "::ffff:8.8.8.8"};
    struct geo_db *db = db_of(&(struct mmdb_options){.record_bits = 24}, "::/0,DE,EU\n");
    for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++)
        CHECK(!place_of_text(db, nowhere[i]).known, "%s", nowhere[i]);
    for (size_t i = 0; i < sizeof somewhere / sizeof somewhere[0]; i++)
        CHECK(place_of_text(db, somewhere[i]).known, "%s", somewhere[i]);
    geo_free(&db);
}

TEST(geo, an_empty_set_and_a_strange_family_know_nothing)
{
    struct geo_db *db = NULL;
    struct place p;
    CHECK_INT(geo_open(NULL, 0, &db, NULL), ERR_OK);
    CHECK(!place_of_text(db, "192.0.2.1").known && !geo_changed(db), "no file");
    CHECK(!place_of_text(NULL, "192.0.2.1").known, "no set");
    geo_lookup(db, AF_UNIX, "", &p);
    CHECK(!p.known, "a Unix socket has no place");
    geo_free(&db);
    CHECK(sizeof p <= 32, "it is kept in each connection");
}

/* Files are asked in order, and each field comes from the first that has it. */
TEST(geo, files_complete_each_other)
{
    static const struct {
        struct mmdb_options options;
        const char *lines;
    } files[] = {
        {{.ip_version = 4}, "192.0.2.0/24,DE\n198.51.100.0/24,US\n"},
        {{.layout = MMDB_LAYOUT_FLAT}, "2001:db8::/32,SG,,,1.0,103.0\n"},
        {{.ip_version = 4},
         "192.0.2.0/24,FR,EU,IDF,48.0,2.0,9\n198.51.100.0/24,US,NA,CA,37.0,-122.0\n"},
    };
    char path[3][64];
    const char *paths[3];
    struct geo_db *db = NULL;
    for (size_t i = 0; i < 3; i++) {
        file_new(path[i]);
        paths[i] = path[i];
        CHECK(mmdb_writer_file(&files[i].options, files[i].lines, path[i]), "file %zu", i);
    }
    CHECK_INT(geo_open(paths, 3, &db, NULL), ERR_OK);
    struct place p = place_of_text(db, "192.0.2.1");
    CHECK_STR(p.country, "DE");
    CHECK_STR(p.subdivision, ""); /* IDF is a part of FR */
    CHECK(at(&p, 48.0, 2.0) && p.accuracy_km == 9 && !p.central, "coordinates of the third");
    p = place_of_text(db, "198.51.100.1");
    CHECK_STR(p.subdivision, "CA");
    CHECK_STR(p.continent, "NA");
    p = place_of_text(db, "2001:db8::1");
    CHECK_STR(p.country, "SG");
    CHECK_STR(p.continent, "AS");
    geo_free(&db);
    for (size_t i = 0; i < 3; i++)
        (void)unlink(path[i]);
}

/* C4, F22: what is done to the file afterwards does not reach an open set. */
TEST(geo, c4_an_open_set_keeps_answering)
{
    char path[64], other[64];
    const char *paths[] = {path};
    struct geo_db *db = NULL;
    file_new(path);
    file_new(other);
    struct mmdb_options o = {.record_bits = 24};
    CHECK(mmdb_writer_file(&o, world, path), "first");
    CHECK_INT(geo_open(paths, 1, &db, NULL), ERR_OK);
    CHECK(!geo_changed(db), "just opened");
    file_put(path, "overwritten in place", 20);
    check_world(db, true);
    CHECK(geo_changed(db), "overwritten");
    CHECK_INT(truncate(path, 0), 0);
    check_world(db, true);
    CHECK(mmdb_writer_file(&o, "192.0.2.0/24,IT\n", other), "second");
    CHECK_INT(rename(other, path), 0);
    check_world(db, true);
    CHECK(geo_changed(db), "replaced");
    struct geo_db *newer = NULL;
    CHECK_INT(geo_open(paths, 1, &newer, NULL), ERR_OK);
    CHECK_STR(place_of_text(newer, "192.0.2.1").country, "IT");
    (void)unlink(path);
    CHECK(geo_changed(newer), "deleted");
    CHECK_STR(place_of_text(newer, "192.0.2.1").country, "IT");
    geo_free(&newer);
    geo_free(&db);
}

static void check_refused(const char *path, enum err want, const char *why)
{
    char said[256] = "";
    const char *paths[] = {path};
    struct geo_db *db = NULL;
    struct buf message;
    buf_fixed(&message, said, sizeof said - 1);
    CHECK_INT(geo_open(paths, 1, &db, &message), want);
    CHECK(db == NULL, "nothing is opened");
    CHECK(strncmp(said, path, strlen(path)) == 0 && strstr(said, why) != NULL, "%s", said);
    CHECK_INT(geo_open(paths, 1, &db, NULL), want);
}

TEST(geo, says_why_a_file_cannot_be_used)
{
    char path[64];
    file_new(path);
    check_refused(path, ERR_CORRUPT, "empty");
    file_put(path, "GeoIP", 5);
    check_refused(path, ERR_CORRUPT, "no MaxMind metadata");
    (void)unlink(path);
    check_refused(path, ERR_NOT_FOUND, "does not exist");
    CHECK_INT(mkfifo(path, 0600), 0);
    check_refused(path, ERR_UNSUPPORTED, "not a regular file");
    (void)unlink(path);
    check_refused("/tmp", ERR_UNSUPPORTED, "not a regular file");
    const char *many[9] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
    struct geo_db *db = NULL;
    CHECK_INT(geo_open(many, 9, &db, NULL), ERR_FULL);
}

/* The second file of a set is bad: nothing stays open of the first, which ASan's leak check proves.
 */
TEST(geo, one_bad_file_refuses_the_set)
{
    char path[64];
    const char *paths[] = {path, "/nonexistent/file.mmdb"};
    struct geo_db *db = NULL;
    file_new(path);
    CHECK(mmdb_writer_file(&(struct mmdb_options){.record_bits = 24}, world, path), "written");
    CHECK_INT(geo_open(paths, 2, &db, NULL), ERR_NOT_FOUND);
    (void)unlink(path);
    CHECK(db == NULL, "no set");
}

static void *look_up_often(void *arg)
{
    for (int i = 0; i < 200; i++)
        check_world(arg, true);
    return NULL;
}

/* One set, many readers; ThreadSanitizer is the judge. */
TEST(geo, threads_share_a_set)
{
    struct geo_db *db = db_of(&(struct mmdb_options){.record_bits = 28}, world);
    pthread_t thread[4];
    for (size_t i = 0; i < 4; i++)
        CHECK_INT(pthread_create(&thread[i], NULL, look_up_often, db), 0);
    for (size_t i = 0; i < 4; i++)
        CHECK_INT(pthread_join(thread[i], NULL), 0);
    geo_free(&db);
}
