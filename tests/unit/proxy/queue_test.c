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
