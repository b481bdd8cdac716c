/* helper: the one thread for blocking work (files, certificates, databases). It takes one job at a
 * time and tells the main thread by mail when it is done. It knows no job's meaning. Main thread
 * only. */
#ifndef MERIDIAN_RUN_HELPER_H
#define MERIDIAN_RUN_HELPER_H

#include "run/mailbox.h"

struct helper;

MUST_CHECK
enum err helper_new(struct mailbox *reply_to, int reply_kind, struct helper **out);
/* Waits for the job that runs. */
void helper_free(struct helper **h);
/* work runs on the helper's thread; then `reply_kind` with p = arg is posted. False: one runs
 * already. */
bool helper_do(struct helper *h, void (*work)(void *arg), void *arg);
/* The receiver of the reply says so. */
void helper_done(struct helper *h);

#endif
