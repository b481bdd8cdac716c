#include "base/limits.h"
#include "http/h1_front_impl.h"

/* Between two requests: how long the next one is waited for, and what is pending meanwhile of the
 * answers before it. */

/* How long a client that was not told of the end may still have a request on its way. */
enum { UNTOLD_MS = 1000 };

/* How long a connection waits for its next request: L5, L11. Where the last answer was to be its
 * last and could not say so, a moment. */
static int64_t idle_until(const struct h1_front *h)
{
    int64_t until = h->idle_ns + h->limits->idle_ms * NS_PER_MS;
    int64_t brief = h->idle_ns + UNTOLD_MS * NS_PER_MS;
    int64_t most = h->untold || h->idle_ns >= h->old_ns ? brief : h->old_ns;
    return until < most ? until : most;
}

/* Between two requests: where something is pending it is looked at, at look_ns (L7). A client whose
 * next request waits for that is not idle. */
static void aim_between(struct h1_front *h, int64_t look_ns)
{
    int64_t until = idle_until(h);
    if (h->full || (look_ns < until && conn_pending(h->conn) > 0)) {
        until = look_ns;
    }
    conn_aim(h->conn, until);
}

/* A pause is only noticed by looking: four looks per pause. */
static int64_t next_look(const struct h1_front *h)
{
    return h1_front_now_ns(h) + h->limits->send_ms * NS_PER_MS / 4;
}

/* L18: an answer without content never asks for room, so nothing else holds back who asks for many
 * and takes none. The request waits until on_room, and nothing more is read before. */
void h1_front_hold_back(struct h1_front *h)
{
    h->full = true;
    h->taken = conn_sent(h->conn);
    h->moved_ns = h1_front_now_ns(h);
    conn_want_read(h->conn, false);
    conn_tell_room(h->conn);
    aim_between(h, next_look(h));
}

/* L7 between requests, where no exchange looks: what is pending has not moved for so long. */
static bool takes_nothing(struct h1_front *h)
{
    int64_t now = h1_front_now_ns(h);
    uint64_t taken = conn_sent(h->conn);
    if (taken != h->taken || conn_pending(h->conn) == 0) {
        h->taken = taken;
        h->moved_ns = now;
    }
    return now - h->moved_ns >= h->limits->send_ms * NS_PER_MS;
}

void h1_front_time_between(struct h1_front *h)
{
    if (h->served == 0) {
        h1_front_end(h, ERR_HEAD_TIMEOUT, CONN_END_FLUSH);
    } else if (takes_nothing(h)) {
        h1_front_end(h, ERR_SEND_TIMEOUT, CONN_END_RESET);
    } else if (!h->full && h1_front_now_ns(h) >= idle_until(h)) {
        h1_front_end(h, ERR_IDLE_TIMEOUT, CONN_END_FLUSH);
    } else {
        aim_between(h, next_look(h));
    }
}

void h1_front_wait(struct h1_front *h)
{
    h->state = FRONT_HEAD;
    h->idle_ns = h->moved_ns = h1_front_now_ns(h);
    h->taken = conn_sent(h->conn);
    h->untold = h->last;
    aim_between(h, h->moved_ns + h->limits->send_ms * NS_PER_MS);
    if (conn_has_unread(h->conn)) {
        h1_front_redeliver(h);
    }
}

bool h1_front_half_a_head(const struct h1_front *h)
{
    int64_t since_ns = h1_front_now_ns(h) - (h->untold ? UNTOLD_MS * NS_PER_MS : 0);
    return h->state == FRONT_HEAD && h->request != NULL && h->request->stream.begun_ns <= since_ns;
}
