/* coding: the content codings that answers can be given in, and the library behind each. Which ones
 * there are is decided when the program is built (MERIDIAN_BROTLI, MERIDIAN_ZSTD); gzip always is.
 * Knows bytes and Accept-Encoding; knows no answer. Owner thread of a stream only. */
#ifndef MERIDIAN_PROXY_CODING_H
#define MERIDIAN_PROXY_CODING_H

#include "http/msg.h"

/* The first of those that a client likes equally is used: the cheapest for its size. */
enum coding { CODING_ZSTD, CODING_BROTLI, CODING_GZIP, CODING_COUNT };

#define CODING_PIECE 4096 /* bytes handed out at once */

/* Where compressed bytes go. */
struct coding_out {
    void (*put)(void *user, struct span bytes);
    void *user;
};

struct coding_ops {
    const char *name;    /* as in Content-Encoding */
    const char *library; /* "zlib 1.2.13"; NULL: not built, and nothing below is there */
    size_t takes;        /* bytes of memory that a stream has at most between two pieces */
    void *(*begin)(void);
    /* All of bytes, complete up to here; last: and the end. False: it failed. */
    bool (*put)(void *stream, struct span bytes, bool last, const struct coding_out *out);
    /* Makes it as new; false: it cannot be used again. */
    bool (*reset)(void *stream);
    /* What it has now. */
    size_t (*bytes)(void *stream);
    void (*end)(void *stream);
};
extern const struct coding_ops coding_zstd, coding_brotli, coding_gzip;
const struct coding_ops *coding_ops(enum coding c);

/* The coding that Accept-Encoding likes best (RFC 9110 section 12.5.3); CODING_COUNT: as it is. */
enum coding coding_accepted(const struct fields *f);

#endif
