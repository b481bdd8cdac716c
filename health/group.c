#include "health/group.h"

#include "base/mem.h"
#include "health/target.h"

static int64_t now_ms(const struct group *g)
{
    return loop_now_ms(g->health->env.loop);
}

static void on_again(struct timer *t)
{
    group_judge(container_of(t, struct group, again));
}

static struct group *group_new(struct health *h, struct pool_state *pool)
{
    struct group *g = mem_alloc(sizeof *g);
    if (g == NULL)
        return NULL;
    g->health = h;
    g->pool = pool;
    list_init(&g->members);
    list_init(&g->link);
    list_append(&h->groups, &g->link);
    timer_init(&g->again, h->env.loop, on_again);
    return g;
}

static struct group *find(struct health *h, const struct pool_state *pool)
{
    list_each (l, &h->groups) {
        struct group *g = container_of(l, struct group, link);
        if (g->pool == pool)
            return g;
    }
    return NULL;
}

void group_leave(struct target *t)
{
    struct group *g = t->group;
    t->group = NULL;
    t->spared = false;
    if (g == NULL)
        return;
    list_remove(&t->in_group);
    if (!list_empty(&g->members))
        return;
    pool_set_fault(g->pool, SHARED_NONE, 0, now_ms(g));
    timer_stop(&g->again);
    list_remove(&g->link);
    mem_free(g);
}

void group_join(struct target *t)
{
    const struct health_check *check = t->plan->check;
    if (check->depend_count == 0) {
        group_leave(t);
        return;
    }
    if (t->group == NULL) {
        t->group = find(t->health, t->endpoint->pool);
        if (t->group == NULL)
            t->group = group_new(t->health, t->endpoint->pool);
        if (t->group == NULL)
            return;
        list_append(&t->group->members, &t->in_group);
    }
    t->group->check = check;
}

static struct dependency *find_dependency(struct health *h, struct span name)
{
    for (size_t i = 0; i < h->dependency_count; i++) {
        struct dependency *d = &h->dependencies[i];
        if (span_eq(span_of(d->name, d->name_n), name))
            return d;
    }
    return NULL;
}

static struct dependency *add_dependency(struct health *h, struct span name)
{
    if (h->dependency_count == HEALTH_DEPENDENCY_MOST || name.n > DEPENDENCY_NAME_MOST)
        return NULL;
    struct dependency *d = &h->dependencies[h->dependency_count++];
    *d = (struct dependency){.name_n = name.n};
    memcpy(d->name, name.p, name.n);
    return d;
}

static void judge_all(struct health *h)
{
    list_each (l, &h->groups)
        group_judge(container_of(l, struct group, link));
}

bool health_dependency(struct health *h, struct span name, const struct health_finding *found)
{
    struct dependency *d = find_dependency(h, name);
    if (d == NULL)
        d = add_dependency(h, name);
    if (d == NULL)
        return !found->good;
    d->began_ns = found->began_ns;
    d->run = found->good ? d->run + 1 : 0;
    d->down = !found->good || (d->down && d->run < found->rise);
    judge_all(h);
    return d->down;
}

void health_forget_dependency(struct health *h, struct span name)
{
    struct dependency *d = find_dependency(h, name);
    if (d == NULL)
        return;
    *d = h->dependencies[--h->dependency_count];
    judge_all(h);
}

void health_on_doubt(struct health *h, void (*ask)(void *user, struct span name), void *user)
{
    h->ask = ask;
    h->ask_user = user;
}

void group_doubt(struct group *g)
{
    for (size_t i = 0; g->health->ask != NULL && i < g->check->depend_count; i++)
        g->health->ask(g->health->ask_user, g->check->depends[i]);
}

static bool is_failing(const struct target *t)
{
    return t->verdict.health == ENDPOINT_UP && t->ready.health != ENDPOINT_UP;
}

/* Everything that could excuse it has been asked since it began to fail, or there was time enough
 * for that. */
static bool is_known(const struct group *g, const struct target *t)
{
    if (now_ms(g) - t->turned_ms >= SHARED_INTERVALS * g->check->interval_ms)
        return true;
    for (size_t i = 0; i < g->check->depend_count; i++) {
        const struct dependency *d = find_dependency(g->health, g->check->depends[i]);
        if (d == NULL || d->began_ns < t->unready_ns)
            return false;
    }
    return true;
}

static uint32_t down_bits(const struct group *g)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < g->check->depend_count; i++) {
        const struct dependency *d = find_dependency(g->health, g->check->depends[i]);
        if (d != NULL && d->down)
            bits |= UINT32_C(1) << i;
    }
    return bits;
}

static bool judge(struct group *g)
{
    struct shared_facts f = {.down = down_bits(g), .interval_ms = g->check->interval_ms};
    list_each (l, &g->members) {
        const struct target *t = container_of(l, struct target, in_group);
        f.servers++;
        if (is_failing(t))
            shared_add(&f, t->turned_ms, t->blames, now_ms(g));
    }
    return shared_judge(&g->shared, &f, now_ms(g));
}

static void tell_log(const struct group *g)
{
    const struct shared *s = &g->shared;
    if (s->reason == SHARED_NONE)
        log_event(g->health->log, LOG_INFO, "dependency-up", "pool=%s", LOG_QUOTE(g->check->pool));
    else if (s->reason == SHARED_TOGETHER)
        log_event(g->health->log, LOG_WARN, "dependency-down",
                  "pool=%s reason=%s effect=\"servers that are not ready stay\"",
                  LOG_QUOTE(g->check->pool), shared_reason_name(s->reason));
    else
        log_event(g->health->log, LOG_WARN, "dependency-down",
                  "pool=%s dependency=%s reason=%s effect=\"servers that are not ready stay\"",
                  LOG_QUOTE(g->check->pool), LOG_QUOTE(g->check->depends[s->dependency]),
                  shared_reason_name(s->reason));
}

/* Who was ejected for his answers before it was clear why comes back. */
static void readmit(const struct group *g)
{
    list_each (l, &g->members) {
        struct endpoint *e = container_of(l, struct target, in_group)->endpoint;
        if (atomic_load_explicit(&e->connect_fails, memory_order_relaxed) == 0)
            endpoint_readmit(e);
    }
}

static void settle(struct group *g, struct target *t)
{
    bool shared = shared_is_part(&g->shared, t->turned_ms, g->check->interval_ms);
    if (!is_failing(t))
        t->spared = false;
    else if (g->shared.reason != SHARED_NONE)
        t->spared = t->spared || shared;
    else
        t->spared = t->spared && !is_known(g, t);
    target_settle(t, ERR_BACKEND_UNHEALTHY);
}

/* When a server is still in doubt, or the state only lasts, time alone may change something. */
static void aim(struct group *g)
{
    int64_t at_ms = shared_again_ms(&g->shared, g->check->interval_ms);
    list_each (l, &g->members) {
        const struct target *t = container_of(l, struct target, in_group);
        int64_t end_ms = t->turned_ms + SHARED_INTERVALS * g->check->interval_ms;
        if (g->shared.reason == SHARED_NONE && t->spared && (at_ms == 0 || end_ms < at_ms))
            at_ms = end_ms;
    }
    if (at_ms == 0)
        timer_stop(&g->again);
    else
        timer_in_ms(&g->again, at_ms > now_ms(g) ? at_ms - now_ms(g) : 1);
}

void group_judge(struct group *g)
{
    bool was = g->shared.reason != SHARED_NONE;
    bool changed = judge(g);
    bool is = g->shared.reason != SHARED_NONE;
    if (changed) {
        pool_set_fault(g->pool, (uint8_t)g->shared.reason, (uint8_t)g->shared.dependency,
                       now_ms(g));
    }
    if (is != was)
        tell_log(g);
    if (is && !was)
        readmit(g);
    list_each (l, &g->members)
        settle(g, container_of(l, struct target, in_group));
    aim(g);
}
