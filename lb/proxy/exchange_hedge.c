/* The second attempt beside the first (hedging): asked of another server when the first has not
 * answered in time. Whichever answers first is the attempt, the other one is let go; so there is
 * still one outcome, and one answer that the client could see. It never waits for a place, and
 * everything it needs is made when it begins. */
#include "proxy/exchange_impl.h"

#include "proxy/hedge.h"

struct hedge {
    struct exchange *x;
    struct pick_ticket ticket;
    struct connpool_wait wait; /* while there is no connection */
    int64_t begun_ns;
    int64_t dispatched_ns;
    struct back *back; /* NULL before */
};

static struct pool_slot *slot_of(const struct exchange *x)
{
    return x->edition->pools[x->pool->index].slot;
}

void exchange_hedge_arm(struct exchange *x)
{
    const struct hedge_rules *rules = &x->pool->hedge;
    if (!rules->on || x->errand || !retry_beside(x->request, x->attempts))
        return;
    int64_t delay_ns = hedge_delay_ns(rules, &slot_of(x)->hedge_times);
    x->hedge_from_ns = x->dispatched_ns;
    if (delay_ns > 0)
        x->hedge_ns = x->dispatched_ns + delay_ns;
}

void exchange_hedge_disarm(struct exchange *x)
{
    x->hedge_ns = x->hedge_from_ns = 0;
}

/* Answers that say how the servers are, not those that fail fast. */
void exchange_hedge_learn(struct exchange *x, enum pick_outcome outcome)
{
    if (x->hedge_from_ns != 0 && outcome == PICK_ANSWERED)
        hedge_times_add(&slot_of(x)->hedge_times, x->first_byte_ns - x->hedge_from_ns);
}

static void release_hedge(struct hedge *h)
{
    if (h->back != NULL)
        h->back->ops->release(h->back);
    h->back = NULL;
}

/* It ends without having been of use. */
static void lose(struct exchange *x, enum pick_outcome outcome)
{
    struct hedge *h = x->hedge;
    x->hedge = NULL;
    int64_t now_ns = loop_now_ns(x->proxy->loop);
    if (now_ns - h->begun_ns >= x->timeouts.connect_ms * NS_PER_MS)
        connpool_give_up(&h->wait);
    connpool_cancel(&h->wait);
    release_hedge(h);
    pick_note(&h->ticket, outcome, 0, now_ns / NS_PER_MS);
    exchange_let_go(x, &h->ticket);
}

void exchange_hedge_drop(struct exchange *x)
{
    exchange_hedge_disarm(x);
    if (x->hedge != NULL)
        lose(x, PICK_ABORTED);
}

/* From now on it is the attempt. */
static void take_over(struct exchange *x)
{
    struct hedge *h = x->hedge;
    x->hedge = NULL;
    exchange_drop_back(x);
    exchange_release_ticket(x);
    exchange_attach(x, h->back);
    x->ticket = h->ticket;
    x->noted = false;
    x->dispatched_ns = x->phase_ns = h->dispatched_ns;
    x->first_byte_ns = 0;
    x->hedge_end = HEDGE_WON;
    exchange_settle_site(x);
}

bool exchange_hedge_succeeds(struct exchange *x)
{
    if (x->hedge == NULL || x->hedge->back == NULL)
        return false;
    take_over(x);
    exchange_aim(x);
    return true;
}

static void on_interim(void *user, struct reply *r)
{
    (void)user;
    (void)r;
}

static void on_reply(void *user, struct reply *r, bool end)
{
    struct hedge *h = user;
    struct exchange *x = h->x;
    enum pick_outcome outcome = pick_outcome_of_status(r->status);
    if (outcome != PICK_ANSWERED) {
        lose(x, outcome); /* the first may still do better */
        return;
    }
    exchange_note(x, PICK_OUTRUN);
    take_over(x);
    exchange_on_reply(x, r, end);
}

static void on_body(void *user, struct span bytes)
{
    (void)user;
    (void)bytes;
}

static void on_end(void *user, const struct fields *trailers)
{
    (void)user;
    (void)trailers;
}

static void on_room(void *user)
{
    (void)user;
}

static void on_fail(void *user, enum err why, enum seen seen)
{
    struct hedge *h = user;
    (void)seen;
    bool stale = exchange_stale(h->back, why);
    lose(h->x, stale ? PICK_ABORTED : pick_outcome_of_err(why));
}

static const struct back_events hedge_events = {
    .on_interim = on_interim,
    .on_reply = on_reply,
    .on_body = on_body,
    .on_end = on_end,
    .on_room = on_room,
    .on_fail = on_fail,
};

static void hand_over(struct hedge *h, struct back *b)
{
    struct exchange *x = h->x;
    h->back = b;
    b->events = &hedge_events;
    b->user = h;
    b->arena = x->front->arena;
    b->allowance = x->front->allowance;
    b->age = x->front->age;
    struct request head;
    struct arena_mark from = arena_mark(x->front->arena);
    if (exchange_make_head(x, h->ticket.endpoint, &head) != ERR_OK) {
        lose(x, PICK_ABORTED);
        return;
    }
    h->dispatched_ns = loop_now_ns(x->proxy->loop);
    exchange_send_head(x, b, &head, from, true);
}

static void on_stream(void *user, struct back *b)
{
    hand_over(user, b);
}

static void on_no_stream(void *user, enum err why)
{
    struct hedge *h = user;
    lose(h->x, pick_outcome_of_err(why));
}

static const struct connpool_events stream_events = {.on_stream = on_stream,
                                                     .on_fail = on_no_stream};

/* Another server that can take it at once; nobody is waited for, and no last hope is tried. */
static bool choose(struct exchange *x, struct pick_ticket *out)
{
    struct endpoint *tried[TRIED_MOST + 1];
    struct pick_request req;
    if (atomic_load_explicit(&slot_of(x)->state->waiting, memory_order_relaxed) != 0 ||
        exchange_ask(x, &req) != ERR_OK)
        return false;
    memcpy(tried, x->tried, x->tried_count * sizeof *tried);
    tried[x->tried_count] = x->ticket.endpoint;
    req.tried = tried;
    req.tried_count = x->tried_count + 1;
    req.no_last_resort = true;
    if (pick(&req, out) != ERR_OK)
        return false;
    if (out->mode == PICK_NORMAL)
        return true;
    exchange_let_go(x, out);
    return false;
}

/* At least one in ten seconds, so that it is of use where there is little traffic. */
static bool affordable(struct exchange *x)
{
    return retry_budget_take(&slot_of(x)->hedges, loop_now_ms(x->proxy->loop),
                             x->pool->hedge.budget_percent, 1);
}

static void begin(struct exchange *x, struct hedge *h)
{
    struct back *b;
    h->x = x;
    h->begun_ns = loop_now_ns(x->proxy->loop);
    list_init(&h->wait.link);
    h->wait.events = &stream_events;
    h->wait.user = h;
    x->hedge = h;
    enum err e = exchange_ask_stream(x, h->ticket.endpoint, CONNPOOL_ANY, &h->wait, &b);
    if (e != ERR_OK && e != ERR_AGAIN) {
        lose(x, PICK_ABORTED); /* no connection to be had, or an error of this process (B2) */
        return;
    }
    x->attempts++;
    x->hedge_end = HEDGE_LOST;
    counter_add(&x->stats->hedges, 1);
    if (e == ERR_OK)
        hand_over(h, b);
}

void exchange_hedge(struct exchange *x)
{
    struct pick_ticket ticket;
    x->hedge_ns = 0;
    if (!choose(x, &ticket))
        return;
    struct hedge *h = affordable(x) ? arena_zero(x->front->arena, sizeof *h) : NULL;
    if (h == NULL) {
        exchange_let_go(x, &ticket);
        counter_add(&x->stats->hedges_refused, 1);
        return;
    }
    h->ticket = ticket;
    begin(x, h);
}
