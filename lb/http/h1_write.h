/* h1_write: messages into HTTP/1.1 heads (RELIABILITY H13): the only place that spells one. Framing
 * and connection fields are made here from facts, never passed through; ones that lie among the
 * fields are left out. Knows no connection. Pure; a head that does not fit sets out->failed. */
#ifndef MERIDIAN_HTTP_H1_WRITE_H
#define MERIDIAN_HTTP_H1_WRITE_H

#include "base/buf.h"
#include "base/limits.h"
#include "http/h1_parse.h"

/* No head is longer: the parts of one are bounded where they are read and configured. */
#define H1_HEAD_MOST MIB(4)

/* Origin form, Host first. Content of unknown length is announced as chunked. */
void h1_write_request(struct buf *out, const struct request *r);

struct h1_reply_form {
    enum h1_coding coding; /* of the content that follows */
    bool to_head;          /* answers HEAD: absent content has no length to tell */
    bool close;            /* Connection: close */
    bool keep_alive;       /* Connection: keep-alive, for HTTP/1.0 clients */
    struct span date;      /* for Date where the fields have none */
};
void h1_write_reply(struct buf *out, const struct reply *r, const struct h1_reply_form *form);

/* The last chunk with its trailers (NULL: none). */
void h1_write_last_chunk(struct buf *out, const struct fields *trailers);

#endif
