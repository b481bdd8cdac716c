#include "check.h"
#include "proxy/overload.h"

static enum overload next(enum overload now, uint64_t percent)
{
    struct overload_load load = {.used = percent, .most = 100};
    return overload_next(now, &load, 1);
}

/* L35, section 5: each tier at its mark, not one point below. */
TEST(overload, tiers_are_entered_at_their_marks)
{
    static const struct {
        unsigned percent;
        enum overload tier;
    } rows[] = {{0, OVERLOAD_NONE},   {79, OVERLOAD_NONE},   {80, OVERLOAD_SAVE},
                {89, OVERLOAD_SAVE},  {90, OVERLOAD_REFUSE}, {94, OVERLOAD_REFUSE},
                {95, OVERLOAD_RESET}, {100, OVERLOAD_RESET}, {400, OVERLOAD_RESET}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK(next(OVERLOAD_NONE, rows[i].percent) == rows[i].tier, "%u %%", rows[i].percent);
}

/* Left five points below, so that it does not swing; several at once where it falls far. */
TEST(overload, tiers_are_left_five_points_below)
{
    static const struct {
        enum overload now;
        unsigned percent;
        enum overload tier;
    } rows[] = {{OVERLOAD_SAVE, 79, OVERLOAD_SAVE},    {OVERLOAD_SAVE, 75, OVERLOAD_SAVE},
                {OVERLOAD_SAVE, 74, OVERLOAD_NONE},    {OVERLOAD_REFUSE, 85, OVERLOAD_REFUSE},
                {OVERLOAD_REFUSE, 84, OVERLOAD_SAVE},  {OVERLOAD_REFUSE, 75, OVERLOAD_SAVE},
                {OVERLOAD_REFUSE, 74, OVERLOAD_NONE},  {OVERLOAD_RESET, 90, OVERLOAD_RESET},
                {OVERLOAD_RESET, 89, OVERLOAD_REFUSE}, {OVERLOAD_RESET, 84, OVERLOAD_SAVE},
                {OVERLOAD_RESET, 0, OVERLOAD_NONE},    {OVERLOAD_SAVE, 95, OVERLOAD_RESET}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK(next(rows[i].now, rows[i].percent) == rows[i].tier, "row %zu", i);
}

/* Memory or descriptors, whichever is fuller; what has no bound is never full. */
TEST(overload, the_fuller_one_decides)
{
    struct overload_load loads[] = {{.used = 10, .most = 100}, {.used = 91, .most = 100}};
    CHECK_INT(overload_next(OVERLOAD_NONE, loads, 2), OVERLOAD_REFUSE);
    CHECK_INT(overload_next(OVERLOAD_NONE, loads, 1), OVERLOAD_NONE);
    loads[1].most = 0;
    CHECK_INT(overload_next(OVERLOAD_RESET, loads, 2), OVERLOAD_NONE);
    CHECK_INT(overload_percent(&loads[1]), 0);
    CHECK_INT(overload_next(OVERLOAD_SAVE, NULL, 0), OVERLOAD_NONE);
}

TEST(overload, extremes_do_not_overflow)
{
    struct overload_load load = {.used = UINT64_MAX, .most = 1};
    CHECK_INT(overload_next(OVERLOAD_NONE, &load, 1), OVERLOAD_RESET);
    load = (struct overload_load){.used = UINT64_MAX / 2, .most = UINT64_MAX};
    CHECK_INT(overload_percent(&load), 50);
    CHECK_STR(overload_name(OVERLOAD_RESET), "reset");
    CHECK_STR(overload_name(OVERLOAD_TIERS), "?");
}
