#include "http/h2_session_impl.h"

/* What is bounded in time: streams that hold up others, or that do not move. */

/* Of those that hold up others, if any, the one that has done so for longest. */
static struct h2_stream *longest_held(struct h2_session *s, int64_t now_ns)
{
    struct h2_stream *longest = NULL;
    list_each (e, &s->streams) {
        struct h2_stream *st = container_of(e, struct h2_stream, link);
        bool stalls = st->held.bytes > 0 && now_ns - st->held_ns >= LIMIT_STALLED_MS * NS_PER_MS;
        if (stalls && h2_stream_hears(st) && (longest == NULL || st->held_ns < longest->held_ns)) {
            longest = st;
        }
    }
    return longest;
}

static void make_room(struct h2_session *s, int64_t now_ns)
{
    struct h2_stream *st;
    while (s->held > LIMIT_H2_HELD && (st = longest_held(s, now_ns)) != NULL) {
        h2_stream_fail(st, NGHTTP2_ENHANCE_YOUR_CALM);
    }
}

/* Whether the peer asked for this stream's content and opens no window for it. One that merely
 * reads slowly, or has stopped, has taken what its first window allowed. */
static bool shut_out(const struct h2_stream *st, int64_t since_ns)
{
    return st->open && st->out.bytes > 0 && st->taken < LIMIT_H2_SHUT_BYTES &&
           st->put_ns <= since_ns &&
           nghttp2_session_get_stream_remote_window_size(st->session->wire, st->id) <= 0;
}

/* L27, G11: many of them at a time have no other use than to be held. How far away the peer is
 * counts for it, within reason. */
static void find_closed_windows(struct h2_session *s, int64_t now_ns)
{
    int64_t trips_ns = 2 * (s->rtt_ns < NS_PER_S ? s->rtt_ns : NS_PER_S);
    int64_t since_ns = now_ns - LIMIT_H2_SHUT_MS * NS_PER_MS - trips_ns;
    unsigned count = 0;
    list_each (e, &s->streams) {
        count += shut_out(container_of(e, struct h2_stream, link), since_ns);
    }
    if (count >= LIMIT_H2_SHUT_STREAMS) {
        h2_condemn(s, NGHTTP2_ENHANCE_YOUR_CALM, ERR_H2_FLOOD);
    }
}

static bool sends(const struct h2_stream *st)
{
    return st->open && !st->peer_done && !st->excess && h2_stream_hears(st);
}

/* What a stream whose content nobody has asked for may make us hold. */
static size_t may_hold(const struct h2_stream *st)
{
    int32_t left = nghttp2_session_get_stream_local_window_size(st->session->wire, st->id);
    return st->held.room + (left > 0 ? (size_t)left : 0);
}

/* Content that nobody has asked for, since its request waits for a place, has shut the window to
 * content of those that have one: it would never open. The youngest of those streams end, until
 * what the others can still send fits: else it would be shut again at once. */
static void open_again(struct h2_session *s)
{
    size_t more = LIMIT_H2_WINDOW, less = 0;
    bool starves = false;
    list_each (e, &s->streams) {
        const struct h2_stream *st = container_of(e, struct h2_stream, link);
        starves = starves || (sends(st) && st->wants > 0);
        more += sends(st) && !st->wanted ? may_hold(st) - st->held.room : 0;
    }
    struct link *e = s->streams.prev;
    while (starves && e != &s->streams && more > less &&
           allowance_room(&s->allowance) < more - less) {
        struct h2_stream *st = container_of(e, struct h2_stream, link);
        e = e->prev;
        if (sends(st) && !st->wanted) {
            less += may_hold(st);
            st->excess = true;
            s->events->on_excess(st);
        }
    }
}

/* A server that says no more in the middle of a head holds up no others for long. */
static void pass_turn(struct h2_session *s, int64_t now_ns)
{
    if (s->turn != s->allowance.turn) {
        s->turn = s->allowance.turn;
        s->turn_ns = now_ns;
    }
    if (s->turn != NULL && now_ns - s->turn_ns >= LIMIT_STALLED_MS * NS_PER_MS) {
        allowance_next_turn(&s->allowance);
    }
}

/* L18: there is no room for the oldest of those who wait, or none for content of those that would
 * take it. As long as the client takes what it asked for, that passes by itself. */
static void end_what_is_stuck(struct h2_session *s, int64_t now_ns)
{
    uint64_t sent = conn_sent(s->conn);
    pass_turn(s, now_ns);
    allowance_wake(&s->allowance);
    if (!s->allowance.shut && !allowance_stuck(&s->allowance)) {
        s->stuck_ns = 0;
        return;
    }
    if (s->stuck_ns == 0 || sent != s->stuck_sent) {
        s->stuck_ns = now_ns;
        s->stuck_sent = sent;
    }
    int64_t ms = (now_ns - s->stuck_ns) / NS_PER_MS;
    if (s->allowance.shut && ms >= LIMIT_H2_SHUT_MS) {
        open_again(s);
    }
    if (ms >= LIMIT_STALLED_MS) {
        allowance_make_room(&s->allowance);
    }
}

void h2_streams_expire(struct h2_session *s, int64_t now_ns)
{
    if (s->server) {
        find_closed_windows(s, now_ns);
        end_what_is_stuck(s, now_ns);
    } else {
        make_room(s, now_ns);
    }
    list_each (e, &s->streams) {
        struct h2_stream *st = container_of(e, struct h2_stream, link);
        int64_t most_ms = st->lingers ? LIMIT_LINGER_MS : LIMIT_H2_STALLED_MS;
        if (st->released && st->open && now_ns - st->moved_ns > most_ms * NS_PER_MS) {
            h2_stream_reset(st, NGHTTP2_CANCEL);
        }
    }
}
