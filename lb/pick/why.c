#include "pick/why.h"

static const struct {
    const char *name, *text;
} whys[] = {
#define PICK_WHY_ROW_(id, name, text) [PICK_WHY_##id] = {name, text},
    PICK_WHYS(PICK_WHY_ROW_)
#undef PICK_WHY_ROW_
};

const char *pick_why_name(enum pick_why why)
{
    return whys[why].name;
}

const char *pick_why_text(enum pick_why why)
{
    return whys[why].text;
}

static enum pick_why by_admin(const struct endpoint *e)
{
    switch (endpoint_admin(e)) {
    case ENDPOINT_ACTIVE:
        break;
    case ENDPOINT_DRAIN:
        return PICK_WHY_DRAIN;
    case ENDPOINT_MAINT:
        return PICK_WHY_MAINTENANCE;
    }
    return PICK_WHY_NOTHING;
}

static enum pick_why by_health(const struct endpoint *e, int64_t now_ms)
{
    switch (endpoint_health(e)) {
    case ENDPOINT_UP:
        break;
    case ENDPOINT_SOFT:
        return PICK_WHY_SOFT;
    case ENDPOINT_HARD:
        return PICK_WHY_HARD;
    }
    return endpoint_out(e, now_ms) ? PICK_WHY_OUT : PICK_WHY_NOTHING;
}

static bool is_full(const struct pool_member *m)
{
    return m->max_inflight != 0 && endpoint_inflight(m->endpoint) >= m->max_inflight;
}

uint32_t pick_weight_now(const struct pool_view *view, uint32_t member)
{
    const struct pool_member *m = &view->pool->members[member];
    uint32_t place = view->places[member];
    return place == VIEW_NOWHERE ? m->weight
                                 : view->tiers[m->tier].sites[m->site].items[place].weight;
}

/* Whether somebody of a lower rank can serve. */
static bool others_before(const struct pool_view *view, uint32_t tier)
{
    uint64_t usable = 0;
    for (uint32_t t = 0; t < tier; t++)
        usable |= view->tiers[t].usable_sites;
    return usable != 0;
}

enum pick_why pick_why_idle(const struct pool_view *view, uint32_t member, int64_t now_ms)
{
    const struct pool_member *m = &view->pool->members[member];
    uint32_t override = atomic_load_explicit(&m->endpoint->weight, memory_order_relaxed);
    enum pick_why why = by_admin(m->endpoint);
    if (why == PICK_WHY_NOTHING)
        why = by_health(m->endpoint, now_ms);
    if (why != PICK_WHY_NOTHING)
        return why;
    if (is_full(m))
        return PICK_WHY_FULL;
    if (others_before(view, m->tier))
        return PICK_WHY_BACKUP;
    return pick_weight_now(view, member) < (override != 0 ? override : m->weight)
               ? PICK_WHY_SLOW_START
               : PICK_WHY_NOTHING;
}

bool pick_used_anyway(const struct pool_view *view, enum pick_why idle)
{
    if (idle != PICK_WHY_SOFT && idle != PICK_WHY_HARD && idle != PICK_WHY_OUT)
        return false;
    enum pick_mode mode = pick_mode_of(view, UINT64_MAX);
    return mode == (idle == PICK_WHY_HARD ? PICK_LAST_RESORT : PICK_PANIC);
}

static bool is_candidate(const struct pick_explain *terms, const struct endpoint *e)
{
    for (uint32_t i = 0; i < terms->candidate_count; i++)
        if (terms->candidates[i].endpoint == e)
            return true;
    return false;
}

static bool was_tried(const struct pick_request *req, const struct endpoint *e)
{
    for (size_t i = 0; i < req->tried_count; i++)
        if (req->tried[i] == e)
            return true;
    return false;
}

/* Health counts as far as the mode of the choice looks at it. */
static enum pick_why by_mode(const struct pick_explain *terms, const struct endpoint *e,
                             int64_t now_ms)
{
    enum pick_why why = by_health(e, now_ms);
    if (terms->mode == PICK_NORMAL)
        return why;
    return terms->mode == PICK_PANIC && why == PICK_WHY_HARD ? why : PICK_WHY_NOTHING;
}

static enum pick_why by_place(const struct pick_explain *terms, const struct pool_member *m)
{
    if (m->tier != terms->tier)
        return m->tier < terms->tier ? PICK_WHY_OTHER_TIER : PICK_WHY_BACKUP;
    bool chosen = terms->sites[m->site].verdict == PICK_CHOSEN;
    return chosen || terms->algorithm != PICK_NEAREST ? PICK_WHY_NOT_DRAWN : PICK_WHY_OTHER_SITE;
}

enum pick_why pick_why_not(const struct pick_request *req, const struct pick_explain *terms,
                           uint32_t member)
{
    const struct pool_member *m = &req->view->pool->members[member];
    if (is_candidate(terms, m->endpoint))
        return PICK_WHY_NOTHING;
    enum pick_why why = by_admin(m->endpoint);
    if (why == PICK_WHY_NOTHING)
        why = by_mode(terms, m->endpoint, req->now_ms);
    if (why != PICK_WHY_NOTHING)
        return why;
    if ((req->allowed >> m->site & 1) == 0)
        return PICK_WHY_FORBIDDEN;
    if (was_tried(req, m->endpoint))
        return PICK_WHY_TRIED;
    return is_full(m) ? PICK_WHY_FULL : by_place(terms, m);
}
