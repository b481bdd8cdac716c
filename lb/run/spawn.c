#include "run/spawn.h"

#include "base/limits.h"
#include "base/mem.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
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

enum err spawn_run(struct spawn *s, const char *program, char *const *argv, pid_t *child)
{
    char fds[32], pid[sizeof PID_KEY + 16] = PID_KEY;
    buf_put(&s->names, "", 1);
    if (s->full || s->names.failed)
        return ERR_FULL;
    snprintf(fds, sizeof fds, "LISTEN_FDS=%d", s->count);
    char **env = make_environment(fds, s->names.p, pid);
    if (env == NULL)
        return ERR_NO_MEMORY;
    *child = fork();
    if (*child == 0)
        become(s, program, argv, env, pid + strlen(PID_KEY));
    mem_free(env);
    return *child > 0 ? ERR_OK : ERR_SYSTEM;
}
