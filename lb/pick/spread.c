/* spread: the algorithms that know no sites. All endpoints of the sites that may be used are drawn
 * from alike, and the least busy per weight is taken: of two (Mitzenmacher, 2001), or of all where
 * they are few, else of so many that hardly any other is less busy. */
#include "pick/choose.h"

#define DRAWS_EACH 6 /* draws at most for each candidate that is wanted */

void spread_init(const struct choice *c, struct spread *s)
{
    uint64_t sum = 0;
    s->count = s->items = 0;
    for (uint64_t left = c->open; left != 0; left &= left - 1) {
        uint32_t site = (uint32_t)__builtin_ctzll(left);
        struct choose_range r = choose_range(&c->tier->sites[site], c->mode);
        s->sites[s->count] = (uint8_t)site;
        s->ends[s->count++] = sum += r.weight;
        s->items += r.to - r.from;
    }
}

const struct spread *spread_of(const struct choice *c, struct spread *own)
{
    if (c->mode == PICK_NORMAL && c->open == c->tier->usable_sites)
        return &c->tier->usable;
    spread_init(c, own);
    return own;
}

struct spread_place spread_at(const struct choice *c, const struct spread *s, uint64_t draw)
{
    uint64_t target = choose_scaled(draw, s->ends[s->count - 1]);
    uint32_t nth = 0, n = s->count;
    while (n > 1) {
        uint32_t half = n / 2;
        nth += s->ends[nth + half - 1] <= target ? half : 0;
        n -= half;
    }
    const struct view_site *site = &c->tier->sites[s->sites[nth]];
    struct choose_range r = choose_range(site, c->mode);
    uint64_t before = nth > 0 ? s->ends[nth - 1] : 0;
    return (struct spread_place){.nth = nth, .item = choose_item_at(site, &r, target - before)};
}

void spread_next(const struct choice *c, const struct spread *s, struct spread_place *p)
{
    struct choose_range r = choose_range(&c->tier->sites[s->sites[p->nth]], c->mode);
    if (++p->item < r.to)
        return;
    p->nth = p->nth + 1 < s->count ? p->nth + 1 : 0;
    p->item = choose_range(&c->tier->sites[s->sites[p->nth]], c->mode).from;
}

static void scan_all(struct choice *c, const struct spread *s, uint32_t most)
{
    struct spread_place p = spread_at(c, s, choose_draw(c));
    for (uint32_t i = 0; i < s->items && c->candidate_count < most; i++) {
        choose_consider(c, s->sites[p.nth], p.item);
        spread_next(c, s, &p);
    }
}

/* All are drawn before any is looked at, so that their memory comes at once. */
static void draw_some(struct choice *c, const struct spread *s, uint32_t n)
{
    struct spread_place drawn[PICK_CHOICES_MOST];
    for (uint32_t i = 0; i < n; i++) {
        drawn[i] = spread_at(c, s, choose_draw(c));
        __builtin_prefetch(&c->tier->sites[s->sites[drawn[i].nth]].items[drawn[i].item]);
    }
    for (uint32_t i = 0; i < n; i++)
        __builtin_prefetch(c->tier->sites[s->sites[drawn[i].nth]].items[drawn[i].item].endpoint);
    for (uint32_t i = 0; i < n; i++)
        choose_consider(c, s->sites[drawn[i].nth], drawn[i].item);
}

bool choose_spread(struct choice *c)
{
    struct spread own;
    const struct spread *s = spread_of(c, &own);
    uint32_t most = c->req->view->pool->knobs.algorithm == PICK_TWO_CHOICES ? 2 : PICK_CHOICES_MOST;
    c->candidate_count = 0;
    uint32_t draws = s->items > most ? most * DRAWS_EACH : 0;
    while (draws > 0 && c->candidate_count < most) {
        uint32_t n = most - c->candidate_count;
        n = n < draws ? n : draws;
        draw_some(c, s, n);
        draws -= n;
    }
    if (c->candidate_count < most)
        scan_all(c, s, most);
    return choose_least_loaded(c);
}
