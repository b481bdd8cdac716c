#include "run/sandbox.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* A question that only the process's filter answers: the process came through an upgrade. */
#define ASK    0x4d455249u
#define ANSWER 1066

/* AddressSanitizer's and ThreadSanitizer's own needs: reports read maps, leaks are found by
 * tracing.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* Nobody here ever needs them. */
static const char *const never[] = {
    "acct",
    "add_key",
    "adjtimex",
    "bpf",
    "chroot",
    "clock_adjtime",
    "clock_settime",
    "create_module",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_kernel_syms",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mbind",
    "migrate_pages",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "name_to_handle_at",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "pivot_root",
    "process_vm_writev",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "set_mempolicy",
    "setdomainname",
    "setfsgid",
    "setfsuid",
    "setgid",
    "setgroups",
    "sethostname",
    "setns",
    "setregid",
    "setresgid",
    "setresuid",
    "setreuid",
    "settimeofday",
    "setuid",
    "stime",
    "swapoff",
    "swapon",
    "sysfs",
    "syslog",
    "umount",
    "umount2",
    "unshare",
    "uselib",
    "userfaultfd",
    "ustat",
    "vhangup",
    "vmsplice",
};

/* Sanitizers trace and read at the end. */
static const char *const traces[] = {"ptrace", "process_vm_readv", "personality"};

/* Whatever makes another process or program. */
static const char *const programs[] = {"execve", "execveat", "fork", "vfork"};

/* All that a worker does. */
static const char *const worker[] = {
    /* events and time */
    "epoll_create",
    "epoll_create1",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_ctl",
    "poll",
    "ppoll",
    "clock_gettime",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "time",
    "restart_syscall",
    /* bytes of what is open */
    "read",
    "readv",
    "write",
    "writev",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "splice",
    "sendfile",
    "close",
    "fcntl",
    "fcntl64",
    "fstat",
    "fstat64",
    "lseek",
    "pipe2",
    "dup",
    "dup3",
    /* sockets; socket itself is below */
    "accept4",
    "connect",
    "getsockname",
    "getpeername",
    "getsockopt",
    "setsockopt",
    "shutdown",
    /* memory; what may not be executable is below */
    "brk",
    "munmap",
    "mremap",
    "madvise",

    /* threads */
    "futex",
    "futex_waitv",
    "rseq",
    "set_robust_list",
    "get_robust_list",
    "sched_yield",
    "sched_getaffinity",
    "getcpu",
    "membarrier",
    "gettid",
    "getpid",
    "sigaltstack",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigaction",
    "sigreturn",
    "exit",
    "exit_group",
    /* what it wants to know of itself */
    "getrandom",
    "getrusage",
    "getrlimit",
    "ugetrlimit",
    "uname",
    "sysinfo",
};

/* What a sanitizer's report needs besides. */
static const char *const reports[] = {"openat", "readlink",   "readlinkat",       "getuid",
                                      "gettid", "getppid",    "newfstatat",       "stat",
                                      "ioctl",  "arch_prctl", "pread64",          "prctl",
                                      "lstat",  "access",     "process_vm_readv", "geteuid"};

/* Calls that this kernel's architecture does not have are none to forbid. */
static bool add(scmp_filter_ctx f, uint32_t action, const char *const *names, size_t n)
{
    bool fine = true;
    for (size_t i = 0; i < n && fine; i++) {
        int call = seccomp_syscall_resolve_name(names[i]);
        fine = call == __NR_SCMP_ERROR || call < 0 || seccomp_rule_add(f, action, call, 0) == 0;
    }
    return fine;
}
#define ADD(f, action, names) add(f, action, names, sizeof(names) / sizeof *(names))

/* glibc tries clone3 first, whose flags no filter can see; without it, it takes clone. */
static bool add_threads_only(scmp_filter_ctx f)
{
    return seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0 &&
           seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                            SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)) == 0;
}

/* Memory that is both written and executed is how data becomes code. */
static bool add_no_code(scmp_filter_ctx f)
{
    scmp_datum_t both = PROT_WRITE | PROT_EXEC;
    return seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mmap), 1,
                            SCMP_A2(SCMP_CMP_MASKED_EQ, both, both)) == 0 &&
           seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mprotect), 1,
                            SCMP_A2(SCMP_CMP_MASKED_EQ, both, both)) == 0;
}

static scmp_filter_ctx process_filter(void)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    if (f == NULL)
        return NULL;
    bool fine = ADD(f, SCMP_ACT_ERRNO(EPERM), never) && add_no_code(f) &&
                (SANITIZED || ADD(f, SCMP_ACT_ERRNO(EPERM), traces)) &&
                seccomp_rule_add(f, SCMP_ACT_ERRNO(ANSWER), SCMP_SYS(prctl), 1,
                                 SCMP_A0(SCMP_CMP_EQ, ASK)) == 0;
    if (fine)
        return f;
    seccomp_release(f);
    return NULL;
}

static scmp_filter_ctx helper_filter(void)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    if (f == NULL)
        return NULL;
    if (ADD(f, SCMP_ACT_ERRNO(EPERM), programs) && add_threads_only(f))
        return f;
    seccomp_release(f);
    return NULL;
}

static bool add_sockets(scmp_filter_ctx f)
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
    const scmp_datum_t kind = 0xf; /* SOCK_NONBLOCK and SOCK_CLOEXEC are above it */
    bool fine = true;
    for (size_t i = 0; i < sizeof families / sizeof *families && fine; i++)
        fine = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
                                SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]),
                                SCMP_A1(SCMP_CMP_MASKED_EQ, kind, SOCK_STREAM)) == 0;
    return fine;
}

/* Limits are read, not set. */
static bool add_limits(scmp_filter_ctx f)
{
    return seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_EQ, 0)) ==
           0;
}

/* abort() and nothing else sends signals. */
static bool add_own_signals(scmp_filter_ctx f)
{
    return seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                            SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid())) == 0;
}

static bool add_plain_memory(scmp_filter_ctx f)
{
    return seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                            SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0 &&
           seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                            SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0;
}

static scmp_filter_ctx worker_filter(void)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (f == NULL)
        return NULL;
    if (ADD(f, SCMP_ACT_ALLOW, worker) && add_sockets(f) && add_own_signals(f) && add_limits(f) &&
        add_plain_memory(f) && (!SANITIZED || ADD(f, SCMP_ACT_ALLOW, reports)))
        return f;
    seccomp_release(f);
    return NULL;
}

static bool in_force(void)
{
    return prctl((int)ASK, 0, 0, 0, 0) == -1 && errno == ANSWER;
}

enum err sandbox_enter(enum sandbox which)
{
    if ((which == SANDBOX_PROCESS) == in_force())
        return ERR_OK;
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
        return ERR_UNSUPPORTED;
    scmp_filter_ctx f = which == SANDBOX_WORKER   ? worker_filter()
                        : which == SANDBOX_HELPER ? helper_filter()
                                                  : process_filter();
    if (f == NULL)
        return ERR_NO_MEMORY;
    /* What runs here is trusted not to spy by timing: the processor's speculation stays on. */
    (void)seccomp_attr_set(f, SCMP_FLTATR_CTL_SSB, 1);
    (void)seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    int r = seccomp_load(f); /* sets no_new_privs too */
    seccomp_release(f);
    return r == 0 ? ERR_OK : ERR_SYSTEM;
}

bool sandbox_built(void)
{
    return true;
}

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

const char *sandbox_library_version(void)
{
    return TEXT(SCMP_VER_MAJOR) "." TEXT(SCMP_VER_MINOR) "." TEXT(SCMP_VER_MICRO);
}
