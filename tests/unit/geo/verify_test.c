/* RELIABILITY C4, F22: what makes bytes a database, value by value. Whole files that lie are in
 * corrupt_test.c. */
#include "geo/verify.h"

#include "base/buf.h"
#include "geo_files.h"

#define MARKER "\xab\xcd\xefMaxMind.com"

/* The types of the format. */
enum { POINTER = 1, TEXT, DOUBLE, BYTES, UINT16, UINT32, MAP, INT32, UINT64, UINT128, ARRAY };
enum { CONTAINER = 12, END_MARKER, BOOLEAN, FLOAT, BEYOND };

static void put_head(struct buf *b, unsigned type, size_t size)
{
    size_t bits = size < 29 ? size : size < 285 ? 29 : 30;
    buf_put_char(b, (char)((type < 8 ? type << 5 : 0) | bits));
    if (type >= 8)
        buf_put_char(b, (char)(type - 7));
    size_t more = bits == 29 ? size - 29 : size - 285;
    if (bits == 30)
        buf_put_char(b, (char)(more >> 8));
    if (bits >= 29)
        buf_put_char(b, (char)more);
}

static void put_text(struct buf *b, const char *text)
{
    put_head(b, TEXT, strlen(text));
    buf_put_str(b, text);
}

/* Metadata of one pair begin. */
static void begin(struct buf *b, const char *key)
{
    buf_init(b, 0);
    buf_put_str(b, MARKER);
    put_head(b, MAP, 1);
    put_text(b, key);
}

/* Whether the metadata are taken, or why not. Gives the memory back. */
static const char *judged(struct buf *b)
{
    struct verify_report report;
    size_t at = 0;
    enum err e = verify_metadata(buf_span(b), &at, &report);
    CHECK_INT(e, report.why == NULL ? ERR_OK : ERR_CORRUPT);
    buf_fini(b);
    return report.why != NULL ? report.why : "taken";
}

TEST(verify, values_have_the_sizes_of_their_types)
{
    static const struct {
        unsigned type;
        size_t most; /* 0: no size is right */
        bool exact;
    } rows[] = {{DOUBLE, 8, true},    {FLOAT, 4, true},      {UINT16, 2, false},
                {UINT32, 4, false},   {INT32, 4, false},     {UINT64, 8, false},
                {UINT128, 16, false}, {BOOLEAN, 1, false},   {CONTAINER, 0, false},
                {BEYOND, 0, false},   {END_MARKER, 0, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t size = 0; size <= 17; size++) {
            struct buf b;
            begin(&b, "a");
            put_head(&b, rows[i].type, size);
            for (int pad = 0; pad < 20; pad++)
                buf_put_char(&b, 0);
            bool fine =
                rows[i].most != 0 && (rows[i].exact ? size == rows[i].most : size <= rows[i].most);
            CHECK_STR(judged(&b), fine ? "taken" : "a value has an unknown type or a wrong size");
        }
    }
}

TEST(verify, f22_values_end_in_their_section)
{
    static const struct span ends[] = {SPAN("\x20"),  SPAN("\x38\x01\x01\x01"), SPAN("\x5d"),
                                       SPAN("\x42x"), {.p = "\x00", .n = 1},    SPAN("\xe1")};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct buf b;
        begin(&b, "a");
        buf_put_span(&b, ends[i]);
        CHECK_STR(judged(&b), "a value runs past the end of its section");
    }
}

TEST(verify, metadata_are_a_map_of_texts_where_the_library_wants_them)
{
    struct buf b;
    buf_init(&b, 0);
    buf_put_str(&b, MARKER);
    put_text(&b, "x");
    CHECK_STR(judged(&b), "its metadata are not a map");
    begin(&b, "languages");
    put_text(&b, "de");
    CHECK_STR(judged(&b), "taken");
    begin(&b, "languages");
    put_head(&b, ARRAY, 2);
    put_text(&b, "de");
    put_text(&b, "en");
    CHECK_STR(judged(&b), "taken");
    begin(&b, "description");
    put_head(&b, MAP, 1);
    put_text(&b, "de");
    put_head(&b, UINT16, 0);
    CHECK_STR(judged(&b), "its languages or descriptions are not all text");
    begin(&b, "description");
    put_head(&b, ARRAY, 2);
    put_head(&b, UINT16, 0);
    put_text(&b, "de");
    CHECK_STR(judged(&b), "its languages or descriptions are not all text");
    buf_init(&b, 0); /* the list stands elsewhere, and so does what is in it */
    buf_put_str(&b, MARKER);
    put_head(&b, MAP, 3);
    put_text(&b, "x");          /* at 1 */
    put_head(&b, ARRAY, 1);     /* at 3 */
    buf_put(&b, "\x20\x01", 2); /* to 1 */
    put_text(&b, "languages");
    buf_put(&b, "\x20\x03", 2); /* to 3 */
    buf_put(&b, "\x20\x01", 2);
    put_text(&b, "y");
    CHECK_STR(judged(&b), "taken");
}

TEST(verify, f22_records_are_bounded_at_keys_and_at_values)
{
    for (int arrays = 0; arrays <= 1; arrays++) {
        struct buf b;
        begin(&b, "a");
        for (int i = 0; i < arrays; i++)
            put_head(&b, ARRAY, 1);
        put_head(&b, MAP, 3000);
        for (int i = 0; i < 3000; i++) {
            put_text(&b, "k");
            put_head(&b, UINT16, 0);
        }
        CHECK_STR(judged(&b), "a record has too many values");
    }
}

/* A tree of one node that leads nowhere, then the separator, data of one byte, the metadata. */
static size_t small_file(char *file, unsigned node_bytes)
{
    memset(file, 0, 64);
    file[node_bytes / 2 - 1] = 1;
    file[node_bytes - 1] = 1;
    size_t at = node_bytes + 16 + 1;
    memcpy(file + at, MARKER, sizeof MARKER - 1);
    return at + sizeof MARKER - 1;
}

TEST(verify, trees_have_one_of_the_forms_that_there_are)
{
    static const struct {
        struct verify_tree tree;
        enum err want;
    } rows[] = {{{1, 24, 4}, ERR_OK},          {{1, 28, 6}, ERR_OK},
                {{1, 32, 4}, ERR_OK},          {{1, 20, 4}, ERR_UNSUPPORTED},
                {{1, 24, 5}, ERR_UNSUPPORTED}, {{0, 24, 4}, ERR_CORRUPT},
                {{1000, 24, 4}, ERR_CORRUPT},  {{UINT32_MAX, 32, 6}, ERR_CORRUPT}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char file[64];
        size_t n = small_file(file, rows[i].tree.record_bits / 4);
        struct verify_report report = {.why = NULL};
        CHECK(verify_tree(span_of(file, n), n, &rows[i].tree, &report) == rows[i].want,
              "row %zu: %s", i, report.why != NULL ? report.why : "taken");
    }
}

/* More records than are kept as samples. */
TEST(verify, samples_are_bounded)
{
    char path[64];
    const char *paths[] = {path};
    struct geo_db *db = NULL;
    struct buf lines;
    buf_init(&lines, 0);
    for (int i = 0; i < VERIFY_SAMPLES + 10; i++)
        buf_printf(&lines, "8.%d.%d.0/24,DE,EU,HE,%d.5,8.68,20\n", i / 256, i % 256, i % 80);
    buf_put_char(&lines, 0);
    file_new(path);
    CHECK(mmdb_writer_file(&(struct mmdb_options){.ip_version = 4}, lines.p, path), "written");
    CHECK_INT(geo_open(paths, 1, &db, NULL), ERR_OK);
    CHECK_STR(place_of_text(db, "8.1.5.9").country, "DE");
    geo_free(&db);
    buf_fini(&lines);
    (void)unlink(path);
}
