#include "check.h"
#include "run/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* F34, S2: what a thread tries is refused by the kernel, not only not done. Each test plays in a
 * process of its own: a filter cannot be left. */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

struct attempt {
    const char *what;
    long call;
    long a, b, c, d;
    bool for_reports; /* a sanitizer's report needs it: allowed in such a build */
};

#define P(x) ((long)(x))
#define PAGE 4096L

static char *const no_arguments[] = {NULL};

/* Of every thread. */
static const struct attempt never[] = {
    {.what = "mount", .call = SYS_mount, .a = P("none"), .b = P("/tmp"), .c = P("tmpfs")},
    {.what = "umount2", .call = SYS_umount2, .a = P("/tmp")},
    {.what = "pivot_root", .call = SYS_pivot_root, .a = P("/tmp"), .b = P("/tmp")},
    {.what = "chroot", .call = SYS_chroot, .a = P("/tmp")},
    {.what = "setuid", .call = SYS_setuid, .a = 1},
    {.what = "setgid", .call = SYS_setgid, .a = 1},
    {.what = "setresuid", .call = SYS_setresuid, .a = 1, .b = 1, .c = 1},
    {.what = "setns", .call = SYS_setns, .a = -1},
    {.what = "unshare", .call = SYS_unshare, .a = CLONE_NEWNS},
    {.what = "bpf", .call = SYS_bpf},
    {.what = "perf_event_open", .call = SYS_perf_event_open},
    {.what = "userfaultfd", .call = SYS_userfaultfd},
    {.what = "io_uring_setup", .call = SYS_io_uring_setup, .a = 1},
    {.what = "keyctl", .call = SYS_keyctl},
    {.what = "add_key", .call = SYS_add_key},
    {.what = "init_module", .call = SYS_init_module},
    {.what = "kexec_load", .call = SYS_kexec_load},
    {.what = "reboot", .call = SYS_reboot},
    {.what = "swapon", .call = SYS_swapon, .a = P("/tmp/x")},
    {.what = "settimeofday", .call = SYS_settimeofday},
    {.what = "process_vm_writev", .call = SYS_process_vm_writev, .a = 1},
    {.what = "pidfd_getfd", .call = SYS_pidfd_getfd, .a = -1},
    {.what = "memory that is written and executed",
     .call = SYS_mmap,
     .b = PAGE,
     .c = PROT_READ | PROT_WRITE | PROT_EXEC,
     .d = MAP_PRIVATE | MAP_ANONYMOUS},
    {.what = "ptrace", .call = SYS_ptrace, .a = 0, .for_reports = true},
    {.what = "process_vm_readv", .call = SYS_process_vm_readv, .a = 1, .for_reports = true},
};

/* Of every thread but the main one. */
static const struct attempt programs[] = {
    {.what = "execve", .call = SYS_execve, .a = P("/bin/true"), .b = P(no_arguments)},
    {.what = "execveat", .call = SYS_execveat, .a = AT_FDCWD, .b = P("/bin/true")},
    {.what = "a process", .call = SYS_clone, .a = SIGCHLD},
};

/* Of workers: files, paths, other sockets, other processes. */
static const struct attempt works[] = {
    {.what = "openat",
     .call = SYS_openat,
     .a = AT_FDCWD,
     .b = P("/etc/passwd"),
     .for_reports = true},
    {.what = "a key",
     .call = SYS_openat,
     .a = AT_FDCWD,
     .b = P("/etc/meridian/tls/privkey.pem"),
     .for_reports = true},
    {.what = "unlinkat", .call = SYS_unlinkat, .a = AT_FDCWD, .b = P("/tmp/none")},
    {.what = "mkdirat", .call = SYS_mkdirat, .a = AT_FDCWD, .b = P("/tmp/none"), .c = 0700},
    {.what = "renameat2", .call = SYS_renameat2, .a = AT_FDCWD, .b = P("/a"), .c = AT_FDCWD},
    {.what = "linkat", .call = SYS_linkat, .a = AT_FDCWD, .b = P("/a"), .c = AT_FDCWD},
    {.what = "symlinkat", .call = SYS_symlinkat, .a = P("/a"), .b = AT_FDCWD, .c = P("/b")},
    {.what = "fchmodat", .call = SYS_fchmodat, .a = AT_FDCWD, .b = P("/tmp"), .c = 0777},
    {.what = "truncate", .call = SYS_truncate, .a = P("/tmp/none")},
    {.what = "chdir", .call = SYS_chdir, .a = P("/")},
    {.what = "getdents64", .call = SYS_getdents64, .a = 0},
    {.what = "memfd_create", .call = SYS_memfd_create, .a = P("x")},
    {.what = "inotify_init1", .call = SYS_inotify_init1},
    {.what = "a datagram socket", .call = SYS_socket, .a = AF_INET, .b = SOCK_DGRAM},
    {.what = "a raw socket", .call = SYS_socket, .a = AF_INET, .b = SOCK_RAW, .c = 1},
    {.what = "netlink", .call = SYS_socket, .a = AF_NETLINK, .b = SOCK_RAW},
    {.what = "bind", .call = SYS_bind, .a = -1},
    {.what = "listen", .call = SYS_listen, .a = -1, .b = 1},
    {.what = "kill", .call = SYS_kill, .a = 1},
    {.what = "another's thread", .call = SYS_tgkill, .a = 1, .b = 1},
    {.what = "a thread", .call = SYS_clone, .a = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD},
    {.what = "prlimit64", .call = SYS_prlimit64, .b = RLIMIT_CORE, .c = 1},
    {.what = "setpriority", .call = SYS_setpriority, .c = 5},
    {.what = "code",
     .call = SYS_mmap,
     .b = PAGE,
     .c = PROT_READ | PROT_EXEC,
     .d = MAP_PRIVATE | MAP_ANONYMOUS},
};

/* What serving needs. */
static const struct attempt allowed[] = {
    {.what = "getpid", .call = SYS_getpid},
    {.what = "TCP", .call = SYS_socket, .a = AF_INET, .b = SOCK_STREAM | SOCK_NONBLOCK},
    {.what = "TCP over IPv6", .call = SYS_socket, .a = AF_INET6, .b = SOCK_STREAM | SOCK_CLOEXEC},
    {.what = "unix sockets", .call = SYS_socket, .a = AF_UNIX, .b = SOCK_STREAM},
    {.what = "memory",
     .call = SYS_mmap,
     .b = PAGE,
     .c = PROT_READ | PROT_WRITE,
     .d = MAP_PRIVATE | MAP_ANONYMOUS},
    {.what = "sched_yield", .call = SYS_sched_yield},
    {.what = "madvise", .call = SYS_madvise},
};

static long try_it(const struct attempt *t)
{
    return syscall(t->call, t->a, t->b, t->c, t->d, -1, 0);
}

static bool all_refused(const struct attempt *list, size_t n)
{
    bool fine = true;
    for (size_t i = 0; i < n; i++) {
        const struct attempt *t = &list[i];
        if (t->for_reports && SANITIZED)
            continue;
        errno = 0;
        if (try_it(t) != -1 || errno != EPERM) {
            fprintf(stderr, "%s: errno %d\n", t->what, errno);
            fine = false;
        }
    }
    return fine;
}
#define REFUSED(list) all_refused(list, sizeof(list) / sizeof *(list))

static bool all_allowed(void)
{
    bool fine = true;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        if (try_it(&allowed[i]) == -1) {
            fprintf(stderr, "%s: errno %d\n", allowed[i].what, errno);
            fine = false;
        }
    }
    struct rlimit limit;
    return fine && getrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static void *play_worker(void *fine)
{
    *(bool *)fine = sandbox_enter(SANDBOX_WORKER) == ERR_OK && REFUSED(never) &&
                    REFUSED(programs) && REFUSED(works) && all_allowed();
    return NULL;
}

static void *play_helper(void *fine)
{
    int fd = -1;
    *(bool *)fine = sandbox_enter(SANDBOX_HELPER) == ERR_OK && REFUSED(never) &&
                    REFUSED(programs) && (fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC)) >= 0;
    if (fd >= 0)
        close(fd);
    return NULL;
}

static bool in_thread(void *(*play)(void *))
{
    pthread_t thread;
    bool fine = false;
    if (pthread_create(&thread, NULL, play, &fine) == 0)
        pthread_join(thread, NULL);
    return fine;
}

/* Valgrind makes code of its own in every thread, which is what is forbidden. */
static bool under_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");
    return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

/* The exit code of a child that plays. */
static int in_process(bool (*play)(void))
{
    if (under_valgrind())
        return sandbox_built() ? 0 : 1;
    int status = 0;
    pid_t child = fork();
    if (child == 0)
        _exit(play() ? 0 : 1);
    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool with_worker(void)
{
    return sandbox_enter(SANDBOX_PROCESS) == ERR_OK && in_thread(play_worker);
}

static bool with_helper(void)
{
    return sandbox_enter(SANDBOX_PROCESS) == ERR_OK && in_thread(play_helper);
}

/* The upgrade: the main thread starts a program, which enters again what it has inherited. */
static bool with_upgrade(void)
{
    int status = 0;
    if (sandbox_enter(SANDBOX_PROCESS) != ERR_OK || !REFUSED(never))
        return false;
    pid_t child = fork();
    if (child == 0) {
        if (sandbox_enter(SANDBOX_PROCESS) == ERR_OK)
            execl("/bin/true", "true", (char *)NULL);
        _exit(9);
    }
    return waitpid(child, &status, 0) == child && status == 0;
}

/* Where the configuration says so, nobody gives up anything. */
static bool with_none(void)
{
    return sandbox_enter(SANDBOX_WORKER) == ERR_OK && close(open("/etc/passwd", O_RDONLY)) == 0;
}

TEST(sandbox, f34_workers_are_refused_what_they_do_not_need)
{
    CHECK_INT(in_process(with_worker), sandbox_built() ? 0 : 1);
}

TEST(sandbox, f34_helpers_start_no_program)
{
    CHECK_INT(in_process(with_helper), sandbox_built() ? 0 : 1);
}

TEST(sandbox, the_main_thread_may_start_the_upgrade)
{
    CHECK_INT(in_process(with_upgrade), sandbox_built() ? 0 : 1);
}

TEST(sandbox, it_can_be_switched_off)
{
    if (sandbox_built())
        CHECK_INT(in_process(with_none), 0);
}
