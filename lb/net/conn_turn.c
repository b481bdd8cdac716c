#include "net/conn_impl.h"

/* What the events of a turn have in common: what they have received is used together, what they
 * have left to send leaves together, and whoever has ended in it goes at its end. */

/* Events whose bytes leave together, at most. */
#define EVENTS_MOST 64
/* Of so many events one looks at the clock. */
#define LOOK_EVERY 8

void conn_release_dead(struct conn_env *env)
{
    while (!list_empty(&env->dead)) {
        struct conn *c = container_of(env->dead.next, struct conn, place);
        list_remove(&c->place);
        conn_release(c);
    }
}

void conn_settle_later(struct conn *c)
{
    if (list_empty(&c->resume))
        list_append(&c->env->resume, &c->resume);
    task_post_last(c->env->loop, &c->env->turn_end);
}

/* What has been received is used, and what that leaves is sent. Whoever has ended by now says so
 * along with its last bytes. */
void conn_end_batch(struct conn_env *env)
{
    conn_use_got(env);
    loop_settle(env->loop);
    conn_env_flush(env);
}

/* What the events of a turn have gathered leaves together: whoever is woken by the first piece
 * finds the others, too, and need not be woken for each. Where there is little to do nothing waits
 * for anything else. */
void conn_event_end(struct conn_env *env)
{
    bool full = env->got_count == CONN_GOT_MOST || env->in_used >= GATHER;
    if (!full && list_empty(&env->dirty))
        return;
    if (!full && env->loop->turn_events > EVENTS_FEW && ++env->unsent < EVENTS_MOST)
        task_post_last(env->loop, &env->turn_end);
    else
        conn_end_batch(env);
}

/* Thousands may be ready at once, each for a handshake or for requests that take their time: the
 * others are told nothing for as long as a turn lasts. Those that have waited go first in the next
 * one. Whoever has a thousand connections holds up its own group, and not everybody else. */
static bool is_spent(struct conn_env *env, bool look)
{
    struct loop *l = env->loop;
    if (!env->spent && (look || ++env->looks % LOOK_EVERY == 0) && l->ops->turn_spent(l)) {
        env->spent = true;
        timer_at_once(&env->next);
    }
    return env->spent;
}

bool conn_puts_off(struct conn *c)
{
    bool handshake = c->state == CONN_HANDSHAKE;
    if (c->got)
        return true; /* it has gone on in this turn already, and what came first is first */
    if (!handshake && (c->state != CONN_OPEN || c->yields || c->tail))
        return false;
    if (c->late)
        return true;
    if (!is_spent(c->env, handshake))
        return false;
    c->late = true;
    rota_add(handshake ? &c->env->shaking : &c->env->yielding, c->group, &c->place);
    return true;
}

static void go_on(struct conn *c)
{
    struct conn_env *env = c->env;
    bool yielded = c->yields;
    c->yields = c->late = false;
    if (c->state == CONN_HANDSHAKE)
        conn_end_batch(env);
    if (c->state == CONN_DEAD)
        return;
    env->in_event = true;
    if (yielded) {
        c->parked = false;
        c->redeliver = true;
        conn_settle(c);
    } else {
        conn_on_readable(c);
    }
    conn_end_event(c);
}

/* One in any case, the others while there is time. */
static bool go_on_in_time(struct link *place)
{
    struct conn *c = container_of(place, struct conn, place);
    struct conn_env *env = c->env;
    go_on(c);
    return !is_spent(env, true);
}

/* Handshakes take long, and whoever has not even shown who it is holds up nobody else. */
void conn_next_turn(struct timer *t)
{
    struct conn_env *env = container_of(t, struct conn_env, next);
    env->spent = false;
    rota_round(&env->yielding, go_on_in_time);
    rota_round(&env->shaking, go_on_in_time);
    if (rota_waits(&env->yielding) || rota_waits(&env->shaking))
        timer_at_once(&env->next);
}

bool conn_spent(struct conn *c)
{
    return is_spent(c->env, true);
}

void conn_yield(struct conn *c)
{
    if (c->yields || c->state != CONN_OPEN)
        return;
    c->yields = true;
    if (!c->late)
        rota_add(&c->env->yielding, c->group, &c->place);
    timer_at_once(&c->env->next);
}

void conn_turn_end(struct task *t)
{
    struct conn_env *env = container_of(t, struct conn_env, turn_end);
    struct link now;
    conn_use_got(env);
    loop_settle(env->loop);
    /* Those that are to be told something again, by what they do now, wait for the next round. */
    list_init(&now);
    list_move(&env->resume, &now);
    env->in_event = true;
    while (!list_empty(&now)) {
        struct conn *c = container_of(now.next, struct conn, resume);
        list_remove(&c->resume);
        if (c->broken == ERR_OK && c->state == CONN_OPEN && is_spent(env, true)) {
            conn_yield(c);
            continue;
        }
        conn_settle(c);
        conn_book(c);
    }
    env->in_event = false;
    conn_env_flush(env);
    conn_release_dead(env);
    (void)reserve_fill(&env->reserve); /* later, where what is missing cannot be had yet */
    if (!list_empty(&env->resume))
        task_post_last(env->loop, t);
}
