#include "health/verdict.h"

#include "base/limits.h"

enum verdict_result verdict_result(enum err why)
{
    if (why == ERR_OK) {
        return VERDICT_GOOD;
    }
    if (why == ERR_BACKEND_REFUSED || why == ERR_BACKEND_UNREACHABLE) {
        return VERDICT_HARD;
    }
    return why >= ERR_BACKEND_CONNECT_TIMEOUT && why <= ERR_BACKEND_UNHEALTHY ? VERDICT_SOFT
                                                                              : VERDICT_NONE;
}

void verdict_init(struct verdict *v, enum endpoint_health health, bool checked)
{
    *v = (struct verdict){
        .health = health,
        .toward = health,
        .doubt = checked ? VERDICT_TRUSTED : VERDICT_UNCHECKED,
    };
}

static enum endpoint_health health_of(enum verdict_result result, enum verdict_doubt doubt)
{
    if (result == VERDICT_GOOD) {
        return ENDPOINT_UP;
    }
    return result == VERDICT_HARD || doubt == VERDICT_LIVE_FAILS ? ENDPOINT_HARD : ENDPOINT_SOFT;
}

/* Leaving UP, soft and hard results count together; between SOFT and HARD each kind by itself. */
static bool same_way(const struct verdict *v, enum endpoint_health to)
{
    return v->toward == to || (v->health == ENDPOINT_UP && to != ENDPOINT_UP);
}

bool verdict_add(struct verdict *v, enum verdict_result result, unsigned fall, unsigned rise)
{
    if (result == VERDICT_NONE) {
        return false;
    }
    enum endpoint_health to = health_of(result, v->doubt);
    bool doubted = v->doubt != VERDICT_TRUSTED && v->health == ENDPOINT_UP;
    v->doubt = VERDICT_TRUSTED;
    if (to == v->health) {
        v->run = 0;
        return false;
    }
    v->run = v->run > 0 && same_way(v, to) ? v->run + 1 : 1;
    v->toward = to;
    if (v->run < (to == ENDPOINT_UP ? rise : fall) && !doubted) {
        return false;
    }
    v->health = to;
    v->run = 0;
    return true;
}

bool verdict_live_fails(struct verdict *v)
{
    if (v->health != ENDPOINT_UP || v->doubt == VERDICT_LIVE_FAILS) {
        return false;
    }
    v->doubt = VERDICT_LIVE_FAILS;
    return true;
}

bool verdict_settled(const struct verdict *v)
{
    return v->run == 0;
}

int64_t verdict_wait_ms(const struct verdict *v, int64_t interval_ms, struct rng *rng)
{
    int64_t ms = interval_ms;
    if (!verdict_settled(v) && ms > LIMIT_CHECK_SOON_MS) {
        ms = LIMIT_CHECK_SOON_MS;
    }
    return ms * 4 / 5 + (int64_t)rng_below(rng, (uint64_t)(ms * 2 / 5) + 1);
}
