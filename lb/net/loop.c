#include "net/loop.h"

/* Tasks that post tasks: after this many in one turn the rest waits for the next one. */
#define TASK_ROUNDS 1000

/* F27: a timer that fires so late says that the process, or this thread, had been stopped. What has
 * come meanwhile lies in sockets: it is looked at for a while before anybody's time is up. */
#define STOPPED_NS NS_PER_S
#define GRACE_NS   (250 * NS_PER_MS)
#define AT_ONCE    1 /* as due_ns */

const uint32_t loop_turn_ms[LOOP_TURN_BUCKETS - 1] = {1, 5, 20, 100};

static void more(_Atomic uint64_t *n, uint64_t by)
{
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

void loop_turn_ended(struct loop *l, int64_t took_ns)
{
    size_t i = 0;
    while (i < LOOP_TURN_BUCKETS - 1 && took_ns > loop_turn_ms[i] * NS_PER_MS)
        i++;
    more(&l->turn_times.bucket[i], 1);
    more(&l->turn_times.sum_ns, (uint64_t)took_ns);
    if (took_ns > l->longest_turn_ns)
        l->longest_turn_ns = took_ns;
}

void loop_free(struct loop **l)
{
    if (*l != NULL)
        (*l)->ops->destroy(*l);
    *l = NULL;
}

void loop_run(struct loop *l)
{
    l->ops->run(l);
}

void loop_stop(struct loop *l)
{
    l->ops->stop(l);
}

struct span loop_date(struct loop *l)
{
    if (l->now_ns >= l->date_until_ns) {
        int64_t wall_ns = l->ops->wall_ns(l);
        clock_print_http(l->date, wall_ns);
        l->date_until_ns = l->now_ns + NS_PER_S - wall_ns % NS_PER_S;
    }
    return span_of(l->date, sizeof l->date);
}

int64_t loop_wall_ns(struct loop *l)
{
    if (l->wall_ns == 0 || l->wall_at_ns != l->now_ns) {
        l->wall_ns = l->ops->wall_ns(l);
        l->wall_at_ns = l->now_ns;
        clock_stamp_set(&l->stamp, l->wall_ns);
    }
    return l->wall_ns;
}

const char *loop_stamp(struct loop *l)
{
    (void)loop_wall_ns(l);
    return l->stamp.text;
}

void io_init(struct io *io, struct loop *l, int fd, void (*on_ready)(struct io *, unsigned))
{
    memset(io, 0, sizeof *io);
    io->loop = l;
    io->fd = fd;
    io->on_ready = on_ready;
}

void io_want(struct io *io, unsigned events)
{
    if (io->events == events)
        return;
    io->loop->ops->io_set(io, events);
    io->events = events;
}

void timer_init(struct timer *t, struct loop *l, void (*on_time)(struct timer *))
{
    memset(t, 0, sizeof *t);
    t->loop = l;
    t->on_time = on_time;
}

static void arm(struct timer *t, int64_t at_ns)
{
    t->armed_ns = at_ns != 0 && at_ns < t->loop->now_ns ? t->loop->now_ns : at_ns;
    t->loop->ops->timer_set(t, at_ns);
}

void timer_aim(struct timer *t, int64_t at_ns)
{
    t->due_ns = at_ns > 0 ? at_ns : 1;
    if (t->armed_ns == 0 || t->due_ns < t->armed_ns)
        arm(t, t->due_ns);
}

void timer_in_ms(struct timer *t, int64_t ms)
{
    timer_aim(t, t->loop->now_ns + ms * NS_PER_MS);
}

void timer_at_once(struct timer *t)
{
    t->due_ns = AT_ONCE;
    if (t->armed_ns == 0 || t->armed_ns > t->loop->now_ns)
        arm(t, t->loop->now_ns > 0 ? t->loop->now_ns : 1);
}

void timer_stop(struct timer *t)
{
    t->due_ns = 0;
    if (t->armed_ns != 0)
        arm(t, 0);
}

void timer_rest(struct timer *t)
{
    t->due_ns = 0;
}

void timer_fired(struct timer *t)
{
    int64_t now = t->loop->now_ns;
    bool stopped = now - t->armed_ns >= STOPPED_NS;
    t->armed_ns = 0;
    if (t->due_ns > now) {
        arm(t, t->due_ns);
    } else if (t->due_ns > AT_ONCE && stopped) {
        timer_aim(t, now + GRACE_NS);
    } else if (t->due_ns != 0) {
        t->due_ns = 0;
        t->on_time(t);
    }
}

void task_init(struct task *t, void (*run)(struct task *))
{
    list_init(&t->link);
    t->run = run;
}

void task_post(struct loop *l, struct task *t)
{
    if (list_empty(&t->link))
        list_append(&l->tasks, &t->link);
}

void task_post_last(struct loop *l, struct task *t)
{
    if (list_empty(&t->link))
        list_append(&l->last, &t->link);
}

void task_cancel(struct task *t)
{
    list_remove(&t->link);
}

void loop_init_tasks(struct loop *l)
{
    list_init(&l->tasks);
    list_init(&l->last);
}

bool loop_has_tasks(const struct loop *l)
{
    return !list_empty(&l->tasks) || !list_empty(&l->last);
}

static void run_first(struct link *tasks)
{
    struct task *t = container_of(tasks->next, struct task, link);
    list_remove(&t->link);
    t->run(t);
}

/* Those that are in the list now, and none that they add. */
static void run_posted(struct link *tasks)
{
    struct link now;
    list_init(&now);
    list_move(tasks, &now);
    while (!list_empty(&now))
        run_first(&now);
}

void loop_settle(struct loop *l)
{
    run_posted(&l->tasks);
}

/* Of the last ones each has its time in any case. */
void loop_run_tasks(struct loop *l)
{
    int round = 0;
    do {
        for (; round < TASK_ROUNDS && !list_empty(&l->tasks); round++)
            run_first(&l->tasks);
        run_posted(&l->last);
        round++;
    } while (round < TASK_ROUNDS && loop_has_tasks(l));
}
