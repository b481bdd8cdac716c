/* sandbox: which system calls a thread may still make (RELIABILITY S2), by the kernel's filter.
 * What is forbidden fails with EPERM. It knows calls, not what they are for here; each kind of
 * thread enters its own when it begins, and never leaves it. */
#ifndef MERIDIAN_RUN_SANDBOX_H
#define MERIDIAN_RUN_SANDBOX_H

#include "base/err.h"

#include <stdbool.h>

enum sandbox {
    /* The main thread, before there are others, which get it with their birth; over the upgrade's
     * exec too. No tracing, mounting, modules, keys, name spaces, other users, executable memory of
     * data. */
    SANDBOX_PROCESS,
    /* Every other thread that is not a worker: besides, no program is started. */
    SANDBOX_HELPER,
    /* Workers: only what serving needs. No file is opened or changed, nobody is listened for, no
     * thread or process is made; connections by TCP and unix sockets alone. */
    SANDBOX_WORKER,
};

/* For the calling thread. Where the process has entered none, its threads need not: that is where
 * the configuration decides. ERR_UNSUPPORTED: built without, or the kernel has no filters;
 * ERR_SYSTEM, ERR_NO_MEMORY. Entering the process's a second time (after an upgrade) is nothing. */
MUST_CHECK
enum err sandbox_enter(enum sandbox which);
/* Whether this build has filters. */
bool sandbox_built(void);
/* The version of the library that makes filters; NULL: this build has none. */
const char *sandbox_library_version(void);

#endif
