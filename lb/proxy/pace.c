#include "proxy/pace.h"

static void count_waiting(struct pace *p, int64_t now_ns)
{
    int64_t step = now_ns - p->seen_ns;
    p->seen_ns = now_ns;
    if (step <= PACE_BLIND_NS)
        p->waited_ns += step;
}

void pace_wait(struct pace *p, int64_t now_ns, uint64_t total)
{
    if (p->waiting) {
        count_waiting(p, now_ns);
        return;
    }
    p->waiting = true;
    p->since_ns = now_ns;
    p->seen_ns = now_ns;
    p->total = total;
    if (p->waited_ns == 0)
        p->base = total;
}

void pace_rest(struct pace *p, int64_t now_ns)
{
    if (p->waiting)
        count_waiting(p, now_ns);
    p->waiting = false;
}

void pace_lapse(struct pace *p)
{
    p->waiting = false;
}

/* No rate that can be configured is too large for this: what is too much to be moved is missed. */
static bool moved_less(uint64_t moved, uint64_t rate, int64_t time_ns)
{
    uint64_t least;
    if (__builtin_mul_overflow(rate, (uint64_t)(time_ns / NS_PER_MS), &least))
        return true;
    return moved < least / 1000;
}

static bool window_missed(struct pace *p, const struct pace_rule *rule)
{
    if (rule->window_ns == 0 || p->waited_ns < rule->window_ns)
        return false;
    bool missed = moved_less(p->total - p->base, rule->rate, p->waited_ns);
    p->waited_ns = 0;
    p->base = p->total;
    return missed;
}

bool pace_late(struct pace *p, const struct pace_rule *rule, int64_t now_ns, uint64_t total)
{
    if (!p->waiting)
        return false;
    count_waiting(p, now_ns);
    if (total != p->total) {
        p->total = total;
        p->since_ns = now_ns;
    }
    if (rule->pause_ns != 0 && now_ns - p->since_ns >= rule->pause_ns)
        return true;
    return window_missed(p, rule);
}

int64_t pace_due_ns(const struct pace *p, const struct pace_rule *rule)
{
    if (!p->waiting)
        return PACE_NEVER;
    int64_t due = PACE_NEVER;
    if (rule->pause_ns != 0)
        due = p->since_ns + rule->pause_ns;
    if (rule->window_ns == 0)
        return due;
    int64_t left = rule->window_ns - p->waited_ns;
    int64_t whole = p->seen_ns + (left < PACE_BLIND_NS ? left : PACE_BLIND_NS / 2);
    return whole < due ? whole : due;
}
