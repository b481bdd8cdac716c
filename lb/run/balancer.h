/* balancer: the main thread: it decides and publishes. It owns the registry, the sockets, the
 * snapshots and all other threads; it hears signals, the admin interface and the mailboxes. It
 * touches no request. */
#ifndef MERIDIAN_RUN_BALANCER_H
#define MERIDIAN_RUN_BALANCER_H

#include "admin/admin.h"
#include "run/central.h"
#include "run/challenges.h"
#include "run/gather.h"
#include "run/health_thread.h"
#include "run/helper.h"
#include "run/kept.h"
#include "run/options.h"
#include "run/orders.h"
#include "run/pressure.h"
#include "run/totals.h"
#include "run/upgrade.h"
#include "run/watch.h"
#include "run/watchdog.h"
#include "run/worker.h"

struct balancer {
    /* set once */
    const struct options *options;
    struct log *log;
    struct loop *loop;
    struct conn_env env;
    struct mailbox box;
    unsigned worker_count;
    int64_t started_ns;
    /* threads */
    struct worker **workers;
    struct health_thread *health;
    struct helper *helper;
    /* what outlives snapshots */
    struct registry *registry;
    struct name_book names;
    struct orders orders;
    struct sockets sockets;
    struct stat_book stats;
    struct tls_tickets *tickets;
    struct admission *admission;
    struct central central;
    struct watch watch;
    struct challenges challenges;
    struct pressure pressure;
    struct totals totals;
    struct kept kept;
    uint32_t connections_auto; /* L1 where the configuration says auto */
    /* snapshots */
    struct snapshot *current;
    struct link old; /* of struct snapshot: published before, still held by a worker */
    uint64_t generation;
    /* reload */
    struct material *loading; /* at the helper */
    bool reload_again;        /* asked for meanwhile */
    struct link jobs;         /* of struct reload_job: who waits for the present reload */
    struct link next_jobs;    /* for the one after */
    counter reloads, reloads_failed;
    bool last_reload_failed;
    int64_t last_reload_ns; /* wall clock */
    /* life */
    struct admin *admin;
    struct gather gather;
    int control_fd, http_fd; /* inherited listening sockets; -1: none */
    struct takeover upgrade;
    struct arena answer; /* text handed out to the admin layer, until the next question */
    struct io signals;
    struct timer renew, /* addresses of names wait to be published */
        tick, watchdog, rotate;
    struct worker_drain drain;
    unsigned draining;                /* 0: no; 1: gracefully; 2: at once */
    bool told_to_stop;                /* by a signal */
    unsigned unwatched, workers_done; /* workers that have said so */
    struct watchdog dog;
};

enum { EXIT_CONFIG = 1, EXIT_USAGE = 2, EXIT_RESOURCE = 3 };

/* Starts everything and serves until it is told to stop. Returns the process's exit code. */
int balancer_run(const struct options *options);

/* Between the files of the balancer. */
/* reload.c: job may be NULL (a signal). */
void balancer_reload(struct balancer *b, struct admin_job *job);
void balancer_loaded(struct balancer *b, struct material *m);
/* named.c */
void balancer_plan_names(struct balancer *b);
void balancer_renew(struct timer *t);
/* Takes and frees the news; the present configuration is soon published anew with them. */
void balancer_named(struct balancer *b, struct name_news *news);
/* Publishes m as the next snapshot; NULL: the present configuration with what is new from the
 * registry or of host names. */
MUST_CHECK
enum err balancer_publish(struct balancer *b, struct material *m, struct buf *messages);
void balancer_let_go(struct balancer *b, const struct policy *policy);
void balancer_forget_jobs(struct balancer *b);
/* balancer.c */
void balancer_stop(struct balancer *b, bool now);
/* views.c */
extern const struct admin_ops balancer_admin_ops;
void balancer_fault(const struct balancer *b, uint32_t pool, struct admin_fault *out);
/* metrics.c */
void balancer_metrics(void *ctx, struct metrics *out);
void balancer_ends(void *ctx, void (*each)(void *user, enum err reason, uint64_t n), void *user);
/* map.c */
void balancer_sites(void *ctx, void (*each)(void *user, const struct admin_site *s), void *user);
void balancer_clients(void *ctx, void (*each)(void *user, const struct admin_clients *c),
                      void *user);
/* explain.c */
enum err balancer_explain(void *ctx, const struct admin_explain_ask *ask, struct admin_explain *out,
                          struct buf *message);
enum err balancer_geo(void *ctx, struct span ip, struct admin_geo *out, struct buf *message);

#endif
