/* internal: a request of Meridian's own: a front without a connection. Head and content come from
 * memory, the answer goes to a callback. What is asked later (a deferred request) or on the side
 * uses it, and the exchange's tests. It knows one exchange; it must not know why it asks. Owner
 * thread only. */
#ifndef MERIDIAN_PROXY_INTERNAL_H
#define MERIDIAN_PROXY_INTERNAL_H

#include "proxy/exchange.h"
#include "proxy/proxy.h"

struct internal;

struct internal_answer {
    enum err why;              /* ERR_OK: complete; else what ended it */
    uint16_t status;           /* 0: no head came */
    const struct fields *head; /* borrowed for the call */
    struct span content;
    const struct fields *trailers; /* NULL: none */
    unsigned interim;              /* how many came before */
};

struct internal_request {
    const struct request *head;  /* copied; with content, CONTENT_LENGTH or CONTENT_STREAM */
    struct span content;         /* borrowed until the end */
    const struct errand *errand; /* NULL: routed by its head; read during internal_begin */
    bool drop;                   /* the answer's content is of no interest */
    size_t answer_most;          /* bytes of the answer's content, 0: none; beyond it: ERR_FULL */
    /* Once, never from inside internal_begin; the handle is gone after it. */
    void (*on_done)(void *user, const struct internal_answer *a);
    void *user;
};

/* ERR_NO_MEMORY. Otherwise on_done comes, with an error in it where the request could not even
 * begin. */
MUST_CHECK
enum err internal_begin(struct proxy *p, const struct internal_request *r, struct internal **out);
/* Nobody waits for the answer any more: it ends as ERR_CLIENT_ABORT; on_done comes. */
void internal_cancel(struct internal *i);

#endif
