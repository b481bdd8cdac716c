#include "base/clock.h"

#include "base/str.h"

#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t = {0};
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t clock_mono_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_boot_ns(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

int64_t clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_thread_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

struct civil {
    unsigned year, month, day, hour, minute, second, milli;
    unsigned weekday; /* 0 = Sunday */
};

/* The proleptic Gregorian calendar in UTC, without the lock that gmtime_r takes. Days are counted
 * from 1 March, so that the leap day is a year's last. Before 1970 counts as 1970. An int64_t of
 * nanoseconds ends in 2262, so years have four digits. */
static struct civil civil_of(int64_t wall_ns)
{
    uint64_t ns = wall_ns > 0 ? (uint64_t)wall_ns : 0;
    uint64_t seconds = ns / (uint64_t)NS_PER_S;
    unsigned days = (unsigned)(seconds / 86400), in_day = (unsigned)(seconds % 86400);
    unsigned shifted = days + 719468; /* since 0000-03-01 */
    unsigned era = shifted / 146097, day_of_era = shifted % 146097;
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned march_month = (5 * day_of_year + 2) / 153; /* 0 = March */
    unsigned month = march_month < 10 ? march_month + 3 : march_month - 9;
    return (struct civil){
        .year = year_of_era + era * 400 + (month <= 2),
        .month = month,
        .day = day_of_year - (153 * march_month + 2) / 5 + 1,
        .hour = in_day / 3600,
        .minute = in_day / 60 % 60,
        .second = in_day % 60,
        .milli = (unsigned)(ns % (uint64_t)NS_PER_S / (uint64_t)NS_PER_MS),
        .weekday = (days + 4) % 7,
    };
}

static void put_year(char out[4], unsigned year)
{
    pair_print(out, year / 100);
    pair_print(out + 2, year % 100);
}

static void put_milli(char out[3], unsigned milli)
{
    pair_print(out, milli / 10);
    out[2] = (char)('0' + milli % 10);
}

static void put_month(char *out, unsigned month)
{
    memcpy(out, &"JanFebMarAprMayJunJulAugSepOctNovDec"[(size_t)(month - 1) * 3], 3);
}

/* "10:11:12" */
static void put_time(char *out, const struct civil *c)
{
    pair_print(out, c->hour);
    pair_print(out + 3, c->minute);
    pair_print(out + 6, c->second);
    out[2] = out[5] = ':';
}

void clock_print_rfc3339(char out[24], int64_t wall_ns)
{
    struct civil c = civil_of(wall_ns);
    memcpy(out, "0000-00-00T00:00:00.000Z", 24);
    put_year(out, c.year);
    pair_print(out + 5, c.month);
    pair_print(out + 8, c.day);
    put_time(out + 11, &c);
    put_milli(out + 20, c.milli);
}

void clock_stamp_set(struct clock_stamp *s, int64_t wall_ns)
{
    if (wall_ns >= s->from_ns && wall_ns < s->to_ns) {
        put_milli(s->text + 20, (unsigned)((wall_ns - s->from_ns) / NS_PER_MS));
        return;
    }
    clock_print_rfc3339(s->text, wall_ns);
    s->from_ns = wall_ns > 0 ? wall_ns - wall_ns % NS_PER_S : 0;
    s->to_ns = s->from_ns + NS_PER_S;
}

void clock_print_http(char out[29], int64_t wall_ns)
{
    struct civil c = civil_of(wall_ns);
    memcpy(out, "Sun, 00 Jan 0000 00:00:00 GMT", 29);
    memcpy(out, &"SunMonTueWedThuFriSat"[(size_t)c.weekday * 3], 3);
    pair_print(out + 5, c.day);
    put_month(out + 8, c.month);
    put_year(out + 12, c.year);
    put_time(out + 17, &c);
}

void clock_print_log(char out[26], int64_t wall_ns)
{
    struct civil c = civil_of(wall_ns);
    memcpy(out, "00/Jan/0000:00:00:00 +0000", 26);
    pair_print(out, c.day);
    put_month(out + 3, c.month);
    put_year(out + 7, c.year);
    put_time(out + 12, &c);
}
