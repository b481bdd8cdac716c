/* The view of a pool (pool.h): which endpoints can be used now, with effective weights. */
#include "base/mem.h"
#include "pick/choose.h"
#include "pick/turns.h"

#define SLOW_STEP_MS 1000 /* views are rebuilt this often while somebody is in slow start */
#define SLOW_PERCENT 10   /* the least share in slow start */
#define REBUILD_PER_MS                                                                             \
    256 /* endpoints: a rebuild per change, but not more work than this per ms                     \
         */

uint32_t pool_slow_weight(uint32_t weight, int64_t since_up_ms, uint32_t slow_start_ms)
{
    if (since_up_ms >= (int64_t)slow_start_ms)
        return weight;
    int64_t percent = since_up_ms > 0 ? 100 * since_up_ms / slow_start_ms : 0;
    uint32_t slow = weight * (uint32_t)(percent > SLOW_PERCENT ? percent : SLOW_PERCENT) / 100;
    return slow > 0 ? slow : 1;
}

static bool in_slow_start(const struct endpoint *e, uint32_t slow_start_ms, int64_t now_ms)
{
    int64_t since = atomic_load_explicit(&e->up_since, memory_order_relaxed);
    return since > 0 && now_ms - since < (int64_t)slow_start_ms;
}

/* Where a member belongs in view_site.items. */
enum group { GROUP_USABLE, GROUP_PANIC, GROUP_HARD, GROUP_NONE };

static enum group group_of(const struct endpoint *e, int64_t now_ms)
{
    if (endpoint_admin(e) != ENDPOINT_ACTIVE)
        return GROUP_NONE;
    switch (endpoint_health(e)) {
    case ENDPOINT_UP:
        return endpoint_out(e, now_ms) ? GROUP_PANIC : GROUP_USABLE;
    case ENDPOINT_SOFT:
        return GROUP_PANIC;
    case ENDPOINT_HARD:
        break;
    }
    return GROUP_HARD;
}

static uint32_t base_weight(const struct pool_member *m)
{
    uint32_t override = atomic_load_explicit(&m->endpoint->weight, memory_order_relaxed);
    return override != 0 ? override : m->weight;
}

static void look_again_at(struct pool_view *view, int64_t at_ms)
{
    if (at_ms < view->rebuild_at_ms)
        view->rebuild_at_ms = at_ms;
}

/* What one pass over a site's members needs and finds. Each member's group is read once, so that a
 * change in the middle cannot put it into two groups or into none. */
struct pass {
    struct pool_view *view;
    const struct pool_site *from;
    uint8_t tier;
    struct view_site *to;
    int64_t now_ms;
    uint32_t slow, counts[GROUP_NONE + 1];
    uint64_t down, total; /* configured weight */
};

static void group_members(struct pass *p)
{
    uint32_t slow_start_ms = p->view->pool->knobs.slow_start_ms;
    for (uint32_t i = 0; i < p->from->count; i++) {
        const struct pool_member *m = &p->from->members[i];
        enum group group = m->tier == p->tier ? group_of(m->endpoint, p->now_ms) : GROUP_NONE;
        p->view->groups[i] = (uint8_t)group;
        p->counts[group]++;
        if (group == GROUP_NONE)
            continue;
        uint32_t weight = base_weight(m);
        p->total += weight;
        if (endpoint_health(m->endpoint) != ENDPOINT_UP)
            p->down += weight;
        if (group == GROUP_USABLE && in_slow_start(m->endpoint, slow_start_ms, p->now_ms))
            p->slow++;
        else if (group == GROUP_PANIC && endpoint_out(m->endpoint, p->now_ms))
            look_again_at(p->view,
                          atomic_load_explicit(&m->endpoint->out_until, memory_order_relaxed));
    }
}

/* Slow start is skipped where all usable ones are in it: there is nobody to take their share. */
static uint32_t effective_weight(const struct pass *p, const struct pool_member *m)
{
    uint32_t weight = base_weight(m);
    uint32_t slow_start_ms = p->view->pool->knobs.slow_start_ms;
    if (p->slow == p->counts[GROUP_USABLE] || !in_slow_start(m->endpoint, slow_start_ms, p->now_ms))
        return weight;
    int64_t since = atomic_load_explicit(&m->endpoint->up_since, memory_order_relaxed);
    return pool_slow_weight(weight, p->now_ms - since, slow_start_ms);
}

static void place_member(struct pass *p, const struct pool_member *m, enum group group, uint32_t at)
{
    uint32_t weight = group == GROUP_USABLE ? effective_weight(p, m) : base_weight(m);
    p->to->items[at] = (struct view_item){
        .endpoint = m->endpoint, .weight = weight, .max_inflight = m->max_inflight};
    p->view->places[m - p->view->pool->members] = at;
    if (weight > p->view->heaviest * m->weight)
        p->view->heaviest = (double)weight / m->weight;
}

/* An indexed search (Chen and Asau, 1974) with at most as many entries as there are items. */
static void build_guide(struct view_site *s)
{
    uint32_t item = 0, before = 0;
    s->guide_shift = 0;
    s->guide_span = 1;
    if (s->count == 0)
        return;
    uint32_t last = s->ends[s->count - 1] - 1;
    while (last >> s->guide_shift >= s->count)
        s->guide_shift++;
    for (uint32_t k = 0; k <= last >> s->guide_shift; k++) {
        while (s->ends[item] <= k << s->guide_shift)
            item++;
        s->guide[k] = item;
        if (item - before >= s->guide_span)
            s->guide_span = item - before + 1;
        before = item;
    }
    if (s->count - before > s->guide_span)
        s->guide_span = s->count - before;
}

static void place_members(struct pass *p)
{
    uint32_t at[GROUP_NONE] = {0, p->to->usable, p->to->alive};
    for (uint32_t i = 0; i < p->from->count; i++) {
        const struct pool_member *m = &p->from->members[i];
        enum group group = (enum group)p->view->groups[i];
        if (group != GROUP_NONE)
            place_member(p, m, group, at[group]++);
        else if (m->tier == p->tier)
            p->view->places[m - p->view->pool->members] = VIEW_NOWHERE;
    }
    uint32_t sum = 0;
    for (uint32_t i = 0; i < p->to->count; i++)
        p->to->ends[i] = sum += p->to->items[i].weight;
    build_guide(p->to);
}

static void mark_site(struct view_tier *tier, uint32_t index)
{
    const struct view_site *site = &tier->sites[index];
    uint64_t bit = UINT64_C(1) << index;
    tier->usable_sites |= site->usable > 0 ? bit : 0;
    tier->alive_sites |= site->alive > 0 ? bit : 0;
    tier->any_sites |= site->count > 0 ? bit : 0;
    tier->healthy_sites |= site->count > 0 && !site->poor ? bit : 0;
}

static void build_site(struct pool_view *view, uint8_t tier, uint32_t index, int64_t now_ms)
{
    struct view_tier *to = &view->tiers[tier];
    struct pass p = {.view = view,
                     .from = &view->pool->sites[index],
                     .tier = tier,
                     .to = &to->sites[index],
                     .now_ms = now_ms};
    group_members(&p);
    p.to->usable = p.counts[GROUP_USABLE];
    p.to->alive = p.to->usable + p.counts[GROUP_PANIC];
    p.to->count = p.to->alive + p.counts[GROUP_HARD];
    p.to->poor = p.down * 100 > (100 - view->pool->knobs.panic_percent) * p.total;
    place_members(&p);
    mark_site(to, index);
    turns_build(&to->turns->sites[index], p.to);
    if (p.slow > 0)
        look_again_at(view, now_ms + SLOW_STEP_MS);
}

static double least_normal(const struct pool_view *view, uint64_t sites)
{
    double base_ms = 0;
    for (; sites != 0; sites &= sites - 1) {
        double normal_ms = view->normal_ms[__builtin_ctzll(sites)];
        if (normal_ms > 0 && (base_ms == 0 || normal_ms < base_ms))
            base_ms = normal_ms;
    }
    return base_ms;
}

double pool_view_base(const struct pool_view *view, const struct view_tier *tier, uint64_t sites)
{
    return sites == tier->usable_sites ? tier->base_ms : least_normal(view, sites);
}

static void read_normals(struct pool_view *view, int64_t now_ms)
{
    uint64_t enough = pool_samples_enough(view->pool);
    view->normals_ms = now_ms;
    for (uint32_t i = 0; i < view->site_count; i++)
        view->normal_ms[i] = site_normal(view->pool->sites[i].state, enough);
    for (uint32_t t = 0; t < view->tier_count; t++)
        view->tiers[t].base_ms = least_normal(view, view->tiers[t].usable_sites);
}

/* All sites by one measure, or none: a mixture would compare what cannot be compared. */
static void read_distances(struct pool_view *view)
{
    const struct pick_pool *pool = view->pool;
    view->measured = pool->knobs.measured;
    for (uint32_t i = 0; i < view->site_count; i++)
        if (!pool->sites[i].fixed && site_way(pool->sites[i].state) <= 0)
            view->measured = false;
    for (uint32_t i = 0; i < view->site_count; i++) {
        const struct pool_site *site = &pool->sites[i];
        view->here_ms[i] = view->measured && !site->fixed
                               ? (float)(site_way(site->state) * pool->knobs.distance_weight)
                               : site->here_ms;
    }
}

static void read_figures(struct pool_view *view, int64_t now_ms)
{
    read_normals(view, now_ms);
    if (view->pool->knobs.measured)
        read_distances(view);
}

static void build_tier(struct pool_view *view, uint8_t index, int64_t now_ms)
{
    struct view_tier *tier = &view->tiers[index];
    tier->usable_sites = tier->alive_sites = tier->any_sites = tier->healthy_sites = 0;
    for (uint32_t i = 0; i < view->site_count; i++)
        build_site(view, index, i, now_ms);
    struct choice all = {.mode = PICK_NORMAL, .tier = tier, .open = tier->usable_sites};
    spread_init(&all, &tier->usable);
}

static void build(struct pool_view *view, uint64_t generation, int64_t now_ms)
{
    view->generation = generation;
    view->not_before_ms = now_ms + view->pool->member_count / REBUILD_PER_MS;
    view->rebuild_at_ms = INT64_MAX;
    view->heaviest = 0;
    for (uint32_t t = 0; t < view->tier_count; t++)
        build_tier(view, (uint8_t)t, now_ms);
    read_normals(view, now_ms);
    read_distances(view);
}

static uint64_t generation_of(const struct pool_view *view)
{
    return atomic_load_explicit(&view->pool->state->generation, memory_order_acquire);
}

bool pool_view_due(const struct pool_view *view, int64_t now_ms)
{
    bool changed = generation_of(view) != view->generation;
    return (changed && now_ms >= view->not_before_ms) || now_ms >= view->rebuild_at_ms;
}

void pool_view_refresh(struct pool_view *view, int64_t now_ms)
{
    if (pool_view_due(view, now_ms))
        build(view, generation_of(view), now_ms);
    else if (now_ms != view->normals_ms)
        read_figures(view, now_ms);
}

/* A view's memory lies behind it: what is aligned most comes first. */
struct carving {
    struct view_site *sites;
    struct view_item *items;
    uint32_t *ends, *guide;
};

static void carve_tier(struct pool_view *view, uint32_t index, struct carving *from)
{
    struct view_tier *tier = &view->tiers[index];
    tier->sites = from->sites;
    from->sites += view->site_count;
    for (uint32_t s = 0; s < view->site_count; s++) {
        const struct pool_site *site = &view->pool->sites[s];
        tier->sites[s] = (struct view_site){.state = site->state,
                                            .items = from->items,
                                            .ends = from->ends,
                                            .guide = from->guide,
                                            .members = site->count};
        for (uint32_t i = 0; i < site->count; i++) {
            bool in = site->members[i].tier == index;
            from->items += in ? 1 : 0;
            from->ends += in ? 1 : 0;
            from->guide += in ? 1 : 0;
        }
    }
}

static void carve(struct pool_view *view)
{
    size_t n = view->pool->member_count;
    struct view_turns *turns = (void *)(view + 1);
    struct view_turn *turn = (void *)(turns + view->tier_count);
    struct carving from = {.sites = (void *)(turn + (size_t)view->tier_count * view->site_count)};
    from.items = (void *)(from.sites + (size_t)view->tier_count * view->site_count);
    from.ends = (void *)(from.items + n);
    from.guide = from.ends + n;
    view->places = from.guide + n;
    view->groups = (uint8_t *)(view->places + n);
    for (uint32_t t = 0; t < view->tier_count; t++) {
        carve_tier(view, t, &from);
        view->tiers[t].turns = &turns[t];
        turns[t].sites = turn + (size_t)t * view->site_count;
    }
}

struct pool_view *pool_view_new(const struct pick_pool *pool, int64_t now_ms)
{
    size_t n = pool->member_count, tiers = pool->tier_count;
    struct pool_view *view =
        mem_alloc(sizeof *view + tiers * sizeof(struct view_turns) +
                  tiers * pool->site_count * (sizeof(struct view_turn) + sizeof(struct view_site)) +
                  n * (sizeof(struct view_item) + sizeof *view->places + 2 * sizeof(uint32_t) + 1));
    if (view == NULL)
        return NULL;
    view->pool = pool;
    view->site_count = pool->site_count;
    view->tier_count = pool->tier_count;
    carve(view);
    build(view, atomic_load_explicit(&pool->state->generation, memory_order_acquire), now_ms);
    return view;
}

void pool_view_free(struct pool_view **view)
{
    mem_free(*view);
    *view = NULL;
}

uint32_t pool_view_usable(const struct pool_view *view, uint64_t allowed)
{
    uint32_t usable = 0;
    for (uint32_t t = 0; t < view->tier_count; t++)
        for (uint32_t i = 0; i < view->site_count; i++)
            if (allowed >> i & 1)
                usable += view->tiers[t].sites[i].usable;
    return usable;
}
