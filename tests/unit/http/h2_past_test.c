#include "check.h"
#include "http/h2_past.h"

#include <nghttp2/nghttp2.h>

/* What a peer may still say on streams that are over (RFC 9113 sections 5.1 and 5.1.1). */

TEST(h2_past, a_peer_that_ended_a_stream_says_no_more_on_it)
{
    struct h2_past p = {0};
    CHECK_INT(h2_past_frame(&p, true, 1), NGHTTP2_NO_ERROR);
    CHECK_INT(h2_past_frame(&p, false, 1), NGHTTP2_NO_ERROR);
    h2_past_done(&p, 1);
    CHECK_INT(h2_past_frame(&p, false, 1), NGHTTP2_STREAM_CLOSED);
    CHECK_INT(h2_past_frame(&p, true, 1), NGHTTP2_STREAM_CLOSED);
    CHECK_INT(h2_past_frame(&p, true, 3), NGHTTP2_NO_ERROR);
}

TEST(h2_past, streams_that_we_reset_are_not_held_against_it)
{
    struct h2_past p = {0};
    CHECK_INT(h2_past_frame(&p, true, 1), NGHTTP2_NO_ERROR);
    CHECK_INT(h2_past_frame(&p, true, 3), NGHTTP2_NO_ERROR);
    CHECK_INT(h2_past_frame(&p, false, 1), NGHTTP2_NO_ERROR);
    CHECK_INT(h2_past_frame(&p, true, 1), NGHTTP2_NO_ERROR); /* trailers */
}

TEST(h2_past, numbers_passed_over_are_gone)
{
    struct h2_past p = {0};
    CHECK_INT(h2_past_frame(&p, true, 1), NGHTTP2_NO_ERROR);
    CHECK_INT(h2_past_frame(&p, true, 9), NGHTTP2_NO_ERROR);
    CHECK_INT(h2_past_frame(&p, true, 11), NGHTTP2_NO_ERROR);
    CHECK_INT(h2_past_frame(&p, true, 3), NGHTTP2_PROTOCOL_ERROR);
    CHECK_INT(h2_past_frame(&p, false, 7), NGHTTP2_PROTOCOL_ERROR);
    CHECK_INT(h2_past_frame(&p, true, 9), NGHTTP2_NO_ERROR);
    CHECK_INT(h2_past_frame(&p, false, 1), NGHTTP2_NO_ERROR);  /* below what was passed over */
    CHECK_INT(h2_past_frame(&p, false, 13), NGHTTP2_NO_ERROR); /* an idle one: the library's */
}

TEST(h2_past, only_so_many_are_remembered)
{
    struct h2_past p = {0};
    for (int32_t id = 1; id < 2 * LIMIT_H2_PAST + 2; id += 2) {
        CHECK_INT(h2_past_frame(&p, true, id), NGHTTP2_NO_ERROR);
        h2_past_done(&p, id);
    }
    CHECK_INT(h2_past_frame(&p, false, 1), NGHTTP2_NO_ERROR);
    CHECK_INT(h2_past_frame(&p, false, 3), NGHTTP2_STREAM_CLOSED);
}
