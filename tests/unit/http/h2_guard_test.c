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
