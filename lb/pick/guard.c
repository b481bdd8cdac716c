/* guard: books how attempts ended, and ejects who fails (BALANCING.md sections 6 and 9, RELIABILITY
 * L32). The only place that raises failure counts, sets ejections and brings in-flight down. */
#include "pick/pick.h"

#define BUSY_SAMPLE_MS 1000.0 /* a quick refusal must not look like a quick answer */
#define BUSY_EJECT     3      /* busy answers in a row, as a light outlier */

enum pick_outcome pick_outcome_of_status(int status)
{
    switch (status) {
    case 429:
    case 503:
        return PICK_BUSY;
    case 500:
    case 502:
    case 504:
        return PICK_FAILED;
    default:
        return PICK_ANSWERED;
    }
}

static bool is_failure(enum err e)
{
    switch ((int)e) {
    case ERR_BACKEND_TLS:
    case ERR_BACKEND_RESET:
    case ERR_BACKEND_PROTOCOL:
    case ERR_BACKEND_HEAD_TOO_LARGE:
    case ERR_BACKEND_TRUNCATED:
    case ERR_BACKEND_UNHEALTHY:
        return true;
    default:
        return false;
    }
}

enum pick_outcome pick_outcome_of_err(enum err e)
{
    switch ((int)e) {
    case ERR_OK:
        return PICK_ANSWERED;
    case ERR_BACKEND_REFUSED:
    case ERR_BACKEND_UNREACHABLE:
    case ERR_BACKEND_CONNECT_TIMEOUT:
        return PICK_CONNECT_FAILED;
    case ERR_BACKEND_TIMEOUT:
    case ERR_BACKEND_BODY_TIMEOUT:
    case ERR_BACKEND_SEND_TIMEOUT:
        return PICK_TIMEOUT;
    default:
        return is_failure(e) ? PICK_FAILED : PICK_ABORTED;
    }
}

static uint32_t count_up(_Atomic uint32_t *counter)
{
    return atomic_fetch_add_explicit(counter, 1, memory_order_relaxed) + 1;
}

/* Written only where it changes something: a healthy endpoint's answers leave the line clean. */
static void clear(_Atomic uint32_t *counter)
{
    if (atomic_load_explicit(counter, memory_order_relaxed) != 0)
        atomic_store_explicit(counter, 0, memory_order_relaxed);
}

static bool within_share(const struct out_ring *outs, uint32_t members, int64_t now_ms)
{
    uint64_t after = (uint64_t)out_ring_count(outs, now_ms) + 1;
    return after * 100 <= (uint64_t)members * LIMIT_EJECT_SHARE_PERCENT;
}

/* At most half of the pool out at once, and for light outliers half of the site. One thread of a
 * pool decides at a time; another that comes meanwhile leaves it to the next failure. */
static void eject(const struct pick_ticket *t, int64_t out_ms, bool light, int64_t now_ms)
{
    struct endpoint *e = t->endpoint;
    struct pool_state *pool = e->pool;
    if (endpoint_out(e, now_ms) ||
        atomic_flag_test_and_set_explicit(&pool->ejecting, memory_order_acquire))
        return;
    if (!endpoint_out(e, now_ms) && within_share(&pool->outs, t->pool_members, now_ms) &&
        (!light || within_share(&t->site->outs, t->site_members, now_ms))) {
        out_ring_add(&pool->outs, now_ms + out_ms);
        out_ring_add(&t->site->outs, now_ms + out_ms);
        endpoint_eject(e, now_ms + out_ms, !light);
    }
    atomic_flag_clear_explicit(&pool->ejecting, memory_order_release);
}

/* What servers answer while all of them lack the same thing says nothing about one of them; that
 * no connection can be had does. */
static void book_failure(const struct pick_ticket *t, bool connect, int64_t now_ms)
{
    struct endpoint *e = t->endpoint;
    uint32_t ejects = endpoint_failed(e, now_ms);
    uint32_t fails = count_up(&e->fails);
    atomic_fetch_add_explicit(&e->errors, 1, memory_order_relaxed);
    bool out = fails >= LIMIT_EJECT_FAILS && !pool_has_fault(e->pool);
    if (connect) {
        atomic_fetch_add_explicit(&e->connect_errors, 1, memory_order_relaxed);
        out = count_up(&e->connect_fails) >= LIMIT_EJECT_CONNECT_FAILS || out;
    } else {
        clear(&e->connect_fails);
    }
    if (!out)
        return;
    int64_t out_ms = (int64_t)LIMIT_EJECT_BASE_MS * (ejects + 1);
    eject(t, out_ms < LIMIT_EJECT_MOST_MS ? out_ms : LIMIT_EJECT_MOST_MS, false, now_ms);
}

static void book_answer(const struct pick_ticket *t)
{
    struct endpoint *e = t->endpoint;
    atomic_fetch_add_explicit(&e->responses, 1, memory_order_relaxed);
    clear(&e->fails);
    clear(&e->connect_fails);
    clear(&e->busy);
}

/* Less than half of its site's load per weight, itself not counted any more. */
static bool is_light(const struct pick_ticket *t)
{
    uint64_t q = endpoint_inflight(t->endpoint);
    int32_t site = atomic_load_explicit(&t->site->inflight, memory_order_relaxed);
    q -= q > 0;
    site -= site > 0;
    return 2 * q * t->site_weight < (uint64_t)(uint32_t)site * t->weight;
}

/* A server that refuses quickly has few requests in flight and so attracts all: it gives no sample
 * and goes out. One that is busy because it is loaded stays. */
static void book_busy(const struct pick_ticket *t, double x_ms, int64_t now_ms)
{
    struct endpoint *e = t->endpoint;
    atomic_fetch_add_explicit(&e->responses, 1, memory_order_relaxed);
    clear(&e->connect_fails);
    if (!is_light(t)) {
        clear(&e->busy);
        site_sample(t->site, x_ms > BUSY_SAMPLE_MS ? x_ms : BUSY_SAMPLE_MS, t->q, now_ms);
        return;
    }
    if (count_up(&e->busy) >= BUSY_EJECT && !pool_has_fault(e->pool))
        eject(t, LIMIT_EJECT_BASE_MS, true, now_ms);
}

void pick_note(const struct pick_ticket *t, enum pick_outcome outcome, double x_ms, int64_t now_ms)
{
    double own_ms = x_ms - site_way(t->site);
    switch (outcome) {
    case PICK_ANSWERED:
        book_answer(t);
        site_sample(t->site, own_ms, t->q, now_ms);
        break;
    case PICK_BUSY:
        book_busy(t, own_ms, now_ms);
        break;
    case PICK_TIMEOUT:
        site_sample(t->site, x_ms, t->q, now_ms);
        book_failure(t, false, now_ms);
        break;
    case PICK_FAILED:
    case PICK_CONNECT_FAILED:
        book_failure(t, outcome == PICK_CONNECT_FAILED, now_ms);
        break;
    case PICK_OUTRUN:
        site_sample(t->site, x_ms, t->q, now_ms);
        break;
    case PICK_ABORTED:
        break;
    }
}

/* The decrement is the last access: nobody keeps the two alive afterwards. */
void pick_release(struct pick_ticket *t)
{
    if (t->endpoint == NULL)
        return;
    atomic_fetch_sub_explicit(&t->site->inflight, 1, memory_order_release);
    atomic_fetch_sub_explicit(&t->endpoint->inflight, 1, memory_order_release);
    *t = (struct pick_ticket){0};
}

void pick_done(struct pick_ticket *t, enum pick_outcome outcome, double x_ms, int64_t now_ms)
{
    if (t->endpoint == NULL)
        return;
    pick_note(t, outcome, x_ms, now_ms);
    pick_release(t);
}
