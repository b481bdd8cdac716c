/* The response on its way to the client: from a server, or Meridian's own. */
#include "proxy/exchange_impl.h"

#include "base/limits.h"
#include "proxy/forward.h"
#include "proxy/grpc.h"
#include "proxy/local.h"

#define SHOWN_BYTES KIB(256) /* more than the kernel takes for who reads nothing */

static enum err apply_rules(struct exchange *x, struct reply *r)
{
    struct expand_facts facts;
    if (x->route == NULL || !field_rules_any(&x->route->response_fields))
        return ERR_OK;
    exchange_facts(x, &facts);
    return field_rules_apply(&x->route->response_fields, &facts, x->front->arena, &r->fields);
}

/* What a route removes must not leave in an early head either; nobody needs one for which there is
 * no memory. 100 is made here (H7). */
void exchange_on_interim(void *user, struct reply *r)
{
    struct exchange *x = user;
    if (x->state == EXCHANGE_DONE || r->status == 100)
        return;
    if (apply_rules(x, r) == ERR_OK)
        x->front->ops->reply_interim(x->front, r);
}

static uint32_t status_retry(unsigned status)
{
    return status == 502 ? RETRY_502 : status == 503 ? RETRY_503 : status == 504 ? RETRY_504 : 0;
}

/* A bad status is only worth another attempt while another endpoint could serve. */
static bool retry_status(struct exchange *x, const struct reply *r)
{
    if (x->pool == NULL || x->local || (x->pool->retries.on & status_retry(r->status)) == 0)
        return false;
    struct retry_facts facts = {
        .status = r->status,
        .seen = SEEN_MAYBE,
        .method = x->request->method,
        .content_in_hand =
            exchange_in_hand(x) && (x->request_ended || x->request->content == CONTENT_NONE),
        .attempts = x->attempts,
        .elapsed_ms = (loop_now_ns(x->proxy->loop) - x->begun_ns) / NS_PER_MS,
    };
    const struct pool_view *view = x->edition->pools[x->pool->index].view;
    uint64_t sites;
    return exchange_sites(x, &sites) == ERR_OK && retry_allowed(&x->pool->retries, &facts) &&
           pool_view_usable(view, sites) > x->tried_count + 1 && exchange_take_retry(x, true);
}

/* What the client is told where nobody takes the next attempt after all: the status it would have
 * had (L30). */
static enum err failure_of_status(unsigned status)
{
    return status == 503   ? ERR_NO_BACKEND
           : status == 504 ? ERR_BACKEND_TIMEOUT
                           : ERR_BACKEND_UNHEALTHY;
}

static void again_elsewhere(struct exchange *x, unsigned status)
{
    if (x->tried_count < TRIED_MOST)
        x->tried[x->tried_count++] = x->ticket.endpoint;
    x->fresh = x->refused = false;
    x->hedge_end = x->hedge_end == HEDGE_WON ? HEDGE_LOST : x->hedge_end;
    exchange_drop_back(x);
    exchange_release_ticket(x);
    counter_add(&x->stats->retries, 1);
    exchange_front_want(x, false);
    x->request_sent = false;
    x->first_byte_ns = 0;
    x->last_why = failure_of_status(status);
    exchange_move(x, EXCHANGE_ADMIT);
    exchange_pick(x);
}

/* What a client leaves lying of a piece is held for as long as it likes: one that has not shown
 * that it takes answers is given small ones (G9). */
size_t exchange_room(const struct exchange *x)
{
    size_t room = x->front->ops->room(x->front);
    bool shown = x->client == NULL || x->client->proven || x->content_out >= SHOWN_BYTES;
    return shown || room < LIMIT_READ_FIRST ? room : LIMIT_READ_FIRST;
}

/* The server is read as the client takes (L18): so much at a time, or nothing. */
static void pull(struct exchange *x, size_t most)
{
    if (most == x->back_most || x->back == NULL)
        return;
    int64_t now = loop_now_ns(x->proxy->loop);
    list_remove(&x->stalled);
    if (most > 0) {
        pace_wait(&x->server_in, now, x->content_out);
    } else {
        pace_rest(&x->server_in, now);
        x->stalled_ns = now;
        x->stalled_at = exchange_front_taken(x);
        if (x->home != NULL)
            list_append(&x->home->stalled, &x->stalled);
        exchange_aim_at_front(x);
    }
    x->back_most = most;
    x->back->ops->want_body(x->back, most);
}

static void watch_front(struct exchange *x)
{
    size_t pending = x->front->ops->pending(x->front), room = exchange_room(x);
    int64_t now = loop_now_ns(x->proxy->loop);
    if (pending == 0 && room > 0)
        pace_rest(&x->client_out, now);
    else
        pace_wait(&x->client_out, now, x->content_out - pending);
    if (x->back_most > 0)
        pull(x, room);
}

/* It is not its client that holds it up: that has no window for more content (L18). */
static bool shut_out(const struct exchange *x)
{
    return x->state == EXCHANGE_SENDING && x->front->allowance != NULL && x->front->allowance->shut;
}

bool exchange_make_room(struct pool_slot *slot, int64_t now_ns)
{
    while (!list_empty(&slot->stalled)) {
        struct exchange *x = container_of(slot->stalled.next, struct exchange, stalled);
        if (now_ns - x->stalled_ns < LIMIT_STALLED_MS * NS_PER_MS)
            return false;
        bool sends = x->state == EXCHANGE_SENDING;
        uint64_t taken = sends ? x->content_in : exchange_front_taken(x);
        if ((int64_t)(taken - x->stalled_at) < (int64_t)LIMIT_STALLED_BYTES && !shut_out(x)) {
            list_remove(&x->stalled);
            exchange_fail(x, sends ? ERR_BODY_TIMEOUT : ERR_SEND_TIMEOUT);
            return true;
        }
        /* Slow, and it moves: it is looked at anew from here, behind all others. */
        x->stalled_ns = now_ns;
        x->stalled_at = taken;
        list_remove(&x->stalled);
        list_append(&slot->stalled, &x->stalled);
    }
    return false;
}

static void begin_tunnel(struct exchange *x)
{
    exchange_move(x, EXCHANGE_TUNNEL);
    counter_add(&x->proxy->stats->tunnels_open, 1);
    pace_lapse(&x->server_out);
    exchange_leave_edition(x);
    exchange_front_want(x, true);
    watch_front(x);
    exchange_aim(x);
}

/* L8. By what the server says; whatever a route adds to the head is for the client. */
static bool streams(const struct exchange *x, const struct reply *r)
{
    const struct field *type = fields_get(&r->fields, FIELD_CONTENT_TYPE);
    struct span media;
    if (x->local || type == NULL)
        return !x->local && x->route != NULL && x->route->streaming;
    (void)span_cut(type->value, ';', &media);
    return x->route->streaming || grpc_is_type(type->value) ||
           span_eq_nocase(span_trim(media), SPAN("text/event-stream"));
}

static void begin_relay(struct exchange *x, bool end)
{
    exchange_move(x, EXCHANGE_RELAY);
    if (end) {
        x->reply_ended = true;
        exchange_end(x, ERR_OK);
        return;
    }
    list_remove(&x->stalled);
    if (!x->local) {
        if (x->home == NULL)
            x->home = pool_slot_ref(x->edition->pools[x->pool->index].slot);
        exchange_leave_edition(x);
    }
    pace_lapse(&x->client_in);
    pace_wait(&x->server_in, loop_now_ns(x->proxy->loop), 0);
    watch_front(x);
    exchange_aim(x);
}

/* L18: the head is copied to wait for a client of HTTP/2, as long as that likes. */
static bool head_fits(const struct exchange *x, const struct reply *r)
{
    enum { OF_FIELD = 128, LEAST = 4 * 1024 };
    return allowance_fits(x->front->allowance, r->head_bytes + r->fields.n * OF_FIELD + LEAST);
}

/* The head as the client shall see it. */
static enum err make_reply(struct exchange *x, struct reply *r)
{
    struct arena *arena = x->front->arena;
    if (!x->local && !head_fits(x, r))
        return ERR_HELD;
    enum err e = x->local ? fields_put(&r->fields, arena, FIELD_X_REQUEST_ID, x->id)
                          : forward_reply(r, arena);
    if (e != ERR_OK || x->route == NULL || x->bare)
        return e;
    e = exchange_keep_stick(x, r);
    if (e == ERR_OK)
        e = exchange_compress(x, r);
    return e == ERR_OK ? apply_rules(x, r) : e;
}

/* The same rules hold for the page that says so: where they let no head be made of it either, the
 * client still learns the status. */
static void head_failed(struct exchange *x, enum err why)
{
    compress_end(&x->proxy->compress, &x->compress); /* the answer that says so has its own */
    bool again = x->local && !x->bare;
    if (again && x->end != ERR_OK && err_status(x->end) >= 400)
        why = x->end;
    else if (why == ERR_NO_MEMORY && x->front->arena->refused)
        why = ERR_HELD;
    x->bare = x->local;
    if (again)
        exchange_answer(x, why);
    else
        exchange_fail(x, why);
}

void exchange_on_reply(void *user, struct reply *r, bool end)
{
    struct exchange *x = user;
    if (x->state == EXCHANGE_DONE)
        return;
    enum pick_outcome outcome = pick_outcome_of_status(r->status);
    x->first_byte_ns = x->back->first_byte_ns;
    exchange_note(x, outcome);
    if (!x->local)
        exchange_hedge_learn(x, outcome);
    if (outcome != PICK_ANSWERED && exchange_hedge_succeeds(x))
        return;
    exchange_hedge_drop(x);
    if (retry_status(x, r)) {
        again_elsewhere(x, r->status);
        return;
    }
    if (!x->local && x->stats != NULL)
        histogram_add(&x->stats->first_byte, (x->first_byte_ns - x->dispatched_ns) / NS_PER_US);
    x->streaming = streams(x, r);
    enum err e = make_reply(x, r);
    if (e != ERR_OK) {
        head_failed(x, e);
        return;
    }
    x->reply_begun = true;
    x->status = r->status;
    bool upgraded = r->upgraded; /* r is the back's, and ends with it */
    x->front->ops->reply_head(x->front, r, end && !upgraded);
    if (upgraded)
        begin_tunnel(x);
    else
        begin_relay(x, end);
}

/* Behind content, however it went on. */
void exchange_content_put(struct exchange *x)
{
    if (x->errand && x->content_out > LIMIT_MIRROR_ANSWER)
        exchange_mirror_enough(x);
    else
        watch_front(x);
}

void exchange_on_reply_body(void *user, struct span bytes)
{
    struct exchange *x = user;
    if (x->state == EXCHANGE_DONE)
        return;
    exchange_look_at_front(x);
    enum err e = exchange_put_content(x, bytes);
    if (e != ERR_OK)
        exchange_fail(x, e);
    else
        exchange_content_put(x);
}

void exchange_on_front_room(void *user)
{
    struct exchange *x = user;
    if (x->state == EXCHANGE_DONE)
        return;
    watch_front(x);
    pull(x, exchange_room(x));
}

void exchange_on_reply_end(void *user, const struct fields *trailers)
{
    struct exchange *x = user;
    if (x->state == EXCHANGE_DONE)
        return;
    struct fields kept;
    enum err e = exchange_end_content(x, &trailers, &kept);
    if (e != ERR_OK) {
        exchange_fail(x, e);
        return;
    }
    x->reply_ended = true;
    x->front->ops->reply_end(x->front, trailers);
    exchange_end(x, ERR_OK);
}

void exchange_on_fail(void *user, enum err why, enum seen seen)
{
    struct exchange *x = user;
    if (x->state == EXCHANGE_DONE)
        return;
    if (x->state == EXCHANGE_TUNNEL) {
        exchange_fail(x, why); /* law 3: not as if the server had ended it */
    } else if (x->reply_begun) {
        exchange_note(x, pick_outcome_of_err(why));
        exchange_fail(x, why == ERR_BACKEND_RESET ? ERR_BACKEND_TRUNCATED : why);
    } else {
        exchange_attempt_failed(x, why, seen);
    }
}

static void answer_with(struct exchange *x, const struct local_answer *answer)
{
    struct back *b;
    list_remove(&x->stalled); /* the answer is on its way */
    exchange_hedge_drop(x);
    exchange_drop_back(x);
    exchange_unwait(x);
    exchange_note(x, PICK_ABORTED);
    x->local = true;
    enum err e =
        local_new(x->proxy->loop, answer, x->request->method == METHOD_HEAD, x->front->arena, &b);
    if (e != ERR_OK) {
        x->front->ops->abort(x->front, e);
        exchange_end(x, e);
        return;
    }
    exchange_move(x, EXCHANGE_SENDING);
    exchange_attach(x, b);
    b->ops->send_head(b, x->request, true);
    exchange_aim(x);
}

/* 405 says what would have been allowed (RFC 9110 section 15.5.6). */
static struct span allow_value(struct exchange *x)
{
    struct route_match match;
    struct span fallback = SPAN("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    if (x->edition == NULL || x->request->path.n == 0 ||
        exchange_find_route(x, &match) != ERR_BAD_METHOD)
        return fallback;
    struct buf b;
    char *memory = arena_take(x->front->arena, 512);
    if (memory == NULL)
        return fallback;
    buf_fixed(&b, memory, 512);
    for (size_t i = 0; i < match.allow_count; i++) {
        buf_put_str(&b, i == 0 ? "" : ", ");
        buf_put_span(&b, match.allow[i]);
    }
    return b.failed ? fallback : buf_span(&b);
}

static bool find_page(const struct policy_pages *pages, uint16_t status, struct span *out)
{
    for (size_t i = 0; i < pages->count; i++) {
        if (pages->v[i].status == status) {
            *out = pages->v[i].body;
            return true;
        }
    }
    return false;
}

/* The page that is configured for the status, of the route before that of all. */
static void choose_page(const struct exchange *x, struct local_answer *answer)
{
    if (!answer->page || x->edition == NULL)
        return;
    if (x->route == NULL || !find_page(&x->route->pages, answer->status, &answer->body))
        (void)find_page(&x->edition->policy->pages, answer->status, &answer->body);
}

void exchange_answer(struct exchange *x, enum err why)
{
    struct local_answer answer;
    x->end = why;
    exchange_move(x, EXCHANGE_FAILING);
    if (x->id.p == NULL)
        x->id = forward_id(x->request, rng_u64(&x->proxy->rng), rng_u64(&x->proxy->rng),
                           x->front->arena);
    enum err e = x->id.p == NULL ? ERR_NO_MEMORY
                                 : local_error(why, x->request, x->id, x->front->arena, &answer);
    if (e != ERR_OK) {
        x->front->ops->abort(x->front, e);
        exchange_end(x, e);
        return;
    }
    choose_page(x, &answer);
    if (why == ERR_BAD_METHOD)
        answer.allow = allow_value(x);
    if (why == ERR_RATE_LIMIT)
        answer.retry_after_s = x->retry_after_s;
    answer_with(x, &answer);
}

void exchange_answer_redirect(struct exchange *x, uint16_t status, struct span to, bool no_store)
{
    struct local_answer answer = {.status = status, .location = to, .no_store = no_store};
    x->end = ERR_REDIRECTED;
    answer_with(x, &answer);
}

void exchange_answer_route(struct exchange *x)
{
    const struct policy_route *route = x->route;
    struct expand_facts facts;
    struct span to;
    if (route->action == POLICY_RESPOND) {
        struct local_answer answer = {
            .status = route->status, .body = route->body, .type = route->type};
        answer_with(x, &answer);
        return;
    }
    exchange_facts(x, &facts);
    enum err e = expand_location(&route->to, &facts, x->front->arena, &to);
    if (e != ERR_OK)
        exchange_fail(x, e);
    else
        exchange_answer_redirect(x, route->status, to, false);
}

void exchange_answer_file(struct exchange *x, struct span content)
{
    struct local_answer answer = {.status = 200,
                                  .type = SPAN("application/octet-stream"),
                                  .body = arena_copy(x->front->arena, content),
                                  .no_store = true};
    if (answer.body.p == NULL)
        exchange_fail(x, ERR_NO_MEMORY);
    else
        answer_with(x, &answer);
}
