/* Who serves: admission, pick, connection, and what follows a failed attempt. */
#include "proxy/decision.h"
#include "proxy/exchange_impl.h"
#include "proxy/grpc.h"

#include "base/limits.h"

#include <assert.h>

void exchange_limit(struct exchange *x, int64_t whole_ns)
{
    int64_t at = x->begun_ns + whole_ns;
    if (whole_ns > 0 && (x->deadline_ns == 0 || at < x->deadline_ns))
        x->deadline_ns = at;
}

static enum err identify(struct exchange *x)
{
    struct proxy *p = x->proxy;
    if (x->id.p == NULL)
        x->id = forward_id(x->request, rng_u64(&p->rng), rng_u64(&p->rng), x->front->arena);
    if (x->id.p == NULL)
        return ERR_NO_MEMORY;
    int percent = TRACE_OFF;
    if (x->client != NULL && x->edition->policy->tracing)
        percent = x->edition->policy->trace_percent;
    enum err e = trace_take(x->request, percent, &p->rng, x->front->arena, &x->trace);
    if (e != ERR_OK)
        return e;
    x->call = grpc_is_call(x->request);
    exchange_limit(x, x->call ? grpc_timeout_ns(x->request) : 0);
    if (x->client == NULL)
        return ERR_OK;
    x->origin = client_origin(x->client, x->edition->policy, x->request);
    return x->origin != NULL ? ERR_OK : ERR_NO_MEMORY;
}

/* While the servers lack what they all need, no request is worth their time; afterwards they get
 * more and more of them. */
static bool is_open(const struct exchange *x)
{
    struct proxy *p = x->proxy;
    uint32_t share = pool_open_share(x->pool->pick->state, loop_now_ms(p->loop));
    return share == 256 || rng_below(&p->rng, 256) < share;
}

void exchange_admit(struct exchange *x)
{
    exchange_move(x, EXCHANGE_ADMIT);
    enum err e = identify(x);
    if (e == ERR_OK && x->client != NULL && exchange_challenge(x))
        return;
    if (e == ERR_OK && x->client != NULL && x->client->listener->redirect_to_https) {
        exchange_redirect_to_https(x);
        return;
    }
    if (e == ERR_OK)
        e = exchange_route(x);
    if (e != ERR_OK) {
        exchange_fail(x, e);
        return;
    }
    if (x->pool == NULL) {
        exchange_answer_route(x);
        return;
    }
    if (x->pool->targets != NULL) {
        exchange_redirect_to_site(x);
        return;
    }
    if (x->pool->fail_fast && !is_open(x)) {
        exchange_fail(x, ERR_DEPENDENCY_DOWN);
        return;
    }
    struct pool_slot *slot = x->edition->pools[x->pool->index].slot;
    exchange_find_stick(x);
    int64_t now_ms = loop_now_ms(x->proxy->loop);
    retry_budget_request(&slot->budget, now_ms, x->pool->retries.budget_percent);
    if (x->pool->hedge.on)
        retry_budget_request(&slot->hedges, now_ms, x->pool->hedge.budget_percent);
    exchange_pick(x);
}

static void on_stream(void *user, struct back *b)
{
    struct exchange *x = user;
    x->connect_ns += loop_now_ns(x->proxy->loop) - x->phase_ns;
    exchange_attach(x, b);
    exchange_send(x);
}

/* A connection that we have no memory for ourselves says nothing of the server (B2), and is no
 * attempt: it is asked for again in a moment, a few times, by all who have waited for it (F16). */
static void lacks_memory(struct exchange *x)
{
    if (++x->lacked <= LIMIT_LACKED)
        exchange_wait_a_moment(x);
    else
        exchange_fail(x, ERR_NO_MEMORY);
}

static void on_no_stream(void *user, enum err why)
{
    struct exchange *x = user;
    if (why != ERR_NO_MEMORY) {
        exchange_attempt_failed(x, why, SEEN_NO);
        return;
    }
    x->connect_ns += loop_now_ns(x->proxy->loop) - x->phase_ns;
    x->attempts--;
    exchange_release_ticket(x);
    lacks_memory(x);
}

static const struct connpool_events stream_events = {.on_stream = on_stream,
                                                     .on_fail = on_no_stream};

/* L34: what may not be repeated takes a connection that was just used, or a new one. */
static enum connpool_age age_for(const struct exchange *x)
{
    const struct request *r = x->request;
    if (x->fresh)
        return CONNPOOL_NEW;
    bool once = !method_idempotent(r->method) || r->content == CONTENT_STREAM ||
                (r->content == CONTENT_LENGTH && r->length > LIMIT_REPLAY_BODY);
    return once ? CONNPOOL_FRESH : CONNPOOL_ANY;
}

enum err exchange_ask_stream(struct exchange *x, struct endpoint *endpoint, enum connpool_age age,
                             struct connpool_wait *wait, struct back **out)
{
    struct connpool_client client = {0};
    if (x->pool->header != CONNPOOL_NO_HEADER)
        client = origin_announced(x->origin, x->front->ops->conn(x->front));
    return connpool_get(x->proxy->connpool, endpoint, &client, age, exchange_modesty(x), wait, out);
}

static void open_stream(struct exchange *x)
{
    struct back *b;
    x->wait.events = &stream_events;
    x->wait.user = x;
    enum err e = exchange_ask_stream(x, x->ticket.endpoint, age_for(x), &x->wait, &b);
    if (e == ERR_FULL) {
        pick_release(&x->ticket); /* nothing has become free: nobody is told */
        exchange_wait(x, true);
        return;
    }
    if (e == ERR_NO_MEMORY) {
        pick_release(&x->ticket);
        lacks_memory(x);
        return;
    }
    x->attempts++;
    if (e != ERR_OK && e != ERR_AGAIN) {
        exchange_fail(x, e); /* ours, not the server's (B2) */
        return;
    }
    exchange_leave_queue(x);
    if (e == ERR_OK) {
        exchange_attach(x, b);
        exchange_send(x);
        return;
    }
    exchange_move(x, EXCHANGE_CONNECT);
    exchange_aim(x);
}

enum err exchange_sites(const struct exchange *x, uint64_t *sites)
{
    static const struct place unknown = {0};
    *sites = PICK_ALL;
    if (x->pool->residency == NULL)
        return ERR_OK;
    const struct place *place = x->origin != NULL ? &x->origin->place : &unknown;
    return residency_sites(x->pool->residency, place, sites);
}

static const float *distances(struct exchange *x)
{
    return x->origin != NULL ? origin_distances(x->origin, x->edition->policy, x->pool) : NULL;
}

enum err exchange_ask(struct exchange *x, struct pick_request *out)
{
    struct proxy *p = x->proxy;
    struct edition_pool *ep = &x->edition->pools[x->pool->index];
    int64_t now_ms = loop_now_ms(p->loop);
    uint64_t sites;
    enum err e = exchange_sites(x, &sites);
    if (e != ERR_OK)
        return e;
    pool_view_refresh(ep->view, now_ms);
    *out = (struct pick_request){
        .view = ep->view,
        .distance_ms = distances(x),
        .allowed = sites,
        .tried = x->tried,
        .tried_count = x->tried_count,
        .key = request_key(&x->pool->hash, x->request, x->origin != NULL ? &x->origin->addr : NULL,
                           NULL),
        .has_key = x->pool->hash.kind != KEY_NONE,
        .stick = x->stick,
        .modest = exchange_modesty(x),
        .no_last_resort = x->last_resort,
        .now_ms = now_ms,
        .dice = pick_dice_rng(&p->rng),
        .explain = x->edition->policy->log_decisions ? &p->terms : NULL,
    };
    return ERR_OK;
}

void exchange_keep_decision(struct exchange *x, const struct pick_request *asked)
{
    char memory[DECISION_MOST];
    struct buf text;
    if (asked->explain == NULL)
        return;
    buf_fixed(&text, memory, sizeof memory);
    decision_put(asked, &text);
    if (!text.failed)
        x->decision = arena_copy(x->front->arena, buf_span(&text));
}

void exchange_settle_site(struct exchange *x)
{
    const float *distance_ms = distances(x);
    if (distance_ms != NULL)
        x->distance_ms = distance_ms[x->ticket.site_index];
    else if (x->pool->sites != NULL)
        x->distance_ms = x->edition->pools[x->pool->index].view->here_ms[x->ticket.site_index];
}

/* RFC 9113 section 8.7: a connection that goes away, or is given no more streams, says nothing of
 * the next one to the same server. */
static enum err same_again(struct exchange *x, struct pick_request *req)
{
    x->refused = false;
    x->fresh = true;
    req->tried_count = --x->tried_count;
    return pick(req, &x->ticket);
}

/* What makes a server usable is seen by whoever picks next: those who wait come before him. */
static void let_waiters_first(struct exchange *x)
{
    const struct edition_pool *ep = &x->edition->pools[x->pool->index];
    if (ep->slot->line.count != 0 && pool_view_due(ep->view, loop_now_ms(x->proxy->loop)))
        proxy_look(x->proxy, ep->slot);
}

void exchange_pick(struct exchange *x)
{
    struct pick_request req;
    if (x->state != EXCHANGE_WAIT)
        let_waiters_first(x);
    enum err e = exchange_ask(x, &req);
    if (e != ERR_OK) {
        exchange_fail(x, e);
        return;
    }
    e = pick(&req, &x->ticket);
    if (e == ERR_NO_BACKEND && x->refused)
        e = same_again(x, &req);
    if (e == ERR_FULL) {
        exchange_wait(x, false);
        return;
    }
    if (e != ERR_OK) {
        bool tried = x->last_why != ERR_OK && !x->last_resort;
        exchange_fail(x, tried ? x->last_why : ERR_NO_BACKEND);
        return;
    }
    x->noted = false;
    if (x->origin != NULL)
        origin_sent_to(x->origin, x->ticket.site);
    x->last_resort = x->last_resort || x->ticket.mode == PICK_LAST_RESORT;
    exchange_settle_site(x);
    exchange_keep_decision(x, &req);
    open_stream(x);
}

/* Response time as BALANCING.md section 6 has it: from the later of dispatch and last request byte.
 */
static double sample_ms(const struct exchange *x)
{
    int64_t from = x->dispatched_ns;
    int64_t to = x->first_byte_ns != 0 ? x->first_byte_ns : loop_now_ns(x->proxy->loop);
    if (x->back != NULL && x->back->sent_ns > from)
        from = x->back->sent_ns;
    return (double)(to - from) / (double)NS_PER_MS;
}

void exchange_note(struct exchange *x, enum pick_outcome outcome)
{
    if (x->ticket.endpoint == NULL || x->noted)
        return;
    x->noted = true;
    pick_note(&x->ticket, outcome, sample_ms(x), loop_now_ms(x->proxy->loop));
}

/* The pool's state is looked at when the ticket is gone, so that one who begins to wait meanwhile
 * is seen. It is still there: the endpoint holds it, and is held by the edition, or else by the
 * connection pool, to which the stream's connection belongs to the end of the turn. */
void exchange_let_go(struct exchange *x, struct pick_ticket *ticket)
{
    if (ticket->endpoint == NULL)
        return;
    struct pool_state *state = ticket->endpoint->pool;
    pick_release(ticket);
    if (atomic_load_explicit(&state->waiting, memory_order_relaxed) != 0)
        proxy_slot_released(x->proxy, state);
}

void exchange_release_ticket(struct exchange *x)
{
    exchange_let_go(x, &x->ticket);
}

/* What is said of a failed attempt later, when its ticket is gone. */
static void remember_attempt(struct exchange *x, enum err why, enum seen seen)
{
    const struct endpoint *e = x->ticket.endpoint;
    if (e == NULL)
        return;
    x->last_backend = arena_copy(x->front->arena, e->backend);
    x->last_site = arena_copy(x->front->arena, span_str(x->ticket.site->name));
    x->last_why = why;
    if (x->fresh || why == ERR_NO_MEMORY || x->tried_count >= TRIED_MOST)
        return;
    x->tried[x->tried_count++] = x->ticket.endpoint;
    bool turned_away = x->back != NULL && why == ERR_BACKEND_RESET && seen == SEEN_NO;
    x->refused = turned_away || why == ERR_BACKEND_WANTS_H1;
}

/* A used connection that ended before any byte of the answer tells nothing about the server: it was
 * most likely closed for idleness just then. The next attempt may go there again, on a new one.
 * Where not even the server's system took the request, the budget (L30) is not asked: a server may
 * end all its resting connections at once, and was not asked for anything. */
bool exchange_stale(const struct back *b, enum err why)
{
    return b != NULL && b->reused && why == ERR_BACKEND_RESET && b->first_byte_ns == 0;
}

/* This worker's share of the least that is always allowed (L30), never none. */
bool exchange_take_retry(struct exchange *x, bool answered)
{
    struct proxy *p = x->proxy;
    struct retry_budget *budget = &x->edition->pools[x->pool->index].slot->budget;
    unsigned percent = x->pool->retries.budget_percent;
    uint32_t least = LIMIT_RETRY_BUDGET_MIN * RETRY_BUDGET_S / p->workers;
    least = least > 0 ? least : 1;
    return answered ? retry_budget_take_answered(budget, loop_now_ms(p->loop), percent, least)
                    : retry_budget_take(budget, loop_now_ms(p->loop), percent, least);
}

/* What we lack ourselves may be had by another attempt where it was the connection that broke by
 * it; where the request has used up what is its own, or the response does not fit, it ends. */
static bool own_lack_ends(const struct exchange *x, enum err why)
{
    bool begun = x->back != NULL && x->back->first_byte_ns != 0;
    return why == ERR_NO_MEMORY && (begun || x->front->arena->refused);
}

static bool another_attempt(struct exchange *x, enum err why, enum seen seen)
{
    struct proxy *p = x->proxy;
    struct retry_facts facts = {
        .why = why,
        .seen = seen,
        .method = x->request->method,
        .content_in_hand = exchange_in_hand(x),
        .reply_begun = x->reply_begun,
        .attempts = x->attempts,
        .elapsed_ms = (loop_now_ns(p->loop) - x->begun_ns) / NS_PER_MS,
    };
    if (x->pool == NULL || own_lack_ends(x, why) || !retry_allowed(&x->pool->retries, &facts))
        return false;
    return (x->fresh && x->back->unheard) || exchange_take_retry(x, false);
}

void exchange_attempt_failed(struct exchange *x, enum err why, enum seen seen)
{
    bool was_stale = exchange_stale(x->back, why) && !x->fresh;
    exchange_note(x, was_stale ? PICK_ABORTED : pick_outcome_of_err(why));
    assert(why != ERR_OK);
    x->fresh = was_stale;
    x->refused = false;
    remember_attempt(x, why, seen);
    exchange_hedge_disarm(x);
    if (exchange_hedge_succeeds(x))
        return;
    exchange_hedge_drop(x);
    x->hedge_end = x->hedge_end == HEDGE_WON ? HEDGE_LOST : x->hedge_end;
    bool again = another_attempt(x, why, seen);
    if (why == ERR_BACKEND_CONNECT_TIMEOUT)
        connpool_give_up(&x->wait);
    exchange_drop_back(x);
    exchange_unwait(x);
    exchange_release_ticket(x);
    if (!again) {
        /* A last resort that failed says what was known before: nobody can serve. */
        exchange_fail(x, x->last_resort && seen == SEEN_NO ? ERR_NO_BACKEND : why);
        return;
    }
    counter_add(&x->stats->retries, 1);
    exchange_front_want(x, false); /* until somebody can take it */
    x->request_sent = false;
    x->first_byte_ns = 0;
    exchange_move(x, EXCHANGE_ADMIT);
    exchange_pick(x);
}
