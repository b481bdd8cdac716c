/* choose: the choice itself, without taking anything (BALANCING.md sections 7 and 10). Inside
 * lb/pick only: pick.c takes what is chosen here, explain.c shows how it came about. choose.c
 * decides the mode, the tier and the site; draw.c looks at endpoints; each other algorithm has its
 * file. */
#ifndef MERIDIAN_PICK_CHOOSE_H
#define MERIDIAN_PICK_CHOOSE_H

#include "pick/pick.h"

/* The items of a site that the mode allows: [from, to). */
struct choose_range {
    uint32_t from, to;
    uint64_t weight_before, weight; /* sums: of the items before, and in the range */
};

struct choose_candidate {
    uint32_t site, item;
    uint32_t q; /* its in-flight when it was looked at */
    bool over;  /* above its share of the load: PICK_CONSISTENT_HASH */
};

struct choice {
    const struct pick_request *req;
    enum pick_mode mode;
    const struct view_tier *tier;
    uint64_t open;  /* sites that may still be chosen */
    double base_ms; /* least N of the sites with enough samples; 0: none */
    bool full;      /* somebody was passed over only because of max_inflight */
    /* the result */
    uint32_t site;
    const struct view_item *item; /* NULL: nobody */
    bool out_of_turn;             /* the algorithm was not asked */
    uint64_t next_unit;           /* in PICK_NORMAL: where the site's turn goes on */
    uint32_t candidate_count;
    struct choose_candidate candidates[PICK_CHOICES_MOST]; /* in draw order */
};

/* Bits of the sites that the pool has and the request may use. */
uint64_t choose_mask(const struct pick_request *req);
struct choose_range choose_range(const struct view_site *site, enum pick_mode mode);

struct choose_cost {
    double cost_ms, distance_ms, load_ms;
    uint64_t q, weight;
};
struct choose_cost choose_cost(const struct choice *c, uint32_t site);
/* a is to be preferred to b, which comes earlier in configuration order. */
bool choose_better(const struct choose_cost *a, const struct choose_cost *b);

/* Decides the mode, the tier and the base; ERR_NO_BACKEND where nobody is left to choose from. */
MUST_CHECK
enum err choose_begin(struct choice *c, const struct pick_request *req);
/* Fills the result. ERR_NO_BACKEND, ERR_FULL. */
MUST_CHECK
enum err choose(struct choice *c);
/* What was chosen was taken: whose turn is next. */
void choose_taken(const struct choice *c);

/* draw.c. A uniform draw below the bound: floor(draw * bound / 2^64). */
uint64_t choose_scaled(uint64_t draw, uint64_t bound);
uint64_t choose_draw(const struct choice *c);
/* The item at this distance into the range's weights, which is not beyond them. */
uint32_t choose_item_at(const struct view_site *site, const struct choose_range *r, uint64_t at);
/* How many an item with a max_inflight may have for this request. */
uint32_t choose_most(const struct choice *c, const struct view_item *item);
/* Whether the item can be chosen: the mode may use it, it was not tried, it is not full. */
bool choose_look(struct choice *c, uint32_t site, uint32_t item, struct choose_candidate *out);
/* Makes it a candidate where it can be chosen and is not one already. False: it cannot. */
bool choose_consider(struct choice *c, uint32_t site, uint32_t item);
/* Up to `most` candidates of a site, the first one in turn, the others by weighted draws; then
 * whoever is there. */
void choose_candidates(struct choice *c, uint32_t site, uint32_t most);
/* From any item on round the site's range. */
void choose_scan(struct choice *c, uint32_t site, uint32_t most);
/* The result is the candidate, or the least busy per weight of all. False: there is none. */
void choose_settle(struct choice *c, const struct choose_candidate *chosen);
bool choose_least_loaded(struct choice *c);

/* spread.c */
struct spread_place {
    uint32_t nth, item; /* of spread.sites */
};
/* Lays all open sites end to end. */
void spread_init(const struct choice *c, struct spread *s);
/* The same, in `own` where the view does not have it. */
const struct spread *spread_of(const struct choice *c, struct spread *own);
struct spread_place spread_at(const struct choice *c, const struct spread *s, uint64_t draw);
/* The next one, round all. */
void spread_next(const struct choice *c, const struct spread *s, struct spread_place *p);

/* The algorithms: fill the result from the sites of c->open; false: nobody there can be chosen. */
bool choose_turn(struct choice *c);   /* turn.c: PICK_ROUND_ROBIN */
bool choose_spread(struct choice *c); /* spread.c: PICK_LEAST_CONNECTIONS, PICK_TWO_CHOICES */
bool choose_hashed(struct choice *c); /* hashed.c: PICK_CONSISTENT_HASH */
/* turn.c. Whether the first draw of PICK_NEAREST is a turn. A further attempt draws: with two
 * servers it would take the other's turn, and the next request would come to the same one. */
bool choose_has_turn(const struct choice *c);
/* Whose turn it is within the site, in PICK_NORMAL; sets next_unit. */
uint32_t choose_item_in_turn(struct choice *c, uint32_t site);
/* What was chosen in turn was taken. */
void choose_turn_taken(const struct choice *c);

/* stuck.c. Where the client was before, if that can be chosen. */
bool choose_stuck(struct choice *c);
/* The one of these sites that the request's key belongs to, whatever its load. */
bool choose_kept(struct choice *c, uint64_t sites);

/* explain.c */
void explain_choice(const struct choice *c, struct pick_explain *out);

#endif
