#include "net/listener.h"

#include "base/mem.h"
#include "net/sock.h"

#include <errno.h>

/* Connections taken in one event, so that accepting does not starve those already here. */
#define BATCH 16
/* What listener_stop takes at most: the kernel's backlog. */
#define DRAIN 4096
/* How long accepting rests when descriptors ran out (RELIABILITY section 5). */
#define PAUSE_MS 100

struct listener {
    /* set once */
    struct loop *loop;
    listener_on_accept on_accept;
    void *user;
    /* owner thread */
    struct io io;
    struct timer rest;
    bool paused;   /* by the owner */
    bool gone;     /* stopped by the owner from inside on_accept */
    bool in_event; /* listener_stop must leave the memory to on_ready */
};

static enum err why_not(int r)
{
    return r >= 0 ? ERR_OK : err_from_errno(-r);
}

enum err listener_open(const struct addr *at, bool reuse_port, int *fd)
{
    int r = sock_listen(at, reuse_port);
    if (r >= 0)
        *fd = r;
    return why_not(r);
}

enum err listener_share(int fd)
{
    return why_not(sock_share_port(fd));
}

static void set_interest(struct listener *l)
{
    bool resting = l->rest.due_ns != 0;
    io_want(&l->io, l->paused || resting || l->gone ? 0 : IO_READ);
}

/* One connection; false where there will be no more now. */
static bool accept_one(struct listener *l)
{
    struct addr peer;
    int fd = l->loop->ops->sock_accept(l->loop, l->io.fd, &peer);
    switch (fd < 0 ? -fd : 0) {
    case 0:
        if (!l->on_accept(l->user, fd, &peer))
            l->paused = true;
        return !l->paused;
    case ECONNABORTED: /* it left while it waited */
    case EPROTO:
        return true;
    case EAGAIN:
        return false;
    default: /* no descriptor, no memory, or what else may last: the loop must not spin (F15) */
        timer_in_ms(&l->rest, PAUSE_MS);
        return false;
    }
}

static void accept_batch(struct listener *l, int most)
{
    for (int i = 0; i < most && accept_one(l); i++)
        continue;
}

static void on_ready(struct io *io, unsigned events)
{
    struct listener *l = container_of(io, struct listener, io);
    (void)events;
    l->in_event = true;
    accept_batch(l, BATCH);
    l->in_event = false;
    set_interest(l);
    if (l->gone)
        mem_free(l);
}

static void on_rested(struct timer *t)
{
    set_interest(container_of(t, struct listener, rest));
}

enum err listener_start(struct loop *loop, int fd, listener_on_accept on_accept, void *user,
                        struct listener **out)
{
    struct listener *l = mem_alloc(sizeof *l);
    if (l == NULL)
        return ERR_NO_MEMORY;
    l->loop = loop;
    l->on_accept = on_accept;
    l->user = user;
    io_init(&l->io, loop, fd, on_ready);
    timer_init(&l->rest, loop, on_rested);
    set_interest(l);
    *out = l;
    return ERR_OK;
}

void listener_stop(struct listener **listener)
{
    struct listener *l = *listener;
    *listener = NULL;
    if (l == NULL)
        return;
    if (!l->in_event && !l->paused)
        accept_batch(l, DRAIN);
    timer_stop(&l->rest);
    l->gone = true;
    l->paused = true;
    set_interest(l);
    if (!l->in_event)
        mem_free(l);
}

void listener_pause(struct listener *l)
{
    l->paused = true;
    if (!l->in_event)
        set_interest(l);
}

void listener_resume(struct listener *l)
{
    l->paused = false;
    if (!l->in_event)
        set_interest(l);
}
