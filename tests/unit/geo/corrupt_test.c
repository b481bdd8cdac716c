/* RELIABILITY C4, F22: files that lie. Refused or harmless, never a crash; ASan and UBSan watch. */
#include "geo_files.h"

#include "base/mem.h"

static const char lines[] = "192.0.2.0/24,DE,EU,HE,50.11,8.68,20\n"
                            "192.0.2.128/25,FR,EU,IDF,48.86,2.35,30\n"
                            "2001:db8::/32,BR,SA,SP,-23.55,-46.63,50\n";

/* Opens the bytes and, where they pass, looks up in them. */
static enum err try_bytes(const unsigned char *p, size_t n, const char *path)
{
    const char *paths[] = {path};
    struct geo_db *db = NULL;
    file_put(path, p, n);
    enum err e = geo_open(paths, 1, &db, NULL);
    if (e == ERR_OK) {
        (void)place_of_text(db, "192.0.2.1");
        (void)place_of_text(db, "192.0.2.200");
        (void)place_of_text(db, "203.0.113.1");
        (void)place_of_text(db, "2001:db8::1");
        (void)place_of_text(db, "ffff::1");
    }
    geo_free(&db);
    return e;
}

static unsigned char *bytes_of(const struct mmdb_options *o, size_t *n)
{
    char path[64];
    file_new(path);
    CHECK(mmdb_writer_file(o, lines, path), "written");
    FILE *f = fopen(path, "rb");
    unsigned char *p = calloc(1, 1 << 16);
    CHECK(f != NULL && p != NULL, "read");
    *n = fread(p, 1, 1 << 16, f);
    (void)fclose(f);
    (void)unlink(path);
    return p;
}

TEST(corrupt, each_damage_has_its_reason)
{
    static const struct {
        enum mmdb_damage damage;
        enum err want;
        const char *why;
    } cases[] = {
        {MMDB_DAMAGE_NONE, ERR_OK, ""},
        {MMDB_DAMAGE_TREE_OUT, ERR_CORRUPT, "tree leads out of the data"},
        {MMDB_DAMAGE_TREE_GAP, ERR_CORRUPT, "tree leads out of the data"},
        {MMDB_DAMAGE_TREE_LOOP, ERR_CORRUPT, "deeper than an address"},
        {MMDB_DAMAGE_TREE_POINTER, ERR_CORRUPT, "tree leads to a pointer"},
        {MMDB_DAMAGE_POINTER_OUT, ERR_CORRUPT, "pointer leads out"},
        {MMDB_DAMAGE_POINTER_LOOP, ERR_CORRUPT, "nested too deeply"},
        {MMDB_DAMAGE_POINTER_POINTER, ERR_CORRUPT, "pointer leads to a pointer"},
        {MMDB_DAMAGE_POINTER_BOMB, ERR_OK, ""},
        {MMDB_DAMAGE_KEY_NUMBER, ERR_CORRUPT, "a key is not text"},
        {MMDB_DAMAGE_DEEP, ERR_CORRUPT, "nested too deeply"},
        {MMDB_DAMAGE_WIDE, ERR_CORRUPT, "too many values"},
        {MMDB_DAMAGE_LONG_TEXT, ERR_CORRUPT, "past the end"},
        {MMDB_DAMAGE_BAD_TYPE, ERR_CORRUPT, "unknown type"},
        {MMDB_DAMAGE_METADATA_BOMB, ERR_CORRUPT, "overlap too much"},
        {MMDB_DAMAGE_METADATA_DEEP, ERR_CORRUPT, "nested too deeply"},
        {MMDB_DAMAGE_METADATA_NUMBER, ERR_CORRUPT, "not all text"},
        {MMDB_DAMAGE_NO_MARKER, ERR_CORRUPT, "no MaxMind metadata"},
        {MMDB_DAMAGE_NODE_COUNT, ERR_CORRUPT, ": "},
        {MMDB_DAMAGE_IP_VERSION, ERR_CORRUPT, ": "},
        {MMDB_DAMAGE_RECORD_SIZE, ERR_UNSUPPORTED, ": "},
        {MMDB_DAMAGE_NO_PLACES, ERR_UNSUPPORTED, "holds no places"},
    };
    CHECK_INT(sizeof cases / sizeof cases[0], MMDB_DAMAGE_COUNT);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[64], said[256] = "";
        const char *paths[] = {path};
        struct geo_db *db = NULL;
        struct buf message;
        buf_fixed(&message, said, sizeof said - 1);
        file_new(path);
        CHECK(mmdb_writer_file(&(struct mmdb_options){.damage = cases[i].damage}, lines, path),
              "written");
        enum err e = geo_open(paths, 1, &db, &message);
        (void)unlink(path);
        CHECK(e == cases[i].want, "%s: %s (%s)", mmdb_damage_name(cases[i].damage), err_name(e),
              said);
        CHECK(strstr(said, cases[i].why) != NULL, "%s: %s", mmdb_damage_name(cases[i].damage),
              said);
        if (e == ERR_OK) /* the bomb too: a look-up does not unfold what it does not need */
            CHECK_STR(place_of_text(db, "192.0.2.1").country, "DE");
        geo_free(&db);
    }
}

TEST(corrupt, f22_every_truncation_is_refused)
{
    char path[64];
    size_t n = 0;
    unsigned char *p = bytes_of(&(struct mmdb_options){.ip_version = 4}, &n);
    file_new(path);
    CHECK_INT(try_bytes(p, n, path), ERR_OK);
    for (size_t cut = 0; cut < n; cut++)
        CHECK(try_bytes(p, cut, path) != ERR_OK, "%zu of %zu bytes", cut, n);
    (void)unlink(path);
    free(p);
}

/* Many flips leave a file that is well-formed and wrong (another letter, another number): the
 * sanitizers are the judges. Flips that are noticed must be many, or nothing was verified. */
TEST(corrupt, f22_every_byte_flipped)
{
    static const unsigned char flips[] = {0x01, 0x20, 0x80, 0xff};
    for (unsigned version = 4; version <= 6; version += 2) {
        char path[64];
        size_t n = 0, refused = 0;
        unsigned char *p = bytes_of(&(struct mmdb_options){.ip_version = version}, &n);
        file_new(path);
        for (size_t i = 0; i < n; i++)
            for (size_t f = 0; f < sizeof flips; f++) {
                p[i] ^= flips[f];
                refused += try_bytes(p, n, path) != ERR_OK;
                p[i] ^= flips[f];
            }
        CHECK(refused > n, "%zu of %zu", refused, 4 * n);
        (void)unlink(path);
        free(p);
    }
}

/* Whichever allocation fails: an error, no leak, no crash. */
TEST(corrupt, memory_may_run_out_while_opening)
{
    char path[64];
    const char *paths[] = {path};
    file_new(path);
    CHECK(mmdb_writer_file(&(struct mmdb_options){.ip_version = 4}, lines, path), "written");
    uint64_t fails = 1;
    for (;; fails++) {
        struct geo_db *db = NULL;
        mem_fail_at(fails);
        enum err e = geo_open(paths, 1, &db, NULL);
        mem_fail_at(0);
        geo_free(&db);
        if (e == ERR_OK)
            break;
        CHECK_INT(e, ERR_NO_MEMORY);
    }
    CHECK(fails >= 5, "%d allocations", (int)fails);
    (void)unlink(path);
}
