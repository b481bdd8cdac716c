#include "base/limits.h"
#include "proxy/exchange_impl.h"
#include "scene.h"

/* Those who wait for a server, while one of them is served: what he does may end others. */

static struct scene s;

static const struct step fine = {.act = ACT_REPLY, .text = OK_TEXT};
static const struct step slow = {.act = ACT_REPLY, .text = OK_TEXT, .delay_ms = 1500};

/* As if it could hardly be answered in time any more. */
static void make_late(enum rank rank)
{
    list_each (e, &s.proxy->exchanges) {
        struct exchange *x = container_of(e, struct exchange, link);
        if (x->state == EXCHANGE_WAIT && x->waiter.rank == rank)
            x->waiter.latest_ns = 1;
    }
}

/* The copy of who is served waits for the same pool, whose queue is full: it takes the place of the
 * unimportant one, late already, who would have been next. */
TEST(queue, the_next_in_line_may_go_while_another_is_served)
{
    struct policy_mirror mirror = {.percent = 100, .inflight = 4, .content_bytes = 100};
    scene_new(&s);
    scene_script(&s, 0, &slow, 1);
    scene_script(&s, 1, &fine, 1);
    s.max_inflight = 1;
    mirror.route = s.routes[0];
    s.routes[0].mirror = &mirror;
    for (int i = 0; i < SCENE_ROUTES; i++)
        s.routes[i].rank = RANK_NORMAL;
    mirror.route.rank = s.routes[2].rank = RANK_LOW;
    scene_start(&s);
    /* So that there is a connection to be taken at once. */
    (void)scene_ask(&s, "GET", "/get", 0);
    (void)scene_ask(&s, "GET", "/get", 0);
    scene_pass(&s, 2000);
    CHECK_INT(s.heads[1], 1);
    CHECK(endpoint_set_admin(s.endpoints[1].endpoint, ENDPOINT_DRAIN), "drain");
    struct ask *busy = scene_ask(&s, "GET", "/get", 0);
    scene_pass(&s, 10);
    struct ask *first = scene_ask(&s, "GET", "/", 0), *next = scene_ask(&s, "GET", "/small", 0);
    scene_pass(&s, 10);
    CHECK_INT(counter_get(&s.stats->waiting), 2);
    make_late(RANK_LOW);
    /* Other workers' requests fill the queue. */
    _Atomic uint32_t *waiting = &s.pool.pick->state->waiting;
    atomic_fetch_add(waiting, s.pool.queue_limit - 1);
    CHECK(endpoint_set_admin(s.endpoints[1].endpoint, ENDPOINT_ACTIVE), "enable");
    scene_wait(&s, next);
    CHECK_INT(next->status, 503);
    CHECK(strstr(next->content, "\"shed\"") != NULL, "%s", next->content);
    scene_wait(&s, first);
    CHECK_INT(first->status, 200);
    atomic_fetch_sub(waiting, s.pool.queue_limit - 1);
    scene_wait(&s, busy);
    CHECK_INT(busy->status, 200);
    scene_close(&s);
}

/* Both servers are busy, and other workers fill the queue with requests of the rank. */
static void fill_elsewhere(enum rank rank)
{
    scene_new(&s);
    scene_script(&s, 0, &slow, 1);
    scene_script(&s, 1, &slow, 1);
    s.max_inflight = 1;
    for (int i = 0; i < SCENE_ROUTES; i++)
        s.routes[i].rank = RANK_NORMAL;
    s.routes[1].rank = RANK_HIGH;
    s.routes[2].rank = RANK_LOW;
    scene_start(&s);
    (void)scene_ask(&s, "GET", "/", 0);
    (void)scene_ask(&s, "GET", "/", 0);
    scene_pass(&s, 10);
    atomic_fetch_add(&s.pool.pick->state->waiting, s.pool.queue_limit);
    atomic_fetch_or(&s.pool.pick->state->lesser_workers[rank - 1], 2);
}

static void clear_elsewhere(enum rank rank)
{
    atomic_fetch_sub(&s.pool.pick->state->waiting, s.pool.queue_limit);
    atomic_fetch_and(&s.pool.pick->state->lesser_workers[rank - 1], ~UINT64_C(2));
}

TEST(queue, a_place_is_taken_from_another_worker_too)
{
    fill_elsewhere(RANK_LOW);
    struct ask *first = scene_ask(&s, "GET", "/get", 0), *low = scene_ask(&s, "GET", "/small", 0);
    struct ask *normal = scene_ask(&s, "GET", "/", 0);
    scene_pass(&s, 10);
    CHECK(!first->done && !normal->done, "they wait");
    CHECK_INT(low->status, 503);
    CHECK(strstr(low->content, "\"queue-full\"") != NULL, "%s", low->content);
    CHECK(s.sheds[RANK_HIGH] == 1 && s.sheds[RANK_NORMAL] == 1 && s.sheds[RANK_LOW] == 0, "%u %u",
          s.sheds[RANK_HIGH], s.sheds[RANK_NORMAL]);
    clear_elsewhere(RANK_LOW);
    scene_wait(&s, first);
    scene_wait(&s, normal);
    CHECK(first->status == 200 && normal->status == 200, "%d %d", first->status, normal->status);
    scene_close(&s);
}

TEST(queue, equals_elsewhere_keep_their_places)
{
    fill_elsewhere(RANK_NORMAL);
    struct ask *normal = scene_ask(&s, "GET", "/", 0), *high = scene_ask(&s, "GET", "/get", 0);
    scene_pass(&s, 10);
    CHECK_INT(normal->status, 503);
    CHECK(!high->done && s.sheds[RANK_HIGH] == 1 && s.sheds[RANK_NORMAL] == 0, "the other waits");
    clear_elsewhere(RANK_NORMAL);
    scene_wait(&s, high);
    CHECK_INT(high->status, 200);
    scene_close(&s);
}

/* However slowly the other worker hears of it, and if it hears nothing. */
TEST(queue, what_is_taken_elsewhere_is_bounded)
{
    enum { ASKS = 7 };
    struct ask *asks[ASKS];
    unsigned waiting = 0;
    fill_elsewhere(RANK_LOW);
    s.deaf = true;
    struct ask *unheard = scene_ask(&s, "GET", "/", 0);
    scene_pass(&s, 10);
    CHECK_INT(unheard->status, 503);
    s.deaf = false;
    for (int i = 0; i < ASKS; i++)
        asks[i] = scene_ask(&s, "GET", "/", 0);
    scene_pass(&s, 10);
    for (int i = 0; i < ASKS; i++)
        waiting += !asks[i]->done;
    CHECK_INT(waiting, s.pool.queue_limit);
    CHECK_INT(atomic_load(&s.pool.pick->state->waiting), 2 * s.pool.queue_limit);
    clear_elsewhere(RANK_LOW);
    scene_pass(&s, 10000);
    scene_close(&s);
}

/* The other side of it. */
TEST(queue, a_waiter_gives_up_its_place_for_another_worker)
{
    fill_elsewhere(RANK_LOW);
    clear_elsewhere(RANK_LOW);
    struct pool_state *pool = s.pool.pick->state;
    struct ask *normal = scene_ask(&s, "GET", "/", 0), *low = scene_ask(&s, "GET", "/small", 0);
    scene_pass(&s, 10);
    CHECK(atomic_load(&pool->lesser_workers[RANK_NORMAL - 1]) == 1 &&
              atomic_load(&pool->lesser_workers[RANK_LOW - 1]) == 1,
          "others see both");
    proxy_shed(s.proxy, pool, RANK_NORMAL);
    scene_pass(&s, 10);
    CHECK_INT(low->status, 503);
    CHECK(strstr(low->content, "\"shed\"") != NULL, "%s", low->content);
    CHECK_INT(atomic_load(&pool->lesser_workers[RANK_LOW - 1]), 0);
    proxy_shed(s.proxy, pool, RANK_NORMAL);
    scene_pass(&s, 10);
    CHECK(!normal->done, "nobody is less important");
    scene_wait(&s, normal);
    CHECK_INT(normal->status, 200);
    scene_close(&s);
}

/* Another worker has not yet heard that one of its own is to go, so that too many wait. */
TEST(queue, a_place_that_is_given_up_here_is_had)
{
    fill_elsewhere(RANK_LOW);
    clear_elsewhere(RANK_LOW);
    struct ask *low = scene_ask(&s, "GET", "/small", 0);
    scene_pass(&s, 10);
    atomic_fetch_add(&s.pool.pick->state->waiting, s.pool.queue_limit);
    struct ask *high = scene_ask(&s, "GET", "/get", 0);
    scene_pass(&s, 10);
    CHECK_INT(low->status, 503);
    CHECK(!high->done, "in its place");
    atomic_fetch_sub(&s.pool.pick->state->waiting, s.pool.queue_limit);
    scene_wait(&s, high);
    CHECK_INT(high->status, 200);
    scene_close(&s);
}

/* As if nobody took them, for long. */
static void stall_all(void)
{
    int64_t now_ns = loop_now_ns(s.loop);
    list_each (e, &s.proxy->exchanges) {
        struct exchange *x = container_of(e, struct exchange, link);
        if (x->state != EXCHANGE_RELAY)
            continue;
        x->stalled_ns = now_ns - (LIMIT_STALLED_MS + 1000) * NS_PER_MS;
        x->stalled_at = exchange_front_taken(x);
        list_append(&x->home->stalled, &x->stalled);
    }
}

static unsigned done_of(struct ask **asks, unsigned count)
{
    unsigned done = 0;
    for (unsigned i = 0; i < count; i++)
        done += asks[i]->done;
    return done;
}

/* G9: what changes hands together would hold up everybody else. */
TEST(queue, places_of_those_who_stall_are_given_up_one_after_the_other)
{
    enum { HELD = 8, WAIT = 6 };
    static const struct step part = {.act = ACT_REPLY,
                                     .text = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"};
    const struct step steps[] = {part, part, part, part, fine};
    struct ask *held[HELD], *wait[WAIT];
    unsigned done = 0, most = 0;
    scene_new(&s);
    scene_script(&s, 0, steps, 5);
    scene_script(&s, 1, steps, 5);
    s.max_inflight = HELD / SCENE_SERVERS;
    s.pool.queue_limit = WAIT;
    scene_start(&s);
    for (int i = 0; i < HELD; i++)
        held[i] = scene_ask(&s, "GET", "/", 0);
    scene_pass(&s, 10);
    for (int i = 0; i < WAIT; i++)
        wait[i] = scene_ask(&s, "GET", "/", 0);
    scene_pass(&s, 10);
    CHECK_INT(counter_get(&s.stats->waiting), WAIT);
    stall_all();
    for (int i = 0; i < 200; i++) {
        scene_pass(&s, 1);
        unsigned now = done_of(held, HELD);
        most = now - done > most ? now - done : most;
        done = now;
    }
    CHECK_INT(most, 1);
    CHECK_INT(done_of(wait, WAIT), WAIT);
    for (int i = 0; i < WAIT; i++)
        CHECK_INT(wait[i]->status, 200);
    CHECK(done < HELD, "no more than were needed: %u", done);
    scene_pass(&s, 10000);
    scene_close(&s);
}
