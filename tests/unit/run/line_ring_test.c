/* Rings of lines between workers and one writer: whole or not at all, in order, over the seam. */
#include "run/line_ring.h"

#include "base/limits.h"
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

TEST(line_ring, whole_lines_over_the_seam)
{
    struct line_rings *r;
    struct span parts[2];
    CHECK_INT(line_rings_new(2, KIB(128), &r), ERR_OK);
    static char line[1000], got[2 * KIB(64)];
    unsigned put = 0, taken = 0;
    for (unsigned turn = 0; turn < 40; turn++) {
        for (;;) {
            memset(line, 'a' + (int)(put % 26), sizeof line);
            if (!line_rings_put(r, 1, span_of(line, sizeof line)))
                break;
            put++;
        }
        CHECK_INT(line_rings_peek(r, 0, SIZE_MAX, parts), 0);
        size_t n = line_rings_peek(r, 1, sizeof line * 7, parts);
        CHECK_INT(n, sizeof line * 7);
        memcpy(got, parts[0].p, parts[0].n);
        memcpy(got + parts[0].n, parts[1].p, parts[1].n);
        for (size_t i = 0; i < n; i++)
            CHECK(got[i] == 'a' + (int)((taken + i / sizeof line) % 26), "byte %zu of turn %u", i,
                  turn);
        line_rings_taken(r, 1, n);
        taken += 7;
    }
    CHECK(put > 65, "%u lines", put);
    line_rings_free(&r);
    CHECK(r == NULL, "forgotten");
}

/* What has just been read is written next: it is still in the caches. */
TEST(line_ring, begins_again_at_the_front_where_all_was_taken)
{
    struct line_rings *r;
    struct span parts[2];
    CHECK_INT(line_rings_new(1, KIB(64), &r), ERR_OK);
    CHECK(line_rings_put(r, 0, SPAN("first\n")), "taken");
    CHECK_INT(line_rings_peek(r, 0, SIZE_MAX, parts), 6);
    const char *front = parts[0].p;
    CHECK(line_rings_put(r, 0, SPAN("second\n")), "taken");
    line_rings_taken(r, 0, 6);
    CHECK_INT(line_rings_peek(r, 0, SIZE_MAX, parts), 7);
    CHECK(parts[0].p == front + 6, "behind the first, which was not alone");
    line_rings_taken(r, 0, 7);
    CHECK_INT(line_rings_peek(r, 0, SIZE_MAX, parts), 0);
    line_rings_taken(r, 0, 0);
    static char whole[KIB(64)];
    memset(whole, 'x', sizeof whole);
    CHECK(line_rings_put(r, 0, span_of(whole, sizeof whole)), "all of the ring is there");
    CHECK(!line_rings_put(r, 0, SPAN("x")), "and no more");
    CHECK_INT(line_rings_peek(r, 0, SIZE_MAX, parts), sizeof whole);
    CHECK(parts[0].p == front && parts[0].n == sizeof whole, "in one piece");
    line_rings_taken(r, 0, sizeof whole);
    line_rings_free(&r);
}

enum { LINES = 100000 };

static void *put_numbers(void *arg)
{
    struct line_rings *r = arg;
    char line[16];
    for (int i = 0; i < LINES; i++) {
        int n = snprintf(line, sizeof line, "%d\n", i);
        while (!line_rings_put(r, 0, span_of(line, (size_t)n)))
            sched_yield();
    }
    return NULL;
}

/* The next number's digits, however they are cut into pieces. */
static void take_digits(struct span s, int *whole, int *part)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '\n') {
            *part = *part * 10 + (s.p[i] - '0');
            continue;
        }
        CHECK_INT(*part, *whole);
        *whole += 1;
        *part = 0;
    }
}

TEST(line_ring, another_thread_gets_all_in_order)
{
    struct line_rings *r;
    struct span parts[2];
    pthread_t thread;
    int whole = 0, part = 0;
    CHECK_INT(line_rings_new(1, KIB(64), &r), ERR_OK);
    CHECK_INT(pthread_create(&thread, NULL, put_numbers, r), 0);
    while (whole < LINES) {
        size_t n = line_rings_peek(r, 0, SIZE_MAX, parts);
        take_digits(parts[0], &whole, &part);
        take_digits(parts[1], &whole, &part);
        line_rings_taken(r, 0, n);
        if (n == 0)
            sched_yield();
    }
    pthread_join(thread, NULL);
    line_rings_free(&r);
}
