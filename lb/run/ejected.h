/* ejected: says in the log that a server was ejected for failures of requests, and that it is back
 * (BALANCING.md section 9). It decides nothing: workers eject, and a server is back when its time
 * is up and its checks pass. */
#ifndef MERIDIAN_RUN_EJECTED_H
#define MERIDIAN_RUN_EJECTED_H

#include "base/log.h"
#include "proxy/policy.h"

/* Tells what has happened to the pool's servers since it was called last. Main thread, once a
 * second where something of the pool may have changed: an ejection takes five seconds at least. */
void ejected_tell(struct log *log, const struct policy_pool *p, int64_t now_ms);

#endif
