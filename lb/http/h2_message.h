/* h2_message: heads between HTTP/2's header blocks and the messages without a version (msg.h), both
 * ways (RFC 9113 section 8, RFC 8441). What it lets through is what the HTTP/1 reader would
 * (RELIABILITY H3-H9, H14): one grammar for both versions. Pure; memory is the given arena. */
#ifndef MERIDIAN_HTTP_H2_MESSAGE_H
#define MERIDIAN_HTTP_H2_MESSAGE_H

#include "http/h2_block.h"

#include <nghttp2/nghttp2.h>

struct h2_nv {
    nghttp2_nv *v;
    size_t n;
};

/* end: no content follows. line: bound of method, target and their spaces (L12). What is refused is
 * filled as far as it could be read, for the log. */
MUST_CHECK
enum err h2_request_read(struct h2_block *b, bool end, size_t line, struct request *out);
/* An extended CONNECT where r asks for an upgrade. */
MUST_CHECK
enum err h2_request_write(const struct request *r, struct arena *a, struct h2_nv *out);

/* asked: the request that it answers. ERR_BACKEND_PROTOCOL. */
MUST_CHECK
enum err h2_reply_read(struct h2_block *b, struct asked asked, bool end, struct reply *out);
/* date: added where r has none, unless empty. */
MUST_CHECK
enum err h2_reply_write(const struct reply *r, struct span date, struct arena *a,
                        struct h2_nv *out);

#endif
