/* HTTP/1.1 framing as the benchmark programs need it: where a head ends, how its body is framed,
 * where a chunked body ends. Written apart from lb/http on purpose: a mistake there must not be
 * repeated here. It is not a validating parser and serves only peers that are ours. */
#ifndef BENCH_H1_H
#define BENCH_H1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a head says. Pointers lead into the bytes given to h1_head. */
struct h1_head {
    size_t size;                          /* bytes of the head, its empty line included */
    uint64_t length;                      /* Content-Length; 0 where there is none */
    const char *method, *target, *origin; /* origin: the value of X-Origin */
    size_t method_len, target_len, origin_len;
    int status; /* of a response */
    bool has_length, chunked, close, expects_continue, http10;
};

/* Reads one request head (or response head) from the start of `data`. 1: done, 0: more bytes
 * needed, -1: this is not HTTP/1. */
int h1_head_request(struct h1_head *head, const char *data, size_t len);
int h1_head_response(struct h1_head *head, const char *data, size_t len);

/* A chunked body being read. Zeroed is its start. */
struct h1_chunked {
    enum { H1_SIZE, H1_EXTENSION, H1_DATA, H1_DATA_END, H1_TRAILER, H1_TRAILER_LINE, H1_END } state;
    uint64_t left; /* of this chunk */
    uint64_t body; /* bytes of content so far */
    bool digits;   /* the size line has a digit */
};

/* Consumes up to `len` bytes and returns how many belonged to the body; state is H1_END once it is
 * complete. SIZE_MAX: broken framing. */
size_t h1_chunked_feed(struct h1_chunked *chunked, const char *data, size_t len);

#endif
