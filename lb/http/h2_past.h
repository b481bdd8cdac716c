/* h2_past: which streams a peer has done with, as far back as that is remembered: those that it
 * ended or reset, and the numbers that it passed over. By it a peer that goes on where it must not
 * (RFC 9113 sections 5.1 and 5.1.1) is told from one that could not know yet that we had reset the
 * stream. It must not know messages. Pure; one thread. */
#ifndef MERIDIAN_HTTP_H2_PAST_H
#define MERIDIAN_HTTP_H2_PAST_H

#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>

/* All zero: nothing has happened. */
struct h2_past {
    int32_t done[LIMIT_H2_PAST]; /* ended or reset by the peer, and closed; a ring */
    unsigned next;
    int32_t last;             /* the latest stream that was begun, refused ones too */
    int32_t gap_from, gap_to; /* the numbers passed over last; gap_to excluded */
};

/* The stream is closed, and the peer has ended or reset it. */
void h2_past_done(struct h2_past *p, int32_t id);
/* HEADERS or DATA is coming on this stream. NGHTTP2_NO_ERROR, or the connection error that it is.
 */
uint32_t h2_past_frame(struct h2_past *p, bool headers, int32_t id);

#endif
