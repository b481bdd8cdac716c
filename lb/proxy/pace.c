#include "proxy/pace.h"

#include "base/clock.h"

void pace_wait(struct pace *p, int64_t now_ns, uint64_t total)
{
    if (p->waiting)
        return;
    p->waiting = true;
    p->since_ns = now_ns;
    p->window_ns = now_ns;
    p->total = total;
    p->base = total;
}

void pace_rest(struct pace *p)
{
    p->waiting = false;
}

static bool window_missed(struct pace *p, const struct pace_rule *rule, int64_t now_ns)
{
    if (rule->window_ns == 0 || now_ns - p->window_ns < rule->window_ns)
        return false;
    uint64_t least = rule->rate * (uint64_t)(rule->window_ns / NS_PER_MS) / 1000;
    bool missed = p->total - p->base < least;
    p->window_ns = now_ns;
    p->base = p->total;
    return missed;
}

bool pace_late(struct pace *p, const struct pace_rule *rule, int64_t now_ns, uint64_t total)
{
    if (!p->waiting)
        return false;
    if (total != p->total) {
        p->total = total;
        p->since_ns = now_ns;
    }
    if (rule->pause_ns != 0 && now_ns - p->since_ns >= rule->pause_ns)
        return true;
    return window_missed(p, rule, now_ns);
}

int64_t pace_due_ns(const struct pace *p, const struct pace_rule *rule)
{
    if (!p->waiting)
        return PACE_NEVER;
    int64_t due = PACE_NEVER;
    if (rule->pause_ns != 0)
        due = p->since_ns + rule->pause_ns;
    if (rule->window_ns != 0 && p->window_ns + rule->window_ns < due)
        due = p->window_ns + rule->window_ns;
    return due;
}
