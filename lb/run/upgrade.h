/* upgrade: another process takes this one's place (USR2): it is started from the program's file,
 * inherits the listening sockets as from a service manager and what handover.h tells, and says by a
 * pipe that it serves. Both serve for a second then, and this one drains; where the new one fails
 * before the second is over, this one goes on for good (F26). Main thread only. */
#ifndef MERIDIAN_RUN_UPGRADE_H
#define MERIDIAN_RUN_UPGRADE_H

#include "base/buf.h"
#include "net/loop.h"
#include "run/sockets.h"
#include "run/spawn.h"

#include <limits.h>

struct balancer;

#define UPGRADE_EARLIER 16 /* processes that may drain at a time and be counted */

/* A process before this one that drains: what it still counts is added when it ends. It is passed
 * on in the next upgrade. */
struct earlier {
    struct balancer *balancer;
    struct io alive; /* an end of a pipe whose other end is closed when it ends */
    int told;        /* the file with handover's text, read to its offset at the start; -1: none */
    bool left_out;   /* the next process does not get it */
};

struct takeover {
    /* set once */
    char program[PATH_MAX]; /* where it was when this process began */
    /* the old process's side */
    struct spawned next; /* none: no upgrade is under way */
    struct io answer;    /* closed at the end: then the new one reads what has been counted since */
    struct timer late;
    bool on_trial; /* the other one serves too */
    bool done;     /* the other one serves */
    bool reload;   /* has been asked for meanwhile, of whoever goes on */
    int tell;      /* the file with handover's text while somebody may read it; -1: none */
    /* the new process's side */
    struct buf inherited; /* the handover's text until it is read */
    bool ready;           /* the one before, which is the first of these, waits for a word */
    struct earlier earlier[UPGRADE_EARLIER];
    size_t earlier_count; /* latest first */
};

/* Early, before anything is loaded. */
void upgrade_init(struct balancer *b);
/* What was handed over by name: the admin interface's sockets, the state. */
void upgrade_inherit(struct balancer *b);
/* When endpoints and routes are there, and before they are used. Once. */
void upgrade_take_state(struct balancer *b);
/* This process serves: says so to the one it replaces, or to the service manager. */
void upgrade_ready(struct balancer *b);
/* This process was told to end: those before it do not take that for a crash. */
void upgrade_stopping(struct balancer *b);
/* USR2. */
void upgrade_begin(struct balancer *b);
/* True while two processes share the sockets: a reload now would open and close what the other one
 * knows nothing of. */
bool upgrade_runs(const struct balancer *b);
/* While it runs: whoever is the service when it is over reloads. */
void upgrade_reload_later(struct balancer *b);
/* Tells the new process what this one has counted while it drained. After the workers have ended.
 */
void upgrade_tell_rest(struct balancer *b);
/* This process is to end: a child that is not ready yet is ended, one on trial is the service. */
void upgrade_conclude(struct balancer *b);
void upgrade_fini(struct balancer *b);

#endif
