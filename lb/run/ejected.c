#include "run/ejected.h"

static void tell(struct log *log, const struct policy_pool *p, const struct endpoint *e,
                 int64_t left_ms)
{
    if (left_ms > 0)
        log_event(log, LOG_WARN, "backend-ejected",
                  "pool=%s backend=%s address=%s seconds=%lld ejections=%llu "
                  "reason=\"its requests failed\"",
                  LOG_QUOTE(p->name), LOG_QUOTE(e->backend), LOG_QUOTE(e->address),
                  (long long)(left_ms + 999) / 1000, (unsigned long long)e->told.ejections);
    else
        log_event(log, LOG_INFO, "backend-readmitted", "pool=%s backend=%s address=%s",
                  LOG_QUOTE(p->name), LOG_QUOTE(e->backend), LOG_QUOTE(e->address));
}

/* The count alone says nothing: a process before this one may have handed it over. Whose time is up
 * and who still fails its checks is not back. */
static void look(struct log *log, const struct policy_pool *p, struct endpoint *e, int64_t now_ms)
{
    uint64_t ejections = atomic_load_explicit(&e->ejections, memory_order_relaxed);
    int64_t left_ms = atomic_load_explicit(&e->out_until, memory_order_relaxed) - now_ms;
    bool again = left_ms > 0 && ejections != e->told.ejections;
    bool out = left_ms > 0 || (e->told.out && endpoint_health(e) != ENDPOINT_UP);
    bool news = out != e->told.out || again;
    e->told.ejections = ejections;
    e->told.out = out;
    if (news)
        tell(log, p, e, left_ms);
}

void ejected_tell(struct log *log, const struct policy_pool *p, int64_t now_ms)
{
    for (uint32_t i = 0; i < p->pick->member_count; i++)
        look(log, p, p->pick->members[i].endpoint, now_ms);
}
