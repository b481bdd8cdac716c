#include "base/limits.h"
#include "check.h"
#include "http/h2_guard.h"

/* What one HTTP/2 connection may cost: each bound at, below and above it. */

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, UPDATE, CONTINUATION };

static unsigned frames(struct h2_guard *g, struct h2_frame f, unsigned most, int64_t now_ms)
{
    unsigned n = 0;
    while (n < most && h2_guard_received(g, f, now_ms)) {
        n++;
    }
    return n;
}

TEST(h2_guard, l25_control_frames_share_one_burst_and_one_rate)
{
    struct h2_guard g = {0};
    struct h2_frame ping = {.type = PING, .length = 8}, settings = {.type = SETTINGS},
                    unknown = {.type = 0x42, .length = 3};
    CHECK_INT(frames(&g, ping, 400, 1000), 400);
    CHECK_INT(frames(&g, settings, 400, 1000), 400);
    CHECK_INT(frames(&g, unknown, 400, 1000), LIMIT_H2_CONTROL - 800);
    /* one refused frame has been counted too */
    CHECK_INT(frames(&g, ping, 400, 2000), LIMIT_H2_CONTROL_RATE - 1);
}

TEST(h2_guard, l25_a_polite_peer_is_never_refused)
{
    struct h2_guard g = {0};
    struct h2_frame ping = {.type = PING, .length = 8};
    for (int64_t ms = 0; ms < 600000; ms += 10) {
        CHECK(h2_guard_received(&g, ping, ms), "at %lld ms", (long long)ms);
    }
}

TEST(h2_guard, l26_empty_frames)
{
    struct h2_guard g = {0};
    struct h2_frame empty = {.type = DATA}, last = {.type = DATA, .flags = 1},
                    full = {.type = DATA, .length = 1};
    CHECK_INT(frames(&g, last, 5000, 0), 5000);
    CHECK_INT(frames(&g, full, 5000, 0), 5000);
    CHECK_INT(frames(&g, empty, 5000, 0), LIMIT_H2_EMPTY);
    CHECK_INT(frames(&g, (struct h2_frame){.type = HEADERS}, 5000, 0), 0);
}

TEST(h2_guard, l26_padding_is_nothing)
{
    struct h2_guard g = {0};
    struct h2_frame empty = {.type = DATA};
    CHECK_INT(frames(&g, empty, LIMIT_H2_EMPTY - 1, 0), LIMIT_H2_EMPTY - 1);
    CHECK(h2_guard_hollow(&g, 0), "the last one that fits");
    CHECK(!h2_guard_hollow(&g, 0), "one too many");
}

TEST(h2_guard, l22_a_block_is_bounded_in_bytes_and_frames)
{
    struct h2_guard g = {0};
    struct h2_frame first = {.type = HEADERS, .length = 16384},
                    more = {.type = CONTINUATION, .length = 16384},
                    little = {.type = CONTINUATION, .length = 1};
    CHECK(h2_guard_received(&g, first, 0) && h2_guard_received(&g, more, 0), "32 KiB");
    CHECK(!h2_guard_received(&g, little, 0), "one byte more");
    CHECK(h2_guard_received(&g, first, 0), "the next block begins anew");
    CHECK_INT(frames(&g, little, 100, 0), LIMIT_H2_CONTINUATIONS);
}

TEST(h2_guard, l22_a_larger_block_may_have_as_many_frames_as_it_fills)
{
    struct h2_guard g = {.block_most = KIB(512)};
    struct h2_frame first = {.type = HEADERS, .length = 16384},
                    more = {.type = CONTINUATION, .length = 16384},
                    little = {.type = CONTINUATION, .length = 1};
    CHECK(h2_guard_received(&g, first, 0), "the first");
    CHECK_INT(frames(&g, more, 100, 0), 31);
    CHECK(h2_guard_received(&g, first, 0), "the next block begins anew");
    CHECK_INT(frames(&g, little, 100, 0), 32);
}

TEST(h2_guard, l25_window_updates_follow_the_data_sent)
{
    struct h2_guard g = {0};
    struct h2_frame update = {.type = UPDATE, .length = 4};
    CHECK_INT(frames(&g, update, 5000, 0), LIMIT_H2_UPDATES);
    h2_guard_data_sent(&g);
    CHECK_INT(frames(&g, update, 5000, 0), LIMIT_H2_UPDATES_DATA - 1);
}

TEST(h2_guard, l23_resets_of_clients)
{
    struct h2_guard client = {.from_client = true}, server = {0};
    struct h2_frame reset = {.type = RST_STREAM, .length = 4};
    CHECK_INT(frames(&client, reset, 5000, 1000), LIMIT_H2_RESETS);
    CHECK_INT(frames(&client, reset, 5000, 2000), LIMIT_H2_RESETS_RATE - 1);
    CHECK_INT(frames(&server, reset, 5000, 1000), 5000);
}

TEST(h2_guard, l24_resets_that_the_peer_provokes)
{
    struct h2_guard g = {0};
    unsigned n = 0;
    while (h2_guard_reset(&g, 0)) {
        n++;
    }
    CHECK_INT(n, LIMIT_H2_OWN_RESETS);
    CHECK(!h2_guard_reset(&g, 500) && h2_guard_reset(&g, 3600 * 1000), "one a second");
}

TEST(h2_guard, l24_a_reset_comes_back_each_second)
{
    struct h2_guard g = {0};
    for (int i = 0; i < LIMIT_H2_OWN_RESETS; i++) {
        CHECK(h2_guard_reset(&g, 1000), "%d", i);
    }
    struct h2_guard early = g;
    CHECK(!h2_guard_reset(&early, 1000 + 1000 / LIMIT_H2_OWN_RESETS_RATE - 1), "too early");
    CHECK(h2_guard_reset(&g, 1000 + 1000 / LIMIT_H2_OWN_RESETS_RATE), "a second later");
    CHECK(!h2_guard_reset(&g, 1000 + 1000 / LIMIT_H2_OWN_RESETS_RATE), "one, not two");
}

TEST(h2_guard, l26_empty_frames_come_back_at_their_rate)
{
    struct h2_guard g = {0};
    struct h2_frame empty = {.type = DATA};
    CHECK_INT(frames(&g, empty, LIMIT_H2_EMPTY, 1000), LIMIT_H2_EMPTY);
    struct h2_guard early = g;
    CHECK_INT(frames(&early, empty, 1, 1000 + 1000 / LIMIT_H2_EMPTY_RATE - 1), 0);
    CHECK_INT(frames(&g, empty, 1000, 2000), LIMIT_H2_EMPTY_RATE);
}

TEST(h2_guard, refused_streams_are_no_offence_until_they_are_many)
{
    struct h2_guard g = {0};
    unsigned n = 0;
    while (h2_guard_refused(&g, 0)) {
        n++;
    }
    CHECK_INT(n, LIMIT_H2_CONTROL);
}

static unsigned contents(struct h2_guard *g, size_t n, unsigned most, int64_t now_ms)
{
    unsigned count = 0;
    while (count < most && h2_guard_content(g, n, now_ms)) {
        count++;
    }
    return count;
}

TEST(h2_guard, l26_content_in_pieces_smaller_than_their_frame_headers)
{
    struct h2_guard g = {0};
    CHECK_INT(contents(&g, 1, 100000, 1000), LIMIT_H2_FRAMING / 8);
    struct h2_guard later = g;
    CHECK_INT(contents(&later, 1, 100000, 2000), LIMIT_H2_FRAMING_RATE / 8 - 1);
    CHECK(!h2_guard_content(&g, 1, 1000) && h2_guard_content(&g, 16384, 1000), "content pays");
    CHECK_INT(contents(&g, 9, 1000000, 1000), 1000000);
}

/* Messages of gRPC have 5 bytes at least: 100 streams with 300 of them a second each. */
TEST(h2_guard, l26_small_messages_have_their_rate)
{
    struct h2_guard g = {0};
    for (int64_t ms = 0; ms < 600000; ms++) {
        CHECK_INT(contents(&g, 5, 30, ms), 30);
    }
}

/* Short answers that do not end with their content, however fast they come. */
TEST(h2_guard, l26_each_stream_has_something_for_itself)
{
    struct h2_guard g = {0};
    for (int i = 0; i < 1000000; i++) {
        CHECK(contents(&g, 2, 8, 0) == 8, "the stream %d", i);
        h2_guard_over(&g, false);
    }
}

static unsigned strays(struct h2_guard *g, int64_t now_ms)
{
    unsigned n = 0;
    while (h2_guard_stray(g, now_ms)) {
        n++;
    }
    return n;
}

TEST(h2_guard, l26_frames_of_streams_that_are_over)
{
    struct h2_guard g = {0};
    CHECK_INT(strays(&g, 1000), LIMIT_H2_STRAY);
    CHECK_INT(strays(&g, 2000), LIMIT_H2_STRAY_RATE - 1);
    h2_guard_over(&g, true);
    CHECK_INT(strays(&g, 2000), LIMIT_H2_STRAY_EACH);
    h2_guard_over(&g, false);
    CHECK_INT(strays(&g, 2000), 1);
    for (int i = 0; i < LIMIT_H2_STRAY_MOST; i++) {
        h2_guard_over(&g, true);
    }
    CHECK_INT(strays(&g, 2000), LIMIT_H2_STRAY_MOST);
}

TEST(h2_guard, l26_goaway_is_said_a_few_times)
{
    struct h2_guard g = {0};
    CHECK_INT(frames(&g, (struct h2_frame){.type = GOAWAY, .length = 8}, 100, 0), LIMIT_H2_GOAWAYS);
}
