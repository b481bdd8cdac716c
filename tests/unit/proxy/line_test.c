/* Who of the waiting is served next, and who gives up a place (RELIABILITY L9, A11). */
#include "proxy/line.h"

#include "check.h"

enum { WAITERS = 8 };
static struct line l;
static struct waiter w[WAITERS];

static void join(unsigned i, enum rank rank, int64_t due, int64_t latest)
{
    w[i] = (struct waiter){.rank = rank, .due_ns = due, .latest_ns = latest};
    line_join(&l, &w[i]);
}

/* The whole line as digits. */
static const char *order(int64_t now)
{
    static char out[WAITERS + 1];
    size_t n = 0;
    for (struct waiter *at = line_first(&l, now); at != NULL && n < WAITERS;
         at = line_after(&l, at, now)) {
        out[n++] = (char)('0' + (at - w));
    }
    out[n] = '\0';
    return out;
}

TEST(line, by_rank_and_then_by_time)
{
    line_init(&l);
    CHECK(line_first(&l, 0) == NULL, "nobody");
    join(0, RANK_NORMAL, 50, INT64_MAX);
    join(1, RANK_LOW, 10, INT64_MAX);
    join(2, RANK_NORMAL, 50, INT64_MAX);
    join(3, RANK_HIGH, 90, INT64_MAX);
    join(4, RANK_NORMAL, 40, INT64_MAX);
    CHECK_STR(order(0), "34021");
    line_leave(&l, &w[4]);
    CHECK_STR(order(0), "3021");
    CHECK_INT(l.count, 4);
}

TEST(line, who_can_hardly_be_answered_comes_last)
{
    line_init(&l);
    join(0, RANK_HIGH, 20, 10);
    join(1, RANK_NORMAL, 50, INT64_MAX);
    join(2, RANK_NORMAL, 15, 12);
    join(3, RANK_LOW, 60, INT64_MAX);
    CHECK_STR(order(5), "0213");
    CHECK_STR(order(11), "2130");
    CHECK_STR(order(13), "1302");
    CHECK_STR(order(13), "1302");
    line_leave(&l, &w[0]);
    CHECK_STR(order(13), "132");
    line_leave(&l, &w[1]);
    line_leave(&l, &w[3]);
    CHECK_STR(order(13), "2");
}

TEST(line, who_yields)
{
    line_init(&l);
    CHECK(line_yields(&l, RANK_HIGH, STANDING_PROVEN) == NULL, "nobody");
    join(0, RANK_NORMAL, 50, INT64_MAX);
    CHECK(line_yields(&l, RANK_NORMAL, STANDING_PROVEN) == NULL, "an equal stays");
    CHECK(line_yields(&l, RANK_HIGH, STANDING_PROVEN) == &w[0], "the less important goes");
    join(1, RANK_LOW, 50, INT64_MAX);
    join(2, RANK_LOW, 60, INT64_MAX);
    CHECK(line_yields(&l, RANK_NORMAL, STANDING_PROVEN) == &w[2],
          "the last of the least important");
    join(3, RANK_NORMAL, 20, 10);
    CHECK_STR(order(11), "0123");
    CHECK(line_yields(&l, RANK_NORMAL, STANDING_PROVEN) == &w[3], "one who is late anyway");
    CHECK(line_yields(&l, RANK_LOW, STANDING_PROVEN) == NULL,
          "a late one that is more important stays");
}

static void join_as(int i, enum standing standing, int64_t due)
{
    w[i] = (struct waiter){
        .rank = RANK_NORMAL, .standing = standing, .due_ns = due, .latest_ns = INT64_MAX};
    line_join(&l, &w[i]);
}

TEST(line, the_proven_come_first_of_their_rank_G9)
{
    line_init(&l);
    join_as(0, STANDING_UNFINISHED, 10);
    join_as(1, STANDING_NEW, 20);
    join_as(2, STANDING_PROVEN, 30);
    join_as(3, STANDING_PROVEN, 25);
    CHECK_STR(order(0), "3210");
    join(4, RANK_HIGH, 50, INT64_MAX);
    join(5, RANK_LOW, 5, INT64_MAX);
    CHECK_STR(order(0), "432105");
}

TEST(line, who_is_new_is_not_kept_waiting_for_ever_L9)
{
    line_init(&l);
    CHECK(line_neglected(&l, 100) == NULL, "nobody");
    join_as(0, STANDING_PROVEN, 30);
    join_as(1, STANDING_UNFINISHED, 10);
    join_as(2, STANDING_NEW, 20);
    join_as(3, STANDING_NEW, 25);
    for (int i = 0; i < 4; i++) {
        w[i].neglected_ns = w[i].due_ns / 2;
    }
    CHECK(line_neglected(&l, 9) == NULL, "nobody has waited long");
    CHECK(line_neglected(&l, 10) == &w[2], "the first of the new");
    w[2].latest_ns = 9;
    CHECK(line_neglected(&l, 10) == NULL, "it is too late for it");
    w[2].latest_ns = INT64_MAX;
    join(4, RANK_HIGH, 50, INT64_MAX);
    CHECK(line_neglected(&l, 10) == NULL, "the more important come before it");
}

TEST(line, the_proven_get_the_place_of_others_and_who_sends_that_of_who_does_not_G9)
{
    line_init(&l);
    join_as(0, STANDING_PROVEN, 10);
    CHECK(line_yields(&l, RANK_NORMAL, STANDING_UNFINISHED) == NULL, "nobody is behind it");
    CHECK(line_slowest(&l, RANK_NORMAL) == NULL, "it is in earnest");
    join_as(1, STANDING_NEW, 20);
    join_as(2, STANDING_NEW, 30);
    CHECK(line_yields(&l, RANK_NORMAL, STANDING_NEW) == NULL, "an equal stays");
    CHECK(line_yields(&l, RANK_NORMAL, STANDING_PROVEN) == &w[2], "the last of the new");
    join_as(3, STANDING_UNFINISHED, 40);
    join_as(4, STANDING_UNFINISHED, 50);
    CHECK(line_yields(&l, RANK_NORMAL, STANDING_NEW) == &w[4], "the last of the unfinished");
    CHECK(line_yields(&l, RANK_NORMAL, STANDING_UNFINISHED) == NULL, "an equal stays");
    CHECK(line_slowest(&l, RANK_NORMAL) == &w[3], "who had the longest time");
    CHECK(line_slowest(&l, RANK_LOW) == NULL, "the more important stay");
}

/* Many different times cost a bounded look, and nobody is lost. */
TEST(line, long_ones)
{
    static struct waiter many[1000];
    line_init(&l);
    for (int i = 0; i < 1000; i++) {
        many[i] = (struct waiter){.rank = RANK_NORMAL, .due_ns = 1000 - i, .latest_ns = INT64_MAX};
        line_join(&l, &many[i]);
    }
    int seen = 0;
    for (struct waiter *at = line_first(&l, 0); at != NULL; at = line_after(&l, at, 0)) {
        seen++;
    }
    CHECK_INT(seen, 1000);
}
