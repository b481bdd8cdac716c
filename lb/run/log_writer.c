#include "run/log_writer.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "run/line_ring.h"
#include "run/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS  (20 * NS_PER_MS) /* how often the rings are looked at */
#define FLUSH_NS (2 * NS_PER_S)

struct log_writer {
    /* set once */
    char *path;
    unsigned workers;
    pthread_t thread;
    /* writer thread */
    int fd;
    bool torn; /* the last line in the file has no end: the rest of it was lost */
    /* shared, atomic */
    _Atomic bool ending, reopen;
    _Atomic uint64_t lost;
    struct line_rings *rings;
};

static bool is_standard(const char *path)
{
    return strcmp(path, "stdout") == 0 || strcmp(path, "stderr") == 0;
}

static int open_path(const char *path)
{
    if (strcmp(path, "stdout") == 0)
        return STDOUT_FILENO;
    if (strcmp(path, "stderr") == 0)
        return STDERR_FILENO;
    /* A pipe that nobody reads is refused here; else it would be waited for. */
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
    int flags = fd >= 0 ? fcntl(fd, F_GETFL) : -1;
    if (flags >= 0)
        (void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    return fd;
}

static void close_path(const struct log_writer *w)
{
    if (w->fd >= 0 && !is_standard(w->path))
        close(w->fd);
}

static void lose(struct log_writer *w, const char *p, size_t n)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += p[i] == '\n';
    atomic_fetch_add_explicit(&w->lost, lines, memory_order_relaxed);
}

/* Whatever comes next begins a line of its own. False: nothing can be written. */
static bool end_torn(struct log_writer *w)
{
    if (w->torn)
        w->torn = write(w->fd, "\n", 1) != 1;
    return !w->torn;
}

/* The bytes go in any case: a log that cannot be written is not kept for later. False: some were
 * lost, as are those that go on with what they began. */
static bool put_out(struct log_writer *w, const char *p, size_t n, int64_t until_ns)
{
    while (n != 0) {
        ssize_t put = write(w->fd, p, n);
        if (put < 0 && errno == EAGAIN && clock_mono_ns() < until_ns) {
            nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
            continue;
        }
        if (put < 0 && errno != EINTR) {
            lose(w, p, n);
            return false;
        }
        if (put > 0) {
            w->torn = p[put - 1] != '\n';
            p += put;
            n -= (size_t)put;
        }
    }
    return true;
}

static bool drain(struct log_writer *w, unsigned worker)
{
    struct span parts[2];
    int64_t until_ns = clock_mono_ns() + FLUSH_NS;
    size_t n = line_rings_peek(w->rings, worker, SIZE_MAX, parts);
    bool goes = n == 0 || end_torn(w);
    if (!goes)
        lose(w, parts[0].p, parts[0].n);
    goes = goes && put_out(w, parts[0].p, parts[0].n, until_ns);
    if (!goes)
        lose(w, parts[1].p, parts[1].n);
    else
        (void)put_out(w, parts[1].p, parts[1].n, until_ns);
    line_rings_taken(w->rings, worker, n);
    return n != 0;
}

static void reopen(struct log_writer *w)
{
    if (is_standard(w->path))
        return;
    int fd = open_path(w->path);
    if (fd < 0)
        return; /* the old file goes on */
    close_path(w);
    w->fd = fd;
    w->torn = false;
}

static void *run(void *arg)
{
    struct log_writer *w = arg;
    bool some = true, ending = false;
    (void)pthread_setname_np(pthread_self(), "log");
    (void)!sandbox_enter(SANDBOX_HELPER);
    while (!ending || some) {
        ending = atomic_load(&w->ending);
        if (atomic_exchange(&w->reopen, false))
            reopen(w);
        some = false;
        for (unsigned i = 0; i < w->workers; i++)
            some = drain(w, i) || some;
        if (!some && !ending)
            nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    return NULL;
}

static void release(struct log_writer *w)
{
    line_rings_free(&w->rings);
    close_path(w);
    mem_free(w->path);
    mem_free(w);
}

enum err log_writer_new(const char *path, unsigned workers, struct log_writer **out)
{
    struct log_writer *w = mem_alloc(sizeof *w);
    *out = NULL;
    if (w == NULL)
        return ERR_NO_MEMORY;
    w->workers = workers;
    w->fd = -1;
    w->path = mem_copy_str(path, strlen(path));
    enum err e =
        w->path != NULL ? line_rings_new(workers, LIMIT_LOG_RING, &w->rings) : ERR_NO_MEMORY;
    if (e == ERR_OK && (w->fd = open_path(path)) < 0)
        e = err_from_errno(errno);
    if (e == ERR_OK && pthread_create(&w->thread, NULL, run, w) != 0)
        e = ERR_SYSTEM;
    if (e != ERR_OK) {
        release(w);
        return e;
    }
    *out = w;
    return ERR_OK;
}

void log_writer_free(struct log_writer **wp)
{
    struct log_writer *w = *wp;
    *wp = NULL;
    if (w == NULL)
        return;
    atomic_store(&w->ending, true);
    int64_t until_ns = clock_mono_ns() + FLUSH_NS;
    while (pthread_tryjoin_np(w->thread, NULL) != 0) {
        if (clock_mono_ns() >= until_ns)
            return; /* it hangs in a write and needs its memory; the process ends anyway */
        nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
    }
    release(w);
}

void log_writer_reopen(struct log_writer *w)
{
    if (w != NULL)
        atomic_store(&w->reopen, true);
}

uint64_t log_writer_take_lost(struct log_writer *w)
{
    return atomic_exchange_explicit(&w->lost, 0, memory_order_relaxed);
}

bool log_writer_put(struct log_writer *w, unsigned worker, struct span line)
{
    return line_rings_put(w->rings, worker, line);
}
