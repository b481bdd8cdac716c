/* exchange_impl: what the files of the exchange share, and nobody else may see but those that look
 * at all exchanges of a worker (proxy.c, relief.c, sight.c). exchange.c moves and ends;
 * exchange_route.c finds the route and keeps its gate; exchange_admit.c decides who serves,
 * exchange_sticky.c where the client was before; exchange_send.c carries the request,
 * exchange_hedge.c a second attempt beside the first, exchange_mirror.c its copy;
 * exchange_redirect.c sends clients elsewhere; exchange_reply.c is the response,
 * exchange_compress.c its content in another coding; exchange_time.c watches the time; challenge.c
 * answers authorities; account.c counts and logs what has ended. */
#ifndef MERIDIAN_PROXY_EXCHANGE_IMPL_H
#define MERIDIAN_PROXY_EXCHANGE_IMPL_H

#include "http/back.h"
#include "pick/pick.h"
#include "proxy/client.h"
#include "proxy/exchange.h"
#include "proxy/forward.h"
#include "proxy/pace.h"
#include "proxy/trace.h"

#define TRIED_MOST 8

enum stick_end {
    STICK_NONE,  /* the pool has no cookie, or nobody answered */
    STICK_MADE,  /* the client had none that is good */
    STICK_KEPT,  /* answered by where it was before */
    STICK_BROKEN /* by somebody else */
};

enum hedge_end {
    HEDGE_NONE, /* there was one attempt at a time */
    HEDGE_LOST, /* the second one did not answer first */
    HEDGE_WON
};

struct hedge;

struct exchange {
    /* set once */
    struct proxy *proxy;
    struct client *client; /* NULL: internal */
    struct front *front;   /* NULL after it was released */
    struct request *request;
    struct span id; /* request identifier */
    bool call;      /* of gRPC */
    bool errand;    /* Meridian's own: nobody waits for its answer */
    struct trace trace;
    /* who and where */
    struct edition *edition; /* held until the response head has left */
    const struct policy_route *route;
    const struct policy_pool *pool;
    struct route_stats *stats;
    struct origin *origin;           /* held */
    struct policy_timeouts timeouts; /* copied: needed after the edition is gone */
    uint64_t request_rate, response_rate;
    uint64_t body_most;
    struct span last_backend, last_site; /* of an attempt that failed, for the log */
    float distance_ms;                   /* negative: not known */
    /* the attempt */
    struct pool_slot *slot; /* where it waits */
    struct waiter waiter;   /* in slot->line */
    struct connpool_wait wait;
    struct back *back; /* NULL between attempts */
    struct pick_ticket ticket;
    bool noted;             /* the ticket's outcome has been booked */
    struct pool_slot *home; /* held while a response is relayed, which may have to make room */
    struct link stalled;    /* in home->stalled */
    int64_t stalled_ns;     /* since when the client has hardly taken anything; */
    uint64_t stalled_at;    /* it had taken so much then */
    int64_t room_ns;        /* when it last asked that another one give way to it */
    unsigned tried_count;
    unsigned attempts;
    bool fresh;   /* the last attempt died on a used connection: a new one now */
    bool refused; /* the last server has not looked at it: that may help if there is no other */
    bool last_resort;
    unsigned lacked;                 /* how often we had no memory for a connection */
    const struct pool_member *stick; /* where the client was before; while the edition is held */
    struct challenge *challenge;     /* a file that is being read for it */
    bool stick_ageing;               /* its cookie is to be renewed */
    enum stick_end stick_end;
    struct span decision;  /* how the last server was chosen, as JSON; empty: not asked for */
    enum err last_why;     /* how the last attempt failed */
    struct hedge *hedge;   /* NULL: no second attempt runs beside it */
    int64_t hedge_ns;      /* when one shall begin; 0: not */
    int64_t hedge_from_ns; /* dispatch of the first attempt, where one could; else 0 */
    enum hedge_end hedge_end;
    /* request content */
    struct buf replay;             /* what has come, for another attempt (H22) */
    bool replay_lost;              /* more came than is kept */
    size_t replay_booked;          /* what that takes, in the client's allowance */
    bool invited;                  /* it comes while a server is waited for */
    bool unserved;                 /* counted so in the client's allowance */
    bool front_asked;              /* want_body has been switched on */
    bool front_wanted;             /* its present position */
    bool request_ended;            /* all content has come */
    const struct fields *trailers; /* and these after it; NULL: none */
    bool mirrored;                 /* it was looked at whether to copy it */
    bool request_sent;             /* and has been handed to the present back */
    uint64_t content_in;           /* bytes of request content */
    /* response */
    bool reply_begun; /* the head has gone to the front */
    bool streaming;   /* its content may be silent for long */
    bool reply_ended;
    size_t back_most; /* how much of the content is read at a time; 0: it waits for the client */
    uint16_t status;  /* sent to the client; 0: none */
    uint64_t content_out;
    bool local; /* the answer is Meridian's own */
    bool bare;  /* and without what its route adds: with that it could not be made */
    struct compress_stream *compress; /* NULL: the content goes as it is */
    struct task flush;                /* small pieces of it wait for others of this turn */
    unsigned retry_after_s;           /* of an answer to a request that came too early */
    /* state and time */
    enum exchange_state state;
    enum err end; /* why it ended, as it is logged */
    struct pace client_in, client_out, server_in, server_out;
    int64_t begun_ns;             /* first byte of the request */
    int64_t deadline_ns;          /* by the client's own word (gRPC) or the route's; 0: none */
    int64_t phase_ns;             /* when the present state was entered */
    int64_t dispatched_ns;        /* when the last attempt's request head was handed over */
    int64_t first_byte_ns;        /* of the response; 0: none */
    int64_t queue_ns, connect_ns; /* time spent so, all attempts together */
    /* lists */
    struct link link; /* in proxy->exchanges or proxy->spare */
    struct task grave;
    /* kept from one request to the next: it is hardly ever moved (exchange_new) */
    struct timer timer;
    /* not cleared either: the first tried_count are read */
    struct endpoint *tried[TRIED_MOST];
};

/* exchange.c */
bool exchange_may_move(enum exchange_state from, enum exchange_state to);
void exchange_move(struct exchange *x, enum exchange_state to);
/* The one exit for failures before and after the response has begun. */
void exchange_fail(struct exchange *x, enum err why);
/* The one end: accounts, lets everything go. */
void exchange_end(struct exchange *x, enum err why);
void exchange_attach(struct exchange *x, struct back *b);
void exchange_drop_back(struct exchange *x);
void exchange_leave_edition(struct exchange *x);
extern const struct back_events exchange_back_events;
extern const struct front_events exchange_front_events;

/* challenge.c */
/* Takes what is an authority's challenge on a listener that answers them. */
bool exchange_challenge(struct exchange *x);
void exchange_leave_challenge(struct exchange *x);

/* exchange_route.c */
/* The route and what it asks for, the pool where it leads to one. Errors are answered. */
MUST_CHECK
enum err exchange_route(struct exchange *x);
MUST_CHECK
enum err exchange_find_route(struct exchange *x, struct route_match *match);
/* Takes one that waits for a server over to a newer edition, at its place in the line, where the
 * same route and pool would take it there too; else it stays. */
void exchange_rehome(struct exchange *x, struct edition *to);
/* What names of templates stand for; borrowed from the exchange, the edition and the client. */
void exchange_facts(const struct exchange *x, struct expand_facts *out);

/* exchange_admit.c */
void exchange_admit(struct exchange *x);
/* No more than this from its first byte to the end of the answer (A11); 0: no matter. */
void exchange_limit(struct exchange *x, int64_t whole_ns);
/* The sites that may serve the client (BALANCING.md section 4). ERR_RESIDENCY, ERR_FORBIDDEN: none.
 */
MUST_CHECK
enum err exchange_sites(const struct exchange *x, uint64_t *sites);
void exchange_pick(struct exchange *x);
/* connpool_get for the exchange's client. */
MUST_CHECK
enum err exchange_ask_stream(struct exchange *x, struct endpoint *endpoint, enum connpool_age age,
                             struct connpool_wait *wait, struct back **out);
/* Books the outcome of the present attempt, once. */
void exchange_note(struct exchange *x, enum pick_outcome outcome);
void exchange_release_ticket(struct exchange *x);
/* The same for a ticket that is not the present attempt's. */
void exchange_let_go(struct exchange *x, struct pick_ticket *ticket);
/* What a pick for this request is asked; with `tried` as it is. Errors as exchange_sites. */
MUST_CHECK
enum err exchange_ask(struct exchange *x, struct pick_request *out);
/* Notes how far away the present attempt's site is. */
void exchange_settle_site(struct exchange *x);
/* For the access log, where the choice was explained. Without memory it is not told. */
void exchange_keep_decision(struct exchange *x, const struct pick_request *asked);
/* Whether it was only an old connection that ended before any byte of the answer. */
bool exchange_stale(const struct back *b, enum err why);
/* Takes one retry from the budget of the pool, after an answer or where none came; false: it is
 * used up. */
bool exchange_take_retry(struct exchange *x, bool answered);
/* After a failed attempt: another one, or the failure. */
void exchange_attempt_failed(struct exchange *x, enum err why, enum seen seen);

/* exchange_sticky.c */
/* Once the pool is known. */
void exchange_find_stick(struct exchange *x);
/* Adds the cookie where the client needs one, and books what became of the stick. */
MUST_CHECK
enum err exchange_keep_stick(struct exchange *x, struct reply *r);

/* exchange_send.c */
void exchange_send(struct exchange *x);
/* The head for that server. */
MUST_CHECK
enum err exchange_make_head(struct exchange *x, const struct endpoint *e, struct request *out);
/* Sends it, and lets go of the memory that it has taken since `from`: another attempt makes its
 * own. */
void exchange_send_head(struct exchange *x, struct back *to, const struct request *head,
                        struct arena_mark from, bool end);
void exchange_on_body(void *user, struct span bytes);
void exchange_on_end(void *user, const struct fields *trailers);
void exchange_on_front_room(void *user);
void exchange_on_gone(void *user, enum err why, bool answerable);
void exchange_on_back_room(void *user);
void exchange_front_want(struct exchange *x, bool want);
/* The client may send its content now (RFC 9110 section 10.1.1, H7). */
void exchange_invite_content(struct exchange *x);
/* Drops what is kept of the request's content. */
void exchange_forget_content(struct exchange *x);
/* Whether the content that has come can be sent again. */
bool exchange_in_hand(const struct exchange *x);

/* exchange_hedge.c */
/* The request has been sent: says when it is asked for a second time, if at all. */
void exchange_hedge_arm(struct exchange *x);
void exchange_hedge_disarm(struct exchange *x);
/* The time has come. */
void exchange_hedge(struct exchange *x);
/* The present attempt has failed: the one beside it goes on alone. False: there is none whose
 * request has been sent. */
MUST_CHECK
bool exchange_hedge_succeeds(struct exchange *x);
/* Lets go of it, whatever it does. */
void exchange_hedge_drop(struct exchange *x);
/* How long the answer took. */
void exchange_hedge_learn(struct exchange *x, enum pick_outcome outcome);

/* exchange_wait.c */
/* How likely it is that it holds a server's place for nothing. */
enum standing exchange_standing(const struct exchange *x);
/* What it leaves to others for that (endpoint_places_left). While its edition is held. */
unsigned exchange_modesty(const struct exchange *x);
/* Its content has come, or so much of it that it means it: it waits in a better place now. */
void exchange_settle_content(struct exchange *x);
/* No slot now (L9), or with `own` no connection on this worker. Registered before the second try,
 * so that a slot freed in between is not missed. */
void exchange_wait(struct exchange *x, bool own);
/* Likewise, and it looks again in a moment, not at once. */
void exchange_wait_a_moment(struct exchange *x);
void exchange_leave_queue(struct exchange *x);
/* Neither for a place nor for a connection nor for a file any more. */
void exchange_unwait(struct exchange *x);
/* The time of pool_slot.room has come. */
void exchange_on_room(struct timer *t);
/* One who waits here and is less important gives up its place, if there is one. */
void exchange_shed(struct pool_slot *slot, enum rank rank);

/* exchange_mirror.c */
/* Sends a copy where the route says so, once the content is in hand. */
void exchange_mirror(struct exchange *x);
/* When a copy has had its time; others have all that there is. */
int64_t exchange_mirror_due(const struct exchange *x);
/* A copy's answer has begun, and enough of it was seen: it is over, and well. */
void exchange_mirror_enough(struct exchange *x);

/* exchange_compress.c */
/* Decides whether the content is compressed on its way. */
MUST_CHECK
enum err exchange_compress(struct exchange *x, struct reply *r);
/* Content for the client; ERR_INTERNAL. What waits for more of it leaves at the end of the turn. */
MUST_CHECK
enum err exchange_put_content(struct exchange *x, struct span bytes);
void exchange_on_turn_end(struct task *t);
/* And its end. *trailers: those that still hold, which may be put into kept. ERR_INTERNAL,
 * ERR_NO_MEMORY. */
MUST_CHECK
enum err exchange_end_content(struct exchange *x, const struct fields **trailers,
                              struct fields *kept);

/* exchange_reply.c */
/* How much of the answer may be read at a time; 0: none now. */
size_t exchange_room(const struct exchange *x);
void exchange_on_interim(void *user, struct reply *r);
void exchange_on_reply(void *user, struct reply *r, bool end);
void exchange_on_reply_body(void *user, struct span bytes);
void exchange_on_reply_end(void *user, const struct fields *trailers);
/* Content has been put: goes on as the client takes. */
void exchange_content_put(struct exchange *x);
void exchange_on_fail(void *user, enum err why, enum seen seen);
/* Ends the response whose client has taken hardly anything for the longest time, if that is long
 * enough: others wait for its server (L34). Whether there was one. */
bool exchange_make_room(struct pool_slot *slot, int64_t now_ns);
void exchange_answer(struct exchange *x, enum err why);
void exchange_answer_route(struct exchange *x);
void exchange_answer_file(struct exchange *x, struct span content);
/* Ends the request with a redirect. */
void exchange_answer_redirect(struct exchange *x, uint16_t status, struct span to, bool no_store);

/* exchange_redirect.c */
void exchange_redirect_to_https(struct exchange *x);
/* Sends the client to the best site's own URL: pools with targets. */
void exchange_redirect_to_site(struct exchange *x);

/* exchange_time.c */
void exchange_aim(struct exchange *x);
/* Bytes of content that the client has taken. */
uint64_t exchange_front_taken(const struct exchange *x);
bool exchange_front_took_all(const struct exchange *x);
/* L7: before more is put. What has been put counts as pending until the turn's end, and when little
 * is, nobody says that it has left: who has taken all of it meanwhile was not waited for. */
void exchange_look_at_front(struct exchange *x);
/* L7: it waits for the client alone now: that is looked at in time, however seldom its server is.
 */
void exchange_aim_at_front(struct exchange *x);
void exchange_on_time(struct timer *t);

/* account.c */
void exchange_account(struct exchange *x);

#endif
