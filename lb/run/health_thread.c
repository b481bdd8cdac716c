#include "run/health_thread.h"

#include "base/mem.h"
#include "run/sandbox.h"

#define BEAT_MS 1000

enum { HEALTH_PLAN, HEALTH_NAMES, HEALTH_SESSION, HEALTH_DEPENDENCIES, HEALTH_STOP };

struct health_thread {
    /* set once */
    struct log *log;
    pthread_t thread;
    bool started;
    /* owner thread */
    struct loop *loop;
    struct health *health;
    struct session *session; /* NULL: none */
    struct discovery *discovery;
    struct dependencies *dependencies;
    struct timer beat;
    /* shared, atomic */
    struct mailbox box;
    struct stall stall;
    _Atomic int64_t beat_ns;
};

static void on_beat(struct timer *t)
{
    struct health_thread *h = container_of(t, struct health_thread, beat);
    atomic_store_explicit(&h->beat_ns, loop_now_ns(h->loop), memory_order_relaxed);
    timer_in_ms(t, BEAT_MS);
}

static void free_plan(struct session_plan *plan)
{
    db_where_free(&plan->where);
    mem_free(plan->pools);
    mem_free(plan);
}

static void take_session(struct health_thread *h, struct session_plan *plan)
{
    if (h->session != NULL && plan->where.conninfo != NULL && session_follow(h->session, plan)) {
        free_plan(plan);
        return;
    }
    session_free(&h->session);
    enum err e = plan->where.conninfo != NULL ? session_new(h->loop, plan, &h->session) : ERR_OK;
    if (e != ERR_OK)
        log_event(h->log, LOG_ERROR, "database-not-asked", "reason=%s", err_name(e));
    free_plan(plan);
}

static void set_targets(struct health_thread *h, struct health_plan *plan)
{
    if (health_set_targets(h->health, &plan) != ERR_OK)
        log_event(h->log, LOG_ERROR, "health-plan-refused",
                  "reason=no-memory effect=\"the old plan stays in force\"");
}

static void set_names(struct health_thread *h, struct name_plan *plan)
{
    enum err e = discovery_plan(h->discovery, &plan);
    if (e != ERR_OK)
        log_event(h->log, LOG_ERROR, "name-plan-refused", "reason=%s", err_name(e));
}

static void follow(struct health_thread *h, struct dependency_plan *plan)
{
    dependencies_follow(h->dependencies, &plan);
}

static void on_mail(void *user, const struct mail *m)
{
    struct health_thread *h = user;
    if (m->kind == HEALTH_STOP)
        loop_stop(h->loop);
    else if (m->kind == HEALTH_SESSION)
        take_session(h, m->p);
    else if (m->kind == HEALTH_NAMES)
        set_names(h, m->p);
    else if (m->kind == HEALTH_DEPENDENCIES)
        follow(h, m->p);
    else
        set_targets(h, m->p);
}

static void *run(void *arg)
{
    struct health_thread *h = arg;
    (void)pthread_setname_np(pthread_self(), "health");
    stall_begin(&h->stall, h->loop);
    (void)!sandbox_enter(SANDBOX_HELPER);
    on_beat(&h->beat);
    loop_run(h->loop);
    return NULL;
}

enum err health_thread_new(struct log *log, const struct health_news *news,
                           struct health_thread **out)
{
    struct health_thread *h = mem_alloc(sizeof *h);
    struct rng rng;
    *out = NULL;
    if (h == NULL)
        return ERR_NO_MEMORY;
    *out = h;
    h->log = log;
    rng_seed_system(&rng);
    enum err e = loop_ev_new(&h->loop);
    if (e == ERR_OK)
        e = health_new(h->loop, &rng, log, &h->health);
    if (e == ERR_OK)
        e = discovery_new(h->loop, log, news->to, news->names, &h->discovery);
    if (e == ERR_OK)
        e = dependencies_new(h->loop, log, h->health, news->to, news->dependencies,
                             &h->dependencies);
    if (e == ERR_OK)
        e = mailbox_init(&h->box, h->loop, on_mail, h);
    if (e != ERR_OK)
        return e;
    timer_init(&h->beat, h->loop, on_beat);
    atomic_store(&h->beat_ns, loop_now_ns(h->loop));
    h->started = pthread_create(&h->thread, NULL, run, h) == 0;
    return h->started ? ERR_OK : ERR_SYSTEM;
}

void health_thread_free(struct health_thread **hp)
{
    struct health_thread *h = *hp;
    *hp = NULL;
    if (h == NULL)
        return;
    if (h->started) {
        while (mailbox_post(&h->box, (struct mail){.kind = HEALTH_STOP}) != ERR_OK)
            sched_yield();
        pthread_join(h->thread, NULL);
    }
    if (h->loop != NULL)
        timer_stop(&h->beat);
    session_free(&h->session);
    dependencies_free(&h->dependencies);
    health_free(&h->health);
    discovery_free(&h->discovery);
    mailbox_fini(&h->box);
    if (h->loop != NULL)
        loop_free(&h->loop);
    mem_free(h);
}

enum err health_thread_plan(struct health_thread *h, struct health_plan **plan)
{
    enum err e = mailbox_post(&h->box, (struct mail){.kind = HEALTH_PLAN, .p = *plan});
    if (e == ERR_OK)
        *plan = NULL;
    else
        health_plan_free(plan);
    return e;
}

enum err health_thread_session(struct health_thread *h, const struct session_plan *plan)
{
    struct session_plan *copy = mem_alloc(sizeof *copy);
    if (copy == NULL)
        return ERR_NO_MEMORY;
    *copy = *plan;
    enum err e = db_where_copy(&copy->where, &plan->where);
    copy->pools =
        e == ERR_OK && plan->pools != NULL ? mem_copy_str(plan->pools, strlen(plan->pools)) : NULL;
    if (e == ERR_OK && plan->pools != NULL && copy->pools == NULL)
        e = ERR_NO_MEMORY;
    if (e == ERR_OK)
        e = mailbox_post(&h->box, (struct mail){.kind = HEALTH_SESSION, .p = copy});
    if (e != ERR_OK)
        free_plan(copy);
    return e;
}

enum err health_thread_dependencies(struct health_thread *h, struct dependency_plan **plan)
{
    enum err e = mailbox_post(&h->box, (struct mail){.kind = HEALTH_DEPENDENCIES, .p = *plan});
    if (e == ERR_OK)
        *plan = NULL;
    else
        dependency_plan_free(plan);
    return e;
}

enum err health_thread_names(struct health_thread *h, struct name_plan **plan)
{
    enum err e = mailbox_post(&h->box, (struct mail){.kind = HEALTH_NAMES, .p = *plan});
    if (e == ERR_OK)
        *plan = NULL;
    else
        name_plan_free(plan);
    return e;
}

struct name_counts *health_thread_name_counts(const struct health_thread *h)
{
    return discovery_counts(h->discovery);
}

struct health_counts *health_thread_counts(const struct health_thread *h)
{
    return health_counts(h->health);
}

struct stall *health_thread_stall(struct health_thread *h)
{
    return &h->stall;
}

int64_t health_thread_beat_ns(const struct health_thread *h)
{
    return atomic_load_explicit(&h->beat_ns, memory_order_relaxed);
}
