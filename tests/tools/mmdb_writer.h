/* mmdb_writer: writes small MaxMind-format databases for tests and demonstrations, sound ones and,
 * on request, ones that are damaged in a chosen way. It shares no code with what reads them.
 * Format: "MaxMind DB File Format Specification", version 2.0. */
#ifndef MERIDIAN_TESTS_MMDB_WRITER_H
#define MERIDIAN_TESTS_MMDB_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mmdb_layout {
    MMDB_LAYOUT_NESTED, /* country.iso_code, location.latitude as double: MaxMind's */
    MMDB_LAYOUT_FLAT    /* country_code, latitude as float */
};

enum mmdb_degrees { MMDB_DEGREES_USUAL, MMDB_DEGREES_FLOAT, MMDB_DEGREES_DOUBLE };

/* X(constant, "name", what is wrong with the file) */
#define MMDB_DAMAGE_LIST(X)                                                                        \
    X(NONE, "none", "nothing")                                                                     \
    X(TREE_OUT, "tree-out", "the root leads behind the data")                                      \
    X(TREE_GAP, "tree-gap", "the root leads between tree and data")                                \
    X(TREE_LOOP, "tree-loop", "the root leads to itself")                                          \
    X(TREE_POINTER, "tree-pointer", "the root leads to a pointer")                                 \
    X(POINTER_OUT, "pointer-out", "a record is a pointer behind the data")                         \
    X(POINTER_LOOP, "pointer-loop", "a record points at itself")                                   \
    X(POINTER_POINTER, "pointer-pointer", "a record points at a pointer")                          \
    X(POINTER_BOMB, "pointer-bomb", "a sound record that unfolds to 10^12 values")                 \
    X(KEY_NUMBER, "key-number", "a key is a number")                                               \
    X(DEEP, "deep", "arrays a thousand deep")                                                      \
    X(WIDE, "wide", "a record of 5000 values")                                                     \
    X(LONG_TEXT, "long-text", "text that ends behind the data")                                    \
    X(BAD_TYPE, "bad-type", "a value of no known type")                                            \
    X(METADATA_BOMB, "metadata-bomb", "a description that unfolds to 10^12 values")                \
    X(METADATA_DEEP, "metadata-deep", "a description of arrays a thousand deep")                   \
    X(METADATA_NUMBER, "metadata-number", "a description that is a number")                        \
    X(NO_MARKER, "no-marker", "metadata without their marker")                                     \
    X(NODE_COUNT, "node-count", "more nodes than the file has bytes")                              \
    X(IP_VERSION, "ip-version", "IP version 5")                                                    \
    X(RECORD_SIZE, "record-size", "records of 20 bits")                                            \
    X(NO_PLACES, "no-places", "records without any place")

enum mmdb_damage {
#define MMDB_DAMAGE_ENUM_(id, name, what) MMDB_DAMAGE_##id,
    MMDB_DAMAGE_LIST(MMDB_DAMAGE_ENUM_)
#undef MMDB_DAMAGE_ENUM_
        MMDB_DAMAGE_COUNT
};

struct mmdb_options {
    enum mmdb_layout layout;
    enum mmdb_degrees degrees;
    enum mmdb_damage damage;
    unsigned record_bits; /* 24, 28 or 32; 0: 24 */
    unsigned ip_version;  /* 4 or 6; 0: 6. IPv6 networks are left out of a file of version 4 */
    uint64_t built_s;     /* seconds since 1970; 0: 1 */
};

struct mmdb_writer;

/* NULL where options are none of the format's. */
struct mmdb_writer *mmdb_writer_new(const struct mmdb_options *options);
void mmdb_writer_free(struct mmdb_writer **writer);
/* One line "network,country,continent,subdivision,latitude,longitude,accuracy,registered"; fields
 * may be empty, those at the end may be missing, and so they will be in the record. Empty lines and
 * lines that begin with # say nothing. Any order: the longest network wins. False where it is
 * malformed. */
bool mmdb_writer_line(struct mmdb_writer *writer, const char *line);
/* The file's bytes; the caller frees them with free(). NULL where the records do not fit. */
unsigned char *mmdb_writer_bytes(struct mmdb_writer *writer, size_t *n);

/* Lines of text (separated by LF) straight into a file. False where anything fails. */
bool mmdb_writer_file(const struct mmdb_options *options, const char *lines, const char *path);

const char *mmdb_damage_name(enum mmdb_damage damage);
const char *mmdb_damage_what(enum mmdb_damage damage);

#endif
