#include "proxy/retry.h"

#include "base/limits.h"

/* What a retried request costs in the budget, and the most that traffic can save up. */
#define ONE_RETRY         1000
#define MOST_FROM_TRAFFIC 10000000

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
    if (f->why == ERR_BACKEND_RESET || f->why == ERR_BACKEND_TRUNCATED)
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

void retry_budget_request(struct retry_budget *b, unsigned percent)
{
    if (b->credit_milli < MOST_FROM_TRAFFIC)
        b->credit_milli += (int64_t)percent * ONE_RETRY / 100;
}

bool retry_budget_take(struct retry_budget *b, int64_t now_ms, int64_t steady_milli)
{
    int64_t most = steady_milli * 10;
    int64_t passed_ms = now_ms - b->filled_ms;
    if (b->filled_ms == 0 || passed_ms > 10000)
        passed_ms = 10000;
    if (b->credit_milli < most) {
        b->credit_milli += steady_milli * passed_ms / 1000;
        if (b->credit_milli > most)
            b->credit_milli = most;
    }
    b->filled_ms = now_ms;
    if (b->credit_milli < ONE_RETRY)
        return false;
    b->credit_milli -= ONE_RETRY;
    return true;
}
