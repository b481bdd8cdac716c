/* decision: the terms of one choice as the access log tells them (`log.access.decision`), in the
 * words of `meridianctl explain`. Pure: terms in, a JSON object out, of bounded size. */
#ifndef MERIDIAN_PROXY_DECISION_H
#define MERIDIAN_PROXY_DECISION_H

#include "base/buf.h"
#include "base/limits.h"
#include "pick/pick.h"

#define DECISION_SITES 8 /* beyond: how many were left out; the chosen one is always there */
#define DECISION_MOST  KIB(6)

/* By the request that was asked, whose `explain` was filled. */
void decision_put(const struct pick_request *asked, struct buf *out);

#endif
