/* why: the reason for which an endpoint gets no requests, or not this one, in the order in which
 * pick looks at it. Shows what the choice does; decides nothing. Pure but for the atomics that pick
 * reads too. */
#ifndef MERIDIAN_PICK_WHY_H
#define MERIDIAN_PICK_WHY_H

#include "pick/pick.h"

/* X(constant, "name", "text for people") */
#define PICK_WHYS(X)                                                                               \
    X(NOTHING, "", "")                                                                             \
    X(DRAIN, "drain", "drained by an operator")                                                    \
    X(MAINTENANCE, "maintenance", "in maintenance")                                                \
    X(SOFT, "soft", "its checks fail")                                                             \
    X(HARD, "hard", "it cannot be reached")                                                        \
    X(OUT, "out", "ejected: it failed in requests")                                                \
    X(FORBIDDEN, "forbidden", "its site may not serve this client")                                \
    X(TRIED, "tried", "this request has been there")                                               \
    X(FULL, "full", "at its max_inflight")                                                         \
    X(BACKUP, "backup", "a backup, and others can serve")                                          \
    X(OTHER_SITE, "other-site", "another site costs less")                                         \
    X(OTHER_TIER, "other-tier", "the backups serve")                                               \
    X(NOT_DRAWN, "not-drawn", "it was not among those compared")                                   \
    X(SLOW_START, "slow-start", "in slow start: a part of its weight")

enum pick_why {
#define PICK_WHY_ENUM_(id, name, text) PICK_WHY_##id,
    PICK_WHYS(PICK_WHY_ENUM_)
#undef PICK_WHY_ENUM_
};
const char *pick_why_name(enum pick_why why);
const char *pick_why_text(enum pick_why why);

/* What stands between the member and requests in general. */
enum pick_why pick_why_idle(const struct pool_view *view, uint32_t member, int64_t now_ms);
/* Panic: the member gets requests although it is not as it should be. */
bool pick_used_anyway(const struct pool_view *view, enum pick_why idle);
/* Why this member was not chosen, by pick_explain's terms for the same request; NOTHING for the
 * candidates, whose verdict says it. */
enum pick_why pick_why_not(const struct pick_request *req, const struct pick_explain *terms,
                           uint32_t member);
/* The weight that the view gives it now; the configured one where it is not in it. */
uint32_t pick_weight_now(const struct pool_view *view, uint32_t member);

#endif
