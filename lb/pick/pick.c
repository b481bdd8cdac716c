#include "pick/choose.h"

/* Another worker may take the last place of max_inflight between look and take; then the choice is
 * made anew, this many times (B5). */
#define TAKES_MOST 8

static uint64_t draw_rng(void *ctx)
{
    return rng_u64(ctx);
}

struct pick_dice pick_dice_rng(struct rng *rng)
{
    return (struct pick_dice){.draw = draw_rng, .ctx = rng};
}

/* An ejection that is over is forgotten by whoever sends the first request. */
static void end_ejection(struct endpoint *e, int64_t now_ms)
{
    int64_t until = atomic_load_explicit(&e->out_until, memory_order_relaxed);
    if (until != 0 && until <= now_ms)
        endpoint_readmit(e);
}

static bool raise_inflight(const struct choice *c)
{
    const struct view_item *item = c->item;
    _Atomic uint32_t *inflight = &item->endpoint->inflight;
    if (item->max_inflight == 0) {
        atomic_fetch_add_explicit(inflight, 1, memory_order_relaxed);
        return true;
    }
    uint32_t was = atomic_load_explicit(inflight, memory_order_relaxed);
    while (was < choose_most(c, item))
        if (atomic_compare_exchange_weak_explicit(inflight, &was, was + 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return true;
    return false;
}

static bool take(const struct choice *c, struct pick_ticket *out)
{
    const struct view_site *site = &c->tier->sites[c->site];
    struct endpoint *e = c->item->endpoint;
    if (!raise_inflight(c))
        return false;
    choose_taken(c);
    end_ejection(e, c->req->now_ms);
    atomic_fetch_add_explicit(&e->requests, 1, memory_order_relaxed);
    int32_t q = atomic_fetch_add_explicit(&site->state->inflight, 1, memory_order_relaxed);
    *out = (struct pick_ticket){
        .endpoint = e,
        .site = site->state,
        .site_index = c->site,
        .q = q > 0 ? (uint32_t)q : 0,
        .weight = c->item->weight,
        .site_weight = (uint32_t)choose_range(site, c->mode).weight,
        .site_members = site->members,
        .pool_members = c->req->view->pool->member_count,
        .mode = c->mode,
    };
    return true;
}

enum err pick(const struct pick_request *req, struct pick_ticket *out)
{
    *out = (struct pick_ticket){0};
    for (int i = 0; i < TAKES_MOST; i++) {
        struct choice c;
        enum err err = choose_begin(&c, req);
        if (err == ERR_OK)
            err = choose(&c);
        if (err != ERR_OK)
            return err;
        if (req->explain != NULL)
            explain_choice(&c, req->explain); /* as it was before this request counts */
        if (take(&c, out))
            return ERR_OK;
    }
    return ERR_FULL;
}

enum err pick_site(const struct pick_request *req, uint32_t *site)
{
    struct pick_request asked = *req;
    struct choice c;
    asked.no_last_resort = true;
    enum err err = choose_begin(&c, &asked);
    if (err == ERR_OK)
        err = choose(&c);
    if (err != ERR_OK)
        return err;
    if (req->explain != NULL)
        explain_choice(&c, req->explain); /* as it was before this client counts */
    *site = c.site;
    site_redirected(c.tier->sites[c.site].state, req->now_ms);
    return ERR_OK;
}

enum err pick_explain(const struct pick_request *req)
{
    struct choice c;
    enum err err = choose_begin(&c, req);
    if (err == ERR_OK)
        err = choose(&c);
    explain_choice(&c, req->explain);
    return err;
}
