/* worker_impl: what the files of the worker share. For worker*.c only. */
#ifndef MERIDIAN_RUN_WORKER_IMPL_H
#define MERIDIAN_RUN_WORKER_IMPL_H

#include "net/listener.h"
#include "net/tls_mem.h"
#include "run/gather.h"
#include "run/worker.h"

/* A request may be on its way on a connection that looks idle: it is still answered, and its client
 * told that it was the last. */
#define IDLE_MS 1000

/* One configured listener; connections point to its settings, so it stays while any is there. */
struct worker_listener {
    struct proxy_listener settings; /* first */
    struct link link;
    struct worker *worker;
    struct timer idle; /* after it has gone */
    char *name;
    char folder[CHALLENGE_ROOT_MOST]; /* of its settings: may outlive the configuration */
    bool wanted;
};

/* One descriptor watched for it. */
struct worker_watch {
    struct link link;
    struct worker *worker;
    struct worker_listener *of;
    struct listener *listener; /* NULL: it could not be watched yet */
    int fd;                    /* main's, by which the watch is found */
    int own; /* the same socket under a number that no other thread closes while our loop has it */
    int64_t ended_ns;
    bool wanted;
};

struct worker {
    /* set once */
    struct worker_spec spec;
    pthread_t thread;
    bool started;
    /* owner thread */
    struct loop *loop;
    struct conn_env env;
    struct tls_pieces tls_pieces;
    struct proxy *proxy;
    struct challenge challenges[CHALLENGES]; /* read into until main has ended the reader */
    struct link listeners, watches;
    struct link let_go; /* watches whose numbers are kept for a while */
    struct log_writer *log;
    struct tracer *tracer;
    struct timer beat, resume, drain;
    struct timer expire; /* ends requests of old generations */
    uint64_t expiring, expiring_next;
    int64_t expire_ms;
    bool draining, ended;
    int64_t idle_until_ns, requests_until_ns, tunnels_until_ns;
    /* shared, atomic */
    struct mailbox box;
    struct stall stall;
    _Atomic int64_t beat_ns, longest_turn_ns;
};

/* worker_listen.c */
void worker_listen_init(struct worker *w);
/* Watches the sockets of a configuration, for its listeners, as many as it can: one that it has no
 * descriptor for is tried again (worker_listen_again), and those that were there never go on with
 * what an old configuration owns. What it does not name stays until worker_drop_unwanted.
 * ERR_NO_DESCRIPTOR, ERR_NO_MEMORY: why some are not watched. */
MUST_CHECK
enum err worker_listen(struct worker *w, const struct snapshot *s);
void worker_listen_again(struct worker *w);
/* Such a socket stops being watched; such a listener goes when its last client has. */
void worker_drop_unwanted(struct worker *w);
/* Connections wait in the kernel's queue for a while. */
void worker_pause(struct worker *w);
/* For good. */
void worker_unwatch(struct worker *w);
/* The numbers of sockets that were let go before then are free again. */
void worker_forget_numbers(struct worker *w, int64_t before_ns);
/* The end: nothing is in flight any more. */
void worker_unlisten(struct worker *w);

#endif
