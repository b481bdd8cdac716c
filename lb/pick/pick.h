/* pick: chooses the site and the endpoint for one request (BALANCING.md sections 7 and 10), and
 * books how it ended (sections 6 and 9). Knows numbers, atomics and injected randomness; knows no
 * request, no socket, no place on earth.
 *
 * One attempt: pool_view_refresh, pick, pick_note once the outcome is known (the response head, or
 * the failure), pick_release at the very end; pick_done is the last two in one. The ticket needs no
 * snapshot: it may outlive the view, the pick_pool and the snapshot. */
#ifndef MERIDIAN_PICK_PICK_H
#define MERIDIAN_PICK_PICK_H

#include "base/hash.h"
#include "pick/pool.h"

#define PICK_ALL UINT64_MAX

/* Uniform 64-bit draws; tests script them. */
struct pick_dice {
    uint64_t (*draw)(void *ctx);
    void *ctx;
};
struct pick_dice pick_dice_rng(struct rng *rng);

enum pick_mode {
    PICK_NORMAL,
    PICK_PANIC,      /* health marks but HARD and ejections are ignored */
    PICK_LAST_RESORT /* no allowed site has an UP or SOFT endpoint: one HARD one, once per request
                      */
};

struct pick_explain;

/* Everything is borrowed for the call. */
struct pick_request {
    const struct pool_view *view;
    const float *distance_ms; /* by site, final (weight applied); NULL: the view's here_ms */
    uint64_t allowed;         /* bit i: site i may serve (residency); PICK_ALL */
    struct endpoint *const *tried;
    size_t tried_count;
    uint64_t key; /* PICK_CONSISTENT_HASH, `keyed`: what must stay together has the same one */
    bool has_key; /* else anybody is drawn */
    /* Where the client was before: it goes there again where that may serve; NULL: nowhere. */
    const struct pool_member *stick;
    uint32_t modest;     /* what of max_inflight is left to others (endpoint_places_left) */
    bool no_last_resort; /* an earlier attempt of this request was PICK_LAST_RESORT */
    int64_t now_ms;
    struct pick_dice dice;
    struct pick_explain *explain; /* NULL, or filled with every term */
};

/* A request in flight on an endpoint. Zeroed: nothing is held. */
struct pick_ticket {
    struct endpoint *endpoint; /* NULL: nothing is held */
    struct site_state *site;
    uint32_t site_index;
    uint32_t q;                          /* the site's in-flight just before */
    uint32_t weight, site_weight;        /* effective, at the time of the pick */
    uint32_t site_members, pool_members; /* configured, for the limits of ejection */
    enum pick_mode mode;
};

/* Chooses and takes: in-flight of endpoint and site are raised. ERR_NO_BACKEND: nobody in the
 * allowed sites can serve. ERR_FULL: somebody could, but all such are at max_inflight: wait
 * (RELIABILITY L9). O(sites) + O(choices log n); O(n) of a site only where its draws find nobody.
 * Owner thread of the view. */
MUST_CHECK
enum err pick(const struct pick_request *req, struct pick_ticket *out);

/* The same for a pool whose knobs say redirect: nothing is taken, and the client is counted as sent
 * to the site (site_redirected). Sites with nobody but HARD endpoints are not offered. */
MUST_CHECK
enum err pick_site(const struct pick_request *req, uint32_t *site);

/* The table of BALANCING.md section 6. */
enum pick_outcome {
    PICK_ANSWERED,       /* a response other than those below: sample, clears the failure counts */
    PICK_BUSY,           /* 429, 503 */
    PICK_TIMEOUT,        /* no answer in time: x is the time that passed */
    PICK_FAILED,         /* 500, 502, 504, reset, TLS or protocol error */
    PICK_CONNECT_FAILED, /* refused, unreachable, connect time-out: three in a row eject (L32) */
    PICK_OUTRUN,         /* another attempt answered first: x is the time that passed; no failure */
    PICK_ABORTED         /* the client went away, or a failure of this process (B2): says nothing */
};
enum pick_outcome pick_outcome_of_status(int status);
enum pick_outcome pick_outcome_of_err(enum err e);

/* Books the outcome of the ticket's request: sample, counters, ejection. x_ms: the first response
 * byte minus the later of dispatch and last request byte; of a time-out, all that passed; not used
 * for outcomes without a sample. Call before pick_release. Any thread. */
void pick_note(const struct pick_ticket *t, enum pick_outcome outcome, double x_ms, int64_t now_ms);
/* The one place that brings in-flight down (A8): exactly once, the ticket is empty afterwards; an
 * empty one is left alone. */
void pick_release(struct pick_ticket *t);
/* pick_note and pick_release. */
void pick_done(struct pick_ticket *t, enum pick_outcome outcome, double x_ms, int64_t now_ms);

/* Every term of one choice, for `meridianctl explain`. */
enum pick_verdict {
    PICK_CHOSEN,
    PICK_FORBIDDEN, /* not in the mask */
    PICK_EMPTY,     /* no endpoint can be used */
    PICK_FULL,      /* all that could be used are at max_inflight, or have been tried */
    PICK_COSTLIER,
    PICK_MORE_LOADED, /* equal cost, higher Q/W; or an endpoint with more in flight per weight */
    PICK_TIED,        /* equal in all, later in order */
    PICK_ELSEWHERE,   /* a site: nothing was compared, or the algorithm knows no sites */
    PICK_OVER_SHARE   /* an endpoint: the key's, but it has its share (PICK_CONSISTENT_HASH) */
};
const char *pick_verdict_name(enum pick_verdict verdict); /* "chosen", "forbidden", … */
const char *pick_mode_name(enum pick_mode mode);          /* "normal", "panic", "last-resort" */
/* How the view chooses among the sites of the mask now. */
enum pick_mode pick_mode_of(const struct pool_view *view, uint64_t mask);

struct pick_site_terms {
    enum pick_verdict verdict;
    uint32_t usable, inflight; /* n, Q */
    uint64_t weight;           /* W */
    double distance_ms, t_ms, n_ms, a;
    uint64_t samples;
    double predicted_ms, load_ms, cost_ms; /* p, load, c; 0 but for PICK_NEAREST */
};
struct pick_candidate {
    const struct endpoint *endpoint; /* valid as long as the snapshot */
    uint32_t site, inflight, weight;
    enum pick_verdict verdict;
};
struct pick_explain {
    enum pick_algorithm algorithm;
    enum pick_mode mode;
    uint32_t tier;  /* whose figures these are; 0: those in front, else backups */
    bool keyed;     /* the request has what PICK_CONSISTENT_HASH goes by */
    bool stuck;     /* it goes where it was before: nothing was compared */
    double base_ms; /* 0: no site with enough samples */
    uint32_t site_count, candidate_count;
    struct pick_site_terms sites[LIMIT_SITES];
    struct pick_candidate candidates[PICK_CHOICES_MOST]; /* in draw order */
};

/* As pick, but takes nothing; req->explain must be set. */
MUST_CHECK
enum err pick_explain(const struct pick_request *req);

#endif
