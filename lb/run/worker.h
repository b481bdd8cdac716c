/* worker: one thread of the request path: its loop, its transport environment, its proxy, the
 * listening sockets it watches. It takes orders by mail only; what it has to say goes to the main
 * thread's mailbox the same way. It must not know files, signals or the admin interface. */
#ifndef MERIDIAN_RUN_WORKER_H
#define MERIDIAN_RUN_WORKER_H

#include "run/mailbox.h"
#include "run/snapshot.h"
#include "run/stall.h"

enum worker_mail {
    WORKER_ADOPT,     /* p: struct snapshot */
    WORKER_SLOT_FREE, /* p: struct pool_state */
    WORKER_SHED,      /* p: struct pool_state; n: enum rank */
    WORKER_DRAIN,     /* p: struct worker_drain, which outlives the worker */
    WORKER_KILL,      /* end everything now */
    WORKER_EXPIRE,    /* v: generation; n: ms that requests of it and of older ones still have */
    WORKER_FILE,      /* p: struct challenge, which has been read */
    WORKER_RELIEF,    /* n: enum overload: in force from now on; MAIN_RELIEVED when done */
    WORKER_RESET,     /* n: a source that is to be reset; MAIN_RELIEVED when done */
    WORKER_LOOK,      /* p: struct look: to be filled and sent back */
};

enum main_mail {
    MAIN_LET_GO,        /* p: const struct policy; n: worker: it holds nothing of it any more */
    MAIN_ADOPT_FAILED,  /* v: generation; n: worker: no memory; it goes on with the old one, and
                           MAIN_LET_GO follows */
    MAIN_LISTEN_FAILED, /* n: worker; v: enum err: it watches some sockets later */
    MAIN_UNWATCHED,     /* n: worker: drains, and watches no listening socket any more */
    MAIN_WORKER_DONE,   /* n: worker: drained, its thread ends */
    MAIN_HELPER,        /* p: the job */
    MAIN_LOOKED,        /* p: struct look */
    MAIN_RELIEVED,      /* n: worker */
    MAIN_UNSANDBOXED,   /* n: worker; v: enum err: it has no filter of system calls */
    MAIN_ROWS,          /* p: struct row_set, from the health thread */
    MAIN_AWAY,          /* p: char *, to be freed: why the central database is away */
    MAIN_KEPT,          /* p: struct central_save: the registry's file is written */
    MAIN_NAMES,         /* p: struct name_news, to be freed: other addresses of a host name */
    MAIN_WATCHED,       /* p: struct watch_look */
    MAIN_FILE,          /* p: struct challenge: to be read */
    MAIN_FILE_READ,     /* p: struct challenge: has been */
    MAIN_DEPENDENCY,    /* p: struct dependency_news, to be freed */
};

struct worker_drain {
    int64_t requests_ms, tunnels_ms;
};

struct worker;

struct worker_spec {
    unsigned index, count;
    struct mailbox *main;
    struct worker **peers; /* all workers; filled before the first thread starts */
    struct admission *admission;
    struct worker_stats *stats;
};

/* Makes it without starting its thread. */
MUST_CHECK
enum err worker_new(const struct worker_spec *spec, struct worker **out);
MUST_CHECK
enum err worker_start(struct worker *w);
/* Waits for the end of its thread, which must have been told to end. */
void worker_join(struct worker *w);
/* The same, and frees. */
void worker_free(struct worker **w);
/* Any thread. */
MUST_CHECK
enum err worker_post(struct worker *w, struct mail mail);
/* Connections' sockets that it has open. Any thread. */
uint32_t worker_sockets(const struct worker *w);
/* Loop time of its last sign of life, monotonic ns. Any thread. */
int64_t worker_beat_ns(const struct worker *w);
/* Main thread. */
struct stall *worker_stall(struct worker *w);
/* Of its loop. Read from any thread. */
const struct loop_turns *worker_turns(const struct worker *w);
/* Longest loop turn since the last call, ns. Any thread. */
int64_t worker_longest_turn_ns(struct worker *w);

#endif
