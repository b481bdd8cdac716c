#include "base/clock.h"
#include "base/str.h"
#include "check.h"

#include <time.h>

TEST(clock, known_moments)
{
    static const struct {
        int64_t seconds;
        const char *rfc3339, *http, *log;
    } rows[] = {
        {0, "1970-01-01T00:00:00.007Z", "Thu, 01 Jan 1970 00:00:00 GMT",
         "01/Jan/1970:00:00:00 +0000"},
        {784111777, "1994-11-06T08:49:37.007Z", "Sun, 06 Nov 1994 08:49:37 GMT", /* RFC 9110 */
         "06/Nov/1994:08:49:37 +0000"},
        {951782400, "2000-02-29T00:00:00.007Z", "Tue, 29 Feb 2000 00:00:00 GMT",
         "29/Feb/2000:00:00:00 +0000"},
        {4107542399, "2100-02-28T23:59:59.007Z", "Sun, 28 Feb 2100 23:59:59 GMT",
         "28/Feb/2100:23:59:59 +0000"},
        {4107542400, "2100-03-01T00:00:00.007Z", "Mon, 01 Mar 2100 00:00:00 GMT",
         "01/Mar/2100:00:00:00 +0000"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t ns = rows[i].seconds * NS_PER_S + 7 * NS_PER_MS + 999999;
        char rfc3339[24], http[29], combined[26];
        clock_print_rfc3339(rfc3339, ns);
        clock_print_http(http, ns);
        clock_print_log(combined, ns);
        CHECK_SPAN(span_of(rfc3339, sizeof rfc3339), rows[i].rfc3339);
        CHECK_SPAN(span_of(http, sizeof http), rows[i].http);
        CHECK_SPAN(span_of(combined, sizeof combined), rows[i].log);
    }
}

/* Against the C library, a step that meets every day of the week, month and kind of year. */
TEST(clock, dates_agree_with_the_c_library)
{
    for (int64_t seconds = 0; seconds < 9223372036; seconds += 86399 * 11) {
        time_t t = (time_t)seconds;
        struct tm tm;
        char want[64], got[29];
        gmtime_r(&t, &tm);
        strftime(want, sizeof want, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        clock_print_http(got, seconds * NS_PER_S);
        CHECK_SPAN(span_of(got, sizeof got), want);
    }
}

TEST(clock, times_before_the_epoch_are_the_epoch)
{
    char got[24];
    clock_print_rfc3339(got, -1);
    CHECK_SPAN(span_of(got, sizeof got), "1970-01-01T00:00:00.000Z");
}

/* What is kept of the moment before is right for the next, whichever that is. */
TEST(clock, a_stamp_is_the_moment)
{
    static const int64_t steps[] = {0,         1,          999999,      1000000,
                                    654321000, 999999999,  1000000000,  -1,
                                    -1000000,  -999999999, -5000000000, 86400000000000};
    struct clock_stamp stamp = {0};
    char want[24];
    for (int64_t at = -2000000000, i = 0; i < 1000; i++) {
        clock_stamp_set(&stamp, at);
        clock_print_rfc3339(want, at);
        CHECK(memcmp(stamp.text, want, sizeof want) == 0, "%.24s for %.24s", stamp.text, want);
        at += steps[i % 12] + (i % 7 == 0 ? steps[i % 5] : 0);
    }
}

TEST(clock, clocks_run)
{
    int64_t mono = clock_mono_ns(), cpu = clock_thread_ns();
    volatile unsigned work = 0;
    while (clock_thread_ns() == cpu)
        work = work + 1;
    CHECK(clock_mono_ns() > mono, "forward");
    CHECK(clock_wall_ns() > 1600000000 * NS_PER_S, "after 2020");
}
