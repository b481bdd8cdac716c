/* verify: whether bytes that claim to be a MaxMind-format database are safe and quick to look up in
 * (RELIABILITY C4, F22). Pure apart from memory for its marks. It proves of metadata, search tree
 * and every record that can be reached: all offsets are inside their section, nesting is shallow,
 * no pointer leads to a pointer or in a circle, the tree is no deeper than an address is long.
 * Format: "MaxMind DB File Format Specification", version 2.0. */
#ifndef MERIDIAN_GEO_VERIFY_H
#define MERIDIAN_GEO_VERIFY_H

#include "base/str.h"

/* Bounds of one record, far above what any database needs: they bound a lookup too. */
#define VERIFY_DEPTH 24   /* maps and arrays within each other, pointers counted */
#define VERIFY_ITEMS 4096 /* keys and values that follow each other in one record */

#define VERIFY_SAMPLES 256

/* Facts of the metadata that the tree is read by. */
struct verify_tree {
    uint32_t nodes;
    uint16_t record_bits;
    uint16_t ip_version;
};

struct verify_report {
    const char *why;                 /* constant text where the database is refused */
    uint32_t records;                /* different records that the tree refers to */
    uint32_t samples;                /* how many of `sample` are set */
    uint32_t sample[VERIFY_SAMPLES]; /* offsets of records in the data section */
};

/* The metadata: found, well-formed, without a bomb. *at is where it begins. ERR_CORRUPT. */
MUST_CHECK
enum err verify_metadata(struct span file, size_t *at, struct verify_report *report);
/* Tree and records, in time linear in the file's size; metadata_at is from verify_metadata.
 * ERR_CORRUPT, ERR_UNSUPPORTED, ERR_NO_MEMORY. */
MUST_CHECK
enum err verify_tree(struct span file, size_t metadata_at, const struct verify_tree *tree,
                     struct verify_report *report);

#endif
