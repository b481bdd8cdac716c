#include "run/stall.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <signal.h>

#define TRACE_SIGNAL (SIGRTMIN + 2)

/* What the handler has of its thread: it is given nothing else. */
static _Thread_local struct stall *mine;

static void on_signal(int signal)
{
    struct stall *t = mine;
    int before = errno;
    (void)signal;
    if (t == NULL || atomic_load_explicit(&t->asked, memory_order_acquire) == 0)
        return;
    t->count = backtrace(t->frames, STALL_FRAMES);
    atomic_store_explicit(&t->taken, atomic_load_explicit(&t->loop->phase, memory_order_relaxed),
                          memory_order_release);
    errno = before;
}

enum err stall_prepare(void)
{
    struct sigaction on = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    void *frame;
    sigemptyset(&on.sa_mask);
    (void)backtrace(&frame, 1); /* loads what it needs now, not in the handler */
    return sigaction(TRACE_SIGNAL, &on, NULL) == 0 ? ERR_OK : ERR_SYSTEM;
}

void stall_begin(struct stall *t, const struct loop *loop)
{
    t->thread = pthread_self();
    t->loop = loop;
    mine = t;
    atomic_store_explicit(&t->there, true, memory_order_release);
}

/* Frames of the handler itself and of the kernel's way into it. */
enum { OWN_FRAMES = 2 };

static void put_frames(const struct stall *t, struct buf *out)
{
    for (int i = OWN_FRAMES; i < t->count; i++) {
        Dl_info at;
        if (dladdr(t->frames[i], &at) == 0 || at.dli_fname == NULL) {
            buf_printf(out, "%s%p", i > OWN_FRAMES ? " " : "", t->frames[i]);
            continue;
        }
        const char *slash = strrchr(at.dli_fname, '/');
        buf_printf(out, "%s%s+%#zx", i > OWN_FRAMES ? " " : "",
                   slash != NULL ? slash + 1 : at.dli_fname,
                   (size_t)((const char *)t->frames[i] - (const char *)at.dli_fbase));
    }
}

/* Whether the answer is there; it may come when the turn is over already. */
static bool answered(struct stall *t, uint64_t asked)
{
    if (t->told || atomic_load_explicit(&t->taken, memory_order_acquire) != asked)
        return false;
    t->told = true;
    return true;
}

bool stall_look(struct stall *t, struct buf *out)
{
    if (!atomic_load_explicit(&t->there, memory_order_acquire))
        return false;
    uint64_t asked = atomic_load_explicit(&t->asked, memory_order_relaxed);
    if (asked != 0 && answered(t, asked)) {
        put_frames(t, out);
        return true;
    }
    uint64_t phase = atomic_load_explicit(&t->loop->phase, memory_order_relaxed);
    uint64_t turn = phase % 2 == 1 ? phase : 0;
    if (turn != 0 && turn == t->seen && turn != asked) {
        atomic_store_explicit(&t->asked, turn, memory_order_release);
        t->told = pthread_kill(t->thread, TRACE_SIGNAL) != 0;
    }
    t->seen = turn;
    return false;
}
