/* h1_body: the content of one HTTP/1 message out of, and into, its framing (RFC 9112 sections 6 and
 * 7; RELIABILITY H1, H6, L14, L15). Content is handed on as spans of the input, not copied. Knows
 * no connection and no policy. Pure. */
#ifndef MERIDIAN_HTTP_H1_BODY_H
#define MERIDIAN_HTTP_H1_BODY_H

#include "http/h1_parse.h"

struct h1_body {
    enum h1_coding coding;
    uint8_t part;
    uint8_t digits;    /* of the present chunk size */
    uint16_t line;     /* bytes of the present chunk line */
    uint64_t left;     /* of the content, or of the present chunk */
    uint64_t content;  /* bytes handed on so far */
    uint64_t overhead; /* bytes of chunk framing so far */
    struct h1_scan trailers;
    struct arena *arena;   /* for trailers; NULL: they are checked and dropped */
    struct fields *fields; /* the trailers that were kept */
};

/* length counts for H1_LENGTH only. trailers: where to keep them, in the arena; both NULL: dropped.
 */
void h1_body_init(struct h1_body *b, enum h1_coding coding, uint64_t length, struct arena *a,
                  struct fields *trailers);
bool h1_body_done(const struct h1_body *b);

/* One step: *used bytes of `in` were taken, *piece (maybe empty) is content within them. ERR_OK:
 * call again with what follows, unless it is done. ERR_AGAIN: what is left of `in` must be handed
 * again with more bytes after it (*used may be above 0). H1_CLOSE is never done: its end is the
 * connection's. Else refused: ERR_BAD_LINE_END, ERR_BAD_CHUNK, ERR_CHUNK_OVERHEAD (L15),
 * ERR_TRAILERS_TOO_LARGE (L14), ERR_NO_MEMORY. */
MUST_CHECK
enum err h1_body_step(struct h1_body *b, struct span in, size_t *used, struct span *piece);

/* Writes the line that opens a chunk of n > 0 bytes; returns its length. "\r\n" closes a chunk. */
enum { H1_CHUNK_LINE = 18 };
size_t h1_chunk_line(char out[H1_CHUNK_LINE], uint64_t n);

#endif
