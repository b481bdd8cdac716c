/* h2_block: one decoded header block (RFC 9113 section 8.3): pseudo-header fields apart, the others
 * as a field list, sizes counted as L13 does although compression hid them. Shared by requests,
 * responses and trailers, which differ in the pseudo-header fields that they may and must have; it
 * must not know what the values mean. Pure; memory is the stream's arena. */
#ifndef MERIDIAN_HTTP_H2_BLOCK_H
#define MERIDIAN_HTTP_H2_BLOCK_H

#include "http/msg.h"

struct h2_block_limits {
    size_t size;   /* names + values + 32 for each field, the pseudo-header fields included */
    size_t fields; /* how many */
    size_t field;  /* one name + value */
};

enum h2_block_kind { H2_BLOCK_REQUEST, H2_BLOCK_RESPONSE, H2_BLOCK_TRAILERS };

struct h2_block {
    struct arena *arena;
    enum h2_block_kind kind;
    struct span method, scheme, authority, path, protocol, status;
    struct fields fields;
    size_t size;
    unsigned dropped; /* fields left out for their names (H3) */
    enum odd_names odd_names;
    enum err bad;   /* the first thing wrong; what follows is not kept */
    bool malformed; /* and it is for the stream's end, not for an answer (section 8.1.1) */
};

void h2_block_begin(struct h2_block *b, struct arena *a, enum h2_block_kind kind,
                    enum odd_names odd_names);
/* Copies; what passes a limit, or is malformed (H9), is told by bad. */
void h2_block_add(struct h2_block *b, const struct h2_block_limits *l, struct span name,
                  struct span value);
/* Joins cookie crumbs (RFC 9113 section 8.2.3), and looks whether the pseudo-header fields are
 * those of its kind. Call once, at the block's end. */
void h2_block_finish(struct h2_block *b);

#endif
