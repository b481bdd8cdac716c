#include "net/conn_impl.h"

/* What the events of a turn have in common: what they have received is used together, what they
 * have left to send leaves together, and whoever has ended in it goes at its end. */

/* Events whose bytes leave together, at most. */
#define EVENTS_MOST 64

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

void conn_turn_end(struct task *t)
{
    struct conn_env *env = container_of(t, struct conn_env, turn_end);
    struct link now;
    conn_use_got(env);
    loop_settle(env->loop);
    /* Those that are to be told something again, by what they do now, wait for the next round. */
    list_init(&now);
    while (!list_empty(&env->resume)) {
        struct link *e = env->resume.next;
        list_remove(e);
        list_append(&now, e);
    }
    env->in_event = true;
    while (!list_empty(&now)) {
        struct conn *c = container_of(now.next, struct conn, resume);
        list_remove(&c->resume);
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
