/* admin_impl: the insides of struct admin, shared by the files of this folder. */
#ifndef MERIDIAN_ADMIN_ADMIN_IMPL_H
#define MERIDIAN_ADMIN_ADMIN_IMPL_H

#include "admin/admin.h"
#include "admin/json.h"
#include "net/listener.h"

#define ADMIN_REPLY_MOST MIB(64) /* of one answer: 100,000 backends and more */

/* Whoever waits for a command's answer: a part of a connection. */
struct asker {
    /* One line of JSON, once; the asker may be gone afterwards. */
    void (*answer)(struct asker *a, struct span line);
    struct admin_job *job; /* that will answer; NULL: none runs */
};

/* Where one of the two services listens. */
struct admin_socket {
    struct addr at; /* len 0: closed */
    int fd;
    struct listener *listener;
    size_t open;       /* connections, at most LIMIT_ADMIN_CONNECTIONS (L40) */
    struct link conns; /* of the service's own type */
};

struct admin {
    /* set once */
    struct conn_env *env;
    const struct admin_ops *ops;
    void *ctx;
    struct log *log;
    /* owner thread */
    struct admin_socket control, http;
    int inherited[2]; /* -1: none, or used */
    struct link jobs;
    struct admin_access access; /* borrowed */
};

struct admin_job {
    struct link link;
    struct admin *admin;
    struct asker *asker; /* NULL: gone */
    const char *command; /* constant */
};

/* Listens at `at` in place of where s listened before. */
MUST_CHECK
enum err admin_socket_open(struct admin *a, struct admin_socket *s, const struct addr *at,
                           listener_on_accept on_accept);
void admin_socket_close(struct admin *a, struct admin_socket *s);
/* Whether there is room for one more (L40); closes fd where there is not. */
bool admin_socket_admit(struct admin *a, struct admin_socket *s, int fd);

/* control.c */
bool control_accept(void *admin, int fd, const struct addr *peer);
void control_close_all(struct admin *a);

/* http.c */
bool http_accept(void *admin, int fd, const struct addr *peer);
void http_close_all(struct admin *a);

/* command.c: answers one request line into out (no line end). ERR_AGAIN: a job will answer. */
enum err command_run(struct admin *a, struct asker *asker, struct span line, struct buf *out);

/* job.c. NULL without memory. */
struct admin_job *job_new(struct admin *a, struct asker *asker, const char *command);
/* The asker of a job is going; its answer will be for nobody. */
void job_leave(struct asker *asker);
void job_free(struct admin_job **job);
/* {"ok":false,"command":…,"error":…,"message":…} */
void answer_error(struct buf *out, const char *command, enum err why, struct span message);

/* show.c: what is shown, as members of an object that is open. Ops that are NULL show nothing. */
void show_server(struct admin *a, struct json *j);
void show_pools(struct admin *a, struct json *j);
/* How requests have ended so far. */
void show_ends(struct admin *a, struct json *j);
void show_backends(struct admin *a, struct span pool, struct json *j);
void show_listeners(struct admin *a, struct json *j);
void show_routes(struct admin *a, struct json *j);
void show_certificates(struct admin *a, struct json *j);
void show_database(struct admin *a, struct json *j);
void show_map(struct admin *a, struct json *j);
void show_fault(struct json *j, const struct admin_fault *f);
void show_connections(struct json *j, const struct admin_connection *rows, size_t n);
void show_geo(struct json *j, const struct admin_geo *g);
void show_place(struct json *j, const char *key, const struct admin_place *p);
void show_explain(struct json *j, const struct admin_explain *e);

/* In one word: what an operator said, else what checks say, else what traffic says. */
const char *backend_state(const struct admin_backend *b);
/* Why it gets no traffic, or little, in words; nothing where it serves. */
void backend_reason(struct buf *out, const struct admin_backend *b);

/* target.c: what is unknown of a target (POOL, POOL/BACKEND, POOL/BACKEND@ADDRESS or site:NAME),
 * and which one was probably meant. */
void target_unknown(const struct admin *a, struct span target, struct buf *message);
/* True, with a message, where there is no such pool. */
bool target_no_pool(const struct admin *a, struct span pool, struct buf *message);

/* page.c: the status page. */
void page_write(struct admin *a, struct buf *out);

/* families.c: the metrics that follow from the views, then those of ops->metrics. */
void families_write(struct admin *a, struct buf *out);

#endif
