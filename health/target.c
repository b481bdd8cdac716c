#include "health/target.h"

#include "base/mem.h"

/* A check that ended so much later than its time-out says that this thread did not run (F27). */
#define STALL_NS         (250 * NS_PER_MS)
#define STEP_MS          10  /* and a hundredth of the interval, at most */
#define FIRST_CHECK_MS   200 /* the first checks begin within this time, as the rate allows */
#define READ(atomic)     atomic_load_explicit(&(atomic), memory_order_relaxed)
#define STORE(atomic, v) atomic_store_explicit(&(atomic), (v), memory_order_relaxed)
#define COUNT(atomic)    atomic_fetch_add_explicit(&(atomic), 1, memory_order_relaxed)

static const struct health_check *check_of(const struct target *t)
{
    return t->plan->check;
}

/* Not to be ready is SOFT: it answers, and may serve in a panic. */
static enum endpoint_health health_of(const struct target *t)
{
    bool unready = check_of(t)->ready && t->ready.health != ENDPOINT_UP && !t->spared;
    return t->verdict.health == ENDPOINT_UP && unready ? ENDPOINT_SOFT : t->verdict.health;
}

void target_settle(struct target *t, enum err why)
{
    struct health *h = t->health;
    enum endpoint_health from = endpoint_health(t->endpoint), to = health_of(t);
    STORE(t->endpoint->lifeless, t->verdict.health != ENDPOINT_UP);
    if (!endpoint_set_health(t->endpoint, to, loop_now_ms(h->env.loop))) {
        return;
    }
    COUNT(h->counts.changes);
    log_event(h->log, to == ENDPOINT_UP ? LOG_INFO : LOG_WARN, "backend-health",
              "pool=%s backend=%s address=%s from=%s to=%s reason=%s", LOG_QUOTE(check_of(t)->pool),
              LOG_QUOTE(t->endpoint->backend), LOG_QUOTE(t->endpoint->address),
              endpoint_health_name(from), endpoint_health_name(to), err_name(why));
}

/* Checks that are due at about the same time begin in one turn: to wake this thread for each would
 * cost half as much as the check. Never later than the interval allows. */
static int64_t in_step(const struct target *t, int64_t at_ns, int64_t interval_ms)
{
    int64_t step_ns = NS_PER_MS * (interval_ms < STEP_MS * 100 ? interval_ms / 100 : STEP_MS);
    int64_t over_ns = step_ns != 0 ? at_ns % step_ns : 0;
    int64_t most_ns = t->round_ns + interval_ms * 6 / 5 * NS_PER_MS;
    bool later = over_ns != 0 && at_ns - over_ns + step_ns <= most_ns;
    return at_ns - over_ns + (later ? step_ns : 0);
}

static void wait_next(struct target *t)
{
    struct health *h = t->health;
    int64_t interval_ms = check_of(t)->interval_ms;
    const struct verdict *v = verdict_settled(&t->verdict) ? &t->ready : &t->verdict;
    int64_t at_ns = t->round_ns + verdict_wait_ms(v, interval_ms, &h->rng) * NS_PER_MS;
    timer_aim(&t->due, verdict_settled(v) ? in_step(t, at_ns, interval_ms) : at_ns);
}

/* A reason that does not blame the server where it is this thread that was late. */
static enum err fair_reason(const struct target *t, enum err why, int64_t took_ns)
{
    int64_t allowed_ns = t->probe.job.check->timeout_ms * NS_PER_MS + STALL_NS;
    return why != ERR_OK && took_ns > allowed_ns ? ERR_SYSTEM : why;
}

/* A page that says whether the server lives is the last word about that (B1). */
static enum verdict_result result_of(const struct target *t, enum err why)
{
    enum verdict_result result = verdict_result(why);
    bool live_page = check_of(t)->live.path.n > 0 && !t->lives;
    return result == VERDICT_SOFT && live_page ? VERDICT_HARD : result;
}

static void note_figures(struct target *t, enum verdict_result result, enum err why,
                         int64_t took_ns)
{
    struct health *h = t->health;
    if (result == VERDICT_GOOD) {
        COUNT(h->counts.good);
    } else {
        COUNT(h->counts.bad);
    }
    endpoint_probed(t->endpoint, result == VERDICT_GOOD);
    STORE(t->endpoint->probe_err, (uint8_t)why);
    STORE(t->endpoint->probe_us, (uint32_t)(took_ns / NS_PER_US));
}

/* True: the group should know. */
static bool note_ready(struct target *t, enum verdict_result result)
{
    bool good = result == VERDICT_GOOD;
    bool first = !good && t->unready_ns == 0;
    uint32_t blamed = t->blames;
    t->unready_ns = good ? 0 : first ? t->began_ns : t->unready_ns;
    t->blames = t->probe.blamed;
    if (first && t->group != NULL) {
        group_doubt(t->group);
    }
    if (verdict_add(&t->ready, good ? VERDICT_GOOD : VERDICT_SOFT, check_of(t)->fall,
                    check_of(t)->rise)) {
        t->turned_ms = loop_now_ms(t->health->env.loop);
        t->spared = t->group != NULL && !good;
        return true;
    }
    return blamed != t->blames;
}

/* Where being ready is a question of its own: a connection that broke before it was open says that
 * the server does not live, all else whether it is ready. */
static bool says_alive(enum err why)
{
    return why != ERR_BACKEND_REFUSED && why != ERR_BACKEND_UNREACHABLE &&
           why != ERR_BACKEND_CONNECT_TIMEOUT && why != ERR_BACKEND_TLS;
}

static void note_result(struct target *t, enum err why, int64_t took_ns)
{
    const struct health_check *check = check_of(t);
    enum verdict_result result = result_of(t, why);
    bool answers_both = check->ready && !t->lives && check->live.path.n == 0 && says_alive(why);
    if (result == VERDICT_NONE) {
        COUNT(t->health->counts.local);
        return;
    }
    note_figures(t, result, why, took_ns);
    bool news = false;
    if (!t->lives) {
        news = verdict_add(&t->verdict, answers_both ? VERDICT_GOOD : result, check->fall,
                           check->rise);
    }
    if (t->lives || answers_both) {
        news = note_ready(t, result) || news;
    }
    if (news && t->group != NULL) {
        group_judge(t->group);
    }
    target_settle(t, why);
}

/* The way to the site (BALANCING.md section 4); and, section 6, for pools that redirect: from the
 * request to the answer's first byte, less one round trip; a check that is not answered in time
 * took at least that long. */
static void tell_site(struct target *t, enum err why)
{
    const struct plan_target *plan = t->plan;
    const struct probe *p = &t->probe;
    int64_t now_ns = loop_now_ns(t->health->env.loop);
    if (plan->site == NULL || !p->open)
        return;
    site_connected(plan->site, (double)p->connect_ns / (double)NS_PER_MS, now_ns / NS_PER_MS);
    if (plan->members == 0 || (why != ERR_OK && why != ERR_BACKEND_TIMEOUT))
        return;
    int64_t until_ns = p->answered_ns != 0 ? p->answered_ns : now_ns;
    double x_ms = (double)(until_ns - p->open_ns - p->connect_ns) / (double)NS_PER_MS;
    site_checked(plan->site, x_ms > 0 ? x_ms : 0, plan->members, plan->check->interval_ms,
                 now_ns / NS_PER_MS);
}

static void check_over(struct target *t)
{
    plan_unref(&t->probe_plan);
    t->health->running--;
    STORE(t->health->counts.running, (uint32_t)t->health->running);
}

/* To the second page of the round, or to the next round. */
static void go_on(struct target *t, bool lives)
{
    t->lives = lives;
    if (lives) {
        timer_in_ms(&t->due, 0);
    } else {
        wait_next(t);
    }
}

static void on_done(struct probe *p, enum err why)
{
    struct target *t = container_of(p, struct target, probe);
    struct health *h = t->health;
    int64_t took_ns = loop_now_ns(h->env.loop) - t->began_ns;
    why = fair_reason(t, why, took_ns);
    check_over(t);
    if (check_of(t)->kind != HEALTH_OFF) {
        bool lives = !t->lives && why == ERR_OK && check_of(t)->live.path.n > 0;
        note_result(t, why, took_ns);
        if (!lives)
            tell_site(t, why);
        go_on(t, lives);
    }
    targets_pump(h);
}

static void begin(struct target *t)
{
    struct health *h = t->health;
    const struct health_check *check = check_of(t);
    bool first = !t->lives;
    struct probe_job job = {
        .check = check,
        .page = first && check->live.path.n > 0 ? &check->live : &check->page,
        .addr = &t->plan->addr,
        .host = t->endpoint->address,
        .server_name = t->plan->server_name,
        .session_key = (uint64_t)(uintptr_t)t->endpoint,
    };
    t->began_ns = loop_now_ns(h->env.loop);
    t->round_ns = first ? t->began_ns : t->round_ns;
    spread_begin(&h->spread, t->began_ns);
    enum err e = probe_start(&t->probe, &h->env, &job, on_done);
    if (e != ERR_OK) {
        note_result(t, e, 0);
        go_on(t, false);
        return;
    }
    t->probe_plan = plan_ref(h->plan);
    h->running++;
    STORE(h->counts.running, (uint32_t)h->running);
}

void targets_pump(struct health *h)
{
    while (!list_empty(&h->ready) && h->running < h->spread.most) {
        int64_t when_ns = spread_when_ns(&h->spread);
        if (when_ns > loop_now_ns(h->env.loop)) {
            timer_aim(&h->pump, when_ns);
            return;
        }
        struct target *t = container_of(h->ready.next, struct target, link);
        list_remove(&t->link);
        begin(t);
    }
}

static void on_due(struct timer *timer)
{
    struct target *t = container_of(timer, struct target, due);
    if (!probe_running(&t->probe) && list_empty(&t->link)) {
        list_append(&t->health->ready, &t->link);
    }
    targets_pump(t->health);
}

static void check_soon(struct target *t)
{
    timer_stop(&t->due);
    if (!probe_running(&t->probe)) {
        list_remove(&t->link);
        list_push(&t->health->ready, &t->link);
    }
}

/* The workers count; an alarm is given once per count, so that a quiet endpoint is not checked for
 * ever for what happened long ago. */
static bool live_alarm(struct target *t)
{
    if (READ(t->endpoint->connect_fails) < LIMIT_EJECT_CONNECT_FAILS) {
        return false;
    }
    uint64_t errors = READ(t->endpoint->connect_errors);
    if (errors == t->live_seen) {
        return false;
    }
    t->live_seen = errors;
    return verdict_live_fails(&t->verdict);
}

void targets_poll(struct health *h)
{
    for (size_t i = 0; i < h->target_count; i++) {
        struct target *t = h->targets[i];
        if (check_of(t)->kind != HEALTH_OFF && live_alarm(t)) {
            check_soon(t);
        }
    }
    targets_pump(h);
}

struct target *target_new(struct health *h, struct endpoint *e)
{
    struct target *t = mem_alloc(sizeof *t);
    if (t == NULL) {
        return NULL;
    }
    t->health = h;
    t->endpoint = endpoint_ref(e);
    t->live_seen = READ(e->connect_errors);
    verdict_init(&t->verdict, endpoint_health(e), READ(e->probes) > 0);
    verdict_init(&t->ready, ENDPOINT_UP, READ(e->probes) > 0);
    list_init(&t->in_group);
    timer_init(&t->due, h->env.loop, on_due);
    list_init(&t->link);
    return t;
}

static void stop_checks(struct target *t)
{
    timer_stop(&t->due);
    list_remove(&t->link);
    if (probe_running(&t->probe)) {
        probe_cancel(&t->probe);
        check_over(t);
    }
}

void target_free(struct target **t)
{
    if (*t == NULL) {
        return;
    }
    stop_checks(*t);
    group_leave(*t);
    endpoint_unref(&(*t)->endpoint);
    mem_free(*t);
    *t = NULL;
}

/* Nothing would ever bring an unchecked endpoint up again. */
static void stand_up(struct target *t)
{
    verdict_init(&t->verdict, ENDPOINT_UP, READ(t->endpoint->probes) > 0);
    target_settle(t, ERR_OK);
}

/* From now on there are two questions, or there is one: what was known goes into the first. */
static void ask_otherwise(struct target *t)
{
    bool checked = READ(t->endpoint->probes) > 0;
    if (check_of(t)->ready) {
        verdict_init(&t->ready, ENDPOINT_UP, checked);
    } else {
        verdict_init(&t->verdict, endpoint_health(t->endpoint), checked);
    }
    t->unready_ns = 0;
}

void target_plan(struct target *t, const struct plan_target *plan)
{
    struct health *h = t->health;
    bool asked = t->plan != NULL && t->plan->check->ready;
    t->plan = plan;
    group_join(t);
    if (asked != plan->check->ready) {
        ask_otherwise(t);
    }
    t->lives = t->lives && plan->check->live.path.n > 0;
    if (plan->check->kind == HEALTH_OFF) {
        stop_checks(t);
        stand_up(t);
        return;
    }
    spread_add(&h->spread, plan->check->interval_ms, plan->check->timeout_ms);
    if (plan->check->live.path.n > 0) {
        spread_add(&h->spread, plan->check->interval_ms, plan->check->timeout_ms);
    }
    if (probe_running(&t->probe) || !list_empty(&t->link)) {
        return;
    }
    int64_t most_ns = loop_now_ns(h->env.loop) + plan->check->interval_ms * NS_PER_MS;
    if (t->due.due_ns == 0) {
        timer_in_ms(&t->due, (int64_t)rng_below(&h->rng, FIRST_CHECK_MS));
    } else if (t->due.due_ns > most_ns) {
        timer_aim(&t->due, most_ns);
    }
}
