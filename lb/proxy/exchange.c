#include "proxy/exchange_impl.h"

#include "base/limits.h"
#include "base/mem.h"

#include <assert.h>

#define SPARE_MOST 256

static const char *const state_names[] = {
#define EXCHANGE_NAME_(id, name) [EXCHANGE_##id] = name,
    EXCHANGE_STATES(EXCHANGE_NAME_)
#undef EXCHANGE_NAME_
};

const char *exchange_state_name(enum exchange_state s)
{
    return s < EXCHANGE_STATE_COUNT ? state_names[s] : "?";
}

#define TO(s) (1u << EXCHANGE_##s)

/* Which moves there are; any other is a defect (docs/architecture.md, law 6). */
static const unsigned moves[EXCHANGE_STATE_COUNT] = {
    [EXCHANGE_HEAD] = TO(ADMIT) | TO(FAILING) | TO(DONE),
    [EXCHANGE_ADMIT] = TO(WAIT) | TO(CONNECT) | TO(SENDING) | TO(FAILING) | TO(DONE),
    [EXCHANGE_WAIT] = TO(WAIT) | TO(CONNECT) | TO(SENDING) | TO(FAILING) | TO(DONE),
    [EXCHANGE_CONNECT] = TO(ADMIT) | TO(SENDING) | TO(FAILING) | TO(DONE),
    [EXCHANGE_SENDING] =
        TO(ADMIT) | TO(REPLY_HEAD) | TO(RELAY) | TO(TUNNEL) | TO(FAILING) | TO(DONE),
    [EXCHANGE_REPLY_HEAD] = TO(ADMIT) | TO(RELAY) | TO(TUNNEL) | TO(FAILING) | TO(DONE),
    [EXCHANGE_RELAY] = TO(DONE),
    [EXCHANGE_TUNNEL] = TO(DONE),
    [EXCHANGE_FAILING] = TO(SENDING) | TO(DONE),
    [EXCHANGE_DONE] = 0,
};

bool exchange_may_move(enum exchange_state from, enum exchange_state to)
{
    return (moves[from] >> to & 1) != 0;
}

void exchange_move(struct exchange *x, enum exchange_state to)
{
    assert(exchange_may_move(x->state, to));
    x->state = to;
    x->phase_ns = loop_now_ns(x->proxy->loop);
}

const struct front_events exchange_front_events = {
    .on_body = exchange_on_body,
    .on_end = exchange_on_end,
    .on_room = exchange_on_front_room,
    .on_gone = exchange_on_gone,
};

const struct back_events exchange_back_events = {
    .on_interim = exchange_on_interim,
    .on_reply = exchange_on_reply,
    .on_body = exchange_on_reply_body,
    .on_end = exchange_on_reply_end,
    .on_room = exchange_on_back_room,
    .on_fail = exchange_on_fail,
};

static void bury(struct task *t);

static struct exchange *exchange_new(struct proxy *p)
{
    struct exchange *x;
    if (!list_empty(&p->spare)) {
        x = container_of(p->spare.next, struct exchange, link);
        list_remove(&x->link);
        p->spare_count--;
        memset(x, 0, offsetof(struct exchange, timer));
    } else {
        x = reserve_alloc(&p->env->reserve, sizeof *x); /* else nobody could answer */
        if (x == NULL)
            return NULL;
        timer_init(&x->timer, p->loop, exchange_on_time);
    }
    x->proxy = p;
    x->distance_ms = -1;
    list_init(&x->waiter.link);
    list_init(&x->wait.link);
    list_init(&x->stalled);
    task_init(&x->grave, bury);
    task_init(&x->flush, exchange_on_turn_end);
    list_append(&p->exchanges, &x->link);
    counter_add(&p->stats->exchanges_open, 1);
    return x;
}

/* NULL without memory; the front is gone then. */
static struct exchange *take_front(struct proxy *p, struct front *front, struct request *request)
{
    struct exchange *x = exchange_new(p);
    if (x == NULL) {
        front->ops->abort(front, ERR_NO_MEMORY);
        front->ops->release(front);
        return NULL;
    }
    x->front = front;
    x->request = request;
    x->begun_ns = front->begun_ns;
    buf_init(&x->replay, LIMIT_WAITING_BODY);
    front->events = &exchange_front_events;
    front->user = x;
    x->unserved = true;
    allowance_expect(front->allowance);
    return x;
}

static void wait_for_no_server(struct exchange *x)
{
    if (x->unserved)
        allowance_expect_no_more(x->front->allowance);
    x->unserved = false;
}

void exchange_begin(struct proxy *p, struct client *client, struct front *front,
                    struct request *request, enum err bad)
{
    struct exchange *x = take_front(p, front, request);
    if (x == NULL)
        return;
    x->client = client;
    if (p->draining || (client != NULL && client->listener->gone))
        front->ops->keep(front, false);
    if (p->current != NULL)
        x->edition = edition_ref(p->current);
    if (bad != ERR_OK)
        exchange_fail(x, bad);
    else if (x->edition == NULL)
        exchange_fail(x, ERR_SHUTDOWN);
    else if (p->overload >= OVERLOAD_REFUSE)
        exchange_fail(x, ERR_OVERLOAD);
    else
        exchange_admit(x);
}

void exchange_begin_errand(struct proxy *p, struct front *front, struct request *request,
                           const struct errand *errand)
{
    struct exchange *x = take_front(p, front, request);
    if (x == NULL)
        return;
    x->edition = edition_ref(errand->edition);
    x->route = errand->route;
    x->origin = origin_hold(errand->origin);
    x->id = errand->id;
    x->errand = true;
    exchange_admit(x);
}

void exchange_attach(struct exchange *x, struct back *b)
{
    wait_for_no_server(x);
    x->back = b;
    b->events = &exchange_back_events;
    b->user = x;
    b->arena = x->front->arena;
    b->allowance = x->front->allowance;
    b->age = x->front->age;
    x->back_most = LIMIT_READ_LEAST;
}

void exchange_drop_back(struct exchange *x)
{
    struct back *b = x->back;
    x->back = NULL;
    if (b != NULL)
        b->ops->release(b);
}

void exchange_leave_edition(struct exchange *x)
{
    if (x->edition != NULL)
        edition_unref(x->proxy, &x->edition);
    x->route = NULL;
    x->pool = NULL;
    x->stick = NULL;
}

void exchange_fail(struct exchange *x, enum err why)
{
    assert(why != ERR_OK);
    if (why == ERR_NO_MEMORY && x->front->arena->refused)
        why = ERR_HELD;
    if (why == ERR_HELD)
        exchange_drop_back(x); /* which leaves something for the answer */
    bool answerable = !x->reply_begun && x->state != EXCHANGE_FAILING && !x->local;
    if (answerable && err_status(why) >= 400 && why != ERR_CLIENT_ABORT) {
        exchange_answer(x, why);
        return;
    }
    x->front->ops->abort(x->front, why);
    exchange_end(x, why);
}

bool exchange_lasts(const struct exchange *x)
{
    return x->state == EXCHANGE_TUNNEL || (x->state == EXCHANGE_RELAY && x->streaming);
}

void exchange_kill(struct exchange *x, enum err why)
{
    if (x->state != EXCHANGE_DONE)
        exchange_fail(x, why);
}

/* The reason that is logged is the first one: what an error answer was given for. */
void exchange_end(struct exchange *x, enum err why)
{
    struct proxy *p = x->proxy;
    if (x->state == EXCHANGE_DONE)
        return;
    if (x->end == ERR_OK)
        x->end = why;
    if (x->state == EXCHANGE_TUNNEL)
        counter_add(&p->stats->tunnels_open, (uint64_t)-1);
    if (why == ERR_OK && x->client != NULL && x->reply_ended && !x->local)
        x->client->proven = true;
    exchange_move(x, EXCHANGE_DONE);
    timer_rest(&x->timer);
    exchange_unwait(x);
    wait_for_no_server(x);
    exchange_hedge_drop(x);
    exchange_drop_back(x);
    compress_end(&p->compress, &x->compress);
    task_cancel(&x->flush);
    exchange_forget_content(x);
    exchange_note(x, PICK_ABORTED);
    exchange_account(x);
    origin_let_go(&x->origin);
    route_stats_let_go(&x->stats);
    exchange_release_ticket(x);
    exchange_leave_edition(x);
    list_remove(&x->stalled);
    pool_slot_unref(&x->home);
    counter_add(&p->stats->exchanges_open, (uint64_t)-1);
    list_remove(&x->link);
    task_post(p->loop, &x->grave);
}

/* At the end of the turn: whoever called into the exchange has returned by now. */
static void bury(struct task *t)
{
    struct exchange *x = container_of(t, struct exchange, grave);
    struct proxy *p = x->proxy;
    x->front->ops->release(x->front);
    if (p->spare_count >= SPARE_MOST) {
        timer_stop(&x->timer);
        mem_free(x);
        return;
    }
    list_push(&p->spare, &x->link);
    p->spare_count++;
}
