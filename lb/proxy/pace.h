/* pace: how fast one direction of one exchange moves, and when it has been too slow: a pause
 * without progress, or less than a minimum mean rate over a whole window (RELIABILITY L6, L7, L8).
 * Pure: takes byte totals and the time, returns answers. It must not know whose bytes they are. */
#ifndef MERIDIAN_PROXY_PACE_H
#define MERIDIAN_PROXY_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
    bool waiting;      /* somebody else has to move now */
    int64_t since_ns;  /* last progress, or when the waiting began */
    int64_t window_ns; /* when the present window began */
    uint64_t total;    /* bytes moved at the last look */
    uint64_t base;     /* bytes moved when the window began */
};

struct pace_rule {
    int64_t pause_ns;  /* 0: no limit */
    int64_t window_ns; /* 0: no minimum rate */
    uint64_t rate;     /* bytes per second */
};

#define PACE_NEVER INT64_MAX

/* Waiting begins (idempotent) with `total` bytes moved so far. */
void pace_wait(struct pace *p, int64_t now_ns, uint64_t total);
/* Nobody has to move: time stands still. */
void pace_rest(struct pace *p);
/* Looks at the total; true: too slow by the rule. */
bool pace_late(struct pace *p, const struct pace_rule *rule, int64_t now_ns, uint64_t total);
/* When the rule can be broken first, by what was seen at the last look; PACE_NEVER while resting.
 * Progress since then is only found by looking, so a pause is noticed after one to two times its
 * length unless the caller looks more often. */
int64_t pace_due_ns(const struct pace *p, const struct pace_rule *rule);

#endif
