/* The copy of a request for the route's mirror: a request of Meridian's own, made when the content
 * is in hand, about which the one that it was made from knows nothing more. Its bounds are looked
 * at first: where one is reached no copy is made. */
#include "proxy/exchange_impl.h"

#include "base/limits.h"
#include "base/mem.h"
#include "proxy/internal.h"

struct copy {
    struct route_stats *stats; /* of the route that it was made for */
    struct origin origin;      /* of the client, which may be gone before */
    struct buf content;
    char id[64];
};

static void copy_free(struct copy *c)
{
    counter_add(&c->stats->mirrors_ended, 1);
    route_stats_let_go(&c->stats);
    mem_free(c->origin.distance_ms);
    buf_fini(&c->content);
    mem_free(c);
}

static void on_done(void *user, const struct internal_answer *a)
{
    (void)a;
    copy_free(user);
}

static struct copy *copy_new(struct exchange *x)
{
    struct copy *c = mem_alloc(sizeof *c);
    if (c == NULL)
        return NULL;
    counter_add(&x->stats->mirrors, 1);
    c->stats = route_stats_hold(x->stats);
    buf_init(&c->content, LIMIT_REPLAY_BODY);
    buf_put_span(&c->content, buf_span(&x->replay));
    if (x->origin != NULL)
        c->origin = *x->origin;
    c->origin.refs = 1;
    c->origin.distance_ms = NULL; /* the mirror's pool has sites of its own */
    c->origin.distance_key = 0;
    memcpy(c->id, x->id.p, x->id.n < sizeof c->id ? x->id.n : sizeof c->id);
    if (!c->content.failed)
        return c;
    copy_free(c);
    return NULL;
}

static bool has_room(const struct exchange *x, const struct policy_mirror *m)
{
    uint64_t open = counter_get(&x->stats->mirrors) - counter_get(&x->stats->mirrors_ended);
    return x->proxy->overload < OVERLOAD_REFUSE && open < m->inflight && exchange_in_hand(x) &&
           buf_len(&x->replay) <= m->content_bytes;
}

static void send_copy(struct exchange *x, const struct policy_mirror *m)
{
    struct internal *handle;
    struct copy *c = copy_new(x);
    if (c == NULL)
        return;
    struct errand errand = {
        .edition = x->edition,
        .route = &m->route,
        .origin = x->origin != NULL ? &c->origin : NULL,
        .id = span_of(c->id, x->id.n < sizeof c->id ? x->id.n : sizeof c->id),
    };
    struct internal_request r = {
        .head = x->request,
        .content = buf_span(&c->content),
        .errand = &errand,
        .drop = true,
        .on_done = on_done,
        .user = c,
    };
    if (internal_begin(x->proxy, &r, &handle) != ERR_OK)
        copy_free(c);
}

/* A server may be silent as long as any; that it does not end is no reason to read it for ever. */
int64_t exchange_mirror_due(const struct exchange *x)
{
    int64_t whole_ms = x->timeouts.first_byte_ms + LIMIT_MIRROR_MS;
    return x->errand ? x->begun_ns + whole_ms * NS_PER_MS : PACE_NEVER;
}

void exchange_mirror_enough(struct exchange *x)
{
    x->front->ops->abort(x->front, ERR_FULL);
    exchange_end(x, ERR_OK);
}

void exchange_mirror(struct exchange *x)
{
    const struct policy_mirror *m = x->route != NULL && !x->local ? x->route->mirror : NULL;
    if (m == NULL || x->mirrored || x->request->upgrade != UPGRADE_NONE)
        return;
    x->mirrored = true;
    if (m->percent < 100 && rng_below(&x->proxy->rng, 100) >= m->percent)
        return;
    if (has_room(x, m))
        send_copy(x, m);
    else
        counter_add(&x->stats->mirrors_dropped, 1);
}
