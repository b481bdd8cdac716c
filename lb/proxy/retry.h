/* retry: the one decision whether a failed attempt may go again (docs/architecture.md, law 1;
 * RELIABILITY P4, H22, L30), and the budget that keeps retries from becoming the load. Pure. It
 * must not know how an attempt is made. */
#ifndef MERIDIAN_PROXY_RETRY_H
#define MERIDIAN_PROXY_RETRY_H

#include "http/back.h"

enum {
    RETRY_CONNECT = 1, /* refused, unreachable, no answer to the connection attempt, TLS failed */
    RETRY_RESET = 2,   /* closed or reset before the response was complete */
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

/* One pool on one worker. Owner thread only. */
struct retry_budget {
    int64_t credit_milli; /* thousandths of a retry */
    int64_t filled_ms;    /* when the steady part was last added */
};
/* One first attempt: adds percent/100 of a retry. */
void retry_budget_request(struct retry_budget *b, unsigned percent);
/* Takes one retry if there is one. steady_milli: thousandths of a retry added each second whatever
 * the traffic (L30: 10/s over all workers). The credit never passes ten seconds' worth of steady
 * retries or 10,000, whichever is more. */
bool retry_budget_take(struct retry_budget *b, int64_t now_ms, int64_t steady_milli);

#endif
