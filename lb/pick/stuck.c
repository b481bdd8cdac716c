/* stuck: requests that go where they went before. The hard rules come first: the tier, the mask and
 * the mode have been decided, and whoever cannot be chosen by them, was tried or is full is passed
 * over, and the algorithm chooses as for anybody. */
#include "pick/choose.h"

bool choose_stuck(struct choice *c)
{
    const struct pool_view *view = c->req->view;
    const struct pool_member *m = c->req->stick;
    if (m == NULL || &view->tiers[m->tier] != c->tier || (c->open >> m->site & 1) == 0)
        return false;
    uint32_t item = view->places[m - view->pool->members];
    struct choose_range r = choose_range(&c->tier->sites[m->site], c->mode);
    c->candidate_count = 0;
    if (item == VIEW_NOWHERE || item < r.from || item >= r.to || !choose_consider(c, m->site, item))
        return false;
    choose_settle(c, &c->candidates[0]);
    c->out_of_turn = true;
    return true;
}

bool choose_kept(struct choice *c, uint64_t sites)
{
    uint64_t open = c->open;
    c->open = sites;
    bool found = choose_hashed(c);
    c->open = open;
    c->out_of_turn = found;
    return found;
}
