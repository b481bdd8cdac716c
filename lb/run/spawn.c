#include "run/spawn.h"

#include "base/limits.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST   3
#define PID_KEY "LISTEN_PID="

extern char **environ;

void spawn_init(struct spawn *s)
{
    s->count = 0;
    s->full = false;
    buf_init(&s->names, KIB(120)); /* the kernel takes 128 KiB in one string */
    buf_put_str(&s->names, "LISTEN_FDNAMES=");
}

void spawn_fini(struct spawn *s)
{
    buf_fini(&s->names);
}

void spawn_give(void *spawn, int fd, struct span name)
{
    struct spawn *s = spawn;
    if (fd < 0)
        return;
    if (s->count == SPAWN_FDS) {
        s->full = true;
        return;
    }
    if (s->count != 0)
        buf_put_char(&s->names, ':');
    buf_put_span(&s->names, name);
    s->fds[s->count++] = fd;
}

static bool is_ours(const char *entry)
{
    static const char *const ours[] = {"LISTEN_FDS=", "LISTEN_FDNAMES=", PID_KEY, "WATCHDOG_PID="};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (strncmp(entry, ours[i], strlen(ours[i])) == 0)
            return true;
    }
    return false;
}

/* The environment without what was meant for this process, and with ours. */
static char **make_environment(char *fds, char *names, char *pid)
{
    size_t n = 0, count = 0;
    while (environ[count] != NULL)
        count++;
    char **out = mem_array(count + 4, sizeof *out);
    if (out == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (!is_ours(environ[i]))
            out[n++] = environ[i];
    }
    out[n++] = fds;
    out[n++] = names;
    out[n++] = pid;
    out[n] = NULL;
    return out;
}

/* --- in the child, between fork and exec: only what is safe after a fork of many threads --- */

static void put_pid(char *to)
{
    char digits[16];
    size_t n = 0;
    for (pid_t pid = getpid(); pid != 0; pid /= 10)
        digits[n++] = (char)('0' + pid % 10);
    while (n != 0)
        *to++ = digits[--n];
    *to = '\0';
}

/* First out of the way of each other, then to their places, where they stay over the exec. */
static bool place(int *fds, int count)
{
    for (int i = 0; i < count; i++) {
        fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FIRST + count);
        if (fds[i] < 0)
            return false;
    }
    for (int i = 0; i < count; i++) {
        if (dup2(fds[i], FIRST + i) < 0)
            return false;
    }
    return true;
}

static _Noreturn void become(struct spawn *s, const char *program, char *const *argv, char **env,
                             char *pid)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    put_pid(pid);
    if (place(s->fds, s->count))
        execve(program, argv, env);
    _exit(127);
}

/* Waits for the program, and ends as it did. It holds no descriptor: what the others close is
 * closed. */
static _Noreturn void mind(pid_t child, const sigset_t *heard)
{
    int signal = 0, status = 0;
    (void)close_range(0, ~0U, 0);
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (sigwait(heard, &signal) == 0 && signal == SPAWN_KILL)
            kill(child, SIGKILL);
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* The minder's life: tells whom it minds. */
static _Noreturn void begin(struct spawn *s, const char *program, char *const *argv, char **env,
                            char *pid, int tell)
{
    sigset_t heard;
    sigemptyset(&heard);
    sigaddset(&heard, SIGCHLD);
    sigaddset(&heard, SPAWN_KILL);
    sigprocmask(SIG_BLOCK, &heard, NULL);
    pid_t child = _Fork();
    if (child == 0)
        become(s, program, argv, env, pid);
    if (child < 0 || write(tell, &child, sizeof child) != sizeof child)
        _exit(127);
    mind(child, &heard);
}

int spawn_wait(pid_t minder)
{
    int status = 0;
    while (waitpid(minder, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Two forks; the pipe brings the second one's result. */
static enum err start(struct spawn *s, const char *program, char *const *argv, char **env,
                      char *pid, struct spawned *out)
{
    int told[2];
    if (pipe2(told, O_CLOEXEC) != 0)
        return ERR_NO_DESCRIPTOR;
    out->minder = fork();
    if (out->minder == 0)
        begin(s, program, argv, env, pid, told[1]);
    close(told[1]);
    ssize_t n = out->minder > 0 ? read(told[0], &out->child, sizeof out->child) : -1;
    close(told[0]);
    if (n == sizeof out->child)
        return ERR_OK;
    if (out->minder > 0)
        (void)spawn_wait(out->minder);
    *out = (struct spawned){0};
    return ERR_SYSTEM;
}

enum err spawn_run(struct spawn *s, const char *program, char *const *argv, struct spawned *out)
{
    char fds[32], pid[sizeof PID_KEY + 16] = PID_KEY;
    buf_put(&s->names, "", 1);
    if (s->full || s->names.failed)
        return ERR_FULL;
    snprintf(fds, sizeof fds, "LISTEN_FDS=%d", s->count);
    char **env = make_environment(fds, s->names.p, pid);
    if (env == NULL)
        return ERR_NO_MEMORY;
    enum err e = start(s, program, argv, env, pid + strlen(PID_KEY), out);
    mem_free(env);
    return e;
}
