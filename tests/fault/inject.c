/* inject: a library for LD_PRELOAD that makes the C library's calls fail as a kernel may
 * (RELIABILITY section 8: F15, F17, F18, F33), take long, or tell another time (F27). What fails is
 * said by a small file, named by the environment's INJECT, which is mapped: a test changes it while
 * the program runs. Numbers are of 32 bits each, in the order of `struct faults`; 0 is no fault. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct faults {
    _Atomic uint32_t one_byte;     /* recv and send move one byte each */
    _Atomic uint32_t interrupt;    /* one call in n is interrupted (EINTR) */
    _Atomic uint32_t again;        /* one recv or send in n says EAGAIN */
    _Atomic uint32_t accept_error; /* what accept4, socket, connect, write to a file fail with */
    _Atomic uint32_t socket_error;
    _Atomic uint32_t connect_error;
    _Atomic uint32_t write_error;
    _Atomic uint32_t sync_ms;  /* what fsync takes more: a slow disk */
    _Atomic int32_t wall_s;    /* how far the wall clock has been set (F27) */
    _Atomic uint32_t injected; /* how many calls were treated so */
    _Atomic uint32_t calls;
};

static struct faults *_Atomic shared;

static struct faults *faults(void)
{
    static struct faults none;
    struct faults *f = atomic_load(&shared);
    if (f != NULL)
        return f;
    const char *path = getenv("INJECT");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at =
        fd >= 0 ? mmap(NULL, sizeof *f, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (fd >= 0)
        close(fd);
    atomic_store(&shared, at == MAP_FAILED ? &none : at);
    return atomic_load(&shared);
}

/* True for one call in n, in no rhythm that those of a loop could have. */
static int due(const _Atomic uint32_t *every, uint32_t call)
{
    uint32_t n = atomic_load(every);
    if (n == 0 || (call * UINT32_C(2654435761) >> 16) % n != 0)
        return 0;
    atomic_fetch_add(&faults()->injected, 1);
    return 1;
}

static int fails(const _Atomic uint32_t *with)
{
    uint32_t error = atomic_load(with);
    if (error == 0)
        return 0;
    atomic_fetch_add(&faults()->injected, 1);
    errno = (int)error;
    return 1;
}

static int disturbed(int may_wait)
{
    struct faults *f = faults();
    uint32_t call = atomic_fetch_add(&f->calls, 1);
    int error = due(&f->interrupt, call)               ? EINTR
                : may_wait && due(&f->again, call + 1) ? EAGAIN
                                                       : 0;
    errno = error != 0 ? error : errno;
    return error != 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t recv(int fd, void *into, size_t n, int flags)
{
    if (disturbed(1))
        return -1;
    size_t most = atomic_load(&faults()->one_byte) != 0 && n > 1 ? 1 : n;
    return REAL(recv)(fd, into, most, flags);
}

ssize_t send(int fd, const void *from, size_t n, int flags)
{
    if (disturbed(1))
        return -1;
    size_t most = atomic_load(&faults()->one_byte) != 0 && n > 1 ? 1 : n;
    return REAL(send)(fd, from, most, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    if (disturbed(1))
        return -1;
    if (atomic_load(&faults()->one_byte) == 0 || m->msg_controllen != 0)
        return REAL(sendmsg)(fd, m, flags);
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        if (m->msg_iov[i].iov_len > 0)
            return REAL(send)(fd, m->msg_iov[i].iov_base, 1, flags);
    }
    return 0;
}

/* The clock that people set, for everybody who reads it: ourselves, libev, OpenSSL. The kernel is
 * asked by itself, since the sanitizers' libraries read clocks before ours can look anything up. */
static int tell_time(clockid_t id, struct timespec *out)
{
    long e = REAL(syscall)(SYS_clock_gettime, id, out);
    bool wall = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE;
    if (e == 0 && wall)
        out->tv_sec += atomic_load(&faults()->wall_s);
    return (int)e;
}

int clock_gettime(clockid_t id, struct timespec *out)
{
    return tell_time(id, out);
}

time_t time(time_t *out)
{
    struct timespec t = {0};
    (void)tell_time(CLOCK_REALTIME, &t);
    if (out != NULL)
        *out = t.tv_sec;
    return t.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec t = {0};
    int e = tell_time(CLOCK_REALTIME, &t);
    (void)zone;
    *out = (struct timeval){.tv_sec = t.tv_sec, .tv_usec = t.tv_nsec / 1000};
    return e;
}

/* What the sockets of connections are read and written with (lb/net/sock.c). */
long syscall(long number, ...)
{
    long a[6];
    va_list ap;
    va_start(ap, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    switch (number) {
    case SYS_recvfrom:
        return recv((int)a[0], (void *)a[1], (size_t)a[2], (int)a[3]);
    case SYS_sendto:
        return send((int)a[0], (const void *)a[1], (size_t)a[2], (int)a[3]);
    case SYS_sendmsg:
        return sendmsg((int)a[0], (const struct msghdr *)a[1], (int)a[2]);
    case SYS_clock_gettime:
        return tell_time((clockid_t)a[0], (struct timespec *)a[1]);
    default:
        return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
}

/* The control socket of a program is left alone. */
static int is_local(int fd)
{
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    return getsockname(fd, (struct sockaddr *)&at, &size) == 0 && at.ss_family == AF_UNIX;
}

int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict size, int flags)
{
    if (disturbed(0))
        return -1;
    return !is_local(fd) && fails(&faults()->accept_error)
               ? -1
               : REAL(accept4)(fd, address, size, flags);
}

int socket(int domain, int type, int protocol)
{
    return domain != AF_UNIX && fails(&faults()->socket_error)
               ? -1
               : REAL(socket)(domain, type, protocol);
}

int connect(int fd, const struct sockaddr *to, socklen_t size)
{
    return to->sa_family != AF_UNIX && fails(&faults()->connect_error)
               ? -1
               : REAL(connect)(fd, to, size);
}

ssize_t write(int fd, const void *from, size_t n)
{
    struct stat st;
    struct faults *f = faults();
    if (fd > STDERR_FILENO && atomic_load(&f->write_error) != 0 && fstat(fd, &st) == 0 &&
        S_ISREG(st.st_mode) && fails(&f->write_error))
        return -1;
    return REAL(write)(fd, from, n);
}

int fsync(int fd)
{
    uint32_t ms = atomic_load(&faults()->sync_ms);
    if (ms != 0)
        usleep(ms * 1000);
    return REAL(fsync)(fd);
}
