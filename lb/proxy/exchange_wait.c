/* Waiting for a free server: places in the pool's queue, who gives up one, and who looks again. */
#include "proxy/exchange_impl.h"

#include "base/limits.h"

#define ROOM_GAP_MS  100
#define ROOM_PACE_MS 4
#define BESIEGED_MS  (2 * LIMIT_STALLED_MS)
#define SIEGE        3
#define OVER_MOST    64

_Static_assert(RANK_COUNT - 1 == POOL_LESSER, "all ranks but the first may have to yield");

_Static_assert(LIMIT_EARNEST_BODY + LIMIT_READ <= LIMIT_WAITING_BODY, "one more read can be kept");

/* A place of a server that is given to somebody who says nothing more, or takes nothing, is lost
 * for seconds (L6, L34). Who could be such a one leaves the last places to those who can hardly be.
 */
enum standing exchange_standing(const struct exchange *x)
{
    if (x->client == NULL || x->pool->queue_limit == 0)
        return STANDING_PROVEN;
    bool content = x->request->content == CONTENT_NONE || x->request_ended ||
                   x->content_in >= LIMIT_EARNEST_BODY;
    if (!content)
        return STANDING_UNFINISHED;
    return x->client->proven ? STANDING_PROVEN : STANDING_NEW;
}

/* One place that was taken from somebody says nothing yet; a row of them does. */
static bool besieged(const struct pool_slot *slot, int64_t now_ns)
{
    return slot->given_up >= SIEGE && now_ns - slot->room_ns < BESIEGED_MS * NS_PER_MS;
}

unsigned exchange_modesty(const struct exchange *x)
{
    enum standing standing = exchange_standing(x);
    if (standing == STANDING_PROVEN)
        return 0;
    const struct pool_slot *slot = x->edition->pools[x->pool->index].slot;
    return besieged(slot, loop_now_ns(x->proxy->loop)) ? standing + PLACES_BESIEGED : standing;
}

static uint64_t own_bit(const struct exchange *x)
{
    return UINT64_C(1) << x->proxy->worker;
}

static unsigned any_of(uint64_t workers, struct rng *rng)
{
    uint64_t skip = rng_below(rng, (uint64_t)__builtin_popcountll(workers));
    for (; skip > 0; skip--)
        workers &= workers - 1;
    return (unsigned)__builtin_ctzll(workers);
}

/* Another worker's waiter gives up its place: that worker hears of it, and until then more wait
 * than there are places, twice as many at most and never more than OVER_MOST beyond them. */
static bool yields_elsewhere(const struct exchange *x, struct pool_state *state, uint32_t waiting)
{
    struct proxy *p = x->proxy;
    uint32_t limit = x->pool->queue_limit, over = limit < OVER_MOST ? limit : OVER_MOST;
    uint64_t workers = 0;
    for (int r = RANK_COUNT - 1; workers == 0 && r > (int)x->route->rank; r--)
        workers = atomic_load(&state->lesser_workers[r - 1]) & ~own_bit(x);
    return workers != 0 && waiting < limit + over &&
           p->hooks.shed(p->hooks.user, any_of(workers, &p->rng), state, x->route->rank);
}

static struct waiter *who_yields(const struct exchange *x, const struct pool_slot *slot)
{
    enum standing standing = exchange_standing(x);
    struct waiter *w = line_yields(&slot->line, x->route->rank, standing);
    return w == NULL && standing == STANDING_UNFINISHED ? line_slowest(&slot->line, x->route->rank)
                                                        : w;
}

/* Whether the pool's queue has a place: a free one, or that of somebody less important (load
 * shedding). Places are counted over all workers. */
static bool take_place(struct exchange *x, struct pool_slot *slot)
{
    uint32_t waiting = atomic_fetch_add(&slot->state->waiting, 1);
    if (waiting < x->pool->queue_limit)
        return true;
    struct waiter *w = who_yields(x, slot);
    if (w != NULL) { /* whose place is had, also while others are waiting to hear of theirs */
        exchange_fail(container_of(w, struct exchange, waiter), ERR_SHED);
        return true;
    }
    if (yields_elsewhere(x, slot->state, waiting))
        return true;
    atomic_fetch_sub(&slot->state->waiting, 1);
    return false;
}

void exchange_shed(struct pool_slot *slot, enum rank rank)
{
    struct waiter *w = line_yields(&slot->line, rank, STANDING_UNFINISHED);
    if (w != NULL)
        exchange_fail(container_of(w, struct exchange, waiter), ERR_SHED);
}

/* Which workers have somebody to wait, and somebody less important: others read it. */
static void show_line(const struct exchange *x, const struct pool_slot *slot)
{
    _Atomic uint64_t *shown[RANK_COUNT] = {&slot->state->waiting_workers};
    uint32_t counts[RANK_COUNT] = {slot->line.count};
    for (int r = RANK_HIGH + 1; r < RANK_COUNT; r++) {
        shown[r] = &slot->state->lesser_workers[r - 1];
        counts[r] = slot->line.of_rank[r];
    }
    for (int i = 0; i < RANK_COUNT; i++) {
        bool is = (atomic_load_explicit(shown[i], memory_order_relaxed) & own_bit(x)) != 0;
        if (counts[i] != 0 && !is)
            atomic_fetch_or(shown[i], own_bit(x));
        else if (counts[i] == 0 && is)
            atomic_fetch_and(shown[i], ~own_bit(x));
    }
}

/* Until when it waits, and after what time a server that answers as fast as usual would answer too
 * late for the request's own deadline (A11). */
static void set_patience(struct exchange *x)
{
    const struct pool_view *view = x->edition->pools[x->pool->index].view;
    double usual_ms = pool_view_base(view, &view->tiers[0], PICK_ALL);
    struct waiter *w = &x->waiter;
    w->rank = x->route->rank;
    w->standing = exchange_standing(x);
    w->due_ns = loop_now_ns(x->proxy->loop) + x->pool->queue_ms * NS_PER_MS;
    w->neglected_ns = loop_now_ns(x->proxy->loop) + x->pool->queue_ms * NS_PER_MS / 2;
    w->latest_ns = INT64_MAX;
    if (x->deadline_ns == 0)
        return;
    w->latest_ns = x->deadline_ns - (int64_t)(usual_ms * (double)NS_PER_MS);
    if (x->deadline_ns < w->due_ns)
        w->due_ns = x->deadline_ns;
}

static bool join_queue(struct exchange *x)
{
    struct pool_slot *slot = x->edition->pools[x->pool->index].slot;
    if (!take_place(x, slot)) {
        exchange_fail(x, ERR_QUEUE_FULL);
        return false;
    }
    x->slot = slot;
    slot->refs++;
    set_patience(x);
    line_join(&slot->line, &x->waiter);
    show_line(x, slot);
    counter_add(&x->proxy->stats->waiting, 1);
    exchange_move(x, EXCHANGE_WAIT);
    return true;
}

void exchange_settle_content(struct exchange *x)
{
    struct pool_slot *slot = x->slot;
    if (slot == NULL || x->waiter.standing <= exchange_standing(x))
        return;
    line_leave(&slot->line, &x->waiter);
    x->waiter.standing = exchange_standing(x);
    line_join(&slot->line, &x->waiter);
    exchange_retry_pick(x);
}

/* The content of one who waits may come, so that it is in earnest soon; for so many requests of a
 * connection as can be kept (L18). */
static void invite_content(struct exchange *x)
{
    enum { MOST = 8 };
    struct client *c = x->client;
    const struct allowance *all = x->front->allowance;
    size_t room = all != NULL ? allowance_left(all) : SIZE_MAX;
    if (x->waiter.standing != STANDING_UNFINISHED || x->replay_lost || c->invited == MOST ||
        room < (c->invited + 1) * LIMIT_WAITING_BODY)
        return;
    x->invited = true;
    c->invited++;
    exchange_invite_content(x);
}

/* Each place that changes hands costs an answer that nobody may take, here and at the server. Where
 * hundreds have stalled at about the same time they would all go together, and everybody else would
 * wait for that: they go one after the other. */
static void make_room(struct pool_slot *slot)
{
    if (slot->asked > slot->line.count)
        slot->asked = slot->line.count;
    if (slot->asked == 0 || slot->room.due_ns != 0)
        return;
    int64_t now_ns = loop_now_ns(slot->proxy->loop);
    if (!exchange_make_room(slot, now_ns)) {
        slot->asked = 0; /* they ask again */
        return;
    }
    slot->asked--;
    if (now_ns - slot->room_ns >= BESIEGED_MS * NS_PER_MS)
        slot->given_up = 0;
    slot->given_up++;
    slot->room_ns = now_ns;
    timer_in_ms(&slot->room, ROOM_PACE_MS);
}

void exchange_on_room(struct timer *t)
{
    struct pool_slot *slot = pool_slot_ref(container_of(t, struct pool_slot, room));
    make_room(slot);
    pool_slot_unref(&slot);
}

/* One who waits asks for one place at a time: what is given up is free only after a while, as a
 * connection has to be closed first. */
static void ask_for_room(struct exchange *x)
{
    int64_t now_ns = loop_now_ns(x->proxy->loop);
    if (x->room_ns != 0 && now_ns - x->room_ns < ROOM_GAP_MS * NS_PER_MS)
        return;
    x->room_ns = now_ns;
    x->slot->asked++;
    make_room(x->slot);
}

void exchange_wait(struct exchange *x, bool own)
{
    bool waits = x->state == EXCHANGE_WAIT;
    if (!waits && !join_queue(x))
        return;
    x->slot->own = own;
    ask_for_room(x);
    if (waits)
        exchange_aim(x);
    else
        exchange_pick(x);
    if (x->state == EXCHANGE_WAIT && !x->invited)
        invite_content(x);
}

void exchange_wait_a_moment(struct exchange *x)
{
    if (x->state == EXCHANGE_CONNECT)
        exchange_move(x, EXCHANGE_ADMIT);
    if (x->state != EXCHANGE_WAIT && !join_queue(x))
        return;
    x->slot->own = true;
    exchange_aim(x);
}

void exchange_leave_queue(struct exchange *x)
{
    struct pool_slot *slot = x->slot;
    if (slot == NULL)
        return;
    x->slot = NULL;
    slot->refs--;
    if (x->invited)
        x->client->invited--;
    x->invited = false;
    line_leave(&slot->line, &x->waiter);
    atomic_fetch_sub(&slot->state->waiting, 1);
    show_line(x, slot);
    counter_add(&x->proxy->stats->waiting, (uint64_t)-1);
    x->queue_ns += loop_now_ns(x->proxy->loop) - x->phase_ns;
}

void exchange_unwait(struct exchange *x)
{
    exchange_leave_challenge(x);
    connpool_cancel(&x->wait);
    exchange_leave_queue(x);
}

void exchange_retry_pick(struct exchange *x)
{
    if (x->state == EXCHANGE_WAIT)
        exchange_pick(x);
}
