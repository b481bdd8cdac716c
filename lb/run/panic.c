#include "run/panic.h"

#include "run/balancer.h"
#include "run/ejected.h"

/* What was found of a pool: the worst for any of the sets of sites that requests may use. */
struct finding {
    enum pick_mode mode;
    bool all; /* over all sites, too */
};

/* Sites without anybody to choose from are empty or drained, which is no panic. */
static enum pick_mode mode_of(const struct pool_view *view, uint64_t sites)
{
    uint64_t any = 0;
    for (uint32_t t = 0; t < view->tier_count; t++)
        any |= view->tiers[t].any_sites;
    return (any & sites) != 0 ? pick_mode_of(view, sites) : PICK_NORMAL;
}

static struct finding look(const struct policy_pool *p, const struct pool_view *view)
{
    struct finding found = {.mode = mode_of(view, PICK_ALL)};
    found.all = found.mode != PICK_NORMAL;
    for (uint32_t i = 0; p->residency != NULL && i < p->residency->count; i++) {
        const struct residency_rule *rule = &p->residency->rules[i];
        enum pick_mode mode = mode_of(view, rule->sites);
        if (rule->refusal == ERR_OK && mode > found.mode)
            found.mode = mode;
    }
    return found;
}

static void tell_log(const struct balancer *b, const struct policy_pool *p,
                     const struct pool_view *view, struct finding found)
{
    const struct pool_state *s = p->pick->state;
    if (found.mode == PICK_NORMAL)
        log_event(b->log, LOG_INFO, "panic-over", "pool=%s seconds=%lld", LOG_QUOTE(p->name),
                  (long long)(loop_now_ms(b->loop) - s->seen.since_ms) / 1000);
    else
        log_event(b->log, LOG_WARN, "panic",
                  "pool=%s mode=%s clients=%s usable=%u endpoints=%u "
                  "effect=\"checks and ejections are ignored\"",
                  LOG_QUOTE(p->name), pick_mode_name(found.mode), found.all ? "all" : "some",
                  pool_view_usable(view, PICK_ALL), p->endpoint_count);
}

static unsigned taken_out(const struct policy_pool *p)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < p->pick->member_count; i++)
        n += endpoint_admin(p->pick->members[i].endpoint) != ENDPOINT_ACTIVE;
    return n;
}

/* What becomes of requests while nobody passes. */
static const char *effect_of(enum pick_mode mode)
{
    return mode == PICK_NORMAL  ? "requests get 503"
           : mode == PICK_PANIC ? "checks are ignored, requests go to all that can be reached"
                                : "nobody can be reached, each request tries one all the same";
}

/* Apart from panic, which may be off, is about some clients only, and begins long before. */
static void tell_down(const struct balancer *b, const struct policy_pool *p,
                      const struct pool_view *view)
{
    struct pool_state *s = p->pick->state;
    uint32_t usable = pool_view_usable(view, PICK_ALL);
    int64_t now_ms = loop_now_ms(b->loop);
    if ((usable == 0) == (s->seen.down_ms != 0))
        return;
    if (usable == 0)
        log_event(b->log, LOG_ERROR, "pool-down", "pool=%s endpoints=%u taken_out=%u effect=\"%s\"",
                  LOG_QUOTE(p->name), p->endpoint_count, taken_out(p),
                  effect_of(mode_of(view, PICK_ALL)));
    else
        log_event(b->log, LOG_INFO, "pool-up", "pool=%s usable=%u seconds=%lld", LOG_QUOTE(p->name),
                  usable, (long long)(now_ms - s->seen.down_ms) / 1000);
    s->seen.down_ms = usable == 0 ? now_ms : 0;
}

static void settle(const struct balancer *b, const struct policy_pool *p,
                   const struct pool_view *view)
{
    struct pool_state *s = p->pick->state;
    struct finding found = look(p, view);
    enum pick_mode was = panic_mode(s);
    ejected_tell(b->log, p, loop_now_ms(b->loop));
    if (found.mode != was)
        tell_log(b, p, view, found);
    tell_down(b, p, view);
    if (was == PICK_NORMAL)
        s->seen.since_ms = loop_now_ms(b->loop);
    s->seen.mode = (uint8_t)found.mode;
    s->seen.edition = b->generation;
    s->seen.generation = view->generation;
    s->seen.again_ms = view->rebuild_at_ms;
}

static bool is_seen(const struct balancer *b, const struct pool_state *s)
{
    uint64_t generation = atomic_load_explicit(&s->generation, memory_order_acquire);
    return s->seen.edition == b->generation && s->seen.generation == generation &&
           loop_now_ms(b->loop) < s->seen.again_ms;
}

void panic_look(struct balancer *b)
{
    const struct policy *policy = &b->current->policy;
    for (uint32_t i = 0; i < policy->pool_count; i++) {
        const struct policy_pool *p = &policy->pools[i];
        if (is_seen(b, p->pick->state))
            continue;
        struct pool_view *view = pool_view_new(p->pick, loop_now_ms(b->loop));
        if (view != NULL)
            settle(b, p, view);
        pool_view_free(&view); /* without memory the next second looks again */
    }
}
