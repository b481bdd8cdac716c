#include "proxy/retry.h"

#include "base/limits.h"

#define COST         105  /* of a retry after an answer, of 100: what was saved up is paid back */
#define CREDIT_LEAST 1000 /* ten retries */

static uint32_t kind_of(const struct retry_facts *f)
{
    if (f->why == ERR_OK)
        return f->status == 502   ? RETRY_502
               : f->status == 503 ? RETRY_503
               : f->status == 504 ? RETRY_504
                                  : 0;
    if (f->why == ERR_BACKEND_REFUSED || f->why == ERR_BACKEND_UNREACHABLE ||
        f->why == ERR_BACKEND_CONNECT_TIMEOUT || f->why == ERR_BACKEND_TLS)
        return RETRY_CONNECT;
    /* It never got as far as the request: not the version that was agreed on, or bytes unasked. */
    if (f->why == ERR_BACKEND_PROTOCOL && f->seen == SEEN_NO)
        return RETRY_CONNECT;
    if (f->why == ERR_BACKEND_RESET || f->why == ERR_BACKEND_TRUNCATED ||
        f->why == ERR_BACKEND_WANTS_H1 || f->why == ERR_NO_MEMORY)
        return RETRY_RESET;
    return f->why == ERR_BACKEND_TIMEOUT ? RETRY_FIRST_BYTE : 0;
}

bool retry_allowed(const struct retry_rules *rules, const struct retry_facts *f)
{
    if (f->reply_begun || !f->content_in_hand)
        return false;
    if (f->attempts > rules->extra || f->elapsed_ms >= LIMIT_RETRY_TOTAL_MS)
        return false;
    if ((kind_of(f) & rules->on) == 0)
        return false;
    return f->seen == SEEN_NO || method_idempotent(f->method);
}

bool retry_beside(const struct request *r, unsigned attempts)
{
    return attempts == 1 && method_safe(r->method) && r->content == CONTENT_NONE &&
           r->upgrade == UPGRADE_NONE;
}

/* The place of the present second, emptied where it still counts an older one. */
static unsigned place_of(struct retry_budget *b, int64_t now_ms)
{
    int64_t second = now_ms / 1000;
    unsigned i = (unsigned)(second % RETRY_BUDGET_S);
    if (b->second[i] != second) {
        b->second[i] = second;
        b->requests[i] = b->retries[i] = 0;
    }
    return i;
}

/* What may be left for later, or owed: the last whole second's share. */
static int64_t credit_most(const struct retry_budget *b, int64_t now_ms, unsigned percent)
{
    int64_t second = now_ms / 1000;
    unsigned i = (unsigned)((second + RETRY_BUDGET_S - 1) % RETRY_BUDGET_S);
    int64_t most = b->second[i] == second - 1 ? (int64_t)b->requests[i] * percent : 0;
    return most > CREDIT_LEAST ? most : CREDIT_LEAST;
}

void retry_budget_request(struct retry_budget *b, int64_t now_ms, unsigned percent)
{
    b->requests[place_of(b, now_ms)]++;
    int64_t most = credit_most(b, now_ms, percent);
    b->credit = b->credit + percent < most ? b->credit + percent : most;
}

bool retry_budget_take(struct retry_budget *b, int64_t now_ms, unsigned percent, uint32_t least)
{
    uint64_t requests = 0, retries = 0;
    unsigned at = place_of(b, now_ms);
    for (unsigned i = 0; i < RETRY_BUDGET_S; i++) {
        if (b->second[i] <= now_ms / 1000 - RETRY_BUDGET_S)
            continue;
        requests += b->requests[i];
        retries += b->retries[i];
    }
    uint64_t most = requests * percent / 100;
    if (retries >= (most > least ? most : least))
        return false;
    b->retries[at]++;
    return true;
}

bool retry_budget_take_answered(struct retry_budget *b, int64_t now_ms, unsigned percent,
                                uint32_t least)
{
    unsigned at = place_of(b, now_ms);
    bool small = b->retries[at] * RETRY_BUDGET_S < least; /* whatever the traffic */
    if ((b->credit < COST && !small) || !retry_budget_take(b, now_ms, percent, least))
        return false;
    int64_t least_credit = -credit_most(b, now_ms, percent);
    b->credit = b->credit - COST > least_credit ? b->credit - COST : least_credit;
    return true;
}
