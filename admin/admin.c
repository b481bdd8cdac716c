#include "admin/admin_impl.h"

#include "base/mem.h"

#include <sys/stat.h>
#include <unistd.h>

enum err admin_new(struct conn_env *env, const struct admin_ops *ops, void *ctx, struct log *log,
                   struct admin **out)
{
    struct admin *a = mem_alloc(sizeof *a);
    *out = a;
    if (a == NULL) {
        return ERR_NO_MEMORY;
    }
    a->env = env;
    a->ops = ops;
    a->ctx = ctx;
    a->log = log;
    a->control.fd = a->http.fd = -1;
    a->inherited[0] = a->inherited[1] = -1;
    list_init(&a->control.conns);
    list_init(&a->http.conns);
    list_init(&a->jobs);
    return ERR_OK;
}

void admin_free(struct admin **out)
{
    struct admin *a = *out;
    if (a == NULL) {
        return;
    }
    admin_socket_close(a, &a->control);
    admin_socket_close(a, &a->http);
    admin_inherit(a, -1, -1);
    list_each (e, &a->jobs) {
        struct admin_job *job = container_of(e, struct admin_job, link);
        job_free(&job);
    }
    control_close_all(a);
    http_close_all(a);
    loop_run_tasks(a->env->loop);
    mem_free(a);
    *out = NULL;
}

void admin_inherit(struct admin *a, int control_fd, int http_fd)
{
    int given[2] = {control_fd, http_fd};
    for (size_t i = 0; i < 2; i++) {
        if (a->inherited[i] >= 0) {
            a->env->loop->ops->sock_close(a->env->loop, a->inherited[i], false);
        }
        a->inherited[i] = given[i];
    }
}

int admin_control_fd(const struct admin *a)
{
    return a->control.fd;
}

void admin_set_access(struct admin *a, const struct admin_access *access)
{
    a->access = *access;
}

int admin_http_fd(const struct admin *a)
{
    return a->http.fd;
}

static void stop_listening(struct admin *a, struct admin_socket *s)
{
    if (s->listener != NULL) {
        listener_stop(&s->listener);
        a->env->loop->ops->sock_close(a->env->loop, s->fd, false);
    }
    s->fd = -1;
    s->at.len = 0;
}

void admin_pause(struct admin *a, bool pause)
{
    struct admin_socket *both[] = {&a->control, &a->http};
    for (size_t i = 0; i < 2; i++) {
        if (both[i]->listener == NULL)
            continue;
        if (pause)
            listener_pause(both[i]->listener);
        else
            listener_resume(both[i]->listener);
    }
}

void admin_yield(struct admin *a)
{
    stop_listening(a, &a->control);
    stop_listening(a, &a->http);
}

/* An inherited socket at that address, or a new one. */
static enum err find_or_open(struct admin *a, const struct addr *at, int *fd)
{
    for (size_t i = 0; i < 2; i++) {
        struct addr local;
        if (a->inherited[i] >= 0 &&
            a->env->loop->ops->sock_local(a->env->loop, a->inherited[i], &local) >= 0 &&
            addr_eq(&local, at)) {
            *fd = a->inherited[i];
            a->inherited[i] = -1;
            return ERR_OK;
        }
    }
    return listener_open(at, false, fd);
}

enum err admin_socket_open(struct admin *a, struct admin_socket *s, const struct addr *at,
                           listener_on_accept on_accept)
{
    struct listener *listener;
    int fd;
    enum err e = find_or_open(a, at, &fd);
    if (e != ERR_OK) {
        return e;
    }
    e = listener_start(a->env->loop, fd, on_accept, a, &listener);
    if (e != ERR_OK) {
        a->env->loop->ops->sock_close(a->env->loop, fd, false);
        return e;
    }
    admin_socket_close(a, s);
    s->at = *at;
    s->fd = fd;
    s->listener = listener;
    return ERR_OK;
}

void admin_socket_close(struct admin *a, struct admin_socket *s)
{
    if (s->listener == NULL) {
        return;
    }
    if (s->at.any.sa_family == AF_UNIX && s->at.un.sun_path[0] != 0) {
        unlink(s->at.un.sun_path);
    }
    stop_listening(a, s);
}

bool admin_socket_admit(struct admin *a, struct admin_socket *s, int fd)
{
    if (s->open < LIMIT_ADMIN_CONNECTIONS) {
        return true;
    }
    a->env->loop->ops->sock_close(a->env->loop, fd, false);
    return false;
}

enum err admin_listen_control(struct admin *a, const char *path)
{
    char text[ADDR_TEXT];
    struct addr at;
    struct buf b;
    buf_fixed(&b, text, sizeof text);
    buf_put_str(&b, "unix:");
    buf_put_str(&b, path);
    enum err e = b.failed ? ERR_RANGE : addr_parse(buf_span(&b), &at);
    if (e != ERR_OK || addr_eq(&at, &a->control.at)) {
        return e;
    }
    /* The socket is born with mode 0660 (L40): a chmod afterwards would leave a moment between. */
    mode_t old = umask(0117);
    e = admin_socket_open(a, &a->control, &at, control_accept);
    umask(old);
    return e;
}

enum err admin_listen_http(struct admin *a, const struct addr *at)
{
    if (at == NULL) {
        admin_socket_close(a, &a->http);
        return ERR_OK;
    }
    if (addr_eq(at, &a->http.at)) {
        return ERR_OK;
    }
    return admin_socket_open(a, &a->http, at, http_accept);
}
