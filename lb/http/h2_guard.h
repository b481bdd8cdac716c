/* h2_guard: how much of what costs the receiver more than the sender one HTTP/2 connection may send
 * (RELIABILITY L22-L26, F11): control frames, resets, empty frames, header blocks, window updates,
 * frames of streams that are over, content in pieces smaller than their frame headers. It counts;
 * it must not know streams or messages. Pure; one thread. */
#ifndef MERIDIAN_HTTP_H2_GUARD_H
#define MERIDIAN_HTTP_H2_GUARD_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero: full. */
struct h2_bucket {
    int64_t spent; /* thousandths */
    int64_t at_ms;
};

/* All zero: nothing has come yet. */
struct h2_guard {
    size_t block_most; /* set once: of an encoded header block; 0: LIMIT_H2_BLOCK */
    bool
        from_client; /* set once: its resets are bounded (L23); servers may refuse what they like */
    struct h2_bucket control, empty, own_resets, resets, stray, framing;
    uint64_t updates;   /* WINDOW_UPDATE frames received */
    uint64_t data_sent; /* DATA frames sent */
    size_t block;       /* encoded bytes of the header block that is being received */
    unsigned frames;    /* CONTINUATION frames in it */
    unsigned pardons;   /* frames of streams that are over which may have been on their way */
    unsigned goaways;   /* GOAWAY frames received */
};

struct h2_frame {
    uint8_t type, flags; /* RFC 9113 section 4.1 */
    size_t length;
    int32_t stream;
};

/* A frame header has come. false: the connection must end (ENHANCE_YOUR_CALM). */
bool h2_guard_received(struct h2_guard *g, struct h2_frame f, int64_t now_ms);
/* It was DATA that carried padding alone, and no end. false as above. */
bool h2_guard_hollow(struct h2_guard *g, int64_t now_ms);
/* It was DATA with n bytes of content, and not the stream's end. false as above. */
bool h2_guard_content(struct h2_guard *g, size_t n, int64_t now_ms);
/* A stream is over. early: the peer may have sent more of it before it heard of that. */
void h2_guard_over(struct h2_guard *g, bool early);
/* A frame of a stream that is over has come. false as above. */
bool h2_guard_stray(struct h2_guard *g, int64_t now_ms);
/* L22: how many CONTINUATION frames a header block may have. */
size_t h2_guard_continuations(const struct h2_guard *g);
/* We have reset a stream for what the peer did. false as above. */
bool h2_guard_reset(struct h2_guard *g, int64_t now_ms);
/* A stream was refused for want of room. false as above. */
bool h2_guard_refused(struct h2_guard *g, int64_t now_ms);
/* A DATA frame has been sent. */
void h2_guard_data_sent(struct h2_guard *g);

#endif
