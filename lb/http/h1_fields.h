/* h1_fields: the field section of an HTTP/1 message read into struct fields, what it says about
 * framing and the connection gathered, and all that consumed again. Only h1_parse's two readers use
 * it. Pure. */
#ifndef MERIDIAN_HTTP_H1_FIELDS_H
#define MERIDIAN_HTTP_H1_FIELDS_H

#include "http/msg.h"

/* Reads the lines in block (mutable, each ended by CR LF, checked by h1_scan): names are lowered in
 * place. `most`: how many there are. odd: what becomes of names with "_" or other characters
 * outside [A-Za-z0-9-]; those left out are counted (H3). ERR_BAD_FIELD, ERR_NO_MEMORY. */
MUST_CHECK
enum err h1_fields_read(char *block, size_t n, size_t most, enum odd_names odd, struct arena *a,
                        struct fields *out, unsigned *dropped);

struct h1_facts {
    const struct field *length, *coding, *host, *expect, *upgrade, *keep;
    size_t lengths, codings, hosts;
    bool close, keep_alive, upgrading; /* options of Connection */
};
/* Also empties the names of fields that Connection names and may remove (H15). ERR_BAD_FIELD: a
 * malformed Connection. */
MUST_CHECK
enum err h1_facts_gather(struct fields *f, struct h1_facts *out);

/* Content-Length as H4 wants it. ERR_BAD_LENGTH. */
MUST_CHECK
enum err h1_length(const struct h1_facts *facts, uint64_t *out);
/* Whether Transfer-Encoding is exactly one "chunked" (H5). */
bool h1_is_chunked(const struct h1_facts *facts);

#endif
