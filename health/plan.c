#include "health/plan.h"

#include "base/mem.h"
#include "net/tls_ctx.h"

#include <stdlib.h>

struct health_plan *health_plan_new(void)
{
    struct health_plan *plan = mem_alloc(sizeof *plan);
    if (plan == NULL) {
        return NULL;
    }
    arena_init(&plan->arena, NULL, KIB(4), 0);
    list_init(&plan->checks);
    plan->refs = 1;
    return plan;
}

struct health_plan *plan_ref(struct health_plan *plan)
{
    plan->refs++;
    return plan;
}

void plan_unref(struct health_plan **plan)
{
    struct health_plan *p = *plan;
    *plan = NULL;
    if (p == NULL || --p->refs > 0) {
        return;
    }
    for (size_t i = 0; i < p->target_count; i++) {
        endpoint_unref(&p->targets[i].endpoint);
        site_state_unref(&p->targets[i].site);
    }
    mem_free(p->targets);
    list_each (e, &p->checks) {
        tls_client_free(&container_of(e, struct plan_check, link)->what.tls);
    }
    arena_reset(&p->arena);
    mem_free(p);
}

void health_plan_free(struct health_plan **plan)
{
    plan_unref(plan);
}

/* False where the arena had no memory for one that is not empty. */
static bool keep_text(struct arena *a, struct span *s)
{
    if (s->p == NULL) {
        return true;
    }
    *s = arena_copy(a, *s);
    return s->p != NULL;
}

static bool keep_page(struct arena *a, struct health_page *page)
{
    return keep_text(a, &page->path) && keep_text(a, &page->host) && keep_text(a, &page->contains);
}

static bool keep_check(struct arena *a, struct health_check *c)
{
    struct span *names = arena_take(a, (c->depend_count + 1) * sizeof *names);
    bool kept = names != NULL && c->depend_count <= HEALTH_DEPENDENCY_MOST;
    for (size_t i = 0; kept && i < c->depend_count; i++) {
        names[i] = c->depends[i];
        kept = keep_text(a, &names[i]);
    }
    c->depends = names;
    return kept && keep_text(a, &c->pool) && keep_page(a, &c->page) && keep_page(a, &c->live) &&
           keep_text(a, &c->service);
}

enum err health_plan_check(struct health_plan *plan, const struct health_check *check,
                           size_t *index)
{
    struct tls_client *tls = check->tls;
    struct plan_check *c = arena_zero(&plan->arena, sizeof *c);
    if (c == NULL) {
        tls_client_free(&tls);
        return ERR_NO_MEMORY;
    }
    c->what = *check;
    if (!keep_check(&plan->arena, &c->what)) {
        tls_client_free(&tls);
        return ERR_NO_MEMORY;
    }
    c->index = plan->check_count++;
    list_push(&plan->checks, &c->link);
    *index = c->index;
    return ERR_OK;
}

/* Targets follow their check, so the newest is nearly always the one. */
static const struct health_check *find_check(const struct health_plan *plan, size_t index)
{
    list_each (e, &plan->checks) {
        const struct plan_check *c = container_of(e, struct plan_check, link);
        if (c->index == index) {
            return &c->what;
        }
    }
    return NULL;
}

/* Most have the name of the one before. */
static bool keep_name(struct health_plan *plan, struct span *name)
{
    const struct plan_target *last =
        plan->target_count != 0 ? &plan->targets[plan->target_count - 1] : NULL;
    if (last == NULL || !span_eq(last->server_name, *name)) {
        return keep_text(&plan->arena, name);
    }
    *name = last->server_name;
    return true;
}

enum err health_plan_target(struct health_plan *plan, size_t check, struct endpoint *endpoint,
                            const struct addr *addr, struct span server_name)
{
    const struct health_check *found = find_check(plan, check);
    if (found == NULL) {
        return ERR_RANGE;
    }
    if (!keep_name(plan, &server_name)) {
        return ERR_NO_MEMORY;
    }
    if (plan->target_count == plan->target_cap) {
        size_t cap = plan->target_cap == 0 ? 16 : plan->target_cap * 2;
        void *grown = mem_resize(plan->targets, cap * sizeof *plan->targets);
        if (grown == NULL) {
            return ERR_NO_MEMORY;
        }
        plan->targets = grown;
        plan->target_cap = cap;
    }
    plan->targets[plan->target_count++] = (struct plan_target){
        .endpoint = endpoint_ref(endpoint),
        .addr = *addr,
        .server_name = server_name,
        .check = found,
    };
    return ERR_OK;
}

void health_plan_site(struct health_plan *plan, struct site_state *site, uint32_t members)
{
    struct plan_target *t = &plan->targets[plan->target_count - 1];
    t->site = site_state_ref(site);
    t->members = members;
}

static int by_endpoint(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct plan_target *)a)->endpoint;
    uintptr_t y = (uintptr_t)((const struct plan_target *)b)->endpoint;
    return (x > y) - (x < y);
}

void plan_sort(struct health_plan *plan)
{
    if (plan->target_count > 1) {
        qsort(plan->targets, plan->target_count, sizeof *plan->targets, by_endpoint);
    }
}
