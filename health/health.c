#include "health/health.h"

#include "base/mem.h"
#include "health/target.h"

#define POLL_MS 250 /* so late, at most, a check follows failures of live traffic */

static void on_pump(struct timer *t)
{
    targets_pump(container_of(t, struct health, pump));
}

static void on_poll(struct timer *t)
{
    struct health *h = container_of(t, struct health, poll);
    targets_poll(h);
    timer_in_ms(t, POLL_MS);
}

enum err health_new(struct loop *loop, const struct rng *rng, struct log *log, struct health **out)
{
    *out = NULL;
    struct health *h = mem_alloc(sizeof *h);
    if (h == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = conn_env_init(&h->env, loop);
    if (e != ERR_OK) {
        mem_free(h);
        return e;
    }
    h->log = log;
    h->rng = *rng;
    list_init(&h->ready);
    list_init(&h->groups);
    spread_settle(&h->spread);
    timer_init(&h->pump, loop, on_pump);
    timer_init(&h->poll, loop, on_poll);
    *out = h;
    return ERR_OK;
}

void health_free(struct health **out)
{
    struct health *h = *out;
    if (h == NULL) {
        return;
    }
    timer_stop(&h->pump);
    timer_stop(&h->poll);
    for (size_t i = 0; i < h->target_count; i++) {
        target_free(&h->targets[i]);
    }
    mem_free(h->targets);
    plan_unref(&h->plan);
    conn_env_fini(&h->env);
    mem_free(h);
    *out = NULL;
}

/* The target of the endpoint among those sorted in h->targets from *at on; NULL: it is new. */
static struct target *known_target(const struct health *h, const struct endpoint *e, size_t *at)
{
    while (*at < h->target_count && (uintptr_t)h->targets[*at]->endpoint < (uintptr_t)e) {
        (*at)++;
    }
    return *at < h->target_count && h->targets[*at]->endpoint == e ? h->targets[(*at)++] : NULL;
}

/* Known targets and new ones in the plan's order; nothing has changed where memory runs out. */
static struct target **match_targets(struct health *h, const struct health_plan *plan)
{
    struct target **all = mem_array(plan->target_count + 1, sizeof(struct target *));
    bool complete = all != NULL;
    size_t at = 0;
    for (size_t i = 0; complete && i < plan->target_count; i++) {
        all[i] = known_target(h, plan->targets[i].endpoint, &at);
        if (all[i] == NULL) {
            all[i] = target_new(h, plan->targets[i].endpoint);
            complete = all[i] != NULL;
        }
    }
    if (complete) {
        return all;
    }
    at = 0;
    for (size_t i = 0; all != NULL && i < plan->target_count && all[i] != NULL; i++) {
        if (known_target(h, plan->targets[i].endpoint, &at) == NULL) {
            target_free(&all[i]);
        }
    }
    mem_free(all);
    return NULL;
}

/* Frees the targets whose endpoints the new ones do not have. */
static void drop_targets(struct health *h, struct target *const *kept, size_t kept_count)
{
    size_t at = 0;
    for (size_t i = 0; i < h->target_count; i++) {
        while (at < kept_count &&
               (uintptr_t)kept[at]->endpoint < (uintptr_t)h->targets[i]->endpoint) {
            at++;
        }
        if (at == kept_count || kept[at] != h->targets[i]) {
            target_free(&h->targets[i]);
        }
    }
}

enum err health_set_targets(struct health *h, struct health_plan **plan)
{
    plan_sort(*plan);
    struct target **targets = match_targets(h, *plan);
    if (targets == NULL) {
        plan_unref(plan);
        return ERR_NO_MEMORY;
    }
    size_t count = (*plan)->target_count;
    drop_targets(h, targets, count);
    mem_free(h->targets);
    struct health_plan *old = h->plan;
    h->targets = targets;
    h->target_count = count;
    h->plan = *plan;
    *plan = NULL;
    spread_clear(&h->spread);
    for (size_t i = 0; i < count; i++) {
        target_plan(targets[i], &h->plan->targets[i]);
    }
    spread_settle(&h->spread);
    plan_unref(&old);
    atomic_store_explicit(&h->counts.targets, (uint32_t)count, memory_order_relaxed);
    if (count == 0) {
        timer_stop(&h->poll);
    } else if (h->poll.due_ns == 0) {
        timer_in_ms(&h->poll, POLL_MS);
    }
    targets_pump(h);
    return ERR_OK;
}

struct health_counts *health_counts(struct health *h)
{
    return &h->counts;
}
