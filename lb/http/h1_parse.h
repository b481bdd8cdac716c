/* h1_parse: HTTP/1 heads into messages (RFC 9112): fields read, framing and hop-by-hop fields
 * consumed (RELIABILITY H2 to H5, H7, H8, H14, H15, H18), what they said handed back beside the
 * message. Knows grammar only: no connection, no clock. Pure; memory from the arena given. */
#ifndef MERIDIAN_HTTP_H1_PARSE_H
#define MERIDIAN_HTTP_H1_PARSE_H

#include "http/h1_scan.h"
#include "http/msg.h"

/* How content is delimited on an HTTP/1 connection (RFC 9112 section 6.3). */
enum h1_coding { H1_NONE, H1_LENGTH, H1_CHUNKED, H1_CLOSE };

/* What a head says about its connection and not about the message. */
struct h1_head {
    size_t bytes; /* the head's length, an empty line before it included */
    enum h1_coding coding;
    bool keep_alive; /* its sender can go on after this message */
    int64_t keep_ms; /* replies: Keep-Alive's timeout, 0 where there is none */
};

/* in as for h1_scan_run. ERR_OK: *out is complete but for the scheme, in the arena. ERR_AGAIN: more
 * is needed. Else refused; *out has what could be read of the request line, for the log. */
MUST_CHECK
enum err h1_parse_request(struct h1_scan *s, const struct h1_limits *l, struct span in,
                          struct arena *a, struct request *out, struct h1_head *head);

/* ERR_AGAIN, ERR_NO_MEMORY, ERR_BACKEND_HEAD_TOO_LARGE (L17), or ERR_BACKEND_PROTOCOL (H18). */
MUST_CHECK
enum err h1_parse_reply(struct h1_scan *s, const struct h1_limits *l, struct span in,
                        struct asked asked, struct arena *a, struct reply *out,
                        struct h1_head *head);

/* The trailer section in `in`, which passed h1_scan_run with s: fields that may stand in trailers,
 * in the arena (RFC 9110 section 6.5.1). */
MUST_CHECK
enum err h1_parse_trailers(const struct h1_scan *s, struct span in, struct arena *a,
                           struct fields *out);

#endif
