#include "run/log_writer.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS  (20 * NS_PER_MS) /* how often the rings are looked at */
#define FLUSH_NS (2 * NS_PER_S)

/* One producer (a worker), one consumer (the writer); positions only grow. */
struct ring {
    _Alignas(64) _Atomic size_t written; /* the worker's */
    _Alignas(64) _Atomic size_t taken;   /* the writer's */
    char *bytes;
};

struct log_writer {
    /* set once */
    char *path;
    unsigned workers;
    size_t ring_size; /* a power of two */
    pthread_t thread;
    /* writer thread */
    int fd;
    /* shared, atomic */
    _Atomic bool ending, reopen;
    struct ring rings[];
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

/* The bytes go in any case: a log that cannot be written is not kept for later. */
static void put_out(const struct log_writer *w, const char *p, size_t n, int64_t until_ns)
{
    while (n != 0) {
        ssize_t put = write(w->fd, p, n);
        if (put < 0 && errno == EAGAIN && clock_mono_ns() < until_ns) {
            nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
            continue;
        }
        if (put < 0 && errno != EINTR)
            return;
        if (put > 0) {
            p += put;
            n -= (size_t)put;
        }
    }
}

static bool drain(struct log_writer *w, struct ring *r)
{
    size_t taken = atomic_load_explicit(&r->taken, memory_order_relaxed);
    size_t written = atomic_load_explicit(&r->written, memory_order_acquire);
    int64_t until_ns = clock_mono_ns() + FLUSH_NS;
    if (taken == written)
        return false;
    size_t from = taken & (w->ring_size - 1), n = written - taken;
    size_t first = n < w->ring_size - from ? n : w->ring_size - from;
    put_out(w, r->bytes + from, first, until_ns);
    put_out(w, r->bytes, n - first, until_ns);
    atomic_store_explicit(&r->taken, written, memory_order_release);
    return true;
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
}

static void *run(void *arg)
{
    struct log_writer *w = arg;
    bool some = true, ending = false;
    while (!ending || some) {
        ending = atomic_load(&w->ending);
        if (atomic_exchange(&w->reopen, false))
            reopen(w);
        some = false;
        for (unsigned i = 0; i < w->workers; i++)
            some = drain(w, &w->rings[i]) || some;
        if (!some && !ending)
            nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    return NULL;
}

static void release(struct log_writer *w)
{
    for (unsigned i = 0; i < w->workers; i++)
        mem_free(w->rings[i].bytes);
    close_path(w);
    mem_free(w->path);
    mem_free(w);
}

static size_t ring_size(unsigned workers)
{
    size_t n = KIB(64);
    while (n * 2 * workers <= LIMIT_LOG_RING)
        n *= 2;
    return n;
}

enum err log_writer_new(const char *path, unsigned workers, struct log_writer **out)
{
    size_t size = sizeof(struct log_writer) + workers * sizeof(struct ring);
    struct log_writer *w = mem_aligned(64, (size + 63) / 64 * 64);
    *out = NULL;
    if (w == NULL)
        return ERR_NO_MEMORY;
    w->workers = workers;
    w->ring_size = ring_size(workers);
    w->fd = -1;
    w->path = mem_copy_str(path, strlen(path));
    bool fine = w->path != NULL;
    for (unsigned i = 0; i < workers; i++) {
        w->rings[i].bytes = mem_alloc(w->ring_size);
        fine = fine && w->rings[i].bytes != NULL;
    }
    enum err e = fine ? ERR_OK : ERR_NO_MEMORY;
    if (fine && (w->fd = open_path(path)) < 0)
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
    struct timespec until;
    int64_t at = clock_wall_ns() + FLUSH_NS;
    until.tv_sec = at / NS_PER_S;
    until.tv_nsec = at % NS_PER_S;
    if (pthread_timedjoin_np(w->thread, NULL, &until) != 0)
        return; /* it hangs in a write and needs its memory; the process ends anyway */
    release(w);
}

void log_writer_reopen(struct log_writer *w)
{
    if (w != NULL)
        atomic_store(&w->reopen, true);
}

bool log_writer_put(struct log_writer *w, unsigned worker, struct span line)
{
    struct ring *r = &w->rings[worker];
    size_t written = atomic_load_explicit(&r->written, memory_order_relaxed);
    size_t taken = atomic_load_explicit(&r->taken, memory_order_acquire);
    if (w->ring_size - (written - taken) < line.n)
        return false;
    size_t at = written & (w->ring_size - 1);
    size_t first = line.n < w->ring_size - at ? line.n : w->ring_size - at;
    memcpy(r->bytes + at, line.p, first);
    memcpy(r->bytes, line.p + first, line.n - first);
    atomic_store_explicit(&r->written, written + line.n, memory_order_release);
    return true;
}
