/* pace: how fast one direction of one exchange moves, and when it has been too slow: a pause
 * without progress, or less than a minimum mean rate over a window (RELIABILITY L6, L7, L8). A
 * window is so much time of waiting, with whatever rests are in between: who takes a little, then
 * nothing, then a little is judged as who takes it steadily, and who is seldom waited for is seldom
 * judged. Pure: takes byte totals and the time, returns answers. It must not know whose bytes they
 * are. */
#ifndef MERIDIAN_PROXY_PACE_H
#define MERIDIAN_PROXY_PACE_H

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

struct pace {
    bool waiting;      /* somebody else has to move now */
    int64_t since_ns;  /* last progress, or when the waiting began */
    int64_t seen_ns;   /* until when the waiting is in waited_ns */
    int64_t waited_ns; /* of the present window */
    uint64_t total;    /* bytes moved at the last look */
    uint64_t base;     /* bytes moved when the window began */
};

struct pace_rule {
    int64_t pause_ns;  /* 0: no limit */
    int64_t window_ns; /* 0: no minimum rate */
    uint64_t rate;     /* bytes per second */
};

#define PACE_NEVER INT64_MAX

/* Nobody looks so seldom while somebody is waited for: a longer step says that the process was
 * stopped, and is not held against anybody (F27). */
#define PACE_BLIND_NS (15 * NS_PER_S)

/* Waiting begins, or still lasts, with `total` bytes moved so far. */
void pace_wait(struct pace *p, int64_t now_ns, uint64_t total);
/* It has ended now: nobody has to move, and time stands still. */
void pace_rest(struct pace *p, int64_t now_ns);
/* It has ended some time after it was last seen to last: what has passed since does not count. */
void pace_lapse(struct pace *p);
/* Looks at the total; true: too slow by the rule. */
bool pace_late(struct pace *p, const struct pace_rule *rule, int64_t now_ns, uint64_t total);
/* When the rule can be broken first, by what was seen at the last look; PACE_NEVER while resting.
 * Progress since then is only found by looking, so a pause is noticed after one to two times its
 * length unless the caller looks more often. For a window more often than each PACE_BLIND_NS. */
int64_t pace_due_ns(const struct pace *p, const struct pace_rule *rule);

#endif
