/* loop: time, events and sockets behind one small table (RELIABILITY A2). Production is loop_ev.c
 * (libev, epoll); the tests bring a second implementation with a simulated clock and network.
 * Nothing above this table calls libev, reads a clock or touches a socket. It must not know what
 * the bytes mean. A loop belongs to one thread; only wake_send may be called from another. */
#ifndef MERIDIAN_NET_LOOP_H
#define MERIDIAN_NET_LOOP_H

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/str.h"
#include "net/addr.h"

#include <stdatomic.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { IO_READ = 1, IO_WRITE = 2 };

struct loop;

/* Bytes that an implementation has in each of what follows: a watcher of libev. */
#define LOOP_IMPL 48

/* One descriptor watched. Zero it, set fd and on_ready, then io_want. */
struct io {
    void (*on_ready)(struct io *io, unsigned events); /* IO_READ | IO_WRITE */
    struct loop *loop;
    int fd;
    unsigned events; /* what is asked for now */
    union {
        void *align;
        char space[LOOP_IMPL];
    } impl;
};

/* One deadline. timer_aim is cheap when the deadline only moves later: the watcher stays where it
 * is and is re-armed when it fires too early. */
struct timer {
    void (*on_time)(struct timer *t);
    struct loop *loop;
    int64_t due_ns;   /* 0: stopped */
    int64_t armed_ns; /* when the watcher is to fire; 0: it is not armed */
    union {
        void *align;
        char space[LOOP_IMPL];
    } impl;
};

/* Wakes the loop from another thread; sends coalesce, so queue beside it and drain all. */
struct wake {
    void (*on_wake)(struct wake *w);
    struct loop *loop;
    union {
        void *align;
        char space[LOOP_IMPL];
    } impl;
};

/* Work for the end of the present loop turn, before the next wait; runs once per post. */
struct task {
    struct link link; /* list_init before first use */
    void (*run)(struct task *t);
};

struct loop_ops {
    void (*io_set)(struct io *io, unsigned events);    /* 0 stops it; before close */
    void (*timer_set)(struct timer *t, int64_t at_ns); /* monotonic; 0 stops it */
    enum err (*wake_start)(struct wake *w);
    void (*wake_stop)(struct wake *w);
    void (*wake_send)(struct wake *w); /* any thread */
    void (*run)(struct loop *l);       /* until loop_stop */
    void (*stop)(struct loop *l);
    void (*destroy)(struct loop *l);
    int64_t (*wall_ns)(struct loop *l);
    bool (*turn_spent)(struct loop *l); /* whether it has lasted LOOP_TURN_MOST_NS */
    /* Sockets: non-blocking and close-on-exec always. Results are >= 0 or a negated errno value. */
    int (*sock_new)(struct loop *l, int family);
    int (*sock_listen)(struct loop *l, const struct addr *at, bool reuse_port);
    void (*sock_quick_ack)(struct loop *l, int fd, bool on); /* net/sock.h */
    int (*sock_connect)(struct loop *l, int fd, const struct addr *to);
    int (*sock_error)(struct loop *l, int fd); /* SO_ERROR, 0 or negated */
    int (*sock_accept)(struct loop *l, int fd, struct addr *peer);
    int (*sock_local)(struct loop *l, int fd, struct addr *out);
    ssize_t (*sock_recv)(struct loop *l, int fd, void *into, size_t n);
    ssize_t (*sock_send)(struct loop *l, int fd, const struct iovec *iov, int count);
    int (*sock_shutdown)(struct loop *l, int fd); /* the writing half */
    bool (*sock_heard)(struct loop *l, int fd);   /* net/sock.h */
    void (*sock_close)(struct loop *l, int fd, bool reset);
};

/* P1, C1: after this time what is ready still goes on in the next turn. */
#define LOOP_TURN_MOST_NS (10 * NS_PER_MS)

/* How long turns have lasted. One writer, read by any thread. */
#define LOOP_TURN_BUCKETS 5
extern const uint32_t loop_turn_ms[LOOP_TURN_BUCKETS - 1]; /* upper ends; the last is all above */

struct loop_turns {
    _Atomic uint64_t bucket[LOOP_TURN_BUCKETS];
    _Atomic uint64_t sum_ns;
};

struct loop {
    const struct loop_ops *ops;
    int64_t now_ns;    /* monotonic, read once per turn */
    struct link tasks; /* of struct task */
    struct link last;  /* the same, for when no other task is left */
    int64_t turn_start_ns;
    int64_t longest_turn_ns;
    uint64_t turns;
    unsigned turn_events; /* what the present turn began with */
    struct loop_turns turn_times;
    /* Odd while a turn runs, even while the loop waits. Written by the owner, read by any thread.
     */
    _Atomic uint64_t phase;
    /* What other threads need of the process's descriptors: this loop's sockets stay below. 0: no
     * bound. -EMFILE where they would not. */
    int descriptors_most;
    int descriptor_last; /* of the last socket */
    /* The wall clock as HTTP writes it, made anew once a second (loop_date). */
    int64_t date_until_ns;
    char date[29];
    /* And as it was first asked for in a turn (loop_wall_ns, loop_stamp). 0: not yet. */
    int64_t wall_ns, wall_at_ns;
    struct clock_stamp stamp;
    /* Open sockets of connections. Written by the owner, read by any thread. */
    _Atomic uint32_t sockets;
};

/* For implementations: a turn has lasted so long. */
void loop_turn_ended(struct loop *l, int64_t took_ns);

/* The libev loop. ERR_NO_MEMORY, ERR_NO_DESCRIPTOR. */
MUST_CHECK
enum err loop_ev_new(struct loop **out);
void loop_free(struct loop **l);
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

static inline int64_t loop_now_ns(const struct loop *l)
{
    return l->now_ns;
}
static inline int64_t loop_now_ms(const struct loop *l)
{
    return l->now_ns / NS_PER_MS;
}

/* The present second as Date has it (RFC 9110 section 5.6.7); holds until the next call. */
struct span loop_date(struct loop *l);

/* The wall clock, read once per turn. */
int64_t loop_wall_ns(struct loop *l);
/* The same as RFC 3339 has it, 24 bytes; holds until the next call. */
const char *loop_stamp(struct loop *l);

/* Interest of one descriptor; no system call where nothing changes. */
void io_init(struct io *io, struct loop *l, int fd, void (*on_ready)(struct io *, unsigned));
void io_want(struct io *io, unsigned events);

void timer_init(struct timer *t, struct loop *l, void (*on_time)(struct timer *));
/* at_ns: monotonic; a deadline in the past fires in this or the next turn. */
void timer_aim(struct timer *t, int64_t at_ns);
void timer_in_ms(struct timer *t, int64_t ms);
/* In the next turn: no deadline of anybody's, which would have its grace where the process had been
 * stopped (timer_fired). */
void timer_at_once(struct timer *t);
/* Before its memory goes. */
void timer_stop(struct timer *t);
/* As timer_stop, but the watcher stays where it is and fires once without effect: for timers that
 * are aimed again soon, which then costs nothing either. */
void timer_rest(struct timer *t);
/* For implementations: the watcher fired; calls on_time or re-arms, also where the loop had been
 * stopped for long (F27): then what has come meanwhile comes first. */
void timer_fired(struct timer *t);

void task_init(struct task *t, void (*run)(struct task *));
/* At the end of this turn; posting twice before it runs is once. Own thread only. */
void task_post(struct loop *l, struct task *t);
/* Behind all other tasks of the turn, those included that they post. */
void task_post_last(struct loop *l, struct task *t);
void task_cancel(struct task *t);
/* Between two events, where nobody is inside of anything: runs what is posted already, as if the
 * turn ended here, but neither what that posts nor what is to be last. */
void loop_settle(struct loop *l);
/* For implementations: runs what is posted; tasks posted meanwhile run too, bounded by 1,000
 * rounds. */
void loop_run_tasks(struct loop *l);
/* For implementations: none is posted yet. */
void loop_init_tasks(struct loop *l);
/* Whether some are left for the next turn. */
bool loop_has_tasks(const struct loop *l);

#endif
