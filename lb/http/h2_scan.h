/* h2_scan: finds the frame headers in what an HTTP/2 peer sends (RFC 9113 section 4.1), all of
 * them: the session library tells nothing of frames that it ignores, and those cost time too. It
 * must not know what frames mean. Pure; one thread. */
#ifndef MERIDIAN_HTTP_H2_SCAN_H
#define MERIDIAN_HTTP_H2_SCAN_H

#include "base/str.h"
#include "http/h2_guard.h"

enum { H2_FRAME_HEAD = 9 };

struct h2_scan {
    size_t skip; /* bytes of the frame, or of the preface, that are still to come */
    uint8_t head[H2_FRAME_HEAD];
    size_t n; /* of head */
};

/* preface: bytes before the first frame. */
void h2_scan_init(struct h2_scan *s, size_t preface);
/* How many of the bytes, at least one, belong to one frame. begun: its header is complete with
 * them, and in f. */
size_t h2_scan_next(struct h2_scan *s, struct span bytes, struct h2_frame *f, bool *begun);

/* Whether the last frame is complete, and no other has begun. */
static inline bool h2_scan_between(const struct h2_scan *s)
{
    return s->skip == 0 && s->n == 0;
}

#endif
