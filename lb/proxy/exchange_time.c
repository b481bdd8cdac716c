/* Time: one timer per exchange, aimed at the nearest deadline of its state. Progress is only looked
 * for when the timer fires, so moving bytes costs nothing here. */
#include "proxy/exchange_impl.h"

#include "base/limits.h"

#define RETRY_WAIT_MS                                                                              \
    100 /* a waiter looks for itself too: a lost wake-up costs this much at most */

static int64_t ms(int64_t n)
{
    return n * NS_PER_MS;
}

static struct pace_rule client_in_rule(const struct exchange *x)
{
    return (struct pace_rule){ms(x->timeouts.request_body_ms), ms(LIMIT_REQUEST_RATE_WINDOW_MS),
                              x->request_rate};
}

static struct pace_rule client_out_rule(const struct exchange *x)
{
    return (struct pace_rule){ms(x->timeouts.send_ms), ms(LIMIT_RESPONSE_RATE_WINDOW_MS),
                              x->response_rate};
}

static struct pace_rule server_in_rule(const struct exchange *x)
{
    return (struct pace_rule){.pause_ns = ms(x->timeouts.response_body_ms)};
}

static struct pace_rule server_out_rule(const struct exchange *x)
{
    return (struct pace_rule){.pause_ns = ms(x->timeouts.backend_send_ms)};
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* A pause is only noticed by looking: four looks per pause. */
static int64_t look_at(const struct exchange *x, const struct pace *p, struct pace_rule rule)
{
    int64_t due = pace_due_ns(p, &rule);
    int64_t look = loop_now_ns(x->proxy->loop) + rule.pause_ns / 4;
    return due == PACE_NEVER || rule.pause_ns == 0 ? due : sooner(due, look);
}

/* L10; a client that does not take what is there is another matter (L7). */
static int64_t silence_due(const struct exchange *x)
{
    int64_t due = loop_now_ns(x->proxy->loop) + ms(x->timeouts.tunnel_idle_ms) / 4;
    return x->state == EXCHANGE_TUNNEL
               ? due
               : sooner(due, look_at(x, &x->client_out, client_out_rule(x)));
}

static int64_t paces_due(const struct exchange *x)
{
    int64_t due = look_at(x, &x->client_in, client_in_rule(x));
    due = sooner(due, look_at(x, &x->client_out, client_out_rule(x)));
    due = sooner(due, look_at(x, &x->server_in, server_in_rule(x)));
    return sooner(due, look_at(x, &x->server_out, server_out_rule(x)));
}

static int64_t first_byte_due(const struct exchange *x)
{
    return x->phase_ns + ms(x->timeouts.first_byte_ms);
}

static int64_t due(const struct exchange *x)
{
    int64_t now = loop_now_ns(x->proxy->loop);
    switch (x->state) {
    case EXCHANGE_WAIT:
        return sooner(x->phase_ns + ms(x->pool->queue_ms), now + ms(RETRY_WAIT_MS));
    case EXCHANGE_CONNECT:
        return x->phase_ns + ms(x->timeouts.connect_ms);
    case EXCHANGE_REPLY_HEAD:
        return sooner(sooner(first_byte_due(x), x->hedge_ns != 0 ? x->hedge_ns : PACE_NEVER),
                      look_at(x, &x->server_out, server_out_rule(x)));
    case EXCHANGE_SENDING:
        return paces_due(x);
    case EXCHANGE_RELAY:
    case EXCHANGE_TUNNEL:
        return exchange_lasts(x) ? silence_due(x) : paces_due(x);
    case EXCHANGE_ADMIT:
        return x->challenge != NULL ? x->phase_ns + ms(CHALLENGE_WAIT_MS) : PACE_NEVER;
    case EXCHANGE_HEAD:
    case EXCHANGE_FAILING:
    case EXCHANGE_DONE:
    case EXCHANGE_STATE_COUNT:
        break;
    }
    return PACE_NEVER;
}

/* A11: the client has said how long it will wait at all; for a copy's answer nobody waits. */
static int64_t whole_due(const struct exchange *x)
{
    if (x->local || x->state == EXCHANGE_FAILING)
        return PACE_NEVER;
    return sooner(x->deadline_ns != 0 ? x->deadline_ns : PACE_NEVER, exchange_mirror_due(x));
}

void exchange_aim(struct exchange *x)
{
    int64_t at = sooner(due(x), whole_due(x));
    if (at == PACE_NEVER)
        timer_rest(&x->timer);
    else
        timer_aim(&x->timer, at);
}

void exchange_aim_at_front(struct exchange *x)
{
    int64_t at = look_at(x, &x->client_out, client_out_rule(x));
    if (x->state != EXCHANGE_TUNNEL && (x->timer.due_ns == 0 || at < x->timer.due_ns))
        timer_aim(&x->timer, at);
}

uint64_t exchange_front_taken(const struct exchange *x)
{
    return x->content_out - x->front->ops->pending(x->front);
}

bool exchange_front_took_all(const struct exchange *x)
{
    return x->front->ops->pending(x->front) == 0 && x->front->ops->room(x->front) > 0;
}

void exchange_look_at_front(struct exchange *x)
{
    if (x->client_out.waiting && exchange_front_took_all(x))
        pace_lapse(&x->client_out);
}

static void rest_who_took_all(struct exchange *x)
{
    exchange_look_at_front(x);
    if (x->back != NULL && x->back->ops->pending(x->back) == 0)
        pace_lapse(&x->server_out);
}

/* Which of the four has been too slow; ERR_OK: none. */
static enum err slow_one(struct exchange *x, int64_t now)
{
    rest_who_took_all(x);
    struct pace_rule in = client_in_rule(x), out = client_out_rule(x);
    struct pace_rule from = server_in_rule(x), to = server_out_rule(x);
    if (pace_late(&x->client_in, &in, now, x->content_in))
        return ERR_BODY_TIMEOUT;
    if (pace_late(&x->client_out, &out, now, exchange_front_taken(x)))
        return ERR_SEND_TIMEOUT;
    if (pace_late(&x->server_in, &from, now, x->content_out))
        return ERR_BACKEND_BODY_TIMEOUT;
    if (x->back != NULL &&
        pace_late(&x->server_out, &to, now, x->back->bytes_out - x->back->ops->pending(x->back)))
        return ERR_BACKEND_SEND_TIMEOUT;
    return ERR_OK;
}

static void on_slow(struct exchange *x, enum err why)
{
    if (why == ERR_BACKEND_SEND_TIMEOUT && !x->reply_begun) {
        exchange_attempt_failed(x, why, SEEN_MAYBE);
        return;
    }
    if (why == ERR_BACKEND_BODY_TIMEOUT || why == ERR_BACKEND_SEND_TIMEOUT)
        exchange_note(x, PICK_TIMEOUT);
    exchange_fail(x, why);
}

/* A tunnel, or an answer that streams: either way ends the silence. */
static void on_silence_time(struct exchange *x, int64_t now)
{
    struct pace_rule rule = {.pause_ns = ms(x->timeouts.tunnel_idle_ms)};
    struct pace_rule out = client_out_rule(x);
    uint64_t moved = x->content_in + x->content_out;
    rest_who_took_all(x);
    pace_wait(&x->server_in, now, moved);
    if (pace_late(&x->server_in, &rule, now, moved))
        exchange_fail(x, ERR_TUNNEL_IDLE);
    else if (x->streaming && pace_late(&x->client_out, &out, now, exchange_front_taken(x)))
        exchange_fail(x, ERR_SEND_TIMEOUT);
    else
        exchange_aim(x);
}

static void on_whole_time(struct exchange *x)
{
    if (x->errand && x->reply_begun)
        exchange_mirror_enough(x);
    else
        exchange_fail(x, ERR_DEADLINE);
}

static void on_wait_time(struct exchange *x, int64_t now)
{
    if (now >= x->phase_ns + ms(x->pool->queue_ms)) {
        exchange_fail(x, ERR_QUEUE_TIMEOUT);
        return;
    }
    proxy_look(x->proxy, x->slot);
    exchange_retry_pick(x);
}

void exchange_on_time(struct timer *t)
{
    struct exchange *x = container_of(t, struct exchange, timer);
    int64_t now = loop_now_ns(t->loop);
    enum err slow;
    if (now >= whole_due(x) && x->state != EXCHANGE_DONE) {
        on_whole_time(x);
    } else if (x->state == EXCHANGE_WAIT) {
        on_wait_time(x, now);
    } else if (x->state == EXCHANGE_ADMIT) {
        exchange_fail(x, ERR_SYSTEM);
    } else if (exchange_lasts(x)) {
        on_silence_time(x, now);
    } else if (x->state == EXCHANGE_CONNECT) {
        exchange_attempt_failed(x, ERR_BACKEND_CONNECT_TIMEOUT, SEEN_NO);
    } else if (x->state == EXCHANGE_REPLY_HEAD && now >= first_byte_due(x)) {
        exchange_attempt_failed(x, ERR_BACKEND_TIMEOUT, SEEN_MAYBE);
    } else if (x->hedge_ns != 0 && now >= x->hedge_ns) {
        exchange_hedge(x);
        exchange_aim(x);
    } else if (x->state != EXCHANGE_DONE) {
        slow = slow_one(x, now);
        if (slow != ERR_OK)
            on_slow(x, slow);
        else
            exchange_aim(x);
    }
}
