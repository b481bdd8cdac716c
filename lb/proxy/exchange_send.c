/* The request on its way to the server: head, content with back-pressure, what is kept for another
 * attempt. */
#include "proxy/exchange_impl.h"

#include "base/limits.h"
#include "proxy/grpc.h"

/* One whose content is waited for holds the place of others: it may have to make room (L34), but
 * for calls that may be silent for long. */
static void watch_upload(struct exchange *x)
{
    if (x->state != EXCHANGE_SENDING)
        return; /* where the response comes already, that is what is watched */
    list_remove(&x->stalled);
    if (!x->front_wanted || x->local || x->call || x->route->streaming)
        return;
    if (x->home == NULL)
        x->home = pool_slot_ref(x->edition->pools[x->pool->index].slot);
    x->stalled_ns = loop_now_ns(x->proxy->loop);
    x->stalled_at = x->content_in;
    list_append(&x->home->stalled, &x->stalled);
}

void exchange_front_want(struct exchange *x, bool want)
{
    int64_t now = loop_now_ns(x->proxy->loop);
    if (x->request_ended && x->state != EXCHANGE_TUNNEL)
        want = false;
    if (want == x->front_wanted)
        return;
    x->front_wanted = want;
    watch_upload(x);
    x->front_asked = x->front_asked || want;
    if (want && !x->reply_begun) /* L6 */
        pace_wait(&x->client_in, now, x->content_in);
    else
        pace_rest(&x->client_in, now);
    x->front->ops->want_body(x->front, want);
}

bool exchange_in_hand(const struct exchange *x)
{
    return !x->replay_lost;
}

static void book_replay(struct exchange *x)
{
    struct allowance *all = x->front->allowance;
    budget_book(all != NULL ? &all->all : NULL, &x->replay_booked, x->replay.cap);
    allowance_fell(all);
}

void exchange_forget_content(struct exchange *x)
{
    buf_fini(&x->replay);
    book_replay(x);
}

/* L18: what the requests of one connection keep is bounded together too. It grows by doubling; all
 * that fits is for content that can only be kept, as its request has no server. */
static bool keep(struct exchange *x, struct span bytes)
{
    const struct allowance *all = x->front->allowance;
    bool waits = x->back == NULL;
    size_t most = waits ? LIMIT_WAITING_BODY : LIMIT_REPLAY_BODY;
    size_t more = 2 * (buf_len(&x->replay) + bytes.n);
    if (x->local || buf_len(&x->replay) + bytes.n > most)
        return false;
    if (waits ? !allowance_fits(all, more) : !allowance_spares(all, more))
        return false;
    buf_put_span(&x->replay, bytes);
    book_replay(x);
    return !x->replay.failed;
}

static enum err no_room(const struct exchange *x)
{
    return x->front->allowance != NULL ? ERR_HELD : ERR_NO_MEMORY;
}

static void keep_for_replay(struct exchange *x, struct span bytes)
{
    if (x->replay_lost || keep(x, bytes))
        return;
    x->replay_lost = true;
    exchange_forget_content(x);
}

/* L18: whether the server is sent more than it has not taken yet; then the client's window opens by
 * that. Else it is looked at again when some has been taken. */
static bool server_takes(struct exchange *x)
{
    size_t pending = x->back->ops->pending(x->back);
    bool more = pending <= allowance_unsent_most(x->front->allowance);
    if (pending == 0) {
        pace_lapse(&x->server_out);
        return true;
    }
    pace_wait(&x->server_out, loop_now_ns(x->proxy->loop), x->back->bytes_out - pending);
    if (!more)
        x->back->ops->tell_room(x->back);
    return more;
}

static void send_content(struct exchange *x, struct span bytes)
{
    x->back->ops->send_body(x->back, bytes);
    if (!server_takes(x))
        exchange_front_want(x, false);
}

static void content_sent(struct exchange *x)
{
    x->request_sent = true;
    exchange_mirror(x);
    if (x->state == EXCHANGE_SENDING && !x->local) {
        exchange_move(x, EXCHANGE_REPLY_HEAD);
        exchange_hedge_arm(x);
        exchange_aim(x);
    }
}

/* A11: the server learns how long an answer is worth something, which is less with each attempt. */
static enum err tell_deadline(struct exchange *x, struct request *out)
{
    if (!x->call || x->deadline_ns == 0)
        return ERR_OK;
    char *text = arena_take(x->front->arena, GRPC_TIMEOUT_ROOM);
    if (text == NULL)
        return ERR_NO_MEMORY;
    size_t n = grpc_print_timeout(text, x->deadline_ns - loop_now_ns(x->proxy->loop));
    fields_remove(&out->fields, FIELD_GRPC_TIMEOUT);
    return fields_put(&out->fields, x->front->arena, FIELD_GRPC_TIMEOUT, span_of(text, n));
}

/* What the route changes of the head that is about to be sent. */
static enum err shape_head(struct exchange *x, struct request *out)
{
    struct expand_facts facts;
    const struct policy_route *route = x->route;
    enum err e = rewrite_path(&route->rewrite, x->request->path, x->front->arena, &out->path);
    if (route->paths == PATHS_KEEP && x->request->path_sent.p != NULL)
        out->path = x->request->path_sent; /* conf lets nothing be rewritten there */
    if (e != ERR_OK || !field_rules_any(&route->request_fields))
        return e;
    exchange_facts(x, &facts);
    return field_rules_apply(&route->request_fields, &facts, x->front->arena, &out->fields);
}

/* For `host: backend`, and for requests of HTTP/1.0 that name no host: HTTP/2 has none without
 * (RFC 9113 section 8.3.1). */
static struct span server_authority(const struct exchange *x, const struct endpoint *to)
{
    for (uint32_t i = 0; i < x->pool->endpoint_count; i++) {
        if (x->pool->endpoints[i].endpoint == to)
            return x->pool->endpoints[i].authority;
    }
    return SPAN_NONE;
}

enum err exchange_make_head(struct exchange *x, const struct endpoint *to, struct request *out)
{
    const struct policy_pool *pool = x->pool;
    struct forward_facts facts = {.id = x->id, .peer = SPAN("unknown")};
    if (x->trace.begun || x->trace.sampled)
        facts.trace = x->trace.parent;
    facts.trace_begun = x->trace.begun;
    if (x->client != NULL) {
        struct origin *peer = &x->client->peer;
        facts.peer = span_of(peer->text, peer->text_size);
        facts.peer_v6 = peer->addr.any.sa_family == AF_INET6;
        facts.peer_trusted = client_trusted(x->client, x->edition->policy);
        facts.forwarded_kept = x->edition->policy->forwarded == POLICY_FORWARDED;
    } else if (x->origin != NULL) {
        facts.peer = span_of(x->origin->text, x->origin->text_size);
        facts.peer_v6 = x->origin->addr.any.sa_family == AF_INET6;
    }
    if (pool->host == POLICY_HOST_NAME)
        facts.authority = pool->host_name;
    else if (pool->host == POLICY_HOST_BACKEND || x->request->authority.n == 0)
        facts.authority = server_authority(x, to);
    enum err e = forward_request(x->request, &facts, x->front->arena, out);
    if (e == ERR_OK)
        e = tell_deadline(x, out);
    return e == ERR_OK ? shape_head(x, out) : e;
}

void exchange_send_head(struct exchange *x, struct back *to, const struct request *head,
                        struct arena_mark from, bool end)
{
    to->ops->send_head(to, head, end);
    arena_rewind(x->front->arena, from);
    counter_add(&x->stats->attempts, 1);
}

void exchange_invite_content(struct exchange *x)
{
    struct reply go_on = {.status = 100, .version = VERSION_1_1};
    if (x->request->expect_continue && !x->front_asked)
        x->front->ops->reply_interim(x->front, &go_on);
    exchange_front_want(x, true);
}

/* Content that has come and is kept nowhere cannot be sent again: the attempt must not begin (P3).
 */
static bool content_lost(const struct exchange *x)
{
    return x->replay_lost && x->content_in != 0;
}

/* The first read of the response may bring what the client's side has room for (L18). */
static void expect(struct exchange *x)
{
    size_t room = exchange_room(x);
    if (room == 0 || room == x->back_most)
        return;
    x->back_most = room;
    x->back->ops->want_body(x->back, room);
}

void exchange_send(struct exchange *x)
{
    bool content = x->request->content != CONTENT_NONE;
    struct request head;
    struct arena_mark from = arena_mark(x->front->arena);
    enum err e = content_lost(x) ? x->last_why : exchange_make_head(x, x->ticket.endpoint, &head);
    if (e != ERR_OK) {
        exchange_fail(x, e);
        return;
    }
    exchange_move(x, EXCHANGE_SENDING);
    x->dispatched_ns = loop_now_ns(x->proxy->loop);
    expect(x);
    exchange_send_head(x, x->back, &head, from, !content);
    if (!content) {
        content_sent(x);
        return;
    }
    if (buf_len(&x->replay) != 0)
        send_content(x, buf_span(&x->replay));
    if (x->request_ended) {
        x->back->ops->send_end(x->back, x->trailers);
        content_sent(x);
        return;
    }
    exchange_invite_content(x);
    watch_upload(x); /* it may have been invited while it waited */
    exchange_aim(x);
}

/* Enough has come while no server has been found: what is kept is bounded. */
static void content_waits(struct exchange *x)
{
    exchange_front_want(x, false);
    exchange_settle_content(x);
}

void exchange_on_body(void *user, struct span bytes)
{
    struct exchange *x = user;
    x->content_in += bytes.n;
    if (x->state == EXCHANGE_DONE)
        return;
    if (x->state == EXCHANGE_TUNNEL) {
        send_content(x, bytes);
        return;
    }
    if (x->body_most != 0 && x->content_in > x->body_most) {
        exchange_fail(x, ERR_BODY_TOO_LARGE);
        return;
    }
    keep_for_replay(x, bytes);
    if (x->back != NULL)
        send_content(x, bytes);
    else if (x->replay_lost)
        exchange_fail(x, x->last_why != ERR_OK ? x->last_why : no_room(x));
    else if (x->content_in >= LIMIT_EARNEST_BODY)
        content_waits(x);
}

void exchange_on_end(void *user, const struct fields *trailers)
{
    struct exchange *x = user;
    if (x->state == EXCHANGE_DONE)
        return;
    x->request_ended = true;
    x->trailers = trailers;
    x->front_wanted = false;
    list_remove(&x->stalled);
    pace_lapse(&x->client_in);
    if (x->back == NULL) {
        exchange_settle_content(x);
        return;
    }
    x->back->ops->send_end(x->back, x->trailers);
    content_sent(x);
}

void exchange_on_back_room(void *user)
{
    struct exchange *x = user;
    if (x->state == EXCHANGE_DONE)
        return;
    bool more = server_takes(x);
    if (x->front_asked)
        exchange_front_want(x, more);
}

void exchange_on_gone(void *user, enum err why, bool answerable)
{
    struct exchange *x = user;
    if (x->state == EXCHANGE_DONE)
        return;
    if (x->state == EXCHANGE_TUNNEL && why == ERR_CLIENT_ABORT)
        exchange_end(x, ERR_OK);
    else if (answerable)
        exchange_fail(x, why);
    else
        exchange_end(x, why);
}
