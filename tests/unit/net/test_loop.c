#include "check.h"
#include "net/loop.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

struct probe {
    struct timer timer;
    int fired;
    int64_t at_ns;
    int stop_after;
    int64_t again_ms;
};

static struct loop *make_loop(void)
{
    struct loop *l;
    CHECK_INT(loop_ev_new(&l), ERR_OK);
    return l;
}

static void on_time(struct timer *t)
{
    struct probe *p = container_of(t, struct probe, timer);
    p->at_ns = loop_now_ns(t->loop);
    if (++p->fired >= p->stop_after)
        loop_stop(t->loop);
    else
        timer_in_ms(t, p->again_ms);
}

TEST(loop, timers_fire_in_order_and_not_early)
{
    struct loop *l = make_loop();
    struct probe soon = {.stop_after = 2, .again_ms = 5}, late = {.stop_after = 1};
    int64_t begin = loop_now_ns(l);
    timer_init(&soon.timer, l, on_time);
    timer_init(&late.timer, l, on_time);
    timer_aim(&late.timer, begin + 30 * NS_PER_MS);
    timer_aim(&soon.timer, begin + 5 * NS_PER_MS);
    soon.stop_after = 3;
    while (soon.fired < 3 || late.fired == 0) /* on a busy machine both are due at a time */
        loop_run(l);
    CHECK_INT(soon.fired, 3);
    CHECK_INT(late.fired, 1);
    CHECK(soon.at_ns - begin >= 15 * NS_PER_MS, "three times five");
    CHECK(late.at_ns - begin >= 30 * NS_PER_MS, "not before its time");
    CHECK(l->turns > 0 && l->longest_turn_ns > 0, "turns are counted");
    loop_free(&l);
    CHECK(l == NULL, "emptied");
}

/* Turns and sockets go on before anybody's time is up. */
TEST(loop, a_loop_that_was_stopped_looks_before_it_times_out_F27)
{
    struct loop *l = make_loop();
    struct probe p = {.stop_after = 1};
    struct timespec stop = {.tv_sec = 1, .tv_nsec = 50000000};
    timer_init(&p.timer, l, on_time);
    timer_in_ms(&p.timer, 20);
    int64_t due = p.timer.due_ns;
    nanosleep(&stop, NULL);
    loop_run(l);
    CHECK_INT(p.fired, 1);
    CHECK(p.at_ns >= due + NS_PER_S + 250 * NS_PER_MS, "%lld ns late", (long long)(p.at_ns - due));
    timer_aim(&p.timer, due);
    int64_t now = loop_now_ns(l);
    loop_run(l);
    CHECK(p.at_ns - now < 200 * NS_PER_MS || l->longest_turn_ns > 100 * NS_PER_MS,
          "one that is aimed at the past fires at once");
    loop_free(&l);
}

/* What goes on in the next turn is nobody's deadline: it has no grace. */
TEST(loop, what_goes_on_at_once_does_so_after_a_stop_too)
{
    struct loop *l = make_loop();
    struct probe p = {.stop_after = 1};
    struct timespec stop = {.tv_sec = 1, .tv_nsec = 50000000};
    timer_init(&p.timer, l, on_time);
    timer_at_once(&p.timer);
    int64_t posted = loop_now_ns(l);
    nanosleep(&stop, NULL);
    loop_run(l);
    CHECK_INT(p.fired, 1);
    CHECK(l->turns == 1, "%llu turns", (unsigned long long)l->turns);
    CHECK(p.at_ns - posted >= NS_PER_S, "it had been stopped");
    loop_free(&l);
}

TEST(loop, g14_turns_are_counted_by_how_long_they_took)
{
    static const int64_t took_ns[] = {0,
                                      NS_PER_MS,
                                      NS_PER_MS + 1,
                                      5 * NS_PER_MS,
                                      20 * NS_PER_MS + 1,
                                      100 * NS_PER_MS,
                                      100 * NS_PER_MS + 1,
                                      NS_PER_S};
    static const uint64_t want[LOOP_TURN_BUCKETS] = {2, 2, 0, 2, 2};
    struct loop *l = make_loop();
    int64_t sum_ns = 0;
    for (size_t i = 0; i < sizeof took_ns / sizeof *took_ns; i++) {
        loop_turn_ended(l, took_ns[i]);
        sum_ns += took_ns[i];
    }
    for (size_t i = 0; i < LOOP_TURN_BUCKETS; i++)
        CHECK_INT(atomic_load(&l->turn_times.bucket[i]), want[i]);
    CHECK_INT(atomic_load(&l->turn_times.sum_ns), sum_ns);
    CHECK_INT(l->longest_turn_ns, NS_PER_S);
    loop_free(&l);
}

/* Counts how often the implementation's watcher is set. */
static int sets;
static const struct loop_ops *real;

static void counted_set(struct timer *t, int64_t at_ns)
{
    sets++;
    real->timer_set(t, at_ns);
}

TEST(loop, a_deadline_moved_later_costs_nothing)
{
    struct loop *l = make_loop();
    struct loop_ops ops = *l->ops;
    struct probe p = {.stop_after = 1};
    real = l->ops;
    sets = 0;
    ops.timer_set = counted_set;
    l->ops = &ops;
    timer_init(&p.timer, l, on_time);
    int64_t begin = loop_now_ns(l);
    for (int i = 1; i <= 1000; i++)
        timer_aim(&p.timer, begin + 10 * NS_PER_MS + i * 10000);
    CHECK_INT(sets, 1);
    loop_run(l);
    CHECK_INT(p.fired, 1);
    CHECK(p.at_ns >= begin + 20 * NS_PER_MS, "the last aim counts");
    CHECK(sets <= 4, "re-armed %d times", sets);
    timer_aim(&p.timer, loop_now_ns(l) + NS_PER_S);
    timer_aim(&p.timer, loop_now_ns(l) + NS_PER_MS);
    loop_run(l);
    CHECK_INT(p.fired, 2);
    timer_in_ms(&p.timer, 1);
    timer_stop(&p.timer);
    timer_stop(&p.timer);
    struct probe end = {.stop_after = 1};
    timer_init(&end.timer, l, on_time);
    timer_in_ms(&end.timer, 5);
    loop_run(l);
    CHECK_INT(p.fired, 2);
    timer_aim(&end.timer, -5);
    loop_run(l);
    CHECK_INT(end.fired, 2);
    timer_in_ms(&p.timer, 1);
    timer_rest(&p.timer);
    timer_in_ms(&end.timer, 5);
    loop_run(l);
    CHECK_INT(p.fired, 2);
    CHECK_INT(p.timer.armed_ns, 0);
    sets = 0;
    timer_in_ms(&p.timer, 1);
    timer_rest(&p.timer);
    timer_in_ms(&p.timer, 2);
    CHECK_INT(sets, 1);
    loop_run(l);
    CHECK_INT(p.fired, 3);
    loop_free(&l);
}

TEST(loop, date_is_made_once_a_second)
{
    struct loop *l = make_loop();
    CHECK_INT((int)loop_date(l).n, 29);
    CHECK(l->date_until_ns > loop_now_ns(l), "until the second ends");
    CHECK(l->date_until_ns <= loop_now_ns(l) + NS_PER_S, "and no longer");
    l->date[0] = '?';
    CHECK_INT(loop_date(l).p[0], '?');
    l->now_ns = l->date_until_ns;
    CHECK(loop_date(l).p[0] != '?', "made anew");
    loop_free(&l);
}

struct chain_task {
    struct task task;
    struct loop *loop;
    int runs, most;
};

static void run_chain(struct task *t)
{
    struct chain_task *c = container_of(t, struct chain_task, task);
    if (++c->runs < c->most)
        task_post(c->loop, t);
    else
        loop_stop(c->loop);
}

TEST(loop, tasks)
{
    struct loop *l = make_loop();
    struct chain_task one = {.loop = l, .most = 1}, endless = {.loop = l, .most = 2500},
                      never = {.loop = l, .most = 1};
    task_init(&one.task, run_chain);
    task_init(&endless.task, run_chain);
    task_init(&never.task, run_chain);
    task_post(l, &one.task);
    task_post(l, &one.task);
    task_post(l, &never.task);
    task_cancel(&never.task);
    loop_run(l);
    CHECK_INT(one.runs, 1);
    CHECK_INT(never.runs, 0);
    /* More rounds than one turn takes: it goes on in the next turns without anything to wait for.
     */
    task_post(l, &endless.task);
    loop_run_tasks(l);
    CHECK_INT(endless.runs, 1000);
    loop_run(l);
    CHECK_INT(endless.runs, 2500);
    loop_free(&l);
}

struct mail {
    struct wake wake;
    atomic_int queued;
    int seen, wakes, want;
};

static void on_wake(struct wake *w)
{
    struct mail *m = container_of(w, struct mail, wake);
    m->wakes++;
    m->seen += atomic_exchange(&m->queued, 0);
    if (m->seen == m->want)
        loop_stop(w->loop);
}

static void *sender(void *arg)
{
    struct mail *m = arg;
    for (int i = 0; i < 5000; i++) {
        atomic_fetch_add(&m->queued, 1);
        m->wake.loop->ops->wake_send(&m->wake);
    }
    return NULL;
}

TEST(loop, wakes_from_other_threads)
{
    struct loop *l = make_loop();
    struct mail m = {.want = 20000, .wake = {.loop = l, .on_wake = on_wake}};
    pthread_t threads[4];
    CHECK_INT(l->ops->wake_start(&m.wake), ERR_OK);
    for (int i = 0; i < 4; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, sender, &m), 0);
    loop_run(l);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(m.seen, 20000);
    CHECK(m.wakes >= 1 && m.wakes <= 20000, "%d wakes", m.wakes);
    l->ops->wake_stop(&m.wake);
    loop_free(&l);
}

TEST(loop, wall_clock_is_the_system_s)
{
    struct loop *l = make_loop();
    int64_t skew = l->ops->wall_ns(l) - clock_wall_ns();
    CHECK(skew > -NS_PER_S && skew <= 0, "skew %lld", (long long)skew);
    loop_free(&l);
}

/* So many that closing them takes longer than a turn has for it. */
enum { MANY = 900 };

/* Opens many sockets and has them closed; how many are still open. */
static int close_many(struct loop *l, int fds[MANY])
{
    for (int i = 0; i < MANY; i++)
        fds[i] = l->ops->sock_new(l, AF_INET);
    CHECK_INT(atomic_load(&l->sockets), MANY);
    for (int i = 0; i < MANY; i++)
        l->ops->sock_close(l, fds[i], i % 2 == 0);
    return (int)atomic_load(&l->sockets);
}

static int still_open(const int fds[MANY])
{
    int open = 0;
    for (int i = 0; i < MANY; i++)
        open += fcntl(fds[i], F_GETFD) >= 0;
    return open;
}

TEST(loop, closes_some_sockets_in_a_turn_and_does_not_wait_until_all_are)
{
    struct loop *l = make_loop();
    struct probe soon = {.stop_after = 1};
    int fds[MANY];
    int left = close_many(l, fds);
    CHECK(left > 0 && left < MANY, "%d are put off", left);
    CHECK_INT(still_open(fds), left);
    timer_init(&soon.timer, l, on_time);
    for (int i = 0; i < 1000 && still_open(fds) > 0; i++) {
        timer_in_ms(&soon.timer, 1);
        loop_run(l);
    }
    CHECK_INT(still_open(fds), 0);
    CHECK_INT(atomic_load(&l->sockets), 0);
    CHECK(l->turns >= 2, "%u turns", (unsigned)l->turns);
    loop_free(&l);
}

TEST(loop, that_ends_closes_what_it_put_off)
{
    struct loop *l = make_loop();
    int fds[MANY];
    CHECK(close_many(l, fds) > 0, "some are put off");
    loop_free(&l);
    CHECK_INT(still_open(fds), 0);
}

TEST(loop, near_its_bound_of_descriptors_closes_what_it_put_off)
{
    struct loop *l = make_loop();
    int fds[MANY];
    CHECK(close_many(l, fds) > 0, "some are put off");
    l->descriptors_most = fds[MANY - 1] + 1;
    int next = l->ops->sock_new(l, AF_INET);
    CHECK(next >= 0, "there is room now: %d", next);
    CHECK_INT(atomic_load(&l->sockets), 1);
    l->ops->sock_close(l, next, false);
    loop_free(&l);
}
