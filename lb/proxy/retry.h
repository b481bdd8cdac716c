/* retry: the one decision whether a failed attempt may go again (docs/architecture.md, law 1;
 * RELIABILITY P4, H22, L30), and the budget that keeps retries from becoming the load. Pure. It
 * must not know how an attempt is made. */
#ifndef MERIDIAN_PROXY_RETRY_H
#define MERIDIAN_PROXY_RETRY_H

#include "http/back.h"

enum {
    RETRY_CONNECT = 1, /* refused, unreachable, no answer to the connection attempt, TLS failed */
    RETRY_RESET = 2,   /* closed or reset before the response was complete, by whomever: it may be
                          our own want of memory that broke the connection */
    RETRY_FIRST_BYTE = 4, /* no response in time */
    RETRY_502 = 8,
    RETRY_503 = 16,
    RETRY_504 = 32,
};

struct retry_rules {
    uint32_t on;    /* RETRY_* */
    unsigned extra; /* attempts after the first */
    unsigned budget_percent;
};

struct retry_facts {
    enum err why; /* ERR_OK where the server answered with `status` */
    uint16_t status;
    enum seen seen;
    enum method method;
    bool content_in_hand; /* all content received so far can be sent again (or there is none) */
    bool reply_begun;     /* a byte of the response head has left towards the client */
    unsigned attempts;    /* made so far, 1 after the first */
    int64_t elapsed_ms;   /* since the request head */
};

/* Whether the rules allow one more attempt; the budget is asked apart. */
bool retry_allowed(const struct retry_rules *rules, const struct retry_facts *facts);

/* Whether the request may be asked for at two servers at once (hedging), with this many attempts
 * made: one, of a safe method without content that nothing depends on being done once. */
bool retry_beside(const struct request *r, unsigned attempts);

/* What one pool had on one worker in the last ten seconds (L30), and what it may spend on answers.
 * Owner thread only. */
#define RETRY_BUDGET_S 10
struct retry_budget {
    int64_t second[RETRY_BUDGET_S]; /* which one each place counts */
    uint32_t requests[RETRY_BUDGET_S], retries[RETRY_BUDGET_S];
    int64_t credit; /* hundredths of a retry; below 0: taken before it was earned */
};
/* One first attempt, which earns `percent` hundredths of a retry. */
void retry_budget_request(struct retry_budget *b, int64_t now_ms, unsigned percent);
/* Takes one retry where the last ten seconds leave one: at most `percent` of their requests, or
 * `least` whatever the traffic, whichever is more. */
bool retry_budget_take(struct retry_budget *b, int64_t now_ms, unsigned percent, uint32_t least);
/* The same for a server that has answered that it cannot: it may have too much to do, and so may
 * the next one. So what was saved up before pays only for the first of them, and is then paid back
 * (F14): over a crowd of some seconds these are at most `percent` of the crowd's own requests. */
bool retry_budget_take_answered(struct retry_budget *b, int64_t now_ms, unsigned percent,
                                uint32_t least);

#endif
