#include "proxy/retry.h"

#include "base/limits.h"

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
        f->why == ERR_BACKEND_WANTS_H1)
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

void retry_budget_request(struct retry_budget *b, int64_t now_ms)
{
    b->requests[place_of(b, now_ms)]++;
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
