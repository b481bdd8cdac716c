/* compress: answers on their way to the client in a coding that it likes: whether an answer is to
 * be compressed, what that changes in its head, and the stream. Knows no exchange and no
 * configuration file. A worker has at most COMPRESS_MOST streams at once, of 60 to 100 KiB each,
 * which count as what their client's connection makes us hold (L18); where all are in use, where
 * that has no room and where memory is short, an answer goes as it is. Owner thread only. */
#ifndef MERIDIAN_PROXY_COMPRESS_H
#define MERIDIAN_PROXY_COMPRESS_H

#include "base/limits.h"
#include "http/allowance.h"
#include "proxy/coding.h"

#define COMPRESS_MOST 256
#define COMPRESS_KEPT 16 /* streams kept for reuse */
/* Bytes of small pieces that are compressed together: to make one readable at the other end costs
 * as much as a thousand bytes do. */
#define COMPRESS_GATHER KIB(4)

/* Immutable, part of a policy. */
struct compress_rule {
    const struct span *types; /* media types without parameters */
    size_t type_count;
    uint64_t minimum; /* bytes; smaller answers of known length go as they are */
};

enum compress_verdict {
    COMPRESS_NO,   /* the rule is not for such an answer */
    COMPRESS_VARY, /* it is, but not for this request: caches must know that it could have been */
    COMPRESS_SAME, /* 304: the client has it, compressed (RFC 9110 section 15.4.5) */
    COMPRESS_YES,
};

/* Pure; *coding where it says yes, or the same. Never where the answer is compressed already, is a
 * part of something (206), carries a digest of its bytes or announces one, or forbids it
 * (Cache-Control: no-transform). */
enum compress_verdict compress_judge(const struct compress_rule *rule, const struct request *in,
                                     const struct reply *r, enum coding *coding);
struct compress_stream;

/* All that a compressed answer's head says: coding, no length, a weak ETag; s NULL: Vary alone. */
MUST_CHECK
enum err compress_head(struct reply *r, const struct compress_stream *s, struct arena *arena);
/* What of that a 304 repeats: Vary and the weak ETag. */
MUST_CHECK
enum err compress_same_head(struct reply *r, struct arena *arena);

/* A worker's streams. All zero is empty. */
struct compress_store {
    struct compress_stream *spare[CODING_COUNT];
    unsigned used, kept;
};

/* NULL: no more now. purse: what the stream takes is booked there until its end; may be NULL. */
struct compress_stream *compress_begin(struct compress_store *store, enum coding coding,
                                       struct allowance *purse);
/* Takes bytes, and hands compressed ones to `put`, in pieces; small pieces wait for others.
 * ERR_INTERNAL. */
MUST_CHECK
enum err compress_put(struct compress_stream *s, struct span bytes,
                      void (*put)(void *user, struct span bytes), void *user);
/* Whether something waits for compress_flush. */
bool compress_waits(const struct compress_stream *s);
/* The same for all that waits: what has come in can be read at the other end. last: and the end of
 * the stream. ERR_INTERNAL. */
MUST_CHECK
enum err compress_flush(struct compress_stream *s, bool last,
                        void (*put)(void *user, struct span bytes), void *user);
/* What trailers are left behind content that was compressed: all but digests of what it was.
 * ERR_NO_MEMORY. */
MUST_CHECK
enum err compress_trailers(const struct fields *trailers, struct arena *arena, struct fields *out);
void compress_end(struct compress_store *store, struct compress_stream **s);
/* Frees what is kept; all streams must have ended. */
void compress_store_fini(struct compress_store *store);

#endif
