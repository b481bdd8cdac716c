#include "run/upgrade.h"

#include "base/limits.h"
#include "base/mem.h"
#include "run/balancer.h"
#include "run/handover.h"
#include "run/spawn.h"
#include "run/totals.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LATE_MS    30000   /* a new process that is not ready by then is ended (F26) */
#define TRIAL_MS   1000    /* what dies of its first requests mostly does so by then */
#define STATE_MOST MIB(64) /* of the handover's text */

#define NAME_STATE   "meridian.state"
#define NAME_READY   "meridian.ready"
#define NAME_CONTROL "meridian.control"
#define NAME_HTTP    "meridian.http"
/* Of processes further back. */
#define NAME_REST  "meridian.rest"
#define NAME_ALIVE "meridian.alive"

/* What the new process says, one byte each: that it serves, and that it ends by order. */
#define SAID_SERVES '1'
#define SAID_STOPS  '0'

struct side {
    struct handover h;
    struct handover_total totals[TOTALS_MOST];
};

static void side_of(struct balancer *b, struct side *s)
{
    s->h = (struct handover){
        .tickets = b->tickets,
        .registry = b->registry,
        .stats = &b->stats,
        .names = &b->names,
        .orders = &b->orders,
        .totals = s->totals,
        .total_count = totals_of(b, s->totals),
        .turns_before = &b->totals.turns,
    };
    totals_turns(b, &s->h.turns);
}

void upgrade_init(struct balancer *b)
{
    struct takeover *u = &b->upgrade;
    ssize_t n = readlink("/proc/self/exe", u->program, sizeof u->program - 1);
    u->program[n > 0 ? n : 0] = '\0';
    u->tell = -1;
    buf_init(&u->inherited, STATE_MOST);
}

/* --- the new process --- */

static void read_all(int fd, struct buf *to)
{
    ssize_t n = 1;
    off_t at = 0;
    while (n > 0 && buf_reserve(to, KIB(64))) {
        n = pread(fd, to->p + to->n, KIB(64), at);
        to->n += n > 0 ? (size_t)n : 0;
        at += n > 0 ? n : 0;
    }
}

static void on_earlier_ended(struct io *io, unsigned events);

/* Whether there was one. */
static bool take_earlier(struct balancer *b, struct span state, struct span alive)
{
    struct takeover *u = &b->upgrade;
    if (u->earlier_count == UPGRADE_EARLIER)
        return false;
    struct earlier *e = &u->earlier[u->earlier_count];
    int told = sockets_take(&b->sockets, state);
    int end = sockets_take(&b->sockets, alive);
    if (end < 0) {
        if (told >= 0)
            close(told);
        return false;
    }
    *e = (struct earlier){.balancer = b, .told = told};
    io_init(&e->alive, b->loop, end, on_earlier_ended);
    u->earlier_count++;
    return true;
}

void upgrade_inherit(struct balancer *b)
{
    struct takeover *u = &b->upgrade;
    u->ready = take_earlier(b, SPAN(NAME_STATE), SPAN(NAME_READY));
    while (take_earlier(b, SPAN(NAME_REST), SPAN(NAME_ALIVE)))
        continue;
    b->control_fd = sockets_take(&b->sockets, SPAN(NAME_CONTROL));
    b->http_fd = sockets_take(&b->sockets, SPAN(NAME_HTTP));
    if (!u->ready || u->earlier[0].told < 0)
        return;
    read_all(u->earlier[0].told, &u->inherited);
    handover_read_tickets(b->tickets, buf_span(&u->inherited));
    handover_read_names(&b->names, buf_span(&u->inherited));
    orders_read(&b->orders, buf_span(&u->inherited));
}

/* The file stays, its secrets do not. */
static void wipe_secrets(int file, struct span text)
{
    struct span line;
    (void)span_cut(text, '\n', &line);
    for (size_t i = 0; i < line.n; i++)
        (void)!pwrite(file, " ", 1, (off_t)i);
}

void upgrade_take_state(struct balancer *b)
{
    struct side side;
    struct buf *text = &b->upgrade.inherited;
    if (buf_len(text) == 0)
        return;
    side_of(b, &side);
    handover_read(&side.h, buf_span(text));
    wipe_secrets(b->upgrade.earlier[0].told, buf_span(text));
    mem_wipe(text->p, text->n);
    buf_fini(text);
}

/* What it counted while it drained; nothing where it was killed. Whoever wrote the file has left
 * its offset after what was told at the start. */
static void count_rest(struct balancer *b, int file)
{
    struct side side;
    struct buf text;
    off_t told = lseek(file, 0, SEEK_CUR);
    buf_init(&text, 2 * STATE_MOST);
    read_all(file, &text);
    if (told > 0 && buf_len(&text) > (size_t)told) {
        side_of(b, &side);
        handover_count(&side.h, span_sub(buf_span(&text), 0, (size_t)told), true);
        handover_count(&side.h, span_sub(buf_span(&text), (size_t)told, buf_len(&text)), false);
    }
    buf_fini(&text);
}

static void forget_earlier(struct earlier *e)
{
    io_want(&e->alive, 0);
    close(e->alive.fd);
    if (e->told >= 0)
        close(e->told);
    e->told = e->alive.fd = -1;
}

static void on_earlier_ended(struct io *io, unsigned events)
{
    struct earlier *e = container_of(io, struct earlier, alive);
    (void)events;
    if (e->told >= 0)
        count_rest(e->balancer, e->told);
    forget_earlier(e);
}

/* want: IO_READ; nothing is read: the other end is closed. 0: not for now. */
static void watch_earlier(struct takeover *u, unsigned want)
{
    for (size_t i = 0; i < u->earlier_count; i++) {
        if (u->earlier[i].alive.fd >= 0)
            io_want(&u->earlier[i].alive, want);
    }
}

static void forget_all_earlier(struct takeover *u)
{
    for (size_t i = 0; i < u->earlier_count; i++) {
        if (u->earlier[i].alive.fd >= 0)
            forget_earlier(&u->earlier[i]);
    }
    u->earlier_count = 0;
}

/* Nobody reads it any more where that process has ended. */
static void say(const struct earlier *to, char what)
{
    if (to->alive.fd >= 0)
        (void)!write(to->alive.fd, &what, 1);
}

void upgrade_ready(struct balancer *b)
{
    struct takeover *u = &b->upgrade;
    if (u->ready)
        say(&u->earlier[0], SAID_SERVES);
    watch_earlier(u, IO_READ);
    /* After an upgrade the one before says who the main process is, when the trial is over. */
    if (u->ready)
        service_notify("STATUS=serving, generation 1");
    else
        service_notify("READY=1\nSTATUS=serving, generation 1\nMAINPID=%d", (int)getpid());
}

void upgrade_stopping(struct balancer *b)
{
    for (size_t i = 0; i < b->upgrade.earlier_count; i++)
        say(&b->upgrade.earlier[i], SAID_STOPS);
}

/* --- the old one --- */

static void forget_child(struct takeover *u)
{
    timer_stop(&u->late);
    io_want(&u->answer, 0);
    u->next = (struct spawned){0};
    u->on_trial = false;
}

static void hang_up(struct takeover *u)
{
    close(u->answer.fd);
    close(u->tell);
    u->tell = -1;
}

bool upgrade_runs(const struct balancer *b)
{
    return b->upgrade.next.child != 0;
}

void upgrade_reload_later(struct balancer *b)
{
    b->upgrade.reload = true;
    log_event(b->log, LOG_INFO, "reload-waits", "reason=upgrade");
}

static void refused(struct balancer *b, const char *why, int status)
{
    struct takeover *u = &b->upgrade;
    bool reload = u->reload;
    log_event(b->log, LOG_ERROR, "upgrade-failed", "reason=%s status=%d effect=\"%s\"", why, status,
              "this process goes on; what the new one said is above");
    service_notify("READY=1\nSTATUS=generation %llu; the last upgrade failed",
                   (unsigned long long)b->generation);
    watch_earlier(u, IO_READ);
    u->reload = false;
    if (reload)
        balancer_reload(b, NULL);
}

static void child_failed(struct balancer *b, const char *why)
{
    struct takeover *u = &b->upgrade;
    kill(u->next.minder, SPAWN_KILL); /* it has ended, or is to end: nothing waits for long */
    int status = spawn_wait(u->next.minder);
    forget_child(u);
    hang_up(u);
    admin_pause(b->admin, false);
    refused(b, why, status);
}

/* Those that the new process does not know hear of its end no more, and would take ours for it. */
static void tell_left_out(struct takeover *u)
{
    for (size_t i = 0; i < u->earlier_count; i++)
        if (u->earlier[i].left_out)
            say(&u->earlier[i], SAID_STOPS);
}

/* The new process is the service from now on. */
static void hand_over(struct balancer *b)
{
    struct takeover *u = &b->upgrade;
    int pid = (int)u->next.child;
    if (u->reload)
        kill(u->next.child, SIGHUP);
    kill(u->next.minder, SIGKILL); /* the service manager is its parent from now on */
    (void)spawn_wait(u->next.minder);
    forget_child(u);
    u->done = true;
    io_want(&u->answer, IO_READ);
    tell_left_out(u);
    forget_all_earlier(u);
    sockets_handed_over(&b->sockets);
    admin_yield(b->admin);
    service_notify("READY=1\nMAINPID=%d", pid);
    log_event(b->log, LOG_INFO, "upgraded", "pid=%d effect=\"this process drains\"", pid);
}

/* Both serve: while it lasts this one can still go on as if nothing had been, which a process that
 * drains cannot. What an operator says is for the new one already. */
static void begin_trial(struct balancer *b)
{
    b->upgrade.on_trial = true;
    admin_pause(b->admin, true);
    timer_in_ms(&b->upgrade.late, TRIAL_MS);
}

/* A service manager starts another one, but waits before for all that drains here (G5). */
static void successor_died(struct balancer *b)
{
    io_want(&b->upgrade.answer, 0);
    log_event(b->log, LOG_ERROR, "successor-ended", "effect=\"%s\"",
              service_present() ? "this process ends too, so that another one is started"
                                : "nobody serves; this process drains on");
    if (service_present())
        balancer_stop(b, true);
}

/* While this process drains: whether those that came after it still serve. */
static void hear_successor(struct balancer *b)
{
    char said = 0;
    ssize_t n = read(b->upgrade.answer.fd, &said, 1);
    if (n == 1 && said == SAID_STOPS)
        io_want(&b->upgrade.answer, 0);
    else if (n == 0)
        successor_died(b);
}

/* Who stops the new one means the service. */
static void stop_with_successor(struct balancer *b)
{
    balancer_stop(b, false);
    io_want(&b->upgrade.answer, 0);
}

static void hear(struct balancer *b)
{
    char said = 0;
    ssize_t n = read(b->upgrade.answer.fd, &said, 1);
    if (n == 1 && said == SAID_SERVES)
        begin_trial(b);
    else if (n == 1 && said == SAID_STOPS && b->upgrade.on_trial)
        stop_with_successor(b);
    else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        child_failed(b, b->upgrade.on_trial ? "ended-early" : "ended");
}

static void on_answer(struct io *io, unsigned events)
{
    struct balancer *b = container_of(io, struct balancer, upgrade.answer);
    (void)events;
    if (b->upgrade.done)
        hear_successor(b);
    else
        hear(b);
}

static void on_late(struct timer *t)
{
    struct balancer *b = container_of(t, struct balancer, upgrade.late);
    if (b->upgrade.on_trial)
        balancer_stop(b, false);
    else
        child_failed(b, "not-ready-in-time");
}

/* An anonymous file that no path leads to: it holds keys. */
static int state_file(struct balancer *b)
{
    struct side side;
    struct buf text;
    int fd = memfd_create("meridian-state", MFD_CLOEXEC);
    buf_init(&text, STATE_MOST);
    side_of(b, &side);
    handover_write(&side.h, &text);
    bool whole = fd >= 0 && !text.failed && write(fd, text.p, text.n) == (ssize_t)text.n;
    if (buf_len(&text) != 0)
        mem_wipe(text.p, text.n);
    buf_fini(&text);
    if (whole || fd < 0)
        return fd;
    close(fd);
    return -1;
}

/* The next process waits for them in our place, so that nothing is lost where we end first. */
static void pass_earlier_on(struct balancer *b, struct spawn *s)
{
    struct takeover *u = &b->upgrade;
    size_t left = UPGRADE_EARLIER - 1; /* besides this one */
    watch_earlier(u, 0);
    for (size_t i = 0; i < u->earlier_count; i++) {
        struct earlier *e = &u->earlier[i];
        if (e->alive.fd < 0)
            continue;
        e->left_out = e->told < 0 || left == 0;
        if (e->left_out) {
            log_event(b->log, LOG_WARN, "counts-left", "effect=\"%s\"",
                      "what the oldest draining process still counts will be in no metric");
            continue;
        }
        left--;
        spawn_give(s, e->told, SPAN(NAME_REST));
        spawn_give(s, e->alive.fd, SPAN(NAME_ALIVE));
    }
}

static enum err start(struct balancer *b, int state, const int pipe_fds[2])
{
    struct takeover *u = &b->upgrade;
    struct spawn s;
    spawn_init(&s);
    sockets_each(&b->sockets, spawn_give, &s);
    spawn_give(&s, state, SPAN(NAME_STATE));
    spawn_give(&s, pipe_fds[1], SPAN(NAME_READY));
    spawn_give(&s, admin_control_fd(b->admin), SPAN(NAME_CONTROL));
    spawn_give(&s, admin_http_fd(b->admin), SPAN(NAME_HTTP));
    pass_earlier_on(b, &s);
    enum err e = spawn_run(&s, u->program, b->options->argv, &u->next);
    spawn_fini(&s);
    return e;
}

void upgrade_begin(struct balancer *b)
{
    struct takeover *u = &b->upgrade;
    int pipe_fds[2], state;
    if (u->next.child != 0 || b->draining != 0) {
        log_event(b->log, LOG_WARN, "upgrade-refused", "reason=%s",
                  u->next.child != 0 ? "one-runs" : "draining");
        return;
    }
    if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) != 0) {
        refused(b, "no-descriptor", 0);
        return;
    }
    state = state_file(b);
    enum err e = state >= 0 ? start(b, state, pipe_fds) : ERR_NO_MEMORY;
    close(pipe_fds[1]);
    if (e != ERR_OK) {
        close(pipe_fds[0]);
        if (state >= 0)
            close(state);
        refused(b, err_name(e), 0);
        return;
    }
    log_event(b->log, LOG_INFO, "upgrading", "program=%s pid=%d", LOG_QUOTE(span_str(u->program)),
              (int)u->next.child);
    u->tell = state;
    io_init(&u->answer, b->loop, pipe_fds[0], on_answer);
    io_want(&u->answer, IO_READ);
    timer_init(&u->late, b->loop, on_late);
    timer_in_ms(&u->late, LATE_MS);
}

void upgrade_tell_rest(struct balancer *b)
{
    struct takeover *u = &b->upgrade;
    struct stat file;
    struct side side;
    struct buf text;
    if (!u->done || u->tell < 0 || fstat(u->tell, &file) != 0)
        return;
    side_of(b, &side);
    buf_init(&text, STATE_MOST);
    handover_write_counts(&side.h, &text);
    if (text.failed || pwrite(u->tell, text.p, text.n, file.st_size) != (ssize_t)text.n)
        (void)!ftruncate(u->tell, file.st_size);
    buf_fini(&text);
}

void upgrade_conclude(struct balancer *b)
{
    if (b->upgrade.next.child != 0 && !b->upgrade.on_trial)
        hear(b);
    if (b->upgrade.on_trial)
        hand_over(b);
    else if (b->upgrade.next.child != 0)
        child_failed(b, "stopped");
}

void upgrade_fini(struct balancer *b)
{
    struct takeover *u = &b->upgrade;
    assert(u->next.child == 0); /* whoever ends the loop has concluded it */
    buf_fini(&u->inherited);
    if (u->done)
        io_want(&u->answer, 0);
    if (u->tell >= 0)
        hang_up(u);
    forget_all_earlier(u);
}
