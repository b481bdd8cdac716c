#include "sim_impl.h"

#include "base/limits.h"
#include "base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* Every turn takes this long, so that a loop that spins does not stop the clock. */
#define TURN_NS 1000

struct sim_timer {
    struct link link; /* NULL ends: never armed */
    int64_t at_ns;
};

struct sim_wake {
    struct link link;
    bool sent;
};

static_assert(sizeof(struct sim_timer) <= sizeof(((struct timer *)0)->impl), "fits");
static_assert(sizeof(struct sim_wake) <= sizeof(((struct wake *)0)->impl), "fits");

static struct sim_timer *timer_impl(struct timer *t)
{
    return (struct sim_timer *)(void *)&t->impl;
}

static struct sim_wake *wake_impl(struct wake *w)
{
    return (struct sim_wake *)(void *)&w->impl;
}

static struct timer *timer_of(struct link *link)
{
    return container_of(container_of(link, struct sim_timer, link), struct timer, impl);
}

static struct wake *wake_of(struct link *link)
{
    return container_of(container_of(link, struct sim_wake, link), struct wake, impl);
}

static struct io *io_of(struct link *link)
{
    return container_of(link, struct io, impl);
}

_Noreturn void sim_die(const char *what, int fd)
{
    fprintf(stderr, "sim: %s (descriptor %d)\n", what, fd);
    abort();
}

bool sim_chance(struct sim *sim, unsigned of_10000)
{
    return of_10000 > 0 && rng_below(&sim->rng, 10000) < of_10000;
}

void sim_note(struct sim *sim, uint64_t what, uint64_t value)
{
    uint64_t mixed[4] = {sim->trace, (uint64_t)sim->now_ns, what, value};
    sim->trace = hash_plain(span_of((const char *)mixed, sizeof mixed));
}

/* ---- the table: time and events ---- */

static void io_set(struct io *io, unsigned events)
{
    struct sim_loop *l = sim_loop_of(io->loop);
    struct link *link = (struct link *)(void *)&io->impl;
    sim_watch(l->sim, io, events);
    if (link->next == NULL)
        list_init(link);
    if (events == 0)
        list_remove(link);
    else if (list_empty(link))
        list_append(&l->ios, link);
}

static void timer_set(struct timer *t, int64_t at_ns)
{
    struct sim_timer *impl = timer_impl(t);
    if (impl->link.next == NULL)
        list_init(&impl->link);
    list_remove(&impl->link);
    impl->at_ns = at_ns;
    if (at_ns != 0)
        list_append(&sim_loop_of(t->loop)->timers, &impl->link);
}

static enum err wake_start(struct wake *w)
{
    struct sim_wake *impl = wake_impl(w);
    impl->sent = false;
    list_append(&sim_loop_of(w->loop)->wakes, &impl->link);
    return ERR_OK;
}

static void wake_stop(struct wake *w)
{
    list_remove(&wake_impl(w)->link);
}

/* The simulation has one thread, so nothing here is atomic. */
static void wake_send(struct wake *w)
{
    wake_impl(w)->sent = true;
}

static void run(struct loop *l)
{
    struct sim_loop *s = sim_loop_of(l);
    s->stopped = false;
    while (!s->stopped && sim_step(s->sim))
        continue;
}

static void stop(struct loop *l)
{
    sim_loop_of(l)->stopped = true;
}

static void destroy(struct loop *l)
{
    struct sim_loop *s = sim_loop_of(l);
    list_remove(&s->link);
    free(s);
}

static int64_t wall_ns(struct loop *l)
{
    struct sim *sim = sim_loop_of(l)->sim;
    return sim->now_ns + sim->wall_offset_ns;
}

static bool turn_spent(struct loop *l)
{
    struct sim *sim = sim_loop_of(l)->sim;
    return sim_chance(sim, sim->faults.spent);
}

static void fill_ops(struct loop_ops *ops)
{
    *ops = (struct loop_ops){
        .io_set = io_set,
        .timer_set = timer_set,
        .wake_start = wake_start,
        .wake_stop = wake_stop,
        .wake_send = wake_send,
        .run = run,
        .stop = stop,
        .destroy = destroy,
        .wall_ns = wall_ns,
        .turn_spent = turn_spent,
    };
    sim_sock_ops(ops);
}

/* ---- turns ---- */

static bool has_work(struct sim_loop *l)
{
    if (l->sim->now_ns < l->frozen_until_ns)
        return false;
    if (loop_has_tasks(&l->base))
        return true;
    list_each (e, &l->timers)
        if (timer_impl(timer_of(e))->at_ns <= l->sim->now_ns)
            return true;
    list_each (w, &l->wakes)
        if (wake_impl(wake_of(w))->sent)
            return true;
    list_each (i, &l->ios)
        if (sim_ready(l->sim, io_of(i)) != 0)
            return true;
    return false;
}

static void run_timers(struct sim_loop *l)
{
    struct link due;
    list_init(&due);
    list_each (e, &l->timers) {
        if (timer_impl(timer_of(e))->at_ns > l->sim->now_ns)
            continue;
        list_remove(e);
        list_append(&due, e);
    }
    while (!list_empty(&due)) {
        struct timer *t = timer_of(due.next);
        list_remove(due.next);
        sim_note(l->sim, 1, (uint64_t)t->due_ns);
        timer_fired(t);
    }
}

static void run_wakes(struct sim_loop *l)
{
    list_each (e, &l->wakes) {
        struct wake *w = wake_of(e);
        bool sent = wake_impl(w)->sent;
        wake_impl(w)->sent = false;
        if (sent)
            w->on_wake(w);
    }
}

static struct link *nth(struct link *list, uint64_t n)
{
    struct link *e = list->next;
    while (n-- > 0)
        e = e->next;
    return e;
}

/* Those that are ready now, in an order that the seed decides. */
static void run_ios(struct sim_loop *l)
{
    struct link ready;
    uint64_t count = 0;
    list_init(&ready);
    list_each (e, &l->ios) {
        if (sim_ready(l->sim, io_of(e)) == 0)
            continue;
        list_remove(e);
        list_append(&ready, e);
        count++;
    }
    l->base.turn_events = (unsigned)count + (l->sim->much ? 8 : 0);
    /* A callback may stop one that is in the list, so the count is only the most there can be. */
    for (; count > 0 && !list_empty(&ready); count--) {
        uint64_t left = 0;
        list_each (e, &ready)
            left++;
        struct link *e = nth(&ready, rng_below(&l->sim->rng, left));
        struct io *io = io_of(e);
        list_remove(e);
        list_append(&l->ios, e);
        unsigned events = sim_ready(l->sim, io);
        sim_note(l->sim, 2, (uint64_t)io->fd << 8 | events);
        if (events != 0)
            io->on_ready(io, events);
    }
    while (!list_empty(&ready)) {
        struct link *e = ready.next;
        list_remove(e);
        list_append(&l->ios, e);
    }
}

static void turn(struct sim_loop *l)
{
    l->base.now_ns = l->base.turn_start_ns = l->sim->now_ns;
    l->base.turns++;
    l->base.longest_turn_ns = TURN_NS;
    l->sim->counts.turns++;
    mem_fail_hold(l->sim->starving && !l->starved);
    run_timers(l);
    run_ios(l);
    run_wakes(l);
    loop_run_tasks(&l->base);
    mem_fail_hold(l->sim->starving);
    l->sim->now_ns += TURN_NS;
}

static struct sim_loop *pick_loop(struct sim *sim)
{
    uint64_t ready = 0;
    list_each (e, &sim->loops) {
        struct sim_loop *l = container_of(e, struct sim_loop, link);
        l->ready = has_work(l);
        ready += l->ready;
    }
    if (ready == 0)
        return NULL;
    uint64_t chosen = rng_below(&sim->rng, ready);
    list_each (e, &sim->loops) {
        struct sim_loop *l = container_of(e, struct sim_loop, link);
        if (l->ready && chosen-- == 0)
            return l;
    }
    return NULL;
}

static int64_t next_time(struct sim *sim)
{
    int64_t next = sim_next_arrival(sim);
    list_each (e, &sim->loops) {
        struct sim_loop *l = container_of(e, struct sim_loop, link);
        if (sim->now_ns < l->frozen_until_ns) {
            next = l->frozen_until_ns < next ? l->frozen_until_ns : next;
            continue;
        }
        list_each (t, &l->timers) {
            int64_t at_ns = timer_impl(timer_of(t))->at_ns;
            next = at_ns < next ? at_ns : next;
        }
    }
    return next;
}

bool sim_step(struct sim *sim)
{
    struct sim_loop *l = pick_loop(sim);
    if (l != NULL) {
        turn(l);
        return true;
    }
    int64_t next = next_time(sim);
    if (next == INT64_MAX)
        return false;
    if (next > sim->now_ns)
        sim->now_ns = next;
    return true;
}

bool sim_idle(struct sim *sim)
{
    return pick_loop(sim) == NULL && next_time(sim) == INT64_MAX;
}

bool sim_run_until(struct sim *sim, bool (*done)(void *user), void *user, int64_t most_ns)
{
    int64_t end = sim->now_ns + most_ns;
    while (!done(user))
        if (sim->now_ns > end || !sim_step(sim))
            return false;
    return true;
}

void sim_run_for(struct sim *sim, int64_t ns)
{
    int64_t end = sim->now_ns + ns;
    while (sim->now_ns < end) {
        bool work = pick_loop(sim) != NULL;
        if (!work && next_time(sim) >= end)
            sim->now_ns = end;
        else
            (void)sim_step(sim);
    }
}

/* ---- life ---- */

struct sim *sim_new(uint64_t seed, const struct sim_faults *faults)
{
    struct sim *sim = calloc(1, sizeof *sim);
    assert(sim != NULL);
    rng_seed(&sim->rng, seed);
    sim->much = (seed & 1) != 0;
    sim_set_faults(sim, faults);
    sim->now_ns = 1000 * NS_PER_S;
    sim->wall_offset_ns = 1795000000 * NS_PER_S;
    sim->next_port = 20000;
    list_init(&sim->loops);
    fill_ops(&sim->ops);
    return sim;
}

void sim_set_faults(struct sim *sim, const struct sim_faults *faults)
{
    sim->faults = faults != NULL ? *faults : (struct sim_faults){0};
    if (sim->faults.buffer == 0)
        sim->faults.buffer = KIB(64);
}

void sim_free(struct sim **sim)
{
    assert(list_empty(&(*sim)->loops));
    sim_sock_free_all(*sim);
    mem_fail_hold(false);
    free(*sim);
    *sim = NULL;
}

struct loop *sim_loop_new(struct sim *sim)
{
    struct sim_loop *l = calloc(1, sizeof *l);
    assert(l != NULL);
    l->base.ops = &sim->ops;
    l->base.now_ns = sim->now_ns;
    l->sim = sim;
    loop_init_tasks(&l->base);
    list_init(&l->ios);
    list_init(&l->timers);
    list_init(&l->wakes);
    list_append(&sim->loops, &l->link);
    return &l->base;
}

void sim_starve(struct loop *l)
{
    sim_loop_of(l)->starved = true;
    sim_loop_of(l)->sim->starving = true;
    mem_fail_hold(true);
}

void sim_freeze(struct loop *l, int64_t ns)
{
    struct sim_loop *s = sim_loop_of(l);
    s->frozen_until_ns = s->sim->now_ns + ns;
}

int64_t sim_now_ns(const struct sim *sim)
{
    return sim->now_ns;
}

void sim_jump_wall(struct sim *sim, int64_t by_ns)
{
    sim->wall_offset_ns += by_ns;
}

size_t sim_sockets(const struct sim *sim)
{
    return sim->open;
}

const struct sim_counts *sim_counts(const struct sim *sim)
{
    return &sim->counts;
}

uint64_t sim_trace(const struct sim *sim)
{
    return sim->trace;
}
