#include "health/shared.h"

const char *shared_reason_name(enum shared_reason reason)
{
    static const char *const names[] = {"none", "probe", "blamed", "together"};
    return names[reason];
}

void shared_add(struct shared_facts *f, int64_t since_ms, uint32_t blames, int64_t now_ms)
{
    f->failing++;
    f->lately += now_ms - since_ms <= SHARED_INTERVALS * f->interval_ms;
    for (uint32_t i = 0; i < SHARED_MOST; i++)
        f->blamers[i] += blames >> i & 1;
}

/* The dependency that the most of them blame. */
static uint32_t most_blamed(const struct shared_facts *f)
{
    uint32_t most = 0;
    for (uint32_t i = 1; i < SHARED_MOST; i++)
        most = f->blamers[i] > f->blamers[most] ? i : most;
    return most;
}

/* For the state to begin they must have failed at nearly the same time; it goes on as long as they
 * fail. */
static bool together(const struct shared_facts *f, bool begun)
{
    size_t n = begun ? f->failing : f->lately;
    return f->servers >= SHARED_LEAST && n * 100 >= f->servers * SHARED_PERCENT;
}

static enum shared_reason reason_now(const struct shared *s, const struct shared_facts *f,
                                     uint32_t *dependency)
{
    *dependency = 0;
    if (f->failing == 0)
        return SHARED_NONE;
    if (f->down != 0) {
        *dependency = (uint32_t)__builtin_ctz(f->down);
        return SHARED_PROBE;
    }
    *dependency = most_blamed(f);
    if (f->blamers[*dependency] >= SHARED_BLAMERS)
        return SHARED_BLAMED;
    *dependency = 0;
    return together(f, s->reason != SHARED_NONE) ? SHARED_TOGETHER : SHARED_NONE;
}

bool shared_judge(struct shared *s, const struct shared_facts *f, int64_t now_ms)
{
    uint32_t dependency;
    enum shared_reason reason = reason_now(s, f, &dependency);
    bool was = s->reason != SHARED_NONE;
    if (reason == SHARED_NONE && was && f->failing != 0) {
        s->unsupported_ms = s->unsupported_ms != 0 ? s->unsupported_ms : now_ms;
        if (now_ms - s->unsupported_ms < SHARED_INTERVALS * f->interval_ms)
            return false;
    } else {
        s->unsupported_ms = 0;
    }
    bool is = reason != SHARED_NONE;
    bool changed = reason != s->reason || (is && dependency != s->dependency);
    if (is != was)
        s->since_ms = now_ms;
    s->reason = reason;
    s->dependency = dependency;
    if (!is)
        s->unsupported_ms = 0;
    return changed;
}

int64_t shared_again_ms(const struct shared *s, int64_t interval_ms)
{
    return s->unsupported_ms != 0 ? s->unsupported_ms + SHARED_INTERVALS * interval_ms : 0;
}

bool shared_is_part(const struct shared *s, int64_t since_ms, int64_t interval_ms)
{
    return s->reason != SHARED_NONE && since_ms >= s->since_ms - SHARED_INTERVALS * interval_ms;
}
